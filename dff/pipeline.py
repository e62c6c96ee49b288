"""From a focal stack to depth and an all-in-focus picture: what the commands and `dff.predict` run."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from dff import fusion
from dff.allocator import reused_memory
from dff.classical.align import Method, align_stack
from dff.classical.alignment import Alignment
from dff.classical.depth import StepSink
from dff.fusion import DEFAULT_METHOD, FusionMethod, check_method
from dff.models import DEFAULT, FUSING, Model, load_model
from dff.second_opinion import TOLERATED
from dff.stack import UNIT_WORDS, DepthMap, FocalStack, Progress

if TYPE_CHECKING:
    from dff.learned_alignment import LearnedAligner
    from dff.model.infer import InferenceConfig

AlignMethod = Method | Literal["network", "network-only"]
Poor = Literal["keep", "drop"]


@dataclass(eq=False)
class Fused:
    """The all-in-focus picture of a focal stack.

    Args:
        depth: depth of every pixel of the reference slice, where the picture was made by it, or None.
        aif: all-in-focus picture in the reference frame, (H,W) or (H,W,3) in the slices' dtype, or None.
        alignment: where the slices lie; also of those that were dropped.
        stack: the far-first stack that ``alignment`` speaks of.
        used: indices of the slices that depth and picture were made of.
        seconds: wall-clock time of each stage.
        model: name of the model that found depth, or None.
        fusion: the method that made the picture.
    """

    depth: DepthMap | None
    aif: np.ndarray | None
    alignment: Alignment
    stack: FocalStack
    used: list[int]
    seconds: dict[str, float]
    model: str | None
    fusion: FusionMethod = DEFAULT_METHOD

    def report(self) -> dict[str, Any]:
        """JSON-able account: slices, units, reference, times."""
        rows = self.alignment.report(self.stack.names)
        for k, (row, position) in enumerate(zip(rows, self.stack.positions, strict=True)):
            row["position"] = float(position)
            if k not in self.used:
                row["flag"] = "dropped"
        depth = self.depth
        return {
            **({} if self.model is None else {"model": self.model}),
            **({} if self.aif is None else {"fusion": self.fusion}),
            "size": [self.stack.width, self.stack.height],
            "unit": self.stack.unit,
            "unit_words": UNIT_WORDS[self.stack.unit],
            "positions_from": self.stack.origin,
            "reference": self.stack.names[self.alignment.reference],
            "alignment": self.alignment.method,
            **({} if depth is None else {"known_share": round(float(depth.valid.mean()), 4)}),
            **({"inference": depth.info} if depth is not None and depth.info else {}),
            "slices": rows,
            "seconds": {stage: round(value, 3) for stage, value in self.seconds.items()},
        }


@dataclass(eq=False)
class Prediction(Fused):
    """What a focal stack says: `Fused`, and its depth is always there."""

    depth: DepthMap
    model: str


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start


def uses_network(method: AlignMethod, aligner: str | LearnedAligner | None) -> bool:
    """Whether a method of `align` asks for a network; ValueError for an aligner that it does not use."""
    learned = method in ("network", "network-only") or (method == "auto" and aligner is not None)
    if aligner is not None and not learned:
        raise ValueError(f"align {method}: uses no aligner; give align network, or leave the aligner out")
    return learned


@reused_memory()
def align(
    stack: FocalStack,
    *,
    method: AlignMethod = "auto",
    aligner: str | LearnedAligner | None = None,
    reference: str | int = "auto",
    device: str = "auto",
    progress: Progress | None = None,
) -> tuple[FocalStack, Alignment]:
    """The stack with the farthest slice first, and its alignment.

    Args:
        stack: 2 or more slices, any order, any size.
        method: "direct", "ecc", "metadata" or "none" (`dff.classical.align.align_stack`); "network": by an
            alignment network, polished by the direct method; "network-only": not polished; "auto": network
            where ``aligner`` is given, else direct.
        aligner: name or path of the network's weights, or what `dff.learned_alignment.load_aligner` made of
            them, for many stacks; None: those that ship.
        reference: as for `predict`; a number counts in the order of ``stack`` as it was given.
        device: where the network runs: "auto", "cpu" or "cuda".
        progress: called with (stage, done, total).

    Raises:
        ValueError: unknown method or reference, unfit weights, or an aligner that the method does not use.
        FileNotFoundError: weights that are listed but missing.
    """
    learned = uses_network(method, aligner)
    ordered = stack.far_first()
    if str(reference).removeprefix("-").isdecimal():
        if not 0 <= int(reference) < len(stack):
            raise ValueError(f"reference {reference}: the stack has slices 0 to {len(stack) - 1}")
        reference = int(np.argsort(np.argsort(stack.positions, kind="stable"))[int(reference)])
    if not learned:
        return ordered, align_stack(ordered, cast(Method, method), reference=reference, progress=progress)
    from dff.learned_alignment import load_aligner  # the classical path does without torch

    if aligner is None or isinstance(aligner, str):
        aligner = load_aligner(aligner, device)
    polish = method != "network-only"
    return ordered, aligner.align(ordered, polish=polish, reference=reference, progress=progress)


_align = align  # `predict` has an argument of that name


def _usable(stack: FocalStack, alignment: Alignment, poor: Poor) -> list[int]:
    """Indices to work with; says what does not fit."""
    strangers = [k for k, flag in enumerate(alignment.flags) if flag == "poor" and k != alignment.reference]
    everything = list(range(len(stack)))
    if not strangers:
        return everything
    names = ", ".join(stack.names[k] for k in strangers)
    if poor == "keep" or len(stack) - len(strangers) < 2:
        warnings.warn(f"kept, though they do not fit their neighbours: {names}", stacklevel=3)
        return everything
    warnings.warn(f"left out, since they do not fit their neighbours: {names} (--poor keep)", stacklevel=3)
    return [k for k in everything if k not in strangers]


@reused_memory()
def predict(
    stack: FocalStack,
    *,
    model: str | Model = DEFAULT,
    align: AlignMethod = "auto",
    aligner: str | LearnedAligner | None = None,
    reference: str | int = "auto",
    aif: bool = True,
    device: str = "auto",
    inference: InferenceConfig | None = None,
    poor: Poor = "drop",
    steps: StepSink | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Align a stack, find depth, and fuse the all-in-focus picture.

    Args:
        stack: 2 or more slices, any order, any size.
        model: "classical", the name of learned weights (``weights/index.toml``), the path of settings (.toml)
            or of weights (.safetensors), or what `dff.models.load_model` made of one, for many stacks.
        align, aligner: method and, for "network", weights; see `align`.
        reference: slice whose frame the results are in: "auto" (smallest field of view), "first", "middle",
            "last" of the far-first stack, or the number of a slice as given.
        aif: whether to make the all-in-focus picture.
        device: where networks run: "auto" (CUDA where there is one), "cpu" or "cuda". The classical
            engine runs on the CPU.
        inference: how a learned model is run: memory, precision, work size.
        poor: "drop" or "keep" slices that do not fit their neighbours.
        steps: receives every intermediate map by name.
        progress: called with (stage, done, total).

    Raises:
        ValueError: unknown or damaged model, unknown method, reference or choice.
        FileNotFoundError: weights that are listed but missing.
    """
    if poor not in ("keep", "drop"):
        raise ValueError(f"poor {poor!r}; choose keep or drop")
    engine = load_model(model, device=device, inference=inference) if isinstance(model, str) else model
    seconds: dict[str, float] = {}
    with _timed(seconds, "align"):
        ordered, alignment = _align(
            stack, method=align, aligner=aligner, reference=reference, device=device, progress=progress
        )
    used = _usable(ordered, alignment, poor)
    return _seen(engine, ordered, alignment, used, seconds, aif=aif, steps=steps, progress=progress)


