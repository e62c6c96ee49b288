"""One stack of a data set as its protocol wants it seen, one answer as it wants it scored, and the means."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image

from dff import metrics
from dff.camera import Lens
from dff.classical import motion
from dff.classical.align import align_stack
from dff.data.sample import DepthSample, Truth
from dff.eval.baselines.methods import Estimate
from dff.eval.dataset_protocol import DatasetProtocol, MetricUnit
from dff.stack import to_float

Scores = dict[str, float]


class NothingToScoreError(ValueError):
    """A stack has no pixel that the protocol counts."""


@dataclass(frozen=True, eq=False)
class View:
    """A stack as methods get it.

    Args:
        sample: slices in memory, aligned, picked and cropped.
        truth: of the same pixels, or None.
        shown: (H,W) bool, pixels that every slice shows.
    """

    sample: DepthSample
    truth: Truth | None
    shown: np.ndarray


def _matrices(sample: DepthSample, protocol: DatasetProtocol) -> np.ndarray | None:
    """(N,2,3) motions to undo, or None."""
    if protocol.align == "none":
        return None
    if protocol.align == "known":
        if sample.matrices is None:
            raise ValueError(f'{sample.name}: its motion is not known; give align = "direct" in the protocol')
        return sample.matrices
    reference = sample.reference % len(sample)
    stack = sample.stack()
    if protocol.align == "direct":
        return align_stack(stack, "direct", reference=reference).matrices
    if sample.focal_length_m is None or stack.focus is None:
        raise ValueError(f'{sample.name}: its lens is not known; give align = "direct" in the protocol')
    stack.lens = Lens(sample.focal_length_m, 2.0, 1e-6)  # only the focal length counts for the field of view
    return align_stack(stack, "metadata", reference=reference).matrices


def _picked(protocol: DatasetProtocol, sample: DepthSample) -> list[int]:
    count = len(sample)
    if protocol.slices is None:
        return list(range(count))
    if isinstance(protocol.slices, int):
        if protocol.slices > count:
            raise ValueError(f"{sample.name}: has {count} slices; the protocol takes {protocol.slices}")
        return [int(k) for k in np.rint(np.linspace(0, count - 1, protocol.slices))]
    if not all(0 <= k < count for k in protocol.slices):
        raise ValueError(f"{sample.name}: has {count} slices; the protocol takes {list(protocol.slices)}")
    return list(protocol.slices)


def _window(protocol: DatasetProtocol, shape: tuple[int, ...], name: str) -> tuple[slice, slice]:
    if protocol.crop is None:
        return slice(None), slice(None)
    rest = [whole - side for whole, side in zip(shape, protocol.crop, strict=False)]
    if min(rest) < 0:
        raise ValueError(f"{name}: {shape[1]}x{shape[0]} px are less than the protocol's crop")
    top, left = (one // 2 for one in rest)
    return slice(top, top + protocol.crop[0]), slice(left, left + protocol.crop[1])


def _scaled(image: np.ndarray, size: tuple[int, int], *, picture: bool) -> np.ndarray:
    """(H,W) or (H,W,C) at another (height, width): by Lanczos, or by the nearest pixel, centre to centre."""
    if image.shape[:2] == size:
        return image
    if not picture:
        kind = np.uint8 if image.dtype == bool else image.dtype
        nearest = cv2.resize(image.astype(kind), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return nearest.astype(image.dtype)
    wanted = (size[1], size[0])
    if image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).resize(wanted, Image.Resampling.LANCZOS))
    planes = [Image.fromarray(plane) for plane in np.moveaxis(to_float(image), 2, 0)]
    scaled = [np.asarray(plane.resize(wanted, Image.Resampling.LANCZOS)) for plane in planes]
    return np.stack(scaled, axis=-1).clip(0, 1)


def view(sample: DepthSample, protocol: DatasetProtocol) -> View:
    """Slices and truth, read now and prepared.

    Raises:
        ValueError: damaged files, or a stack that the protocol does not fit.
    """
    if protocol.focus is not None:
        sample = replace(sample, focus=np.linspace(*protocol.focus, len(sample)))
    keep, matrices = _picked(protocol, sample), _matrices(sample, protocol)
    shape = sample.images[0].shape[:2]
    size = shape
    if protocol.height is not None:
        size = protocol.height, int(shape[1] * (protocol.height / shape[0]))
    window = _window(protocol, size, sample.name)
    images = []
    shown = np.ones(shape, bool)
    for k in keep:
        image = np.asarray(sample.images[k])
        if matrices is not None and not np.array_equal(matrices[k], motion.IDENTITY):
            image = motion.warp(image, matrices[k])
            shown &= motion.inside(matrices[k], shape)
        images.append(np.ascontiguousarray(_scaled(image, size, picture=True)[window]))
    truth = None
    if protocol.metrics:
        whole = sample.truth()
        parts = [
            None if part is None else _scaled(part, size, picture=False)[window]
            for part in (whole.depth, whole.valid, whole.weight)
        ]
        assert parts[0] is not None
        assert parts[1] is not None
        truth = Truth(parts[0], parts[1], parts[2])
    reference = sample.reference % len(sample)
    prepared = replace(
        sample,
        images=images,
        focus=sample.focus[keep],
        read_truth=None,
        read_sharp=None,
        matrices=None,
        reference=keep.index(reference) if reference in keep else -1,
    )
    return View(prepared, truth, _scaled(shown, size, picture=False)[window])


def converted(value: np.ndarray, sample: DepthSample, unit: MetricUnit) -> np.ndarray:
    """Depth in the unit of the sample -> float64 in ``unit``; 0 dioptres are infinitely many metres.

    Raises:
        ValueError: the one cannot be had from the other.
    """
    value = np.asarray(value, dtype=np.float64)
    if unit == sample.unit:
        return value
    if unit == "sweep":
        return np.asarray((value - sample.focus[0]) / (sample.focus[-1] - sample.focus[0]))
    if sample.dioptre_per_unit is None or unit not in ("metre", "dioptre"):
        raise ValueError(
            f"{sample.name}: depth in {sample.unit} cannot be had in {unit}; change the protocol's unit"
        )
    dioptre = value * sample.dioptre_per_unit
    if unit == "dioptre":
        return np.asarray(dioptre)
    with np.errstate(divide="ignore"):
        return np.asarray(1 / dioptre)


def mask_of(seen: View, protocol: DatasetProtocol) -> tuple[np.ndarray, np.ndarray]:
    """(H,W) true depth in the protocol's unit, 0 where it is a hole, and (H,W) bool: the pixels that count.

    Raises:
        NothingToScoreError: no pixel counts.
    """
    assert seen.truth is not None
    depth = np.where(seen.truth.valid, converted(seen.truth.depth, seen.sample, protocol.unit), 0)
    mask = seen.truth.valid & seen.shown & np.isfinite(depth)
    if protocol.clip_truth is not None:
        depth = np.where(mask, depth.clip(*protocol.clip_truth), 0)
    if protocol.mask_range is not None:
        low, high = protocol.mask_range
        # float32 files: a truth at the end of the range is inside it
        slack = 1e-6 * (high - low)
        mask &= (depth >= low - slack) & (depth <= high + slack)
    if not mask.any():
        raise NothingToScoreError(f"{seen.sample.name}: no true depth in the range of the protocol")
    return np.where(np.isfinite(depth), depth, 0), mask


def _delta(k: int) -> Callable[..., float]:
    return lambda p, t, m: metrics.delta(p, t, m, k)


_PLAIN: dict[str, Callable[..., float]] = {
    "mae": metrics.mae,
    "mse": metrics.mse,
    "rmse": metrics.rmse,
    "abs_rel": metrics.abs_rel,
    "sq_rel": metrics.sq_rel,
    "delta1": _delta(1),
    "delta2": _delta(2),
    "delta3": _delta(3),
    "bumpiness": metrics.bumpiness,
}


def score(found: Estimate, seen: View, protocol: DatasetProtocol) -> Scores:
    """Every metric of the protocol on one stack; NaN where it has no meaning.

    Also "known", the share of counted pixels where the method claims to know, and the counts that pooling
    takes: "pixels" and "weight". Bumpiness is measured as published: holes of the truth count as depth 0 for
    the pixels beside them.

    Raises:
        ValueError: an answer of another size, or NaN in it where a pixel counts.
    """
    truth, mask = mask_of(seen, protocol)
    guess = converted(found.value, seen.sample, protocol.unit)
    if guess.shape != truth.shape:
        raise ValueError(f"{seen.sample.name}: depth is {guess.shape}, the truth {truth.shape}")
    if protocol.clip_prediction is not None:
        guess = guess.clip(*protocol.clip_prediction)
    if not np.isfinite(guess[mask]).all():
        raise ValueError(
            f"{seen.sample.name}: NaN or infinite depth in {protocol.unit}; give the protocol clip_prediction"
        )
    guess = np.where(np.isfinite(guess), guess, 0)
    weight = seen.truth.weight if seen.truth is not None else None
    scores: Scores = {}
    for name in protocol.metrics:
        if name in _PLAIN:
            scores[name] = _PLAIN[name](guess, truth, mask)
        elif name == "log_rms":
            scores[name] = metrics.log_rms(guess, truth, mask) if (guess[mask] > 0).all() else math.nan
        elif name == "edge_error" and protocol.edge_step is not None:
            scores[name] = metrics.edge_error(guess, truth, mask, step=protocol.edge_step)
        elif name == "ause":
            sure, error = found.confidence, np.abs(guess - truth)
            scores[name] = math.nan if sure is None else metrics.ause(error, sure, mask)
        else:
            if weight is None:
                raise ValueError(f"{seen.sample.name}: has no confidence of its depth to weight errors with")
            measure = metrics.weighted_mae if name == "weighted_mae" else metrics.weighted_mse
            scores[name] = measure(guess, truth, weight, mask)
    scores["known"] = math.nan if found.valid is None else float(found.valid[mask].mean())
    scores["pixels"] = float(mask.sum())
    scores["weight"] = math.nan if weight is None else float(weight[mask].sum(dtype=np.float64))
    return scores


_ROOTS = ("rmse", "log_rms")
_OF_STACKS = ("ause", "edge_error")  # no sum over pixels


def aggregated(rows: Sequence[Scores], protocol: DatasetProtocol) -> Scores:
    """One value per metric, and "known", as the protocol's ``aggregate`` says; NaN where no stack has one.

    Of edge error, which a stack without edges does not have, it is the mean over those that do.
    """
    result = {}
    for name in (*protocol.metrics, "known"):
        values = np.array([row[name] for row in rows])
        if name in _OF_STACKS:
            values = values[np.isfinite(values)]
        if not values.size:
            result[name] = math.nan
        elif protocol.aggregate == "image" or name in _OF_STACKS:
            result[name] = float(values.mean())
        else:
            by = "weight" if name.startswith("weighted") else "pixels"
            counts = np.array([row[by] for row in rows])
            power = 2 if name in _ROOTS else 1
            result[name] = float(np.average(values**power, weights=counts) ** (1 / power))
    return result
