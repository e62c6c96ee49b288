"""What classical focus measures say, as channels for the network. No learning; float32 throughout."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dff.model.features import together

CHANNELS = 4
_FLOOR = 2e-3  # of the tone range: below it lies little but rounding
_LUMA = (0.299, 0.587, 0.114)


def modified_laplacian(luma: Tensor) -> Tensor:
    """(M,1,H,W) -> |second difference in x| + |second difference in y| (Nayar & Nakagawa 1994), same size."""
    padded = F.pad(luma, (1, 1, 1, 1), mode="replicate")
    across = 2 * luma - padded[..., 1:-1, :-2] - padded[..., 1:-1, 2:]
    down = 2 * luma - padded[..., :-2, 1:-1] - padded[..., 2:, 1:-1]
    return across.abs() + down.abs()


def box_mean(x: Tensor, side: int) -> Tensor:
    """Mean over a window of ``side`` x ``side``; at the border over the part inside the picture."""
    return _mean_along(_mean_along(x, side // 2, -1), side // 2, -2)


def _halved(x: Tensor) -> Tensor:
    """Mean of every 2 x 2 pixels of (M,1,H,W): of one channel, pooling takes seven times as long."""
    rows = x[..., ::2, :] + x[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)


def _mean_along(x: Tensor, reach: int, dim: int) -> Tensor:
    """Mean of each value and ``reach`` either side of it: sums of shifted copies, as pooling takes longer."""
    length = x.shape[dim]
    place = torch.arange(length, device=x.device)
    count = 1 + place.clamp(max=reach) + place.flip(0).clamp(max=reach)
    total = x.clone()
    for step in range(1, min(reach, length - 1) + 1):
        rest = length - step
        total.narrow(dim, step, rest).add_(x.narrow(dim, 0, rest))
        total.narrow(dim, 0, rest).add_(x.narrow(dim, step, rest))
    return total / (count if dim == -1 else count[:, None])


def focus_prior(images: Tensor) -> Tensor:
    """Log focus measure of every slice at half the size.

    Args:
        images: (B,N,3,H,W) in [0,1], H and W even.

    Returns:
        (B,N,4,H/2,W/2) float32. Channels 0 to 2: log energy of the modified Laplacian less its mean over the
        slices, at a window of about 6 px, of about 14 px, and one octave coarser at about 14 px. Channel 3:
        the log energy of channel 1 itself, which tells texture from noise.
    """
    pictures = images.flatten(0, 1)
    some_at_once = pictures.split(together(images, len(pictures)))
    logs = torch.cat([_log_energies(some) for some in some_at_once])
    logs = logs.unflatten(0, images.shape[:2])
    relative = logs - logs.mean(dim=1, keepdim=True)
    return torch.cat((relative, logs[:, :, 1:2] + 4), dim=2)  # + 4: near zero mean for ordinary pictures


def _log_energies(pictures: Tensor) -> Tensor:
    """(M,3,H,W) -> (M,3,H/2,W/2): the three measures of `focus_prior`, as they are."""
    red, green, blue = (pictures[:, c : c + 1].float() * _LUMA[c] for c in range(3))
    luma = red + green + blue
    half, fine = _halved(luma), _halved(modified_laplacian(luma))
    energies = (box_mean(fine, 3), box_mean(fine, 7), box_mean(modified_laplacian(half), 7))
    return torch.cat([(energy + _FLOOR).log() for energy in energies], dim=1)
