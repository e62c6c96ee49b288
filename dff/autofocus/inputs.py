"""What autofocus networks are shown: problem types, which frames, and their layout in channels.

Two layouts. `slot_input` (L2A: Herrmann et al. 2020, section 6): one slot for each of the K focal indices,
the frames in theirs, zeros elsewhere. `position_input` (AFPE: Choi et al. 2023, as the supplement of the
Focal Consistency Loss states it): the frames in a row, each with a plane that codes the lens position, and
two planes with the place of every pixel in the full picture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

_LEVEL = 1e-4  # a tenth of a level of 10 bits: black stays black


@dataclass(frozen=True)
class Problem:
    """What is seen: "D1", "D5", "D*" (dual-pixel halves), "I1", "I5", "I*" (their sum); *: the whole stack.

    Args:
        name: as above; any number up to ``count`` is taken.
        count: number of focal indices.

    Raises:
        ValueError: another name, or more frames than focal indices.
    """

    name: str
    count: int = 49

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[DI](\*|[1-9]\d*)", self.name):
            raise ValueError(
                f"problem {self.name!r}; give D or I and a number of frames, or *, such as D1 or I*"
            )
        if self.frames > self.count:
            raise ValueError(f"problem {self.name}: more frames than the {self.count} focal indices")

    @property
    def dual(self) -> bool:
        """Whether both halves are seen."""
        return self.name[0] == "D"

    @property
    def channels(self) -> int:
        """Channels of one frame: 2 or 1."""
        return 2 if self.dual else 1

    @property
    def frames(self) -> int:
        """Frames seen."""
        return self.count if self.name[1:] == "*" else int(self.name[1:])

    def window(self, start: Tensor) -> Tensor:
        """(...) starting indices -> (...,m) consecutive rising indices from there.

        Where the sweep ends first, the window is its last m, so that every start counts (the papers average
        over all of them and do not say what they did).
        """
        first = start.clamp(max=self.count - self.frames)
        return first[..., None] + torch.arange(self.frames, device=start.device)


def frames_at(stack: Tensor, index: Tensor) -> Tensor:
    """Frames ``index`` (B,m) of stacks (B,K,C,H,W) -> (B,m,C,H,W)."""
    batch = torch.arange(stack.shape[0], device=stack.device)[:, None]
    return stack[batch, index]


def halves_added(frames: Tensor) -> Tensor:
    """(...,2,H,W) dual-pixel halves -> (...,1,H,W) their sum, what a sensor without halves sees."""
    if frames.shape[-3] != 2:
        raise ValueError(f"frames with {frames.shape[-3]} channels; the halves are two")
    return frames.sum(dim=-3, keepdim=True)


def metered(frames: Tensor) -> Tensor:
    """Light (...,C,H,W) -> root of its ratio to the mean of each frame, less 1.

    Exposure does not matter any more, and shot noise is alike in the dark and in the light. Both halves are
    divided by one mean, so that they stay comparable; black frames become -1.
    """
    mean = frames.mean(dim=(-3, -2, -1), keepdim=True)
    return (frames.clamp_min(0) / (mean + _LEVEL)).sqrt() - 1


def _check(frames: Tensor, index: Tensor) -> None:
    if frames.ndim != 5 or index.shape != frames.shape[:2]:
        raise ValueError(
            f"frames {tuple(frames.shape)} and index {tuple(index.shape)}; give (B,m,C,H,W) and (B,m)"
        )


def slot_input(frames: Tensor, index: Tensor, count: int = 49) -> Tensor:
    """L2A's layout: channels k*C..k*C+C-1 hold the frame of focal index k, zeros where it was not seen.

    Args:
        frames: (B,m,C,H,W), C = 2 (left, right) or 1.
        index: (B,m) focal index of each frame.
        count: K.

    Returns:
        (B,K*C,H,W): 98 or 49 channels for K = 49.
    """
    _check(frames, index)
    batch = torch.arange(frames.shape[0], device=frames.device)[:, None]
    slots = frames.new_zeros(frames.shape[0], count, *frames.shape[2:])
    return slots.index_put((batch, index), frames).flatten(1, 2)


def roi_planes(corner: Tensor, size: tuple[int, int], full: tuple[int, int]) -> Tensor:
    """Place of every pixel of regions in the full picture: (B,2,h,w), x then y, 0 to 1.

    Args:
        corner: (B,2) x and y of the top left pixel.
        size: (h,w) of the regions.
        full: (height,width) of the picture.
    """
    x = (corner[:, 0, None] + torch.arange(size[1], device=corner.device) + 0.5) / full[1]
    y = (corner[:, 1, None] + torch.arange(size[0], device=corner.device) + 0.5) / full[0]
    planes = x[:, None, :].expand(-1, size[0], -1), y[:, :, None].expand(-1, -1, size[1])
    return torch.stack(planes, dim=1)


def position_input(frames: Tensor, index: Tensor, place: Tensor, count: int = 49) -> Tensor:
    """AFPE's layout: for each frame its halves (or their sum) and its lens position; then the pixels' places.

    Args:
        frames: (B,m,C,H,W), C = 2 (left, right) or 1.
        index: (B,m) focal index of each frame; its plane is index / (K-1), 0 far to 1 near.
        place: (B,2,H,W) of `roi_planes`.
        count: K.

    Returns:
        (B,m*(C+1)+2,H,W): 3m + 2 channels, or 2m + 2.
    """
    _check(frames, index)
    code = (index.to(frames.dtype) / max(count - 1, 1))[..., None, None, None]
    lens = code.expand(-1, -1, 1, *frames.shape[-2:])
    seen = torch.cat([frames, lens], dim=2).flatten(1, 2)
    return torch.cat([seen, place.to(frames.dtype)], dim=1)
