"""A network that contradicts what is plainly in focus is less sure of itself, and says so."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dff.classical.align import align_stack
from dff.learned import LearnedModel
from dff.model.interface import DepthModel, DepthOutput
from dff.second_opinion import contradicted
from dff.stack import FocalStack

HALVES = np.where(np.arange(96) < 48, 0, 2)  # left in focus in slice 0, right in slice 2


def slices() -> list[np.ndarray]:
    noise = np.random.default_rng(0).uniform(0.2, 0.8, (64, 96, 3)).astype(np.float32)
    levels = [noise, *(cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (1.5, 3.0))]
    pictures = []
    for k in range(3):
        off = np.abs(HALVES - k)
        pictures.append(np.choose(off[None, :, None], levels).astype(np.float32))
    return pictures


def test_share_of_contradictions() -> None:
    truth = np.broadcast_to(HALVES / 2, (64, 96)).astype(np.float32)
    positions = np.array([0.5, 1.0, 1.5])
    assert contradicted(truth, slices(), positions) < 0.05
    assert contradicted(1 - truth, slices(), positions) > 0.9
    assert contradicted(np.zeros_like(truth), slices(), positions) == pytest.approx(0.5, abs=0.1)


def test_nothing_plainly_in_focus_contradicts_nobody() -> None:
    flat = [np.full((64, 96, 3), 0.5, np.float32)] * 3
    assert contradicted(np.zeros((64, 96), np.float32), flat, np.arange(3.0)) == 0


class Wrong(DepthModel):
    """Sure that all is in the nearest slice."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))

    @property
    def slice_bytes(self) -> int:
        return 100

    def forward(self, images: torch.Tensor, u: torch.Tensor, tones: object = None) -> DepthOutput:
        shape = images.shape[0], *images.shape[-2:]
        return DepthOutput(torch.ones(shape), torch.full(shape, -5.0), [])


def test_a_network_out_of_its_depth_is_less_sure() -> None:
    stack = FocalStack(slices(), [0.5, 1.0, 1.5])
    alignment = align_stack(stack, "none")
    with pytest.warns(UserWarning, match="contradicts .* plainly in focus"):
        depth = LearnedModel("wrong", Wrong().eval()).depth(stack, alignment)
    assert depth.info["contradicted"] > 0.4
    assert depth.confidence.max() < 0.65
