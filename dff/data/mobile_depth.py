"""Mobile Depth: focal stacks taken with a phone, aligned by their authors; there is no true depth.

Suwajanakorn et al., Depth from Focus with Your Mobile Phone, CVPR 2015. Focus distances come from their
calibration, in a unit that is not stated, and reach 1e6; so focus is kept as dioptres times an unknown
factor. Where two slices have one distance, nothing but the order is used. Those of the scene "metals" run the
other way round.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dff.data.files import existing, slices, subfolders
from dff.data.sample import DataSet, DepthSample, Samples

_CALIBRATED = {"metals": "metal", "zeromotion": "GT", "smallmotion": "GTSmall", "largemotion": "GTLarge"}
"""Scenes whose folder of calibration is called otherwise."""
_TURNED = "metals"
_LISTED = "focus_dpth.txt", "focus_distance.txt"
"""Lists of focus distances beside the slices; the second is that of Won & Jeon's repository."""
_PICTURES = ".jpg", ".jpeg", ".png"


def _numbers(path: Path, last_is_lens: bool) -> np.ndarray:
    """(N,) focus distances: the first number of each line, but for the last line, the focal length."""
    text = existing(path).read_text(encoding="utf-8", errors="replace")
    lines = [line.split() for line in text.splitlines() if line.strip()]
    try:
        numbers = np.array([float(words[0]) for words in lines])
    except ValueError:
        raise ValueError(f"{path}: a line does not begin with a number") from None
    return numbers[:-1] if last_is_lens else numbers


def _pictures(scene: Path) -> list[Path]:
    """The slices as listed: a01.jpg and so on, which are aligned; without those, every picture by name."""
    aligned = [path for path in scene.glob("a*.jpg") if path.stem[1:].isdigit()]
    if aligned:
        return sorted(aligned, key=lambda path: int(path.stem[1:]))
    return sorted(path for path in scene.iterdir() if path.suffix.lower() in _PICTURES)


def _listing(scene: Path) -> Path | None:
    """The list of focus distances in a folder, if there is one."""
    return next((scene / name for name in _LISTED if (scene / name).is_file()), None)


def _sample(scenes: tuple[tuple[Path, Path], ...], k: int) -> DepthSample:
    scene, calibration = scenes[k]
    pictures = _pictures(scene)
    distances = _numbers(calibration, calibration.name not in _LISTED)
    if len(distances) != len(pictures):
        raise ValueError(f"{calibration}: {len(distances)} focus distances for {len(pictures)} slices")
    if not (np.isfinite(distances) & (distances > 0)).all():
        raise ValueError(f"{calibration}: focus distances must be above 0, found {distances.min():g}")
    if scene.name == _TURNED:
        distances = distances[::-1]
    order = np.argsort(-distances, kind="stable")
    focus = 1 / distances[order]
    known = bool((np.diff(focus) > 1e-9 * max(1.0, focus[-1])).all())
    return DepthSample(
        name=scene.name,
        images=slices([pictures[i] for i in order]),
        focus=focus if known else np.arange(len(focus), dtype=np.float64),
        unit="relative" if known else "index",
    )


def _read(path: Path, split: str) -> Samples:
    aligned, calibration = path / "Aligned", path / "calibration"
    if aligned.is_dir():
        places = [scene for figure in subfolders(aligned) for scene in subfolders(figure)]
        pairs = [
            (scene, calibration / _CALIBRATED.get(scene.name, scene.name) / "calibrated.txt")
            for scene in places
        ]
    else:
        listed = [(scene, _listing(scene)) for scene in (path, *subfolders(path))]
        pairs = [(scene, listing) for scene, listing in listed if listing is not None]
    for _, numbers in pairs:
        existing(numbers)
    return Samples([scene.name for scene, _ in pairs], partial(_sample, tuple(pairs)))


MOBILE_DEPTH = DataSet(
    "mobile_depth",
    ("test",),
    "DIR/Aligned/FIGURE/SCENE/a01.jpg and so on with DIR/calibration/SCENE/calibrated.txt, "
    f"or DIR/SCENE/ of pictures with {' or '.join(_LISTED)}",
    _read,
)
