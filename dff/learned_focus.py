"""Focus by the learned head: which slice brings regions into focus, from all slices or from a few."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dff.autofocus.answer import middle, shares
from dff.autofocus.from_depth import RegionFocus, Rule, two_modes
from dff.autofocus.regions import Roi
from dff.camera import LensCalibration
from dff.classical.alignment import Alignment
from dff.learned import work_factor, work_slices
from dff.model.device import usable_device
from dff.model.focus_head import KIND, FocusNetwork, Geometries, depth_index, load_focus_network
from dff.model.focus_head_encode import Encoded, Seen
from dff.stack import FocalStack, Progress, Unit, to_float
from dff.weights import SUFFIX, find_weights, known_weights, load_weights

WORK_PIXELS = 200_000


@dataclass(frozen=True, eq=False)
class Looked:
    """A stack as the head has seen it; regions are asked of it afterwards, each at little cost.

    Args:
        encoded: maps to pool over regions, of one stack.
        positions: (K,) of all its slices, rising.
        unit: of the positions.
        observed: indices of the slices that were looked at.
        factor: px of the stack per px of the maps' picture.
        size: (height, width) of the stack [px].
        geometry: of the slices, for the head.
    """

    encoded: Encoded
    positions: np.ndarray
    unit: Unit
    observed: tuple[int, ...]
    factor: int
    size: tuple[int, int]
    geometry: Geometries


@dataclass(frozen=True, eq=False)
class LearnedFocus:
    """The head as it is used.

    Args:
        name: as it was asked for.
        network: in evaluation mode, on its device.
        work_pixels: larger pictures are reduced to about this.
    """

    name: str
    network: FocusNetwork
    work_pixels: int = WORK_PIXELS

    def look(
        self,
        stack: FocalStack,
        alignment: Alignment,
        observed: Sequence[int] | None = None,
        *,
        halves: tuple[FocalStack, FocalStack] | None = None,
        progress: Progress | None = None,
    ) -> Looked:
        """Encode a far-first stack, or some of its slices, in the frame of the alignment's reference.

        Args:
            stack, alignment: of all slices of the ladder.
            observed: which of them may be looked at; None: all.
            halves: what the left and the right half of the aperture saw, two stacks like the first.
            progress: called with ("focus", done, total).

        Raises:
            ValueError: slices that the stack does not have, more than it has, none, or one named twice.
        """
        chosen = check_observed(observed, len(stack))
        factor = work_factor((stack.height, stack.width), self.work_pixels)
        device = next(self.network.parameters()).device

        def pictures(of: FocalStack) -> Tensor:
            part = _Some(of, alignment, chosen)
            slices, _ = work_slices(part, part.alignment, factor, progress)  # type: ignore[arg-type]
            floats = np.stack([to_float(one) for one in slices])
            return torch.from_numpy(floats.transpose(0, 3, 1, 2))[None].to(device)

        ladder = (stack.positions - stack.positions[0]) / np.ptp(stack.positions)
        places = torch.from_numpy(ladder[None]).float().to(device)
        both = None if halves is None else (pictures(halves[0]), pictures(halves[1]))
        seen = Seen(pictures(stack), places[:, list(chosen)], places, both)
        with torch.inference_mode():
            encoded = self.network.encode(seen)
        blur_px = math.nan
        if stack.lens is not None and stack.unit == "dioptre":
            far, near = stack.positions[[0, -1]]
            blur_px = abs(float(stack.lens.resized(1 / factor).coc_px(near, far)))
        return self.looked(encoded, stack, chosen, factor, blur_px)

    def looked(
        self, encoded: Encoded, stack: FocalStack, observed: tuple[int, ...], factor: int, blur_px: float
    ) -> Looked:
        """What was encoded of slices ``observed`` of a stack, reduced by ``factor``; see `Looked`.

        Args:
            blur_px: diameter of the blur of one end of the sweep focused at the other, in px of the maps'
                picture; NaN where it is not known.
        """
        with torch.inference_mode():
            geometry = self.network.geometry(encoded, encoded.places.new_tensor([blur_px]))
        size = (stack.height, stack.width)
        return Looked(encoded, stack.positions, stack.unit, observed, factor, size, geometry)

    def logits(self, looked: Looked, roi: Roi) -> tuple[np.ndarray, np.ndarray, float]:
        """(K,) logits, (K,) share of each slice in the region's depth, and how sure that depth is, 0 to 1."""
        x0, y0, x1, y1 = (edge / looked.factor for edge in (roi.x, roi.y, roi.x + roi.w, roi.y + roi.h))
        height, width = looked.encoded.size
        # what reduction by a whole factor cut off at the right and at the bottom is shown by the last pixel
        x0, y0 = min(x0, width - 1), min(y0, height - 1)
        device = looked.encoded.places.device
        regions = torch.tensor([[[x0, y0, max(x1, x0 + 1e-3), max(y1, y0 + 1e-3)]]], device=device)
        with torch.inference_mode():
            pooled = self.network.pool(looked.encoded, regions)
            logits = self.network.answer(pooled, looked.encoded, looked.geometry)
        return logits[0, 0].cpu().numpy(), pooled.depth[0, 0].cpu().numpy(), float(pooled.sure[0, 0])

    def focus(
        self, looked: Looked, roi: Roi, *, rule: Rule = "auto", calibration: LensCalibration | None = None
    ) -> RegionFocus:
        """Where to focus for a region, in indices of the whole stack.

        Confidence is the probability that the answer is right or next to it; ``known_share`` is how sure the
        depth is that the answer rests on, 0 where one slice was looked at. In a region of two depths, which
        shows only where two slices or more were looked at, "auto" chooses among the slices of the heavier.

        Raises:
            ValueError: region outside the picture, or a calibration without focus distances.
        """
        if calibration is not None and looked.unit != "dioptre":
            raise ValueError("a calibration needs focus distances in dioptres, and this stack has none")
        inside = roi.clipped(*looked.size)
        logits, depth, sure = self.logits(looked, inside)
        share, index, other = decide(logits, depth, rule)
        around = slice(max(index - 1, 0), index + 2)
        value = float((share[around] * looked.positions[around]).sum() / share[around].sum())
        return RegionFocus(
            roi=inside,
            clipped=inside != roi,
            index=index,
            value=value,
            unit=looked.unit,
            confidence=float(share[around].sum()),
            known_share=sure,
            mixed=other is not None,
            other_index=other,
            motor_code=None if calibration is None else float(calibration.code_of_focus(value)),
        )


