"""Where simulated scenes come from: generated, from pictures with depth, or rendered by Blender."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch

from dff.simulator.draws import Draws
from dff.simulator.layers import Layer, Scene, truth
from dff.simulator.photos import PhotoPack
from dff.simulator.procedural import random_scenes
from dff.simulator.rgbd import rgbd_layers
from dff.simulator.rgbd_pairs import RgbdPair, cut, find_pairs, rescaled
from dff.simulator.scene_config import SceneConfig
from dff.simulator.textures import to_linear


class SceneSource(Protocol):
    """An endless supply of scenes. It travels to worker processes, so it must be small, or load on demand."""

    def check(self) -> None:
        """Find out, before any work, whether scenes can be made.

        Raises:
            ValueError, FileNotFoundError: what is missing, and the remedy.
        """

    def describe(self) -> dict[str, Any]:
        """All that decides what the scenes are, as plain tables; no path of this machine."""

    def layers(self, generator: torch.Generator, height: int, width: int, far: float, near: float) -> Scene:
        """One scene; the same state of the generator gives the same scene.

        Args:
            generator: of all chance; the layers come on its device.
            height, width: of the scene in px.
            far, near: limits of what is in it [dioptre].

        Returns:
            The layers with a batch dimension of 1, back to front; (1,height,width) bool, where their depth is
            known, or None: everywhere.
        """


def digest(files: Sequence[Path], folder: Path) -> dict[str, Any]:
    """What tells one folder of files from another: how many, and a hash of their names and sizes."""
    lines = [f"{file.relative_to(folder).as_posix()} {file.stat().st_size}" for file in files]
    return {"files": len(lines), "sha256": _short_hash("\n".join(lines).encode())}


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


@dataclass(frozen=True)
class ProceduralScenes:
    """Scenes generated on the generator's device.

    Args:
        config: what to draw from.
        photos: photographs to cut textures from (optional).
    """

    config: SceneConfig = field(default_factory=SceneConfig)
    photos: PhotoPack | None = None

    def check(self) -> None:
        """Nothing can be missing."""

    def describe(self) -> dict[str, Any]:
        photos = self.photos and {
            "tiles": len(self.photos),
            "sha256": _short_hash(self.photos.tiles.cpu().numpy().tobytes()),
        }
        return {"kind": "procedural", "config": asdict(self.config), "photos": photos}

    def layers(self, generator: torch.Generator, height: int, width: int, far: float, near: float) -> Scene:
        device = generator.device
        photos = self.photos and self.photos.to(device)
        return random_scenes(self.config, 1, height, width, far, near, generator, photos), None

    def __reduce__(self) -> tuple[Any, ...]:
        # tensors would travel through shared memory, of which containers have little
        photos = self.photos and (self.photos.tiles.cpu().numpy(), self.photos.credits)
        return _procedural, (self.config, photos)


def _procedural(config: SceneConfig, photos: tuple[Any, ...] | None) -> ProceduralScenes:
    pack = None if photos is None else PhotoPack(torch.from_numpy(photos[0]), photos[1])
    return ProceduralScenes(config, pack)


CHECKED_PAIRS = 50  # of a folder, read before any work
SHARES = 0.6, 1.0  # of the largest window of a picture, on its sides
MIN_KNOWN = 0.3  # of a window, pixels with depth
TRIES = 8
MAX_ERROR = 0.02  # of the range of depth, of a pixel that counts as known


@dataclass(frozen=True)
class RgbdScenes:
    """Windows of pictures with depth, their depth moved into the limits asked for, linearly in dioptres.

    Args:
        folder: of pictures with their depth, as `rgbd_pairs.find_pairs` finds them.
        depth_unit: of depth files that do not tell it themselves.
    """

    folder: Path
    depth_unit: str | None = None

    @cached_property
    def pairs(self) -> list[RgbdPair]:
        """All of the folder."""
        return find_pairs(self.folder, self.depth_unit)

    def check(self) -> None:
        for pair in self.pairs[:: -(-len(self.pairs) // CHECKED_PAIRS)]:
            pair.read()

    def describe(self) -> dict[str, Any]:
        files = [file for pair in self.pairs for file in (pair.picture, pair.depth)]
        return {"kind": "rgbd", "depth_unit": self.depth_unit, **digest(files, self.folder)}

    def layers(self, generator: torch.Generator, height: int, width: int, far: float, near: float) -> Scene:
        draws = Draws(generator)
        pair = self.pairs[int(draws.integer((), 0, len(self.pairs) - 1))]
        whole = pair.read()
        for _ in range(TRIES):
            down, across, share, mirror = draws.uniform((4,)).tolist()
            share = SHARES[0] + share * (SHARES[1] - SHARES[0])
            picture, dioptre, valid = cut(*whole, (height, width), (down, across), share)
            if valid.mean() >= MIN_KNOWN:
                break
        else:
            picture, dioptre, valid = cut(*whole, (height, width))
            if not valid.any():
                raise ValueError(f"{pair.depth}: holds hardly any depth; leave it out")
        dioptre = rescaled(dioptre, valid, far, near)
        turn = slice(None, None, -1 if mirror < 0.5 else 1)
        colour, depth, known = (
            torch.from_numpy(part[:, turn].copy()).to(draws.device)[None]
            for part in (picture, dioptre, valid)
        )
        light = to_linear(colour.permute(0, 3, 1, 2).float() / 255)
        layers = rgbd_layers(light, depth, known)
        # at the rims of holes and of things some pixels show another surface than was measured there
        told = (truth(layers)[0] - depth).abs() <= MAX_ERROR * (near - far)
        return layers, known & told


FARTHEST_WALL = 0.02
"""Blender's rooms end here [dioptre] where the scene may reach to infinity."""


