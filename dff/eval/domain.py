"""Simulated beside real stacks: focus measure, noise, blur and texture of both, as tables and pages."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from dff.classical.focus_measure import tenengrad
from dff.eval.domain_measures import (
    Portrait,
    block_noise,
    edge_blur_px,
    focus_curves,
    gradient_density,
    noise_curve,
    power_spectrum,
    strong_edges,
)
from dff.eval.domain_page import page
from dff.eval.inputs import Say, Seeds, real_stack
from dff.eval.report import Cell, Report, Table
from dff.formats.safe_write import atomic_path
from dff.pipeline import predict
from dff.simulator.camera_model import CameraModel
from dff.simulator.camera_prior import load_camera
from dff.simulator.capture import SimulationConfig, simulate
from dff.simulator.photos import PhotoPack
from dff.simulator.scene_config import SceneConfig
from dff.stack import FocalStack, to_luma

NAME = "domain"
WIDE_PX = 2.0
JPEG_QUALITY = 85  # of the pages, which travel with the documentation


@dataclass(frozen=True)
class Comparison:
    """One page.

    Args:
        name: of its picture.
        real: folders below the data folder.
        simulated: cameras of simulator/cameras.
    """

    name: str
    real: tuple[str, ...]
    simulated: tuple[str, ...]


@dataclass(frozen=True)
class Protocol:
    """What is compared with what.

    Args:
        seeds: of the simulated stacks, the same for every camera.
        size: (height, width) of the simulated pictures: patches of the camera's own picture where it has one.
        scene: what they show.
    """

    comparisons: tuple[Comparison, ...]
    seeds: Seeds
    size: tuple[int, int] = (384, 512)
    scene: SceneConfig = field(default_factory=SceneConfig)


class _Sitting:
    """Gathers the measures of several stacks of one camera."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.curves: list[np.ndarray] = []
        self.blocks: list[tuple[np.ndarray, np.ndarray]] = []
        self.blur: list[np.ndarray] = []
        self.sharpest: list[np.ndarray] = []
        self.spectra: list[tuple[np.ndarray, np.ndarray]] = []
        self.gradients: list[np.ndarray] = []
        self.sample: np.ndarray | None = None

    def add(self, stack: FocalStack) -> None:
        found = predict(stack)
        aligned, used = found.alignment, found.used
        assert found.aif is not None
        self.blocks += [block_noise(found.stack.slices[k]) for k in used]
        shown = np.logical_and.reduce([aligned.valid_mask(k) for k in used])
        lumas = [aligned.warp(to_luma(found.stack.slices[k]), k) for k in used]
        self.curves.append(focus_curves(lumas, shown, self.random))
        sharp = to_luma(found.aif)
        edges = strong_edges(sharp, shown, self.random)
        blur, gradient = (
            np.stack(part) for part in zip(*(edge_blur_px(one, edges) for one in lumas), strict=True)
        )
        self.blur.append(blur.ravel())
        self.sharpest.append(np.take_along_axis(blur, gradient.argmax(axis=0)[None], axis=0)[0])
        self.spectra.append(power_spectrum(sharp))
        self.gradients.append(gradient_density(sharp))
        if self.sample is None:
            self.sample = max(
                (found.stack.slices[k] for k in used), key=lambda s: float(tenengrad(to_luma(s)).sum())
            )

    def portrait(self) -> Portrait:
        brightness, noise = noise_curve(*(np.concatenate(part) for part in zip(*self.blocks, strict=True)))
        frequency = self.spectra[0][0]
        power = np.mean([np.interp(frequency, f, p / np.interp(0.05, f, p)) for f, p in self.spectra], axis=0)
        return Portrait(
            curves=np.concatenate(self.curves),
            brightness=brightness,
            noise=noise,
            sharpest_px=np.concatenate(self.sharpest),
            blur_px=np.concatenate(self.blur),
            frequency=frequency,
            power=power,
            gradient=np.mean(self.gradients, axis=0),
        )


