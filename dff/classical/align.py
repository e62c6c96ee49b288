"""Alignment of a focal stack without learning: neighbours chained, then refined against the reference."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dff.classical import motion, register
from dff.classical.alignment import Alignment, resolve_reference
from dff.classical.pyramid import WorkPicture, work_picture, work_scale
from dff.classical.register import PairMotion
from dff.stack import DISPLAY_GAMMA, FocalStack, Progress

Method = Literal["auto", "metadata", "ecc", "direct", "none"]
METHODS: tuple[Method, ...] = ("auto", "metadata", "ecc", "direct", "none")

MIN_CORRELATION = 0.5  # below it two neighbouring slices do not show the same scene
MAX_STEP_ZOOM = 0.15  # between neighbours; more is a failure, not breathing
MAX_STEP_SHIFT = 0.2  # of the picture's longest side
JUMP_PX_SHARE = 0.004  # of the longest side: a motion this far off its neighbours' course is a hiccup
FAR_TRUST = 0.1  # of a pair far apart in focus: what blur does to it is the same error all over the picture
SYMMETRIC_UP_TO = 20  # slices; in longer stacks neighbours differ too little for it to matter
ROTATION_PX = 0.2  # rotation is fitted only if it moves a corner by more than this, in work px ...
ROTATION_SIGMAS = 2.0  # ... and by this many of its own standard deviations


def metadata_matrices(stack: FocalStack) -> np.ndarray | None:
    """(N,2,3) zoom predicted from lens and focus (Won & Jeon 2022, 2.1), from slice 0; None when unknown."""
    if stack.lens is None or stack.focus is None:
        return None
    try:
        fov = stack.lens.relative_fov(stack.focus)
    except ValueError as error:
        warnings.warn(f"the lens does not fit the focus distances ({error}); it is not used", stacklevel=2)
        return None
    size = (stack.height, stack.width)
    return np.array([motion.about_centre(fov[0] / f, 0.0, (0.0, 0.0), size) for f in fov])


def align_stack(
    stack: FocalStack,
    method: Method = "auto",
    *,
    reference: str | int = "auto",
    start: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Alignment:
    """Find zoom, shift and (where there is any) rotation of every slice.

    ``direct``: blur-equalised Gauss-Newton (`dff.classical.register`) between neighbours from the metadata's
    field of view when known, chained, then refined against the reference with each estimate weighted by its
    information. ``ecc``: OpenCV's affine ECC, chained. ``metadata``: only what lens and focus predict.
    ``auto``: direct. A slice that fits none of its neighbours is flagged "poor", takes the motion of the
    slices around it, and is bridged over.

    Args:
        start: (N,2,3) motions of all slices from any one of them (reference pixel -> slice pixel) that the
            direct method sets out from instead of the metadata, such as an alignment network's.

    Raises:
        ValueError: unknown method or reference, "metadata" without lens and focus distances, a start for
            another method than direct, or one of another shape.
    """
    if method not in METHODS:
        raise ValueError(f"align {method!r}; choose from {', '.join(METHODS)}")
    count, size = len(stack), (stack.height, stack.width)
    if start is not None and method not in ("auto", "direct"):
        raise ValueError(f"align {method}: takes no start; use direct")
    if start is not None and start.shape != (count, 2, 3):
        raise ValueError(f"align: start must be ({count},2,3), got {start.shape}")
    resolve_reference(reference, np.repeat(motion.IDENTITY[None], count, axis=0), ("ok",) * count)
    unknown = np.full(count, np.nan)
    if method in ("none", "metadata"):
        if method == "none":
            matrices = np.repeat(motion.IDENTITY[None], count, axis=0)
        else:
            predicted = metadata_matrices(stack)
            if predicted is None:
                raise ValueError(
                    "align metadata needs the lens and the focus distances of the stack; give them in a "
                    "stack.toml, or use --align direct"
                )
            matrices = predicted
        given = Alignment(matrices, 0, size, method, ("reference",) + ("ok",) * (count - 1), unknown)
        return given.seen_from(resolve_reference(reference, matrices, given.flags))
    if method == "ecc":
        from dff.classical.ecc import ecc_chain

        matrices, failed = ecc_chain(stack, count // 2, progress=progress)
        flags = ["poor" if k in failed else "ok" for k in range(count)]
        found = Alignment(matrices, count // 2, size, "ecc", tuple(flags), unknown)
        return found.seen_from(resolve_reference(reference, matrices, flags))
    return _direct(stack, reference, start, progress)


# --- the direct method -----------------------------------------------------------------------------------


@dataclass
class _Chain:
    """Motions from slice ``start``, in work px, as they are linked up."""

    matrices: list[np.ndarray]
    covariance: list[np.ndarray]
    poor: set[int]


def _fits(pair: PairMotion, start: np.ndarray, size: tuple[int, int]) -> bool:
    step = motion.compose(pair.matrix, motion.invert(start))
    zoom, _, shift = motion.decompose(step, size)
    return (
        pair.correlation >= MIN_CORRELATION
        and abs(zoom - 1) <= MAX_STEP_ZOOM
        and float(np.abs(shift).max()) <= MAX_STEP_SHIFT * max(size)
    )


def _neighbours(
    a: WorkPicture, b: WorkPicture, rows: tuple[str, ...], start: np.ndarray, *, symmetric: bool
) -> PairMotion:
    """Motion from ``a`` to ``b``; ``symmetric`` averages both directions."""
    forward = register.register_pair(a, b, rows, start)
    if not symmetric:
        return forward
    backward = register.refine_pair(b, a, rows, motion.invert(forward.matrix), far=False)
    matrix = 0.5 * (forward.matrix + motion.invert(backward.matrix))
    return PairMotion(matrix, forward.information, forward.correlation, forward.residual_px)


def _link(
    pictures: Sequence[WorkPicture],
    rows: tuple[str, ...],
    predicted: Sequence[np.ndarray],
    begin: int,
    tick: Callable[[], None],
) -> _Chain:
    """Chain slice after slice from ``begin`` to both ends; a slice that does not fit is bridged over."""
    count, size = len(pictures), (pictures[0].finest.shape[0], pictures[0].finest.shape[1])
    nothing = np.zeros((len(rows), len(rows)))
    chain = _Chain([motion.IDENTITY] * count, [nothing] * count, set())
    for order in (range(begin + 1, count), range(begin - 1, -1, -1)):
        last = begin
        for k in order:
            start = motion.compose(predicted[k], motion.invert(predicted[last]))
            pair = _neighbours(pictures[last], pictures[k], rows, start, symmetric=count <= SYMMETRIC_UP_TO)
            if _fits(pair, start, size):
                chain.matrices[k] = motion.compose(pair.matrix, chain.matrices[last])
                chain.covariance[k] = chain.covariance[last] + np.linalg.pinv(pair.information)
                pictures[last].forget()
                last = k
            else:
                chain.poor.add(k)
                chain.matrices[k] = motion.compose(start, chain.matrices[last])
                chain.covariance[k] = chain.covariance[last]
            tick()
    return chain


def _needs_rotation(pictures: Sequence[WorkPicture], predicted: Sequence[np.ndarray]) -> bool:
    """Whether the camera turned: rotation between neighbours, on small pictures, beyond what noise makes."""
    small = [WorkPicture(p.levels[min(1, len(p.levels) - 1)].image, p.scale) for p in pictures]
    corner = motion.corner_distance((pictures[0].finest.shape[0], pictures[0].finest.shape[1]))
    picked = np.unique(np.linspace(0, len(small) - 2, min(len(small) - 1, 4)).astype(int))
    turned = []
    for k in picked:
        start = motion.compose(predicted[k + 1], motion.invert(predicted[k]))
        start = motion.rescale(start, small[0].finest.shape[1] / pictures[0].finest.shape[1])
        pair = register.register_pair(small[k], small[k + 1], motion.ROWS, start)
        size = (small[0].finest.shape[0], small[0].finest.shape[1])
        angle = motion.decompose(pair.matrix, size)[1]
        deviation = math.sqrt(abs(np.linalg.pinv(pair.information)[-1, -1])) / motion.corner_distance(size)
        turned.append(
            pair.correlation >= MIN_CORRELATION
            and abs(angle) * corner > ROTATION_PX
            and abs(angle) > ROTATION_SIGMAS * deviation
        )
    return sum(turned) > len(turned) / 2


def _refine(
    pictures: Sequence[WorkPicture],
    chain: _Chain,
    rows: tuple[str, ...],
    begin: int,
    tick: Callable[[], None],
) -> np.ndarray:
    """Move slices towards their own best fit on where the chain began, weighted by information.

    Returns the residuals (N,) [work px].
    """
    size = (pictures[0].finest.shape[0], pictures[0].finest.shape[1])
    residual = np.full(len(pictures), np.nan)
    residual[begin] = 0.0
    for k in range(len(pictures)):
        if k == begin:
            continue
        tick()
        if k in chain.poor:
            continue
        chained = chain.matrices[k]
        pair = register.refine_pair(pictures[begin], pictures[k], rows, chained, far=True)
        residual[k] = pair.residual_px
        if abs(k - begin) < 2 or pair.correlation < MIN_CORRELATION:
            continue
        change = motion.to_coefficients(motion.compose(motion.invert(chained), pair.matrix), rows, size)
        known = np.linalg.pinv(chain.covariance[k])
        direct = FAR_TRUST * pair.information
        gain = np.linalg.solve(known + direct, direct)
        chain.matrices[k] = motion.compose(chained, motion.from_coefficients(gain @ change, rows, size))
    return residual


def _direct(
    stack: FocalStack, reference: str | int, start: np.ndarray | None, progress: Progress | None
) -> Alignment:
    count, size = len(stack), (stack.height, stack.width)
    done, total = 0, 3 * count - 2

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress("align", min(done, total), total)

    scale = work_scale(size)
    gamma = 1.0 if stack.slices[0].dtype == np.uint16 and stack.slices[0].ndim == 2 else DISPLAY_GAMMA
    pictures = []
    for k in range(count):
        pictures.append(work_picture(stack.slices[k], scale, gamma))
        tick()
    known = metadata_matrices(stack) if start is None else start
    predicted = [motion.IDENTITY] * count if known is None else [motion.rescale(m, scale) for m in known]
    rows = motion.ROWS if _needs_rotation(pictures, predicted) else motion.ROWS[:3]
    begin = count // 2
    chain = _link(pictures, rows, predicted, begin, tick)
    if len(chain.poor) > count // 2:
        # The slice it began with may itself be the stranger.
        other = _link(pictures, rows, predicted, max(0, begin - 1), tick)
        if len(other.poor) < len(chain.poor):
            chain, begin = other, max(0, begin - 1)
    if len(chain.poor) == count - 1:
        warnings.warn(
            "alignment failed: no slice fits its neighbours; the stack is used as it is",
            stacklevel=2,
        )
        chain.matrices = [motion.IDENTITY] * count
    residual = _refine(pictures, chain, rows, begin, tick)
    matrices = np.array([motion.rescale(m, 1 / scale) for m in chain.matrices])
    flags = tuple("poor" if k in chain.poor else "ok" for k in range(count))
    flags = _flag_jumps(matrices, flags, size)
    found = Alignment(matrices, begin, size, "direct", flags, residual / scale)
    return found.seen_from(resolve_reference(reference, matrices, flags))


def _flag_jumps(matrices: np.ndarray, flags: Sequence[str], size: tuple[int, int]) -> tuple[str, ...]:
    """Mark slices that leave the course of their neighbours and come back: single-slice hiccups."""
    out = list(flags)
    good = [k for k, flag in enumerate(flags) if flag != "poor"]
    if len(good) < 5:
        return tuple(out)
    off = np.zeros(len(good))
    for i in range(1, len(good) - 1):
        middle = 0.5 * (matrices[good[i - 1]] + matrices[good[i + 1]])
        off[i] = motion.corners_moved(matrices[good[i]], middle, size)
    inner = np.arange(1, len(good) - 1)
    for i in range(1, len(good) - 1):
        # A hiccup throws its two neighbours off as well: the usual course is that of the others.
        others = off[inner[np.abs(inner - i) > 1]]
        if len(others) < 2:
            continue
        limit = max(JUMP_PX_SHARE * max(size), 4 * float(np.median(others)))
        if off[i] > limit and off[i] >= max(off[i - 1], off[i + 1]):
            out[good[i]] = "jump"
    return tuple(out)