@dataclass(frozen=True)
class BlenderScenes:
    """Scenes that Blender builds and renders, item by item; needs the extra "blender".

    Args:
        kind: name in `dff.simulator.blender.random_scene.KINDS`.
        textures, hdri, meshes: folders of pictures, panoramas and glTF models (optional).
        samples: light paths per pixel.
    """

    kind: str = "mixed"
    textures: Path | None = None
    hdri: Path | None = None
    meshes: Path | None = None
    samples: int = 64

    def check(self) -> None:
        from dff.simulator.blender.random_scene import BlenderConfig
        from dff.simulator.blender.session import require_bpy

        BlenderConfig(kind=self.kind)
        self._files()
        require_bpy()

    def _files(self) -> dict[str, dict[str, Any] | None]:
        from dff.simulator.blender.gltf import gltf_files
        from dff.simulator.blender.materials import image_files
        from dff.simulator.blender.random_scene import panorama_files

        listing = {
            "textures": (image_files, self.textures),
            "hdri": (panorama_files, self.hdri),
            "meshes": (gltf_files, self.meshes),
        }
        return {
            name: None if folder is None else digest(find(folder), folder)
            for name, (find, folder) in listing.items()
        }

    def describe(self) -> dict[str, Any]:
        return {"kind": "blender", "room": self.kind, "samples": self.samples, **self._files()}

    def layers(self, generator: torch.Generator, height: int, width: int, far: float, near: float) -> Scene:
        from dff.simulator.blender.passes import object_layers
        from dff.simulator.blender.random_scene import BlenderConfig, random_scene
        from dff.simulator.blender.session import RenderSettings

        device = generator.device
        seed = int(torch.randint(2**31, (), generator=generator, device=device))
        config = BlenderConfig(
            kind=self.kind,
            size=(height, width),
            far_dioptre=max(far, FARTHEST_WALL),
            near_dioptre=near,
            margin_px=0,
            textures=self.textures,
            hdri=self.hdri,
            meshes=self.meshes,
        )
        found = object_layers(random_scene(config, seed), RenderSettings(samples=self.samples, seed=seed))
        return [_batched(layer, device) for layer in found], None


def _batched(layer: Layer, device: torch.device) -> Layer:
    return Layer(*(part[None].to(device) for part in (layer.colour, layer.alpha, layer.dioptre)))
