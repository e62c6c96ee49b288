"""Predictions of test parts whose truth is kept by their authors, as the authors' servers take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from dff.data import ddff12, zedd
from dff.eval.dataset_keep import file_name
from dff.eval.dataset_protocol import DatasetProtocol
from dff.eval.dataset_run import Found, Saving


def _maps(found: Found, saving: Saving) -> Iterator[np.ndarray]:
    for row in found.rows:
        with np.load(saving.prediction(found.name, row.stack)) as kept:
            yield kept["depth"]


def _ddff12(found: Found, saving: Saving, place: Path) -> Path:
    seconds = (row.spent.wall_s for row in found.rows)
    return ddff12.write_submission(place / "submission", _maps(found, saving), seconds, overwrite=True)


def _zedd(found: Found, saving: Saving, place: Path) -> Path:
    return zedd.write_submission(place / "submission.zip", _maps(found, saving), overwrite=True)


_WRITERS: dict[tuple[str, str], Callable[[Found, Saving, Path], Path]] = {
    ("ddff12", "official_test"): _ddff12,
    ("zedd", "test"): _zedd,
}


def _stacks(protocol: DatasetProtocol) -> int:
    """What the server wants."""
    if protocol.dataset == "ddff12":
        return len(ddff12.TEST_SCENES) * ddff12.TEST_STACKS
    return zedd.TEST_STACKS


def is_submitted(protocol: DatasetProtocol) -> bool:
    """Whether a server scores this part."""
    return (protocol.dataset, protocol.split) in _WRITERS


def submit(found: Found, saving: Saving, protocol: DatasetProtocol) -> Path | None:
    """Write what the server takes, beside the predictions of the method; None where some are missing.

    Raises:
        ValueError: a prediction that the server would refuse.
    """
    if saving.predictions is None or len(found.rows) != _stacks(protocol):
        return None
    place = saving.predictions / file_name(found.name)
    return _WRITERS[protocol.dataset, protocol.split](found, saving, place)
