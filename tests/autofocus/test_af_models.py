"""Layouts, sizes and use of the autofocus networks. Full-size ones are only counted, never run."""

from __future__ import annotations

import pytest
import torch

from dff.autofocus.inputs import Problem, halves_added, position_input, roi_planes, slot_input
from dff.autofocus.mobilenet import MobileNetV2, rounded
from dff.autofocus.models import AutofocusConfig, AutofocusNet, Layout, answers, from_start, two_steps

PLACE = roi_planes(torch.tensor([[0, 0], [8, 4]]), (32, 32), (64, 64))


def parameters(layout: Layout, problem: str, **other: int) -> int:
    with torch.device("meta"):
        model = AutofocusNet(AutofocusConfig(layout, problem, **other))
    return sum(p.numel() for p in model.parameters())


def small(layout: Layout, problem: str, steps: int = 1) -> AutofocusNet:
    torch.manual_seed(0)
    return AutofocusNet(AutofocusConfig(layout, problem, count=6, width=0.25, steps=steps)).eval()


def test_the_sizes_are_the_published_ones() -> None:
    assert parameters("afpe", "D1") == pytest.approx(2.29e6, rel=0.01)
    assert parameters("afpe", "D5") == pytest.approx(2.29e6, rel=0.01)
    assert parameters("l2a", "D1") == pytest.approx(34.8e6, rel=0.01)
    with torch.device("meta"):  # the usual network: 3 colours, 1000 classes
        assert sum(p.numel() for p in MobileNetV2(3, 1000).parameters()) == 3_504_872
    assert [rounded(channels) for channels in (8, 12, 3, 18, 128)] == [8, 16, 8, 24, 128]


@pytest.mark.parametrize(
    ("layout", "problem", "inputs"),
    [
        *[("afpe", f"D{m}", 3 * m + 2) for m in range(1, 6)],
        *[("afpe", f"I{m}", 2 * m + 2) for m in range(1, 6)],
        ("afpe", "D*", 149),
        ("afpe", "I*", 100),
        *[("l2a", problem, 98) for problem in ("D1", "D5", "D*")],
        *[("l2a", problem, 49) for problem in ("I1", "I5", "I*")],
    ],
)
def test_channels_of_every_problem(layout: Layout, problem: str, inputs: int) -> None:
    config = AutofocusConfig(layout, problem)
    assert config.inputs == inputs
    with torch.device("meta"):
        first = next(AutofocusNet(config).parameters())
    assert first.shape == (32 if layout == "afpe" else 128, inputs, 3, 3)


def test_slots_hold_what_was_seen_and_zeros_else() -> None:
    frames = torch.arange(1.0, 9.0).reshape(1, 2, 2, 1, 2)
    slots = slot_input(frames, torch.tensor([[3, 1]]), 5).reshape(5, 2, 1, 2)
    assert torch.equal(slots[3], frames[0, 0])
    assert torch.equal(slots[1], frames[0, 1])
    assert not slots[[0, 2, 4]].any()


def test_position_codes() -> None:
    frames = torch.rand(2, 2, 2, 32, 32)
    index = torch.tensor([[0, 1], [4, 5]])
    shown = position_input(frames, index, PLACE, 6)
    assert shown.shape == (2, 3 * 2 + 2, 32, 32)
    assert torch.equal(shown[:, [0, 1]], frames[:, 0])
    assert torch.equal(shown[:, [3, 4]], frames[:, 1])
    torch.testing.assert_close(shown[:, [2, 5], 7, 9], index / 5)
    assert shown[1, 6, 0, :2].tolist() == pytest.approx([8.5 / 64, 9.5 / 64])
    assert shown[1, 7, :2, 0].tolist() == pytest.approx([4.5 / 64, 5.5 / 64])
    assert position_input(halves_added(frames), index, PLACE, 6).shape[1] == 2 * 2 + 2


def test_windows_rise_and_stay_in_the_sweep() -> None:
    assert Problem("D3", 6).window(torch.tensor([0, 3, 5])).tolist() == [[0, 1, 2], [3, 4, 5], [3, 4, 5]]
    assert Problem("I*", 4).window(torch.tensor([2])).tolist() == [[0, 1, 2, 3]]
    assert Problem("I1").window(torch.tensor([48])).tolist() == [[48]]
    for bad in ("D0", "X1", "D", "d1"):
        with pytest.raises(ValueError, match="give D or I"):
            Problem(bad)
    with pytest.raises(ValueError, match="more frames than the 49"):
        Problem("D50")


@pytest.mark.parametrize("layout", ["l2a", "afpe"])
@pytest.mark.parametrize("problem", ["D1", "D2", "I1", "I3"])
def test_one_and_two_steps(layout: Layout, problem: str) -> None:
    first, second = small(layout, problem), small(layout, problem, steps=2)
    stack = torch.rand(2, 6, first.problem.channels, 32, 32)
    start = torch.tensor([0, 5])
    with torch.no_grad():
        logits = from_start(first, stack, start, PLACE)
        one, two = two_steps(first, second, stack, start, PLACE)
    assert logits.shape == two.shape == (2, 6)
    torch.testing.assert_close(one, logits)
    maps = answers(first, stack, PLACE)
    assert maps.shape == (2, 6)
    assert maps[0, 0] == logits[0].argmax()


def test_what_does_not_fit() -> None:
    model = small("afpe", "D2")
    stack = torch.rand(2, 6, 2, 32, 32)
    with pytest.raises(ValueError, match="takes 2 frames of 2 channels, got 1 of 2"):
        model(stack[:, :1], torch.zeros(2, 1, dtype=torch.long), PLACE)
    with pytest.raises(ValueError, match="the model's ladder has 6 focal indices"):
        from_start(model, stack[:, :5], torch.tensor([0, 1]), PLACE)
    with pytest.raises(ValueError, match="the second with steps = 2"):
        two_steps(model, model, stack, torch.tensor([0, 1]), PLACE)
    with pytest.raises(ValueError, match="choose from l2a, afpe"):
        AutofocusConfig("resnet")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs no second step"):
        AutofocusConfig("afpe", "I*").second()
    with pytest.raises(ValueError, match="steps 3"):
        AutofocusConfig(steps=3)
    with pytest.raises(ValueError, match="the halves are two"):
        halves_added(stack[:, :, :1])


def test_gradients_reach_the_first_convolution() -> None:
    model = small("afpe", "D1").train()
    logits = from_start(model, torch.rand(2, 6, 2, 32, 32), torch.tensor([1, 2]), PLACE)
    logits.logsumexp(1).sum().backward()
    gradient = next(model.parameters()).grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0
