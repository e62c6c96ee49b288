"""Means over rectangles of any place and size, exact to fractions of a cell.

Maps are piecewise constant: a cell is ``cell`` px of the picture on a side. A region is (x0, y0, x1, y1) in
px, edges and not centres, so that a picture of W px reaches from 0 to W. What is outside does not count.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def clipped(regions: Tensor, height: int, width: int) -> Tensor:
    """Regions (...,4) cut to a picture of ``height`` x ``width`` px.

    Raises:
        ValueError: one is empty, or wholly outside.
    """
    top = regions.new_tensor([width, height, width, height])
    inside = torch.minimum(regions.clamp_min(0), top)
    if bool((inside[..., 2:] <= inside[..., :2]).any()):
        raise ValueError(f"regions: one is empty or outside the picture, which is {width}x{height} px")
    return inside


def cover(low: Tensor, high: Tensor, count: int) -> Tensor:
    """(...,count) length of each cell [i, i+1] that lies between ``low`` and ``high`` (...), in cells."""
    edge = torch.arange(count, device=low.device, dtype=low.dtype)
    return (torch.minimum(high[..., None], edge + 1) - torch.maximum(low[..., None], edge)).clamp_min(0)


def by_cells(maps: Tensor) -> Tensor:
    """The same maps (B,...,h,w) with all that is of one cell together in memory."""
    return maps.movedim((-2, -1), (1, 2)).contiguous().movedim((1, 2), (-2, -1))


def region_mean(maps: Tensor, regions: Tensor, cell: int) -> Tensor:
    """Mean of maps over regions.

    Args:
        maps: (B,M,h,w); quick where all M of a cell lie together, see `by_cells`.
        regions: (B,R,4) in px, inside the maps; see `clipped`.
        cell: px of a cell of the maps.

    Returns:
        (B,R,M).
    """
    height, width = maps.shape[-2:]
    scaled = regions.to(maps.dtype) / cell
    # cells that no region touches are not read: one region of a large picture costs what it covers
    left, top = (math.floor(float(scaled[..., side].min())) for side in (0, 1))
    right, bottom = (math.ceil(float(scaled[..., side].max())) for side in (2, 3))
    right, bottom = min(right, width), min(bottom, height)
    part = maps[:, :, top:bottom, left:right]
    columns = cover(scaled[..., 0] - left, scaled[..., 2] - left, right - left)  # B,R,w
    rows = cover(scaled[..., 1] - top, scaled[..., 3] - top, bottom - top)  # B,R,h
    columns = columns / columns.sum(dim=-1, keepdim=True)
    rows = rows / rows.sum(dim=-1, keepdim=True)
    weights = (rows[..., :, None] * columns[..., None, :]).flatten(2)  # B,R,h*w
    return weights @ part.permute(0, 2, 3, 1).flatten(1, 2)
