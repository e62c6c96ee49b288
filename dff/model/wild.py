"""The depth network of the paper, "dff-wild": a yardstick for cost and for what this project changed.

Won & Jeon, "Learning Depth from Focus in the Wild" (ECCV 2022), section 2.2, layer by layer, without the
22,240 parameters of the authors' 4,038,832 that no output depends on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dff.model.depth import VARIANCE_FLOOR, Scale, expectation
from dff.model.interface import DepthModel, DepthOutput, Tones, check_inputs, padded
from dff.model.wild_layers import (
    CUBE,
    POINT,
    Aggregation,
    EffectiveDownsampling,
    Hourglass,
    Passed,
    SharpRegionDetector,
    conv,
    conv_norm,
    conv_norm_relu,
    enlarge_norm,
)

_LEAST_SHARE = 1e-6  # of a slice, before normalisation


@dataclass(frozen=True)
class WildConfig:
    """Make-up of the paper's depth network.

    Args:
        architecture: tells its settings from those of `dff.model.network.NetworkConfig`.
        channels: of a slice at full size, doubled at 1/2 and 1/4; 8 in the paper.
    """

    architecture: Literal["wild"] = "wild"
    channels: int = 8

    def __post_init__(self) -> None:
        if self.architecture != "wild":
            raise ValueError(f"WildConfig: architecture {self.architecture!r}; only 'wild' is known")
        if self.channels < 1:
            raise ValueError(f"WildConfig: channels {self.channels}; give at least 1")


def log_shares(cost: Tensor) -> Tensor:
    """Log of the share of every slice: softplus over its sum, as in the paper, not softmax; float32.

    Args:
        cost: (B,N,h,w), any values.
    """
    positive = F.softplus(cost.float()) + _LEAST_SHARE
    return positive.log() - positive.sum(dim=1, keepdim=True).log()


class WildNetwork(DepthModel):
    """Depth of an aligned focal stack of any number of slices and any size, as in the paper.

    Four outputs, from features at 1/8, 1/4, 1/2 and full size, each brought to full size before the shares
    of the slices are made; the first three serve training alone and are left out in evaluation.

    Other than in the paper, sizes need not be multiples of 32, and there is a spread: the paper gives none,
    so the Laplace scale is that of the standard deviation of the shares over the sweep, without parameters
    of its own. Softplus leaves every slice a share, so that it is too wide before training.
    """

    def __init__(self, config: WildConfig | None = None) -> None:
        super().__init__()
        self.config = config = WildConfig() if config is None else config
        widths = [config.channels << level for level in range(3)]
        full, _, quarter = widths
        self.stem = nn.Sequential(*conv_norm(3, full, (1, 9, 9), dilation=(1, 2, 2)), nn.ReLU())
        self.encode = nn.ModuleList(map(SharpRegionDetector, widths))
        self.down = nn.ModuleList(EffectiveDownsampling(a, b) for a, b in pairwise(widths))
        self.aggregate = Aggregation(quarter)
        self.first_score = nn.Sequential(conv_norm_relu(quarter, quarter), conv(quarter, 1, CUBE))
        self.widen = nn.Sequential(
            conv_norm_relu(quarter, 2 * quarter), conv_norm_relu(2 * quarter, 2 * quarter)
        )
        self.enlarge = nn.ModuleList(enlarge_norm(2 * width, width) for width in reversed(widths))
        self.hourglasses = nn.ModuleList(map(Hourglass, reversed(widths)))
        self.scores = nn.ModuleList(conv(width, 1, POINT) for width in reversed(widths))

    @property
    def slice_bytes(self) -> int:
        return 100 * self.config.channels  # measured; less at most sizes

    def forward(self, images: Tensor, u: Tensor, tones: Tones | None = None) -> DepthOutput:
        """See `DepthModel.forward`. ``tones`` is not used: the paper's network sees display values."""
        del tones
        check_inputs(images, u)
        height, width = images.shape[-2:]
        x = padded(images).transpose(1, 2)  # B,N,3,H,W -> B,3,N,H,W
        size = x.shape[-2:]
        x = self.stem((2 * x - 1).to(next(self.parameters()).dtype))
        features = [self.encode[0](x)]
        for down, encode in zip(self.down, self.encode[1:], strict=True):
            features.append(encode(down(features[-1])))
        volume = self.aggregate(features[-1])
        costs = [self.first_score(volume)] if self.training else []
        volume = self.widen(volume)
        passed: Passed | None = None
        for enlarge, hourglass, score in zip(self.enlarge, self.hourglasses, self.scores, strict=True):
            passed = hourglass(enlarge(volume), features.pop(), passed)
            volume = passed.volume
            if self.training or not features:
                costs.append(score(volume))
        *coarse, last = (
            log_shares(F.interpolate(cost[:, 0].float(), size, mode="bilinear", align_corners=False))
            for cost in costs
        )
        _, fine, variance = expectation(last, u)
        log_scale = 0.5 * torch.log(0.5 * variance + VARIANCE_FLOOR)  # variance of a Laplace law: 2 scale^2
        scales = [Scale(logits, expectation(logits, u)[1]) for logits in coarse]
        return DepthOutput(fine[:, :height, :width], log_scale[:, :height, :width], scales)
