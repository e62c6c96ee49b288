"""Views are brought back to where they came from, pictures and motions alike."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dff.classical import motion
from dff.model.views import VIEWS, unviewed, unviewed_motion, viewed


@pytest.mark.parametrize("view", range(VIEWS[-1]))
def test_there_and_back(view: int) -> None:
    pictures = torch.rand(2, 3, 5, 7)
    seen = viewed(pictures, view)
    assert seen.shape[-2:] == ((7, 5) if view >= 4 else (5, 7))
    assert torch.equal(unviewed(seen, view), pictures)


def test_all_views_differ() -> None:
    picture = torch.arange(9.0).view(1, 3, 3)
    assert len({tuple(viewed(picture, view).flatten().tolist()) for view in range(VIEWS[-1])}) == VIEWS[-1]


@pytest.mark.parametrize("view", range(VIEWS[-1]))
def test_a_motion_found_in_a_view_is_that_of_the_picture(view: int) -> None:
    size = (40, 56)
    matrix = motion.about_centre(1.03, 0.02, (2.5, -1.5), size)
    picture = cv2.GaussianBlur(np.random.default_rng(0).uniform(0, 1, size).astype(np.float32), (0, 0), 3)
    moved = motion.warp(picture, matrix)
    back = unviewed_motion(torch.eye(3, dtype=torch.float64), view, size)
    assert torch.allclose(back, torch.eye(3, dtype=torch.float64))
    turned = size[::-1] if view >= 4 else size
    seen = viewed(torch.from_numpy(picture)[None], view)[0].numpy()
    inverse = {5: 7, 7: 5}.get(view, view)  # the view that undoes this one
    told = unviewed_motion(torch.from_numpy(np.vstack([matrix, [0, 0, 1]])), inverse, turned)[:2].numpy()
    there = motion.warp(np.ascontiguousarray(seen), told)
    again = unviewed(torch.from_numpy(there)[None], view)[0].numpy()
    inner = slice(8, -8), slice(8, -8)
    np.testing.assert_allclose(again[inner], moved[inner], atol=0.01)
