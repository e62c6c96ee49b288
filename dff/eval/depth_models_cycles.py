"""Focal stacks that a path tracer takes through the whole aperture of a thin lens: made once, then read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dff.camera import Lens
from dff.eval.inputs import Say
from dff.formats.safe_write import atomic_path
from dff.simulator.blender.materials import image_files
from dff.simulator.blender.passes import all_in_focus
from dff.simulator.blender.random_scene import BlenderConfig, random_scene
from dff.simulator.blender.scene import BlenderScene
from dff.simulator.blender.session import RenderSettings
from dff.simulator.blender.thin_lens import render_thin_lens
from dff.simulator.expose import expose
from dff.simulator.photos import PhotoPack
from dff.simulator.sensor import Sensor
from dff.simulator.textures import to_display
from dff.stack import FocalStack

FOCAL_LENGTH_M = 0.005  # any serves: the aperture follows from the blur, and nothing breathes
BOUNCES = 2
_ARRAYS = ("pictures", "focus", "dioptre", "max_coc_px")


@dataclass(frozen=True)
class SceneChoice:
    """One scene of `dff.simulator.blender.random_scene`.

    Args:
        kind, seed: of the scene.
        max_coc_px: blur DIAMETER of the far end of the sweep when focused at its near end.
        textured: wants pictures on its surfaces, if it must be rendered.
    """

    kind: str
    seed: int
    max_coc_px: float
    textured: bool = False

    @property
    def file(self) -> str:
        return f"{self.kind}_{self.seed}.npz"


@dataclass(frozen=True)
class CyclesSet:
    """Path-traced stacks.

    Args:
        scenes: in the order of the table.
        size: (height, width) in px.
        n_slices: evenly spaced in dioptres, from the far to the near limit of the scene.
        samples: light paths per pixel and slice, then denoised: the noise of few paths is strongest where the
            picture is blurred, which no sensor's is, and would be a false sign of sharpness.
        shot: variance of the sensor's shot noise per unit of light, drawn log-uniformly (see `Sensor`).
    """

    scenes: tuple[SceneChoice, ...]
    size: tuple[int, int] = (160, 160)
    n_slices: int = 10
    samples: int = 24
    shot: tuple[float, float] = (2e-5, 4e-4)


@dataclass(frozen=True, eq=False)
class ThinLensStack:
    """A focal stack and its truth.

    Args:
        name: kind and seed.
        pictures: (N,H,W,3) uint8 display values (gamma 2.2), far first, of one image scale.
        focus: (N,) dioptres, rising.
        dioptre: (H,W) float32, depth at the middle of each pixel.
        max_coc_px: as in `SceneChoice`.
    """

    name: str
    pictures: np.ndarray
    focus: np.ndarray
    dioptre: np.ndarray
    max_coc_px: float

    @property
    def stack(self) -> FocalStack:
        return FocalStack(list(self.pictures), self.focus, origin="rendered")

    def save(self, path: Path) -> None:
        """Write an .npz file, whole or not at all."""
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                pictures=self.pictures,
                focus=self.focus,
                dioptre=self.dioptre,
                max_coc_px=np.array(self.max_coc_px),
            )

    @classmethod
    def load(cls, path: Path) -> ThinLensStack:
        """Read a file written by `save`.

        Raises:
            ValueError: the file is damaged or of another kind.
        """
        try:
            with np.load(path) as file:
                arrays = {name: file[name] for name in _ARRAYS}
        except Exception as error:  # numpy raises whatever zip, zlib and the parser of headers raise
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(
                f"{path}: not a rendered focal stack ({reason}); delete it to have it made again"
            ) from None
        return cls(
            path.stem, arrays["pictures"], arrays["focus"], arrays["dioptre"], float(arrays["max_coc_px"])
        )


@contextmanager
def held_out_textures(folder: Path | None, held_out: PhotoPack | None) -> Iterator[Path | None]:
    """The folder, or one of links to only those of its pictures that are among the held-out photographs.

    Yields:
        None without a folder.

    Raises:
        ValueError: none of its pictures is held out.
    """
    if folder is None or held_out is None:
        yield folder
        return
    names = set(held_out.credits)
    chosen = [path for path in image_files(folder) if path.relative_to(folder).as_posix() in names]
    if not chosen:
        raise ValueError(f"{folder}: none of its pictures is held out; give the folder that --photos is of")
    with tempfile.TemporaryDirectory() as links:
        for k, path in enumerate(chosen):
            (Path(links) / f"{k:04d}_{path.name}").symlink_to(path.resolve())
        yield Path(links)


def _lens(scene: BlenderScene, max_coc_px: float) -> Lens:
    """A lens of the view's focal length in pixels, with the blur asked for; its picture does not breathe."""
    gain = max_coc_px / (scene.near_dioptre - scene.far_dioptre)  # px per dioptre: aperture * focal_px
    aperture_m = gain / scene.view.focal_px
    return Lens(FOCAL_LENGTH_M, FOCAL_LENGTH_M / aperture_m, FOCAL_LENGTH_M / scene.view.focal_px, 0.0)


