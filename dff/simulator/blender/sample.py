"""``python -m dff.simulator.blender.sample --out DIR``: render the sample stack that ships as dff/sample."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from dff.camera import Lens
from dff.formats.pictures import write_picture
from dff.formats.safe_write import atomic_path, check_folder
from dff.simulator.blender.passes import all_in_focus
from dff.simulator.blender.session import RenderSettings
from dff.simulator.blender.table import FAR_DIOPTRE, NEAR_DIOPTRE, table_scene
from dff.simulator.blender.thin_lens import render_thin_lens, slice_focal_px
from dff.simulator.camera_model import CameraModel, Frame
from dff.simulator.camera_prior import load_camera
from dff.simulator.capture import MIN_EDGE_SHARE
from dff.simulator.demo import ALL_IN_FOCUS, DEPTH, TRUTH
from dff.simulator.expose import expose
from dff.simulator.sweep import Sweep
from dff.simulator.textures import to_display

CAMERA = "compact"
JPEG_QUALITY = 90
MILLIMETRES = 4  # EXIF FocalPlaneResolutionUnit


@dataclass(frozen=True, eq=False)
class RenderedSample:
    """The sample stack before it is written.

    Args:
        pictures: N slices (H,W,3) uint8, far first.
        aif: (H,W,3) uint8, the view of the reference slice through a pinhole.
        dioptre: (H,W) float32 of the same view.
        sweep: focus and motion, a batch of one.
        reference: index of the reference slice.
    """

    pictures: list[np.ndarray]
    aif: np.ndarray
    dioptre: np.ndarray
    sweep: Sweep
    reference: int


def render_sample(settings: RenderSettings, width: int | None = None, seed: int = 1) -> RenderedSample:
    """Render the laid table through the sweep of the compact camera, and expose it.

    Every slice is a path-traced picture through the whole aperture, of the scale and the place on the sensor
    that the lens gives it. The hand does not turn the camera.

    Args:
        settings: of the path tracer.
        width: of the picture in px; None for the camera's own.
        seed: of motion and noise.
    """
    camera = load_camera(CAMERA)
    assert isinstance(camera, CameraModel)
    camera = replace(camera, motion=replace(camera.motion, shake_deg=0.0, rotation_deg=0.0))
    width = width or camera.picture_width
    frame = Frame((round(width * camera.picture_height / camera.picture_width), width))
    sweep = camera.sweep(1, frame, np.random.default_rng(seed))
    lens, true_focus = _lens(sweep), sweep.true_focus[0]
    reference = frame.index(true_focus.size)
    scene = table_scene(frame.size, float(slice_focal_px(lens, true_focus)[reference]))
    aif, dioptre = all_in_focus(scene, settings)
    linear = render_thin_lens(scene, lens, true_focus, sweep.coefficients[0, :, 1:3], settings=settings)
    generator = torch.Generator().manual_seed(seed)
    draw = sweep.sensor.draw(generator, 1, true_focus.size, torch.from_numpy(sweep.ramp))
    pictures = expose(linear[None], draw, generator)[0]
    return RenderedSample(
        [_levels(picture) for picture in pictures],
        _levels(to_display(aif)),
        dioptre.numpy().astype(np.float32),
        sweep,
        reference,
    )


def _lens(sweep: Sweep) -> Lens:
    lens = sweep.lenses[0]
    assert lens is not None
    return lens


def _levels(display: torch.Tensor) -> np.ndarray:
    """(3,H,W) in [0,1] -> (H,W,3) uint8."""
    return (display.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def exif_of(lens: Lens, focus: float, width: int, height: int) -> Image.Exif:
    """What a camera writes of one picture: lens, pixels on the sensor, and its focus [dioptre] in metres."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "dff"
    exif[ExifTags.Base.Model] = f"{CAMERA} (rendered)"
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.FNumber: IFDRational(round(lens.f_number * 100), 100),
        ExifTags.Base.FocalLength: IFDRational(round(lens.focal_length_m * 1e6), 1000),
        ExifTags.Base.SubjectDistance: IFDRational(round(1e6 / focus), 1000000),
        ExifTags.Base.FocalPlaneXResolution: IFDRational(10**6, round(lens.pixel_pitch_m * 1e9)),
        ExifTags.Base.FocalPlaneYResolution: IFDRational(10**6, round(lens.pixel_pitch_m * 1e9)),
        ExifTags.Base.FocalPlaneResolutionUnit: MILLIMETRES,
        ExifTags.Base.ExifImageWidth: width,
        ExifTags.Base.ExifImageHeight: height,
    }
    return exif


def occlusion_edges(dioptre: np.ndarray) -> np.ndarray:
    """(H,W) bool: the 3x3 neighbourhood spans more depth than a surface does."""
    window = np.ones((3, 3), np.uint8)
    spread = cv2.dilate(dioptre, window) - cv2.erode(dioptre, window)
    return np.asarray(spread > MIN_EDGE_SHARE * (NEAR_DIOPTRE - FAR_DIOPTRE))


def write_sample(sample: RenderedSample, folder: str | Path, *, overwrite: bool = False) -> list[Path]:
    """Write slices as JPEG with EXIF, and the truth in a folder of its own; returns the files.

    Depth is stored in half precision: 0.001 dioptres off at most, a four-hundredth of a step of the sweep.

    Raises:
        FileNotFoundError, ValueError: the folder cannot be used.
    """
    folder = check_folder(folder, overwrite)
    (folder / TRUTH).mkdir(parents=True, exist_ok=True)
    sweep, files = sample.sweep, []
    height, width = sample.dioptre.shape
    for k, (picture, focus) in enumerate(zip(sample.pictures, sweep.focus[0].tolist(), strict=True)):
        files.append(folder / f"slice_{k:02d}.jpg")
        exif = exif_of(_lens(sweep), focus, width, height)
        with atomic_path(files[-1]) as temporary:
            Image.fromarray(picture).save(temporary, quality=JPEG_QUALITY, optimize=True, exif=exif)
    files.append(folder / TRUTH / DEPTH)
    with atomic_path(files[-1]) as temporary:
        np.savez_compressed(
            temporary,
            dioptre=sample.dioptre.astype(np.float16),
            valid=np.isfinite(sample.dioptre) & (sample.dioptre > 0),
            edges=occlusion_edges(sample.dioptre),
            matrices=sweep.matrices[0],
            coefficients=sweep.coefficients[0],
            focus=sweep.focus[0],
            true_focus=sweep.true_focus[0],
            coc_px_per_dioptre=sweep.coc_px_per_dioptre[0],
            reference=np.array(sample.reference),
        )
    files.append(write_picture(sample.aif, folder / TRUTH / ALL_IN_FOCUS, overwrite=overwrite))
    return files


@dataclass(frozen=True, kw_only=True)
class Options:
    """Render the sample stack.

    Args:
        out: Folder for the stack, missing or empty.
        samples: Light paths per pixel; the shipped stack has 64.
        width: Of the pictures in px; smaller for a quick look.
        overwrite: Replace files of the same names.
    """

    out: Path
    samples: int = 64
    width: int | None = None
    overwrite: bool = False


def main() -> int:
    """Parse, render, write; 2 on a user's error."""
    options = tyro.cli(Options)
    try:
        check_folder(options.out, options.overwrite)
        sample = render_sample(RenderSettings(samples=options.samples, bounces=4), options.width)
        files = write_sample(sample, options.out, overwrite=options.overwrite)
    except (ValueError, FileNotFoundError) as error:
        print(f"sample: error: {error}", file=sys.stderr)
        return 2
    print(f"{len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:.2f} MB, in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