def _seen(
    engine: Model,
    ordered: FocalStack,
    alignment: Alignment,
    used: list[int],
    seconds: dict[str, float],
    *,
    aif: bool,
    steps: StepSink | None,
    progress: Progress | None,
) -> Prediction:
    """Depth by ``engine`` and the picture it makes, of an aligned far-first stack; adds to ``seconds``."""
    part, part_alignment = _part(ordered, alignment, used)
    with _timed(seconds, "depth"):
        depth = engine.depth(part, part_alignment, progress=progress, steps=steps)
    seen = Prediction(depth, None, alignment, ordered, used, seconds, engine.name)
    return _pictured(seen, progress) if aif else seen


def _pictured(seen: Prediction, progress: Progress | None) -> Prediction:
    """With the all-in-focus picture."""
    part, part_alignment = _part(seen.stack, seen.alignment, seen.used)
    with _timed(seen.seconds, "fuse"):
        picture = fusion.fuse(part, part_alignment, seen.depth, progress=progress)
    return replace(seen, aif=picture)


def _part(stack: FocalStack, alignment: Alignment, used: list[int]) -> tuple[FocalStack, Alignment]:
    if len(used) == len(stack):
        return stack, alignment
    return stack.subset(used), alignment.subset(used)


@reused_memory()
def predict_for_focus(
    stack: FocalStack,
    *,
    model: str | Model = DEFAULT,
    aif: bool = True,
    steps: StepSink | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Prediction:
    """`predict`, to focus by: by contrast where a network contradicts what is plainly in focus.

    In light that shines through things many depths lie over each other; contrast at least finds one of them.
    A warning tells that it was asked. Arguments and errors as of `predict`.
    """
    result = predict(stack, model=model, aif=False, steps=steps, progress=progress, **options)
    if result.depth.info.get("contradicted", 0) <= TOLERATED:
        return _pictured(result, progress) if aif else result
    warnings.warn("focus is read from --model classical instead", stacklevel=2)
    contrast, seconds = load_model("classical"), {"align": result.seconds["align"]}
    ordered, alignment, used = result.stack, result.alignment, result.used
    return _seen(contrast, ordered, alignment, used, seconds, aif=aif, steps=steps, progress=progress)


@reused_memory()
def fuse(
    stack: FocalStack,
    *,
    method: FusionMethod = DEFAULT_METHOD,
    model: str | Model = FUSING,
    align: AlignMethod = "auto",
    aligner: str | LearnedAligner | None = None,
    reference: str | int = "auto",
    poor: Poor = "drop",
    progress: Progress | None = None,
) -> Fused:
    """The all-in-focus picture of a stack.

    Args:
        stack: 2 or more slices, any order, any size.
        method: "depth": as `predict` does it, and the depth it rests on comes along; "guided": guided-filter
            decision fusion; "pyramid": Laplacian pyramid. The last two find no depth and use no ``model``.
        model: as for `predict`; the default is quicker, and as good at choosing slices.
        align, aligner, reference, poor, progress: as for `predict`.

    Raises:
        ValueError: as `predict`, or an unknown method.
    """
    check_method(method)
    if method == "depth":
        return predict(
            stack,
            model=model,
            align=align,
            aligner=aligner,
            reference=reference,
            poor=poor,
            progress=progress,
        )
    if poor not in ("keep", "drop"):
        raise ValueError(f"poor {poor!r}; choose keep or drop")
    seconds: dict[str, float] = {}
    with _timed(seconds, "align"):
        ordered, alignment = _align(
            stack, method=align, aligner=aligner, reference=reference, progress=progress
        )
    used = _usable(ordered, alignment, poor)
    part, part_alignment = _part(ordered, alignment, used)
    join = fusion.fuse_guided if method == "guided" else fusion.fuse_pyramid
    with _timed(seconds, "fuse"):
        picture = join(part, part_alignment, progress=progress)
    return Fused(None, picture, alignment, ordered, used, seconds, None, method)
