"""Scenes rendered once and kept as layers in one file: a random camera takes them anew each time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dff.formats.safe_write import atomic_path, check_output
from dff.simulator.draws import Draws
from dff.simulator.layers import Layer

PACKED = ".safetensors"
FORMAT = "dff scenes 1"
HELD_OUT_EVERY = 5
BRIGHTEST = 100.0  # light kept of a highlight, white being 1
BRIGHTNESS = 0.55, 1.3  # factors on all light of a scene
TINT = 0.85, 1.18  # and on each of its channels
_ARRAYS = ("colour", "alpha", "depth")


@dataclass(frozen=True, eq=False)
class ScenePack:
    """K scenes of L layers each, back to front; those a scene has not are transparent.

    Args:
        colour: (K,L,3,H,W) float16, linear light.
        alpha: (K,L,H,W) uint8, 255 is opaque; the first layer is.
        depth: (K,L,H,W) float16, inverse depth from 0, the far end of the scene, to 1, its near end.
        names: K names, of kind and seed.
    """

    colour: Tensor
    alpha: Tensor
    depth: Tensor
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = tuple(self.alpha.shape)
        whole = len(shape) == 4 and shape[0] == len(self.names) and min(shape) > 0
        same = tuple(self.colour.shape) == (*shape[:2], 3, *shape[2:]) and tuple(self.depth.shape) == shape
        if not (whole and same and self.alpha.dtype == torch.uint8):
            raise ValueError(
                f"ScenePack: colour {tuple(self.colour.shape)}, alpha {shape} {self.alpha.dtype} and depth "
                f"{tuple(self.depth.shape)} with {len(self.names)} names must be (K,L,3,H,W), (K,L,H,W) "
                "uint8 and (K,L,H,W) with K names"
            )

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, name: str, layers: Sequence[Layer]) -> ScenePack:
        """One scene of layers without batch dimension, on its own range of depth."""
        seen = torch.cat([layer.dioptre[layer.alpha > 0] for layer in layers])
        far, near = seen.min(), seen.max()
        dioptre = torch.stack([layer.dioptre for layer in layers])
        return cls(
            torch.stack([layer.colour for layer in layers]).clamp(0, BRIGHTEST).half()[None],
            (torch.stack([layer.alpha for layer in layers]).clamp(0, 1) * 255).round().byte()[None],
            ((dioptre - far) / (near - far).clamp_min(1e-6)).clamp(0, 1).half()[None],
            (name,),
        )

    @classmethod
    def joined(cls, packs: Sequence[ScenePack]) -> ScenePack:
        """All scenes of several packs, each filled up with transparent layers.

        Raises:
            ValueError: no packs, or scenes of several sizes.
        """
        sizes = {tuple(pack.alpha.shape[-2:]) for pack in packs}
        if len(sizes) != 1:
            raise ValueError(f"ScenePack: scenes must be of one size, these are of {sorted(sizes)}")
        most = max(pack.alpha.shape[1] for pack in packs)
        arrays = {}
        for name in _ARRAYS:
            parts = [getattr(pack, name) for pack in packs]
            lacking = [part.new_zeros(len(part), most - part.shape[1], *part.shape[2:]) for part in parts]
            full = [torch.cat(both, dim=1) for both in zip(parts, lacking, strict=True)]
            arrays[name] = torch.cat(full)
        return cls(**arrays, names=tuple(name for pack in packs for name in pack.names))

    def to(self, device: torch.device | str) -> ScenePack:
        return replace(self, **{name: getattr(self, name).to(device) for name in _ARRAYS})

    def part(self, chosen: Sequence[int]) -> ScenePack:
        """The scenes of some numbers."""
        arrays = {name: getattr(self, name)[list(chosen)] for name in _ARRAYS}
        return ScenePack(**arrays, names=tuple(self.names[k] for k in chosen))

    def split(self) -> tuple[ScenePack, ScenePack]:
        """Scenes for training, and every fifth for validation; with fewer than five, all for both."""
        if len(self) < HELD_OUT_EVERY:
            return self, self
        held_out = range(HELD_OUT_EVERY - 1, len(self), HELD_OUT_EVERY)
        return self.part([k for k in range(len(self)) if k not in held_out]), self.part(held_out)

    def scenes(
        self, generator: torch.Generator, height: int, width: int, far: Tensor, near: Tensor
    ) -> list[Layer]:
        """Random windows of random scenes, mirrored or not, brighter or darker, a little tinted.

        Args:
            generator: of all chance, on the device of the pack.
            height, width: of the windows in px.
            far, near: (B,) dioptres that each whole scene, of which a window is, is stretched to.

        Returns:
            Layers (B,...), back to front, without those that none of the windows shows.

        Raises:
            ValueError: the scenes are smaller than the windows.
        """
        tall, wide = self.alpha.shape[-2:]
        if height > tall or width > wide:
            raise ValueError(
                f"ScenePack: windows of {width}x{height} px (with the margin for motion) do not fit scenes "
                f"of {wide}x{tall} px; render larger ones, or lower source.simulation.size"
            )
        draws, batch = Draws(generator), len(far)
        chosen = draws.integer((batch,), 0, len(self) - 1).tolist()
        tops = draws.integer((batch,), 0, tall - height).tolist()
        lefts = draws.integer((batch,), 0, wide - width).tolist()
        mirrored = draws.chance((batch,), 0.5).tolist()
        light = draws.log_uniform((batch, 1), *BRIGHTNESS) * draws.log_uniform((batch, 3), *TINT)

        def windows(of: Tensor) -> Tensor:
            """(L,B,...) float32."""
            parts = []
            for k, top, left, mirror in zip(chosen, tops, lefts, mirrored, strict=True):
                part = of[k][..., top : top + height, left : left + width]
                parts.append(part.flip(-1) if mirror else part)
            return torch.stack(parts, dim=1).float()

        colour = windows(self.colour) * light[:, :, None, None]
        alpha = windows(self.alpha) / 255
        dioptre = torch.lerp(far[:, None, None], near[:, None, None], windows(self.depth))
        shown = (alpha > 0).flatten(1).any(1).tolist()
        return [Layer(colour[k], alpha[k], dioptre[k]) for k, has in enumerate(shown) if has]

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write a file for `load_scenes`.

        Raises:
            FileNotFoundError: no such folder.
            ValueError: the file cannot be written, or exists.
        """
        path = check_output(path, (PACKED,), overwrite)
        tensors = {name: getattr(self, name).cpu().contiguous() for name in _ARRAYS}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata={"format": FORMAT, "names": json.dumps(self.names)})
        return path


def load_scenes(path: str | Path) -> ScenePack:
    """Scenes from a file of `ScenePack.save`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file of another kind, or a damaged one.
    """
    path, remedy = Path(path), "make one with python -m dff.train.render_scenes"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of rendered scenes; {remedy}")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"{path}: holds no rendered scenes; {remedy}")
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); {remedy}") from None
    return ScenePack(**arrays, names=tuple(json.loads(metadata["names"])))
