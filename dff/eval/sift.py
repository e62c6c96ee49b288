"""Where SIFT says the points of the reference are in each slice: a truth for real stacks.

SIFT: Lowe 2004, with his ratio test; a RANSAC homography throws out what is left of the false matches.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dff.stack import FocalStack

SIMILARITY_PX = 1.5  # RANSAC distance between neighbours, which differ little


@dataclass(frozen=True)
class SiftProtocol:
    """How matches are found and which count.

    Args:
        features: strongest features kept per slice.
        ratio: distance of the best match over that of the second best, at most.
        max_motion_share: matches further apart than this share of the width are false.
        ransac_px: distance [px] from the homography within which a match is kept.
        min_matches: slices with fewer matches are not scored.
    """

    features: int = 4000
    ratio: float = 0.7
    max_motion_share: float = 0.08
    ransac_px: float = 8.0
    min_matches: int = 20


@dataclass(frozen=True, eq=False)
class Matches:
    """(M,2) float64 pixels of the reference and of a slice that show the same points."""

    reference_px: np.ndarray
    slice_px: np.ndarray

    def __len__(self) -> int:
        return len(self.reference_px)

    def chosen(self, which: np.ndarray) -> Matches:
        return Matches(self.reference_px[which], self.slice_px[which])


def _grey8(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    elif image.dtype != np.uint8:
        image = np.rint(image * np.float32(255)).astype(np.uint8)
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def filtered(matches: Matches, width: int, protocol: SiftProtocol) -> Matches:
    """The matches without those that move too far or leave the homography that most agree on."""
    moved = np.linalg.norm(matches.slice_px - matches.reference_px, axis=1)
    matches = matches.chosen(moved <= protocol.max_motion_share * width)
    if len(matches) < max(4, protocol.min_matches):
        return matches
    points = matches.reference_px.astype(np.float32), matches.slice_px.astype(np.float32)
    homography, inlier = cv2.findHomography(*points, cv2.RANSAC, protocol.ransac_px)
    if homography is None:
        return matches.chosen(np.zeros(len(matches), bool))
    return matches.chosen(inlier[:, 0] > 0)


def _described(sift: cv2.SIFT, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (M,2) float64 [px] and descriptors (M,128) of a slice's features; empty where there are none."""
    points, descriptors = sift.detectAndCompute(_grey8(image), None)
    if descriptors is None:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
    return np.array([point.pt for point in points], dtype=np.float64), descriptors


def _matched(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], ratio: float) -> Matches:
    if not len(a[1]) or len(b[1]) < 2:
        return Matches(np.zeros((0, 2)), np.zeros((0, 2)))
    pairs = cv2.BFMatcher().knnMatch(a[1], b[1], k=2)
    good = [best for best, second in pairs if best.distance < ratio * second.distance]
    first = np.array([m.queryIdx for m in good], dtype=int)
    return Matches(a[0][first], b[0][np.array([m.trainIdx for m in good], dtype=int)])


def sift_matches(stack: FocalStack, reference: int, protocol: SiftProtocol) -> list[Matches]:
    """Matches between the reference and every slice, at full resolution; none for the reference itself."""
    sift = cv2.SIFT.create(protocol.features)
    home = _described(sift, stack.slices[reference])
    found = []
    for k in range(len(stack)):
        nothing = np.zeros((0, 2)), np.zeros((0, 128), np.float32)
        there = nothing if k == reference else _described(sift, stack.slices[k])
        found.append(filtered(_matched(home, there, protocol.ratio), stack.width, protocol))
    return found


def chained_zoom(stack: FocalStack, protocol: SiftProtocol) -> float:
    """Image scale of the last slice over the first, from SIFT similarities between neighbours; NaN if lost.

    Independent of any aligner, but no truth: features grow with their blur.
    """
    sift = cv2.SIFT.create(protocol.features)
    last, zoom = _described(sift, stack.slices[0]), 1.0
    for k in range(1, len(stack)):
        here = _described(sift, stack.slices[k])
        pair = filtered(_matched(last, here, protocol.ratio), stack.width, protocol)
        if len(pair) < protocol.min_matches:
            return float("nan")
        points = pair.reference_px.astype(np.float32), pair.slice_px.astype(np.float32)
        matrix, _ = cv2.estimateAffinePartial2D(*points, ransacReprojThreshold=SIMILARITY_PX)
        zoom *= float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))) if matrix is not None else float("nan")
        last = here
    return zoom


def residuals_px(matches: list[Matches], matrices: np.ndarray, min_matches: int) -> np.ndarray:
    """(N,) median distance [px] between a match and where its slice's (2,3) matrix puts it.

    NaN for slices with fewer than ``min_matches`` matches.
    """
    residuals = np.full(len(matches), np.nan)
    for k, (found, matrix) in enumerate(zip(matches, matrices, strict=True)):
        if len(found) >= max(1, min_matches):
            put = found.reference_px @ matrix[:, :2].T + matrix[:, 2]
            residuals[k] = np.median(np.linalg.norm(put - found.slice_px, axis=1))
    return residuals
