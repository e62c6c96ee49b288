"""The step estimator over a whole picture: one distance for every 512 px window, or for every few of them.

Wang et al. 2021, section 5.2 and Table 1: convolutions in steps become dilated ones in steps of one, fully
connected layers become convolutions. The weights are those of the patch network, and so are the answers.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.model.step import PATCH, StepEstimator, in_blocks

_HOPS = (8, 32, 128)  # px from one output of each convolution of the patch network to the next
_BAND_VALUES = 1 << 24  # of the first connected layer at a time, 64 MB


class GlobalStepEstimator(nn.Module):
    """A trained estimator, converted; the weights are shared, not copied.

    A layer whose outputs lie ``g`` px apart serves windows every ``stride`` px with g = gcd(its step in the
    patch network, stride): its steps are then g over the spacing of its input, and its dilation is that of
    the patch network over the same. Stride 1 is the paper's dense network, 128 has no dilation at all.

    Args:
        estimator: of patches.
        stride: px from one window to the next, down and across.

    Raises:
        ValueError: a stride below 1.
    """

    def __init__(self, estimator: StepEstimator, stride: int = 32) -> None:
        super().__init__()
        if stride < 1:
            raise ValueError(f"GlobalStepEstimator: stride {stride}; give 1 px or more")
        self.estimator, self.stride = estimator, stride
        self.spacing = [math.gcd(hop, stride) for hop in _HOPS]

    def windows(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of windows in a picture.

        Raises:
            ValueError: a picture smaller than a window.
        """
        if min(height, width) < PATCH:
            raise ValueError(f"picture {height}x{width}: the step estimator needs {PATCH}x{PATCH} px or more")
        return (height - PATCH) // self.stride + 1, (width - PATCH) // self.stride + 1

    def forward(self, pictures: Tensor) -> Tensor:
        """(B,1,H,W) display values -> (B,rows,columns): positions away from focus, window by window.

        Raises:
            ValueError: pictures smaller than a window, or not grey.
        """
        if pictures.ndim != 4 or pictures.shape[1] != 1:
            raise ValueError(f"pictures {tuple(pictures.shape)}: must be (B,1,H,W), grey")
        rows, columns = self.windows(*pictures.shape[-2:])
        used = [PATCH + (count - 1) * self.stride for count in (rows, columns)]
        x = self._features(pictures[..., : used[0], : used[1]])
        return self.estimator.distance(self._connected(x, rows, columns))

    def _features(self, x: Tensor) -> Tensor:
        """What the three convolutions say, ``spacing[2]`` px apart."""
        before = 1
        for layer, (convolution, after) in enumerate(
            zip(self.estimator.convolutions, self.spacing, strict=True)
        ):
            assert isinstance(convolution, nn.Conv2d)
            if layer == 0 and after == _HOPS[0]:
                x = in_blocks(_whole(x, _HOPS[0]), convolution)
            else:
                dilation = (1, *_HOPS)[layer] // before
                x = F.conv2d(x, convolution.weight, convolution.bias, after // before, 0, dilation)
            x, before = F.relu(x), after
        return x

    def _connected(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """The connected layers at every window; a band of rows at a time, so that memory stays bounded."""
        first, *rest = self.estimator.linears
        assert isinstance(first, nn.Linear)
        kernel = first.weight.view(first.out_features, x.shape[1], 4, 4)
        step, dilation = self.stride // self.spacing[2], _HOPS[2] // self.spacing[2]
        most = max(1, _BAND_VALUES // (first.out_features * columns * len(x)))
        bands = []
        for top in range(0, rows, most):
            count = min(most, rows - top)
            band = x[:, :, top * step : (top + count - 1) * step + 3 * dilation + 1]
            # taps as channels: a product of matrices, where a dilated convolution would crawl
            taps = [
                band[..., i * dilation :, j * dilation :][..., ::step, ::step][..., :count, :columns]
                for i in range(4)
                for j in range(4)
            ]
            y = torch.stack(taps, dim=2).flatten(1, 2).permute(0, 2, 3, 1)
            y = F.linear(y, kernel.flatten(1), first.bias)
            for linear in rest:
                y = linear(F.leaky_relu(y, 0.1))
            bands.append(y[..., 0])
        return torch.cat(bands, dim=1)


def _whole(x: Tensor, side: int) -> Tensor:
    """The part of a picture that blocks of ``side`` px fill."""
    height, width = (size // side * side for size in x.shape[-2:])
    return x[..., :height, :width].contiguous()
