"""MobileNetV2 with a width multiplier and any number of input channels (Sandler et al. 2018, Table 2)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Of the bottlenecks: expansion, channels, how many, stride of the first."""
_FIRST, _LAST = 32, 1280


def rounded(channels: float, step: int = 8) -> int:
    """The nearest multiple of ``step``, at least ``step``, and never more than a tenth below ``channels``."""
    near = max(step, int(channels + step / 2) // step * step)
    return near + step if near < 0.9 * channels else near


def _unit(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Convolution, batch normalisation, ReLU6."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True)]


class InvertedResidual(nn.Module):
    """Widen, filter channel by channel, narrow without a bend; added to its input where the sizes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            *(_unit(inputs, wide) if expansion > 1 else []),
            *_unit(wide, wide, 3, stride, groups=wide),
            *_unit(wide, outputs)[:2],
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,C',H/stride,W/stride)."""
        y: Tensor = self.layers(x)
        return x + y if self.adds else y


class MobileNetV2(nn.Module):
    """Picture -> logits.

    Args:
        inputs: channels of the picture.
        classes: number of logits.
        width: multiplier of all channels (of the last convolution only when above 1, as its authors have it).
        dropout: before the last layer.
    """

    def __init__(self, inputs: int, classes: int, width: float = 1.0, dropout: float = 0.2) -> None:
        super().__init__()
        if inputs < 1 or classes < 1 or width <= 0:
            raise ValueError(
                f"MobileNetV2: {inputs} inputs, {classes} classes, width {width}: all must be > 0"
            )
        plan = [(t, rounded(c * width), s if i == 0 else 1) for t, c, n, s in _STAGES for i in range(n)]
        first, last = rounded(_FIRST * width), rounded(_LAST * max(1.0, width))
        sizes = [first, *(channels for _, channels, _ in plan)]
        self.features = nn.Sequential(
            *_unit(inputs, first, 3, 2),
            *(
                InvertedResidual(before, after, stride, expansion)
                for (before, after), (expansion, _, stride) in zip(pairwise(sizes), plan, strict=True)
            ),
            *_unit(sizes[-1], last),
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes))
        self._start()

    def _start(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # a filter of a single channel has few inputs, however many channels there are: counted by
                # outputs its weights would be so small that Adam's first steps throw them about
                nn.init.kaiming_normal_(module.weight, mode="fan_in" if module.groups > 1 else "fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B,inputs,H,W) -> (B,classes). H and W may be anything; the features are averaged."""
        x = x.contiguous(memory_format=torch.channels_last)  # quicker on CPUs, and nothing else
        logits: Tensor = self.head(torch.mean(self.features(x), dim=(-2, -1)))
        return logits
