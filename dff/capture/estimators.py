"""Estimators of the deviation: by a model of depth from the shots so far, or by the blur of single ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from dff.camera import Lens
from dff.capture.deviation import Deviation
from dff.capture.scene import Shot
from dff.classical.align import align_stack
from dff.classical.regularise import fill
from dff.closedloop.policy import Track
from dff.learned import LearnedModel
from dff.metrics import gradient_size
from dff.models import Model
from dff.stack import FocalStack, Unit, to_luma

_MOST_MISS = 3.0  # of a magnitude, in what it is trusted within: a gross error counts no more than that


class Estimator(Protocol):
    """How far the last shot is from focus, pixel by pixel.

    Attributes:
        needs: shots that it must have seen before it can tell.
    """

    needs: int

    def __call__(self, shots: Sequence[Shot]) -> Deviation:
        """Deviation of the last of ``shots``, which came in this order."""


class DepthEstimator:
    """Depth from the shots so far, by any model of `dff.models`: two or more positions give the sign.

    Args:
        model: a network or the classical engine.
        unit: of the positions.
        needs: shots before it is asked.
    """

    def __init__(self, model: Model, unit: Unit = "dioptre", needs: int = 3) -> None:
        if needs < 2:
            raise ValueError(f"DepthEstimator: depth from {needs} shots; it takes 2 or more")
        self.model, self.unit, self.needs = model, unit, needs

    def __call__(self, shots: Sequence[Shot]) -> Deviation:
        last: dict[float, Shot] = {shot.position: shot for shot in shots}
        ordered = [last[position] for position in sorted(last)]
        positions = [shot.position for shot in ordered]
        named = {"z_um": positions} if self.unit == "um" else {"focus": positions}
        if self.unit == "index":
            named = {}
        stack = FocalStack([shot.picture for shot in ordered], **named)  # type: ignore[arg-type]
        alignment = align_stack(stack, "none", reference=positions.index(shots[-1].position))
        depth = self.model.depth(stack, alignment)
        value = np.interp(depth.index, np.arange(len(positions)), positions)
        away = value - shots[-1].position
        if not isinstance(self.model, LearnedModel):
            return Deviation(away, depth.confidence.astype(np.float64), signed=True)
        # a network's confidence is the probability of an error within its tolerance: back to the scale
        config = self.model.inference
        tolerance = max(config.tolerance, config.tolerance_steps / (len(positions) - 1))
        unsure = 1 - np.clip(depth.confidence.astype(np.float64), 0.01, 1 - 1e-6)
        error = (positions[-1] - positions[0]) * tolerance / -np.log(unsure)
        return Deviation(away, np.ones(away.shape), signed=True, error=error)


class Agreed:
    """Many single-shot estimates made one: the place that agrees best with the magnitudes of all shots.

    Wang et al. 2021, 6.2.2, suggest to use all earlier deviations; this is one way. A magnitude m at position
    z speaks for z - m and z + m; every further position rules out one of them. Each is trusted within a share
    of itself, since large blur is told less well.

    Args:
        single: estimator of magnitudes from the last shot.
        track: of the lens; candidates lie on it.
        half_depth: depth of field to one side [unit of the track].
        needs: shots before it is asked.
        share: error of a magnitude as a share of itself.
    """

    def __init__(
        self, single: Estimator, track: Track, half_depth: float, *, needs: int = 3, share: float = 0.25
    ) -> None:
        self.single, self.needs = single, needs
        self.half_depth, self.share = half_depth, share
        count = int(np.ceil(2 * track.span / half_depth)) + 1
        self.candidates = np.linspace(track.positions[0], track.positions[-1], count)
        self._seen: dict[int, Deviation] = {}

    def __call__(self, shots: Sequence[Shot]) -> Deviation:
        known = {id(shot): self._seen.get(id(shot)) or self.single([shot]) for shot in shots}
        self._seen = known
        shape = known[id(shots[0])].values.shape
        best, target = np.full(shape, np.inf), np.zeros(shape)
        believed = np.sum([known[id(shot)].weight for shot in shots], axis=0) + 1e-6
        for candidate in self.candidates:
            cost = np.zeros(shape)
            for shot in shots:
                found = known[id(shot)]
                size = np.abs(found.values)
                trusted = self.half_depth + self.share * size
                miss = np.abs(np.abs(candidate - shot.position) - size) / trusted
                cost += found.weight * np.minimum(miss, _MOST_MISS)
            cost /= believed
            target = np.where(cost < best, candidate, target)
            best = np.minimum(cost, best)
        weight = np.clip(believed / len(shots), 0, 1)
        error = self.half_depth * (0.3 + best)
        return Deviation(target - shots[-1].position, weight, signed=True, error=error)


class EdgeBlur:
    """Blur of the last shot alone, at its edges, and spread from there: magnitudes only.

    An edge that a Gaussian of sigma blurred, blurred once more by sigma_0, loses gradient by the factor
    sqrt(1 + sigma_0^2 / sigma^2) (Zhuo and Sim 2011, "Defocus map estimation from a single image"). A disc
    of diameter c spreads as a Gaussian of c / 4.

    Args:
        lens: of the pictures; its blur per dioptre turns pixels into deviations.
        again_px: sigma_0.
        sharp_px: sigma of what is in focus: pixel, lens and texture.
    """

    needs = 1

    def __init__(self, lens: Lens, *, again_px: float = 1.0, sharp_px: float = 0.7) -> None:
        self.lens, self.again_px, self.sharp_px = lens, again_px, sharp_px

    def __call__(self, shots: Sequence[Shot]) -> Deviation:
        shot = shots[-1]
        coc_px, weight = self.coc_px(to_luma(shot.picture))
        per_dioptre = float(self.lens.coc_px(shot.position + 1, shot.position))
        return Deviation(coc_px / per_dioptre, weight, signed=False)

    def coc_px(self, luma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H,W) diameter of blur [px] and weight in [0,1] of a luma in [0,1]."""
        calm = cv2.GaussianBlur(luma, (0, 0), 0.5)
        before, after = gradient_size(calm), gradient_size(cv2.GaussianBlur(calm, (0, 0), self.again_px))
        noise = float(np.median(before))
        edge = np.clip((after - noise) / (4 * noise + 0.01), 0, 1)
        ratio = np.clip(before / np.maximum(after, 1e-6), 1.005, 10)
        sigma = np.sqrt(np.maximum(self.again_px**2 / (ratio**2 - 1) - self.sharp_px**2, 0))
        smooth = fill(4 * sigma.astype(np.float32), (edge**2).astype(np.float32))
        return smooth, cv2.GaussianBlur(edge, (0, 0), 3)