def _exposed(linear: Tensor, shot: tuple[float, float], seed: int) -> np.ndarray:
    """(N,H,W,3) uint8 as a sensor records (N,3,H,W) linear light."""
    generator = torch.Generator().manual_seed(seed)
    if shot == (0, 0):
        display = to_display(linear)
    else:
        draw = Sensor(shot=shot).draw(generator, 1, len(linear))
        display = expose(linear[None], draw, generator)[0]
    return (display.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def render_choice(
    choice: SceneChoice, wanted: CyclesSet, textures: Path | None, *, threads: int = 1
) -> ThinLensStack:
    """Render a scene: each slice by rays through the whole aperture, so with true occlusion.

    Raises:
        ValueError: bpy is missing.
    """
    config = BlenderConfig(choice.kind, wanted.size, textures=textures if choice.textured else None)
    scene = random_scene(config, choice.seed)
    focus = np.linspace(scene.far_dioptre, scene.near_dioptre, wanted.n_slices)
    settings = RenderSettings(wanted.samples, denoise=True, bounces=BOUNCES, threads=threads)
    _, dioptre = all_in_focus(scene, RenderSettings(1, denoise=False, threads=threads))
    linear = render_thin_lens(scene, _lens(scene, choice.max_coc_px), focus, settings=settings)
    return ThinLensStack(
        Path(choice.file).stem,
        _exposed(linear, wanted.shot, choice.seed),
        focus,
        dioptre.numpy().astype(np.float32),
        choice.max_coc_px,
    )


def _check(path: Path, found: ThinLensStack, choice: SceneChoice, wanted: CyclesSet) -> None:
    """Raise unless a file holds what the protocol asks for."""
    has = (found.pictures.shape[:3], found.max_coc_px)
    asked = ((wanted.n_slices, *wanted.size), choice.max_coc_px)
    if has != asked:
        raise ValueError(
            f"{path}: slices and blur are {has}, the protocol wants {asked}; move the file away, or give "
            "another --cycles"
        )


def thin_lens_stacks(
    wanted: CyclesSet, folder: Path, textures: Path | None, limit: int | None, say: Say
) -> Iterator[ThinLensStack]:
    """Read the scenes from ``folder``; one that is not there is rendered into it.

    Raises:
        ValueError: a scene is missing, and so is bpy or its textures; or a file holds something else.
    """
    scenes: Sequence[SceneChoice] = wanted.scenes[:limit]
    for choice in scenes:
        path = folder / choice.file
        if not path.is_file():
            if choice.textured and textures is None:
                raise ValueError(
                    f"{path}: missing, and it needs pictures to be rendered with; give --textures DIR"
                )
            say(f"rendering {choice.file}: about a minute")
            folder.mkdir(parents=True, exist_ok=True)
            render_choice(choice, wanted, textures).save(path)
        found = ThinLensStack.load(path)
        _check(path, found, choice, wanted)
        yield found
