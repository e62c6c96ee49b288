"""Reference scenes: what the fast renderer is given, and what it should have made of it, in one file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dff.formats.safe_write import atomic_path, check_output
from dff.simulator.blender.hidden import fill_unseen
from dff.simulator.blender.light_field import refocus, render_light_field
from dff.simulator.blender.passes import all_in_focus, object_layers
from dff.simulator.blender.random_scene import BlenderConfig, random_scene
from dff.simulator.blender.session import RenderSettings
from dff.simulator.layers import Layer
from dff.simulator.textures import to_display


@dataclass(frozen=True, eq=False)
class Reference:
    """A path-traced scene and its focal slices, in linear light.

    Inputs have M pixels of margin on every side, slices none.

    Args:
        name: kind and seed.
        aif: (3,H+2M,W+2M) all in focus.
        dioptre: (H+2M,W+2M) depth of ``aif``.
        layers: of the same size, back to front; `fill_unseen` has been through them.
        slices: (N,3,H,W) what a lens sees, of one image scale (no breathing).
        focus: (N,) dioptres, rising.
        coc_px_per_dioptre: blur diameter per dioptre of defocus.
        margin_px: M.
        floor_db: (N,) PSNR (gamma 2.2) between slices from one half of the views and the other: the noise of
            ``slices`` is about 6 dB below that.
    """

    name: str
    aif: Tensor
    dioptre: Tensor
    layers: list[Layer]
    slices: Tensor
    focus: Tensor
    coc_px_per_dioptre: float
    margin_px: int
    floor_db: Tensor

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write an .npz file; colours in half precision."""
        path = check_output(path, (".npz",), overwrite)
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                name=np.array(self.name),
                aif=self.aif.half().numpy(),
                dioptre=self.dioptre.numpy(),
                layer_colour=torch.stack([layer.colour for layer in self.layers]).half().numpy(),
                layer_alpha=torch.stack([layer.alpha for layer in self.layers]).half().numpy(),
                layer_dioptre=torch.stack([layer.dioptre for layer in self.layers]).numpy(),
                slices=self.slices.half().numpy(),
                focus=self.focus.numpy(),
                coc_px_per_dioptre=np.array(self.coc_px_per_dioptre),
                margin_px=np.array(self.margin_px),
                floor_db=self.floor_db.numpy(),
            )

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Read a file written by `save`."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such reference scene; render it with render_reference")
        with np.load(path) as file:
            missing = {"aif", "layer_colour", "slices", "focus"} - set(file.files)
            if missing:
                raise ValueError(f"{path}: not a reference scene, it lacks {', '.join(sorted(missing))}")
            data = {name: torch.from_numpy(file[name]) for name in file.files if name != "name"}
            name = str(file["name"])
        colours = data["layer_colour"].float(), data["layer_alpha"].float(), data["layer_dioptre"]
        return cls(
            name=name,
            aif=data["aif"].float(),
            dioptre=data["dioptre"],
            layers=[Layer(*parts) for parts in zip(*colours, strict=True)],
            slices=data["slices"].float(),
            focus=data["focus"],
            coc_px_per_dioptre=float(data["coc_px_per_dioptre"]),
            margin_px=int(data["margin_px"]),
            floor_db=data["floor_db"],
        )


def _psnr(a: Tensor, b: Tensor) -> Tensor:
    error = to_display(a) - to_display(b)
    return -10 * torch.log10(error.square().mean(dim=(-3, -2, -1)))


def render_reference(
    path: str | Path,
    kind: str,
    seed: int,
    *,
    max_radius_px: float = 13.0,
    n_slices: int = 5,
    size: tuple[int, int] = (256, 256),
    views: int = 256,
    samples_per_view: int = 2,
    settings: RenderSettings | None = None,
    textures: Path | None = None,
    hdri: Path | None = None,
    meshes: Path | None = None,
    overwrite: bool = False,
) -> Reference:
    """Render a random scene all in focus, layer by layer and as a refocused light field; write and return it.

    Args:
        path: the .npz file.
        kind, seed: as in `random_scene`.
        max_radius_px: blur radius of the nearest content when the farthest is in focus; sets the aperture.
        n_slices: focused uniformly in dioptres from the far to the near limit.
        views, samples_per_view: of the light field; the slices average their product per pixel.
        settings: for the picture and the layers.
        textures, hdri, meshes: folders, as in `BlenderConfig`.

    Raises:
        ValueError, FileNotFoundError: as in `random_scene`, or the file cannot be written.
    """
    check_output(path, (".npz",), overwrite)
    settings = settings or RenderSettings()
    margin = math.ceil(max_radius_px) + 4
    config = BlenderConfig(kind, size, margin_px=margin, textures=textures, hdri=hdri, meshes=meshes)
    scene = random_scene(config, seed)
    gain = 2 * max_radius_px / (scene.near_dioptre - scene.far_dioptre)
    focus = torch.linspace(scene.far_dioptre, scene.near_dioptre, n_slices)
    aif, dioptre = all_in_focus(scene, settings, margin_px=margin)
    layers = fill_unseen(object_layers(scene, settings, margin_px=margin), gain)
    each = replace(settings, samples=samples_per_view, denoise=False)
    field = render_light_field(scene, gain / scene.view.focal_px, views, each)
    halves = [refocus(field, focus, every=slice(start, None, 2)) for start in (0, 1)]
    reference = Reference(
        name=f"{kind}_{seed}",
        aif=aif,
        dioptre=dioptre,
        layers=layers,
        slices=refocus(field, focus),
        focus=focus,
        coc_px_per_dioptre=gain,
        margin_px=margin,
        floor_db=_psnr(*halves),
    )
    reference.save(path, overwrite=overwrite)
    return reference
