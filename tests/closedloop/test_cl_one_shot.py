"""A network as a policy: what it is shown, where it leads, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dff.autofocus.answer import middle, resting, shares
from dff.autofocus.load import decide, load_autofocus
from dff.autofocus.models import AutofocusConfig, AutofocusNet
from dff.closedloop.drive import Camera
from dff.closedloop.loop import runs
from dff.closedloop.one_shot import Spot
from dff.closedloop.policies import make_policy
from dff.closedloop.policy import Frame, Move, Scripted, Stop, Track
from dff.closedloop.simulated import SimulatedScene
from dff.model.focus_head import load_focus_network
from dff.model.focus_head_encode import Seen
from dff.recipes import load_recipe
from dff.simulator.capture import SimulationConfig
from dff.simulator.textures import to_display
from dff.weights import FORMAT

COUNT = 9
SPOT = Spot((4, 8), (64, 64), linear=True)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("one_shot")
    made = {}
    for problem, window in (("D1", 0), ("D3", 0), ("I1", 0), ("D1", 24)):
        torch.manual_seed(1)
        config = AutofocusConfig(problem=problem, count=COUNT, width=0.25, window=window)
        name = f"{problem} of {window} px" if window else problem
        made[name] = folder / f"{name}.safetensors"
        header = {
            "format": FORMAT,
            "network": "autofocus",
            "config": json.dumps(asdict(config)),
            "info": "{}",
        }
        tensors = AutofocusNet(config).state_dict()
        save_file({key: value.contiguous() for key, value in tensors.items()}, made[name], header)
    return made


def frames(indices: range) -> list[Frame]:
    random = np.random.default_rng(0)
    halves = random.uniform(0.1, 0.9, (len(indices), 2, 32, 32))
    return [
        Frame(float(k), 1.0, halves=(left, right)) for k, (left, right) in zip(indices, halves, strict=True)
    ]


@pytest.mark.parametrize("problem", ["D1", "I1"])
def test_one_frame_decides(weights: dict[str, Path], problem: str) -> None:
    policy = make_policy("one-shot", positions=COUNT, spot=SPOT, weights=str(weights[problem]))
    assert isinstance(policy, Scripted)
    assert policy.halves
    (frame,) = frames(range(5, 6))
    policy.begin(Track(np.arange(COUNT)), np.random.default_rng(0))
    assert frame.halves is not None
    light = np.stack(frame.halves)[None]
    told = decide(load_autofocus(weights[problem]), light, np.array([5]), SPOT.corner, SPOT.picture)
    assert policy.observe(frame) == Stop(float(middle(told)))


def test_asked_again_it_goes_on_until_it_is_not_sure_of_the_side(weights: dict[str, Path]) -> None:
    policy = make_policy("until-sure", positions=COUNT, spot=SPOT, weights=str(weights["D1"]))
    policy.begin(Track(np.arange(COUNT)), np.random.default_rng(0))
    shown = dict(enumerate(frames(range(COUNT))))
    network, at = load_autofocus(weights["D1"]), 0
    for _ in range(COUNT):
        halves = shown[at].halves
        assert halves is not None
        told = decide(network, np.stack(halves)[None], np.array([at]), SPOT.corner, SPOT.picture)
        there = int(resting(told, np.array(at)))
        action = policy.observe(shown[at])
        if there == at:
            break
        assert action == Move(float(there))
        at = there
    assert action == Stop(float(at))


def test_it_looks_at_the_middle_as_large_as_what_was_learned(weights: dict[str, Path]) -> None:
    (frame,) = frames(range(5, 6))
    assert frame.halves is not None
    ends = []
    for name in ("D1", "D1 of 24 px"):
        policy = make_policy("one-shot", positions=COUNT, spot=SPOT, weights=str(weights[name]))
        policy.begin(Track(np.arange(COUNT)), np.random.default_rng(0))
        ends.append(policy.observe(frame))
    network = load_autofocus(weights["D1 of 24 px"])
    corner = SPOT.corner[0] + 4, SPOT.corner[1] + 4
    light = np.stack(frame.halves)[None]
    told = decide(network, light[..., 4:28, 4:28], np.array([5]), corner, SPOT.picture)
    whole = decide(network, light, np.array([5]), SPOT.corner, SPOT.picture)
    assert ends == [Stop(float(middle(whole))), Stop(float(middle(told)))]


def test_several_frames_are_taken_one_after_the_other(weights: dict[str, Path]) -> None:
    policy = make_policy("one-shot", positions=COUNT, spot=SPOT, weights=str(weights["D3"]))
    policy.begin(Track(np.arange(COUNT)), np.random.default_rng(0))
    shown = dict(enumerate(frames(range(COUNT))))
    asked, action = [], policy.observe(shown[8])
    while not isinstance(action, Stop):
        asked.append(action.index)
        action = policy.observe(shown[int(action.index)])
    assert asked == [6.0, 7.0]  # the last window that fits ends at the start


def test_display_values_are_made_light_again(weights: dict[str, Path]) -> None:
    (frame,) = frames(range(2, 3))
    ends = []
    for linear in (True, False):
        spot = Spot(SPOT.corner, SPOT.picture, linear)
        policy = make_policy("one-shot", positions=COUNT, spot=spot, weights=str(weights["D1"]))
        policy.begin(Track(np.arange(COUNT)), np.random.default_rng(0))
        assert frame.halves is not None
        left, right = (half if linear else half ** (1 / 2.2) for half in frame.halves)
        ends.append(policy.observe(Frame(2.0, 1.0, halves=(left, right))))
    assert ends[0] == ends[1]


def test_it_drives_a_simulated_scene(weights: dict[str, Path]) -> None:
    config = load_recipe("simulator/scenes", "focus_hard", SimulationConfig)
    scene = SimulatedScene(replace(config, size=(64, 64), frame=None), 1, positions=COUNT)
    assert scene.spot().linear
    policy = make_policy("one-shot", positions=COUNT, spot=scene.spot(), weights=str(weights["D1"]))
    (run,) = runs(policy, Camera(scene), [0.0])
    assert run.state.value == "focused"


def test_what_cannot_be(weights: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="dual-pixel"):
        make_policy("one-shot")
    with pytest.raises(ValueError, match="ladder of 9; the lens has 49"):
        make_policy("one-shot", positions=49, spot=SPOT, weights=str(weights["D1"]))
    policy = make_policy("one-shot", positions=COUNT, spot=SPOT, weights=str(weights["D1"]))
    policy.begin(Track(np.arange(COUNT)), np.random.default_rng(0))
    with pytest.raises(ValueError, match="halves"):
        policy.observe(Frame(0.0, 1.0))


def test_the_head_on_the_depth_network_takes_any_ladder(untrained_head: Path) -> None:
    for count in (COUNT, 31):
        policy = make_policy("one-shot", positions=count, spot=SPOT, weights=str(untrained_head))
        policy.begin(Track(np.arange(count)), np.random.default_rng(0))
        (frame,) = frames(range(5, 6))
        end = policy.observe(frame)
        assert isinstance(end, Stop)
        assert 0 <= end.index < count


def test_the_head_is_asked_as_it_is_of_a_stack(untrained_head: Path) -> None:
    """The same slice, the same region, the same lens: the same answer."""
    (frame,) = frames(range(3, 4))
    assert frame.halves is not None
    light = torch.from_numpy(np.stack(frame.halves)).float()
    left, right = (to_display(half)[None, None, None] for half in light)
    images = to_display(light.mean(dim=0))[None, None, None].expand(-1, -1, 3, -1, -1)
    ladder = torch.linspace(0, 1, COUNT)[None]
    head = load_focus_network(untrained_head)
    with torch.inference_mode():
        seen = Seen(images, ladder[:, 3:4], ladder, (left, right))
        logits = head(seen, torch.tensor([[[0.0, 0, 32, 32]]]), torch.tensor([12.0]))[0, 0]
    policy = make_policy(
        "one-shot", positions=COUNT, spot=replace(SPOT, blur_px=12.0), weights=str(untrained_head)
    )
    policy.begin(Track(np.arange(COUNT)), np.random.default_rng(0))
    assert policy.observe(frame) == Stop(float(middle(shares(logits.numpy()))))