def decide(logits: np.ndarray, depth: np.ndarray, rule: Rule = "auto") -> tuple[np.ndarray, int, int | None]:
    """Shares (K,) of the slices, the answer, and the slice of the lesser depth where there are two.

    Args:
        logits: (K,) of the head.
        depth: (K,) share of each slice in the region's depth, zeros where it is unknown.
        rule: "auto" takes the median of the slices of the heavier of two depths, "median" that of all, "mode"
            the likeliest slice.
    """
    share = shares(logits)
    split = two_modes(depth) if depth.any() else None
    if split is None:
        return share, _chosen(share, rule), None
    near = np.arange(share.size) >= split
    heavier = near if depth[near].sum() > depth[~near].sum() else ~near
    lesser = np.where(heavier, 0, depth)
    other = round(float(depth_index(torch.from_numpy(lesser))))
    return share, _chosen(np.where(heavier | (rule != "auto"), share, 0), rule), other


def _chosen(share: np.ndarray, rule: Rule) -> int:
    return int(share.argmax() if rule == "mode" else middle(share))


class _Some:
    """Slices ``chosen`` of a stack with their alignment, even a single one, for `work_slices`."""

    def __init__(self, stack: FocalStack, alignment: Alignment, chosen: Sequence[int]) -> None:
        self.height, self.width = stack.height, stack.width
        self.slices = [stack.slices[k] for k in chosen]
        self.alignment = replace(
            alignment,
            matrices=alignment.matrices[list(chosen)],
            flags=tuple(alignment.flags[k] for k in chosen),
            residual_px=alignment.residual_px[list(chosen)],
        )

    def __len__(self) -> int:
        return len(self.slices)


def check_observed(observed: Sequence[int] | None, count: int) -> tuple[int, ...]:
    """Rising indices of the slices to look at, of a stack of ``count``; None: all.

    Raises:
        ValueError: none, more than there are, one twice, or one that the stack does not have.
    """
    if observed is None:
        return tuple(range(count))
    chosen = sorted(observed)
    if not chosen:
        raise ValueError("observed: no slice given; give 1 or more")
    if len(chosen) > count:
        raise ValueError(f"observed: {len(chosen)} frames of a stack of {count} slices; give {count} at most")
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"observed: {','.join(map(str, chosen))} names a slice twice")
    if chosen[0] < 0 or chosen[-1] >= count:
        bad = next(k for k in chosen if not 0 <= k < count)
        raise ValueError(f"observed: no slice {bad}; the stack has slices 0 to {count - 1}")
    return tuple(chosen)


def known_heads() -> tuple[str, ...]:
    """Names of heads in weights/index.toml."""
    return tuple(sorted(name for name, entry in known_weights().items() if entry.network == KIND))


def check_head(name: str) -> None:
    """Raise unless ``name`` is a known head, or a file of one.

    Raises:
        ValueError: it is not; the message lists the known ones.
        FileNotFoundError: a known name whose file is missing.
    """
    if name in known_heads():
        find_weights(name)
        return
    if Path(name).suffix != SUFFIX or not Path(name).is_file():
        listing = ", ".join(known_heads()) or "none yet"
        raise ValueError(f"head {name}: no such head; known: {listing}; or give a {SUFFIX} file")
    if (kind := load_weights(name).network) != KIND:
        raise ValueError(f"{name}: weights of a network for {kind}, not for {KIND}")


def load_learned_focus(name: str, device: str = "auto", *, work_pixels: int = WORK_PIXELS) -> LearnedFocus:
    """A head by the name or path of its weights, on "auto" (CUDA where there is one), "cpu" or "cuda".

    Raises:
        ValueError: unknown or unfit weights, or no CUDA device.
        FileNotFoundError: a known name whose file is missing.
    """
    device = usable_device(device)
    return LearnedFocus(name, load_focus_network(name, device), work_pixels)
