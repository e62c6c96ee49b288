"""Alignments to compare with: the reference slice's index in, (N,2,3) matrices out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dff.classical.align import align_stack
from dff.classical.ecc import ecc_chain
from dff.classical.motion import IDENTITY
from dff.learned_alignment import LearnedAligner
from dff.stack import FocalStack

Aligner = Callable[[FocalStack, int], np.ndarray]
"""(stack, reference) -> (N,2,3) float64, reference pixel (x, y, 1) -> pixel of slice n."""

UNALIGNED, OURS = "unaligned", "direct (ours)"
NETWORK, POLISHED = "network", "network + direct"


def _unaligned(stack: FocalStack, reference: int) -> np.ndarray:
    return np.repeat(IDENTITY[None], len(stack), axis=0)


def _ecc(stack: FocalStack, reference: int, scale: float) -> np.ndarray:
    return ecc_chain(stack, reference, scale=scale)[0]


def _direct(stack: FocalStack, reference: int) -> np.ndarray:
    return align_stack(stack, "direct", reference=reference).matrices


def _learned(stack: FocalStack, reference: int, aligner: LearnedAligner, polish: bool) -> np.ndarray:
    return aligner.align(stack, polish=polish, reference=reference).matrices


def ecc_name(scale: float) -> str:
    """How the tables call ECC on pictures reduced by ``scale``."""
    return f"ECC at {scale:g}"


def aligners(ecc_scales: tuple[float, ...], learned: LearnedAligner | None = None) -> dict[str, Aligner]:
    """The methods by name: none at all, ECC's affine chain at each scale, ours, and a network's if given."""
    methods: dict[str, Aligner] = {UNALIGNED: _unaligned}
    methods |= {ecc_name(scale): partial(_ecc, scale=scale) for scale in ecc_scales}
    methods[OURS] = _direct
    if learned is not None:
        methods[NETWORK] = partial(_learned, aligner=learned, polish=False)
        methods[POLISHED] = partial(_learned, aligner=learned, polish=True)
    return methods
