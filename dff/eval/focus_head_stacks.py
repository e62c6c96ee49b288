"""Held-out simulated stacks for autofocus, their regions, and what everyone answers on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dff.autofocus.from_depth import nearest_index, region_focus, two_modes
from dff.autofocus.measures import MEASURES
from dff.autofocus.regions import Roi
from dff.learned_focus import LearnedFocus, decide
from dff.model.focus_head_encode import Encoded, Seen
from dff.models import Model
from dff.pipeline import predict
from dff.simulator.capture import SimulationConfig, simulate_batch
from dff.simulator.photos import PhotoPack
from dff.stack import FocalStack
from dff.train.augment import align, alignment_errors
from dff.train.focus_head_config import FocusHeadSourceConfig
from dff.train.focus_head_source import consecutive, random_regions, true_index
from dff.train.focus_head_stacks import as_pictures, sweep_blur_px

_AT_ONCE = 7  # starts encoded together


@dataclass(frozen=True, eq=False)
class Case:
    """One stack, aligned up to a small error, and its regions.

    Args:
        light: (K,H,W) linear light of the whole aperture, for measures.
        images, halves: (1,K,3,H,W) and two of (1,K,1,H,W), display values.
        ladder: (1,K) places of the slices.
        focus: (K,) dioptres that the camera reports.
        blur_px: of the sweep.
        regions: R of them, inside the picture.
        truth: (R,) index in focus, by where the lens truly stood.
        mixed: (R,) bool, whether the region truly has two depths.
    """

    light: np.ndarray
    images: Tensor
    halves: tuple[Tensor, Tensor]
    ladder: Tensor
    focus: np.ndarray
    blur_px: float
    regions: tuple[Roi, ...]
    truth: np.ndarray
    mixed: np.ndarray

    @property
    def stack(self) -> FocalStack:
        """The pictures as commands take them."""
        pictures = [np.ascontiguousarray(one) for one in self.images[0].permute(0, 2, 3, 1).numpy()]
        return FocalStack(pictures, self.focus)


def make_case(
    config: SimulationConfig,
    seed: int,
    regions: int,
    region_px: tuple[int, int],
    misalignment_px: float,
    photos: PhotoPack | None,
) -> Case:
    """The stack of a seed. ``config`` must have a camera of raw green, and dual pixels."""
    generator = torch.Generator().manual_seed(seed)
    made = simulate_batch(config, generator, 1, photos=photos)
    images, halves = as_pictures(made)
    if halves is None or made.images.shape[2] != 1:
        raise ValueError("focus-head: the scene's camera must give raw green, and dual_pixel must be true")
    count = images.shape[1]
    errors = alignment_errors(1, count, config.size, misalignment_px, generator)
    matrices = torch.from_numpy(made.sweep.matrices)
    light, pictures, left, right = (
        align(x, matrices, errors, made.reference) for x in (made.images, images, *halves)
    )
    drawing = FocusHeadSourceConfig(regions=regions, region_px=region_px, outside_share=0)
    drawn = random_regions(drawing, config.size, 1, generator)
    true_focus = torch.from_numpy(made.sweep.true_focus)
    truth = true_index(made.dioptre, made.valid, drawn, true_focus)[0].numpy()
    rois = tuple(Roi(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in drawn[0].int().tolist())
    depth, stood = made.dioptre[0].numpy(), np.sort(true_focus[0].numpy())
    mixed = [
        two_modes(np.bincount(nearest_index(roi.crop(depth), stood).ravel(), minlength=count)) is not None
        for roi in rois
    ]
    far, near = made.focus[:, :1], made.focus[:, -1:]
    return Case(
        light=light[0, :, 0].numpy(),
        images=pictures,
        halves=(left, right),
        ladder=(made.focus - far) / (near - far),
        focus=made.sweep.focus[0],
        blur_px=float(sweep_blur_px(made)[0]),
        regions=rois,
        truth=truth,
        mixed=np.array(mixed),
    )


def contrast_answers(case: Case) -> dict[str, np.ndarray]:
    """(R,) sharpest slice of each region by each of the 37 measures."""
    return {
        name: np.array([int(measure(roi.crop(np.moveaxis(case.light, 0, -1)).transpose(2, 0, 1)).argmax())
                        for roi in case.regions])
        for name, measure in MEASURES.items()
    }  # fmt: skip


def depth_answers(case: Case, model: Model) -> np.ndarray:
    """(R,) index by the rule of `dff.autofocus.from_depth`; the middle where the depth map knows nothing."""
    found = predict(case.stack, model=model, align="none", aif=False)
    answers = [region_focus(found.depth, roi).index for roi in case.regions]
    return np.array([len(case.focus) // 2 if answer is None else answer for answer in answers])


def encoded_sets(head: LearnedFocus, case: Case, sets: Tensor) -> Encoded:
    """What the head sees of a case through sets (F,n) of its slices."""
    left, right = (half[0][sets] for half in case.halves)
    ladder = case.ladder.expand(len(sets), -1)
    with torch.inference_mode():
        return head.network.encode(Seen(case.images[0][sets], case.ladder[0][sets], ladder, (left, right)))


@dataclass(frozen=True, eq=False)
class Answers:
    """What the head says of R regions through F sets of slices.

    Args:
        index: (R,F) focal index.
        confidence: (R,F) probability that it is right, or next to it.
        mixed: (R,F) bool, whether it says that the region has two depths.
        share: (R,F,K) probability of each index.
    """

    index: np.ndarray
    confidence: np.ndarray
    mixed: np.ndarray
    share: np.ndarray


def head_answers(head: LearnedFocus, case: Case, sets: Tensor, *, dual_pixel: bool) -> Answers:
    """Answers through sets (F,n) of slices, with the lens known; without ``dual_pixel`` halves are hidden."""
    encoded = encoded_sets(head, case, sets)
    return answers_of(head, encoded if dual_pixel else without_halves(encoded), case.regions, case.blur_px)


def without_halves(encoded: Encoded) -> Encoded:
    """The same without dual pixels."""
    return replace(encoded, has_phase=torch.zeros_like(encoded.has_phase))


def answers_of(head: LearnedFocus, encoded: Encoded, regions: Sequence[Roi], blur_px: float) -> Answers:
    """As `LearnedFocus.focus`, for all regions and all F encoded stacks together."""
    count = len(encoded.places)
    boxes = torch.tensor([[roi.x, roi.y, roi.x + roi.w, roi.y + roi.h] for roi in regions]).float()
    with torch.inference_mode():
        pooled = head.network.pool(encoded, boxes.expand(count, -1, -1))
        geometry = head.network.geometry(encoded, torch.full((count,), blur_px))
        logits = head.network.answer(pooled, encoded, geometry)
    shape = len(regions), count
    index, confidence, mixed = np.empty(shape, np.int64), np.empty(shape), np.empty(shape, bool)
    shares = np.empty((*shape, logits.shape[-1]))
    for f, r in np.ndindex(count, len(regions)):
        share, k, other = decide(logits[f, r].numpy(), pooled.depth[f, r].numpy())
        index[r, f], mixed[r, f], shares[r, f] = k, other is not None, share
        confidence[r, f] = share[max(k - 1, 0) : k + 2].sum()
    return Answers(index, confidence, mixed, shares)


def start_sets(count: int, frames: int) -> Tensor:
    """(K,m) the ``frames`` slices seen from every start; see `consecutive`."""
    return consecutive(count, frames, torch.arange(count))


def from_all_starts(head: LearnedFocus, case: Case, frames: int) -> dict[bool, Answers]:
    """Answers (R,K) from ``frames`` slices that follow one another, by whether dual pixels are seen."""
    parts: dict[bool, list[Answers]] = {True: [], False: []}
    for some in start_sets(len(case.focus), frames).split(_AT_ONCE):
        encoded = encoded_sets(head, case, some)
        for dual_pixel, found in parts.items():
            view = encoded if dual_pixel else without_halves(encoded)
            found.append(answers_of(head, view, case.regions, case.blur_px))
    return {
        dual_pixel: Answers(
            *(np.concatenate([getattr(part, name) for part in found], axis=1)
              for name in ("index", "confidence", "mixed", "share"))
        )
        for dual_pixel, found in parts.items()
    }  # fmt: skip