def simulated_stacks(
    camera: str, protocol: Protocol, photos: PhotoPack | None, limit: int | None
) -> Iterator[FocalStack]:
    """Stacks of one camera, in the pixels that its recipe speaks of."""
    model = load_camera(camera)
    size, frame = protocol.size, None
    if isinstance(model, CameraModel):
        frame = model.picture_height, model.picture_width
        size = min(size[0], frame[0]), min(size[1], frame[1])
    config = SimulationConfig(protocol.scene, model, size, frame)
    for seed in protocol.seeds.take(limit):
        yield simulate(config, seed, photos=photos).stack


def portraits(
    comparison: Comparison,
    protocol: Protocol,
    data: Path,
    photos: PhotoPack | None,
    limit: int | None,
    say: Say,
) -> dict[str, tuple[Portrait, np.ndarray]]:
    """Measures and a sample slice of everything on one page, real stacks first."""
    found = {}
    for name in (*comparison.real, *comparison.simulated):
        real = name in comparison.real
        say(f"{NAME}: {name}")
        sitting = _Sitting()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # slices that do not fit are left out
            stacks = [real_stack(data, name)] if real else simulated_stacks(name, protocol, photos, limit)
            for stack in stacks:
                sitting.add(stack)
        assert sitting.sample is not None
        found[f"{name} ({'real' if real else 'simulated'})"] = sitting.portrait(), sitting.sample
    return found


def row(comparison: str, name: str, portrait: Portrait) -> list[Cell]:
    """One line of the table."""
    third = len(portrait.noise) // 3
    noise = [portrait.noise[:third], portrait.noise[third:-third], portrait.noise[-third:]]
    sharp = np.nanquantile(portrait.sharpest_px, (0.25, 0.5))
    return [
        comparison,
        name,
        portrait.half_width,
        portrait.floor,
        *(float(np.nanmedian(part)) if np.isfinite(part).any() else None for part in noise),
        float(sharp[0]),
        float(sharp[1]),
        float(np.mean(~(portrait.blur_px < WIDE_PX))),
        portrait.slope,
        portrait.flat_share,
        portrait.kurtosis,
    ]


COLUMNS = {
    "page": "",
    "stacks": "",
    "curve width [slices]": ".2f",
    "curve floor": ".3f",
    "noise, dark [/255]": ".2f",
    "middle": ".2f",
    "bright": ".2f",
    "sharpest edges, q25 [px]": ".2f",
    "median [px]": ".2f",
    f"wider than {WIDE_PX:g} px or lost": ".2f",
    "spectrum slope": ".2f",
    "flat share": ".2f",
    "gradient kurtosis": ".0f",
}
NOTE = (
    "Curve: Laplacian energy over slices, aligned at the peak, textured pixels; width of the median at half "
    "its height; floor: least value within 6 slices of the peak. Noise: second differences in the flattest "
    "blocks of display values below 0.33, to 0.67, and above. Edges: of the strongest, the Gaussian blur "
    "in the slice that shows each steepest (quarter, median), and in how many of all slices it is wide or "
    "lost. Slope: of the power spectrum of the all-in-focus picture from 0.02 to 0.2 cycles per pixel. Flat: "
    "share of its horizontal differences of at most 1/255. Every stack is aligned and fused by `dff.predict`."
)


def run(
    protocol: Protocol,
    data: Path,
    pictures: Path,
    photos: PhotoPack | None = None,
    *,
    limit: int | None = None,
    options: str = "",
    say: Say = print,
) -> Report:
    """Measure real and simulated stacks and write one page (JPEG) per comparison into ``pictures``."""
    pictures.mkdir(parents=True, exist_ok=True)
    rows: list[list[Cell]] = []
    for comparison in protocol.comparisons:
        found = portraits(comparison, protocol, data, photos, limit, say)
        rows += [row(comparison.name, name, portrait) for name, (portrait, _) in found.items()]
        drawn = page(
            {name: portrait for name, (portrait, _) in found.items()},
            {name: sample for name, (_, sample) in found.items()},
        )
        with atomic_path(pictures / f"{comparison.name}.jpg") as temporary:
            Image.fromarray(drawn).save(temporary, format="JPEG", quality=JPEG_QUALITY)
    seeds = protocol.seeds.take(limit)
    note = f"{NOTE} Simulated: seeds {seeds[0]} to {seeds[-1]} of every camera, procedural scenes."
    return Report(NAME, options, asdict(protocol), [Table("Real and simulated", COLUMNS, rows, note)], [])
