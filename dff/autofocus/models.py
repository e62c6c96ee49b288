"""The two networks of the papers, `l2a` and `afpe`, and how they are used: from every start, in two steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from dff.autofocus.inputs import Problem, frames_at, metered, position_input, slot_input
from dff.autofocus.mobilenet import MobileNetV2

Layout = Literal["l2a", "afpe"]
Light = Literal["raw", "metered"]

WIDTHS: dict[Layout, float] = {"l2a": 4.0, "afpe": 1.0}


@dataclass(frozen=True)
class AutofocusConfig:
    """A network.

    Args:
        layout: "l2a": a slot for each focal index; "afpe": frames with position codes.
        problem: "D1".."D5", "D*", "I1".."I5", "I*" (`dff.autofocus.inputs.Problem`).
        count: number of focal indices, K.
        width: multiplier of the channels; None: the paper's, 4 for l2a and 1 for afpe.
        steps: 2 for the second network of a two-step pair, which sees the first one's window and its own.
        dropout: before the last layer.
        light: "raw": the numbers of the sensor, as the papers have it; "metered": made independent of the
            exposure, with noise alike in the dark and in the light (`dff.autofocus.inputs.metered`).
        window: side [px] of the square windows that it has learned from, written by `dff.train.export`; 0:
            not known. Much larger ones are answered worse.

    Raises:
        ValueError: unknown layout, light or problem, steps other than 1 and 2, 2 of a whole stack, or a
            window below 0.
    """

    layout: Layout = "afpe"
    problem: str = "D1"
    count: int = 49
    width: float | None = None
    steps: int = 1
    dropout: float = 0.2
    light: Light = "raw"
    window: int = 0

    def __post_init__(self) -> None:
        if self.window < 0:
            raise ValueError(f"window {self.window} px; give 0 or more")
        if self.light not in get_args(Light):
            raise ValueError(f"light {self.light!r}; choose from {', '.join(get_args(Light))}")
        if self.layout not in get_args(Layout):
            raise ValueError(f"layout {self.layout!r}; choose from {', '.join(get_args(Layout))}")
        if self.steps not in (1, 2):
            raise ValueError(f"steps {self.steps}; choose 1 or 2")
        problem = self.seen
        if self.steps == 2 and problem.frames == self.count:
            raise ValueError(f"problem {self.problem}: who has seen the whole stack needs no second step")

    @property
    def seen(self) -> Problem:
        """What is seen in each step."""
        return Problem(self.problem, self.count)

    @property
    def inputs(self) -> int:
        """Channels of the first convolution."""
        problem = self.seen
        if self.layout == "l2a":
            return problem.channels * self.count
        return (problem.channels + 1) * problem.frames * self.steps + 2

    def second(self) -> AutofocusConfig:
        """The network of the second step."""
        return replace(self, steps=2)


class AutofocusNet(nn.Module):
    """Frames of a region and where they were taken -> logits over the focal indices."""

    def __init__(self, config: AutofocusConfig | None = None) -> None:
        super().__init__()
        self.config = config or AutofocusConfig()
        self.problem = self.config.seen
        width = WIDTHS[self.config.layout] if self.config.width is None else self.config.width
        self.backbone = MobileNetV2(self.config.inputs, self.config.count, width, self.config.dropout)

    def forward(self, frames: Tensor, index: Tensor, place: Tensor) -> Tensor:
        """(B,K) logits.

        Args:
            frames: (B,m,C,H,W), C = 2 (left, right) for D problems, 1 (their sum) for I.
            index: (B,m) focal index of each frame.
            place: (B,2,H,W) of `dff.autofocus.inputs.roi_planes`; l2a does not look at it.
        """
        wanted = self.problem.frames * self.config.steps, self.problem.channels
        if tuple(frames.shape[1:3]) != wanted:
            raise ValueError(
                f"{self.config.layout} {self.config.problem} takes {wanted[0]} frames of {wanted[1]} "
                f"channels, got {frames.shape[1]} of {frames.shape[2]}"
            )
        count = self.config.count
        if self.config.light == "metered":
            frames = metered(frames)
        if self.config.layout == "l2a":
            shown = slot_input(frames, index, count)
        else:
            shown = position_input(frames, index, place, count)
        logits: Tensor = self.backbone(shown)
        return logits


def from_start(model: AutofocusNet, stack: Tensor, start: Tensor, place: Tensor) -> Tensor:
    """(B,K) logits of a one-step model whose window begins at ``start`` (B,) of stacks (B,K,C,H,W).

    Raises:
        ValueError: a stack of another length than the model's ladder.
    """
    _check_ladder(model, stack)
    index = model.problem.window(start)
    return model(frames_at(stack, index), index, place)


def two_steps(
    first: AutofocusNet, second: AutofocusNet, stack: Tensor, start: Tensor, place: Tensor
) -> tuple[Tensor, Tensor]:
    """(B,K) logits of both steps: the second sees the window at ``start`` and the one at the first's answer.

    The first is not trained through its answer, which is an index (Herrmann et al. 2020, section 6).

    Raises:
        ValueError: a second model that is none, or a stack of another length than the models' ladder.
    """
    if second.config.steps != 2 or second.problem != first.problem:
        raise ValueError("two steps need models of one problem, the second with steps = 2")
    logits = from_start(first, stack, start, place)
    index = torch.cat([first.problem.window(k) for k in (start, logits.argmax(dim=-1))], dim=1)
    return logits, second(frames_at(stack, index), index, place)


@torch.no_grad()
def answers(model: AutofocusNet, stack: Tensor, place: Tensor, second: AutofocusNet | None = None) -> Tensor:
    """(B,K) answers from all K starts, the maps that `dff.autofocus.metrics` judges; model in eval mode."""
    columns = []
    for k in range(model.config.count):
        start = torch.full((stack.shape[0],), k, device=stack.device)
        if second is None:
            logits = from_start(model, stack, start, place)
        else:
            logits = two_steps(model, second, stack, start, place)[1]
        columns.append(logits.argmax(dim=-1))
    return torch.stack(columns, dim=1)


def _check_ladder(model: AutofocusNet, stack: Tensor) -> None:
    if stack.ndim != 5 or stack.shape[1] != model.config.count:
        raise ValueError(
            f"stacks of shape {tuple(stack.shape)}; the model's ladder has {model.config.count} focal "
            "indices: give (B,K,C,H,W)"
        )
