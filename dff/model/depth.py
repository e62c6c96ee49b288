"""From a volume of logits over slices to depth, and from coarse depth to full size.

Depth is in the focus coordinate u: 0 at the farthest slice, 1 at the nearest, linear in dioptres (or in
whatever the stack's positions are linear in).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.model.features import Conv, Norm, Residual

VARIANCE_FLOOR = 1e-4  # a hundredth of the sweep: below it a distribution counts as one slice


@dataclass
class Scale:
    """Depth at one scale of the volume.

    Args:
        logits: (B,N,h,w) float32, unnormalised log probability of every slice.
        u: (B,h,w) float32, expectation of the focus coordinate.
    """

    logits: Tensor
    u: Tensor


def expectation(logits: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distribution over slices (B,N,h,w), and mean and variance (B,h,w) of the focus coordinate; float32.

    Args:
        logits: (B,N,h,w).
        u: (B,N) focus coordinate of the slices.
    """
    share = torch.softmax(logits.float(), dim=1)
    place = u.float()[:, :, None, None]
    mean = (share * place).sum(dim=1)
    return share, mean, (share * (place - mean[:, None]).square()).sum(dim=1)


def pooled_over_slices(features: Tensor, share: Tensor) -> Tensor:
    """(B,C,h,w): features (B*N,C,h,w) of the slices, weighted by their ``share`` (B,N,h,w)."""
    batch, n = share.shape[:2]
    weight = share.to(features.dtype)[..., None]  # B,N,h,w,1
    stack = features.permute(0, 2, 3, 1).unflatten(0, (batch, n))
    return (stack * weight).sum(dim=1).permute(0, 3, 1, 2)


def convex_upsample(coarse: Tensor, weights: Tensor) -> Tensor:
    """(B,2h,2w): every fine pixel a convex mix of the 3x3 coarse ones round it (Teed & Deng, RAFT, 2020).

    Args:
        coarse: (B,h,w).
        weights: (B,36,h,w), before softmax: 9 for each of the 4 fine pixels.
    """
    batch, height, width = coarse.shape
    share = torch.softmax(weights.float().view(batch, 9, 4, height, width), dim=1)
    padded = F.pad(coarse[:, None].float(), (1, 1, 1, 1), mode="replicate")
    patches = F.unfold(padded, 3).view(batch, 9, 1, height, width)
    return F.pixel_shuffle((share * patches).sum(dim=1), 2)[:, 0]


class Completion(nn.Module):
    """Depth at half size -> full size, by what the sharp picture shows: a 2D network, blind to N.

    The volume knows depth where something is in focus. Where nothing has texture, outline and surroundings
    decide: this U-Net (1/2 to 1/32) sees depth, its spread and the features of the sharp slice, corrects
    depth, says how far to trust it, and upsamples along the picture's edges.
    """

    def __init__(self, c_in: int, channels: int, norm: Norm = "none", depth: int = 5) -> None:
        super().__init__()
        self.first = Conv(c_in, channels, norm=norm)
        self.down = nn.ModuleList(Conv(channels, channels, stride=2, norm=norm) for _ in range(depth - 1))
        self.descend = nn.ModuleList(Residual(channels, norm) for _ in range(depth))
        self.ascend = nn.ModuleList(Residual(channels, norm) for _ in range(depth - 1))
        self.correct = Conv(channels, 1).silence()
        self.spread = Conv(channels, 4).silence()  # log scale of the four fine pixels
        self.weights = Conv(channels, 36).silence()
        with torch.no_grad():
            # begin by repeating the coarse pixel
            assert self.weights.conv.bias is not None
            self.weights.conv.bias.view(9, 4)[4] = 3.0

    def forward(self, x: Tensor, u: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Depth and the log scale of its error, both (B,2h,2w) float32.

        Args:
            x: (B,C,h,w) features of the sharp slice.
            u, variance: (B,h,w) mean and variance of the distribution over slices.
        """
        spread = torch.log(variance.detach() + VARIANCE_FLOOR)
        hints = torch.stack((2 * u.detach() - 1, 0.25 * spread), dim=1).to(x.dtype)
        x = F.relu(self.first(torch.cat((x, hints), dim=1)))
        skips = []
        for i, block in enumerate(self.descend):
            x = block(F.relu(self.down[i - 1](x)) if i else x)
            skips.append(x)
        x = skips.pop()
        for block in self.ascend:
            skip = skips.pop()
            x = block(skip + F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False))
        corrected = u + self.correct(x)[:, 0].float()
        fine = convex_upsample(corrected, self.weights(x))
        log_scale = F.pixel_shuffle(self.spread(x).float() + 0.5 * spread[:, None], 2)[:, 0]
        return fine, log_scale
