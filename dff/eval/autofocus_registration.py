"""What registration gives to contrast measures: Table 3 of Learning to Autofocus.

The lens breathes, so a patch shows other things from slice to slice. Zooming every slice, as the reported
focus tells or as fits best, takes that out; what is really known of the motion shows what there is to gain.
Patches need room round what is judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dff.autofocus.measures import MEASURES
from dff.autofocus.metrics import accuracy
from dff.data.af_patches import AutofocusPatches, SimulatedPatches
from dff.eval.inputs import Say
from dff.eval.report import Cell, Table
from dff.simulator.camera_model import CameraModel
from dff.simulator.camera_prior import load_camera


@dataclass(frozen=True)
class Registration:
    """The study.

    Args:
        file: in the folder of the patches: larger ones, whose middle is judged.
        size: side of that middle [px].
        camera: of simulator/cameras, whose breathing the reported focus tells.
        measures: names.
        published: MAE of each in the paper: without registration, and with the better one of its two.
        zooms: number of factors tried for each slice round that of the slice before.
        step: between them.
    """

    measures: tuple[str, ...]
    published: tuple[tuple[float, float], ...]
    file: str = "large.h5"
    size: int = 64
    camera: str = "pixel3"
    zooms: int = 7
    step: float = 5e-4

    def __post_init__(self) -> None:
        if len(self.published) != len(self.measures) or self.zooms < 1:
            raise ValueError("registration: one published pair for each measure, and 1 or more zooms")


def zooms_told(camera: CameraModel, focus: np.ndarray, reference: int) -> np.ndarray:
    """(K,) size of things in each slice over that in the reference, by the reported focus."""
    field = camera.lens.relative_fov(focus)
    return np.asarray(field[reference] / field)


def about_centre(zoom: float, patches: AutofocusPatches, patch: int) -> np.ndarray:
    """(2,3) pixel of the reference -> of a slice zoomed about the picture's middle, in the patch's pixels."""
    middle = (np.array(patches.frame[::-1]) - 1) / 2 - patches.corner[patch]
    return np.column_stack([zoom * np.eye(2), (1 - zoom) * middle])


def registered(slices: np.ndarray, matrices: np.ndarray, size: int) -> np.ndarray:
    """(K,size,size) middle of (K,h,w) slices, each read where ``matrices`` (K,2,3) put its pixels."""
    inset = (slices.shape[-1] - size) // 2
    step = np.array([inset, inset], float)
    found = []
    for picture, matrix in zip(slices, matrices, strict=True):
        at = matrix.copy()
        at[:, 2] += at[:, :2] @ step
        how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        found.append(cv2.warpAffine(picture, at, (size, size), flags=how, borderMode=cv2.BORDER_REFLECT))
    return np.stack(found)


def searched(
    slices: np.ndarray, patches: AutofocusPatches, patch: int, reference: int, study: Registration
) -> np.ndarray:
    """(K,2,3) zooms that make each slice most like its registered neighbour, from the reference outwards."""
    count = len(slices)
    zooms = np.ones(count)
    offsets = (np.arange(study.zooms) - study.zooms // 2) * study.step

    def one(k: int, zoom: float) -> np.ndarray:
        return registered(slices[k][None], about_centre(zoom, patches, patch)[None], study.size)[0]

    for way in (range(reference + 1, count), range(reference - 1, -1, -1)):
        before = one(reference, 1.0)
        last = 1.0
        for k in way:
            tried = [one(k, last + offset) for offset in offsets]
            best = int(np.argmin([np.square(picture - before).sum() for picture in tried]))
            zooms[k] = last = last + offsets[best]
            before = tried[best]
    return np.stack([about_centre(zoom, patches, patch) for zoom in zooms])


def registration_table(study: Registration, data: Path, limit: int | None, say: Say) -> Table:
    """MAE of the measures without registration, with two kinds of it, and with the true motion."""
    path = data / study.file
    columns = {
        "measure": "", "none": ".2f", "as reported": ".2f", "searched": ".2f", "true motion": ".2f",
        "none, paper": ".2f", "best, paper": ".2f",
    }  # fmt: skip
    title = "Registration"
    if not path.is_file():
        return Table(title, columns, [], f"Not measured: the folder holds no {study.file}.")
    patches = SimulatedPatches(path)
    camera = load_camera(study.camera)
    assert isinstance(camera, CameraModel)
    told = zooms_told(camera, patches.focus, patches.reference)
    count = min(limit or len(patches), len(patches))
    answers: dict[str, list[list[int]]] = {name: [] for name in study.measures}
    for patch in range(count):
        whole = patches.stack(patch).mean(axis=1)
        still = np.tile(np.eye(2, 3), (patches.count, 1, 1))
        motions = (
            still,
            np.stack([about_centre(zoom, patches, patch) for zoom in told]),
            searched(whole, patches, patch, patches.reference, study),
            patches.matrices[patch].astype(np.float64),
        )
        seen = [registered(whole, motion, study.size) for motion in motions]
        for name in study.measures:
            answers[name].append([int(MEASURES[name](one).argmax()) for one in seen])
        if (patch + 1) % 20 == 0:
            say(f"registration: {patch + 1}/{count} patches")
    truth = patches.index[:count]
    rows: list[list[Cell]] = []
    for name, published in zip(study.measures, study.published, strict=True):
        picked = np.array(answers[name])
        rows.append([name, *(accuracy(column, truth)["mae"] for column in picked.T), *published])
    note = (
        f"MAE of the sharpest slice on {count} patches of {study.size} px with room for zooming round them. "
        "As reported: zoomed as the reported focus tells. Searched: the zoom making neighbours most alike. "
        "The true motion also knows of shift and drift. Every registration interpolates, which blurs a bit."
    )
    return Table(title, columns, rows, note)
