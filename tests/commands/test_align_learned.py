"""Alignment by a network: in the pipeline, and as `--align network --aligner WEIGHTS`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from told import FOCUS, strict

from dff.camera import Lens
from dff.classical import motion
from dff.classical.align import align_stack
from dff.classical.alignment import Alignment
from dff.cli import main
from dff.learned_alignment import VIEWS, between, load_aligner
from dff.model.align_slices import network_matrices
from dff.model.alignment import AlignmentConfig, AlignmentNetwork
from dff.pipeline import align, predict
from dff.stack import FocalStack
from dff.weights import FORMAT

SMALL = AlignmentConfig(channels=4, iterations=(1, 1, 1))


@pytest.fixture
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    header = {"format": FORMAT, "network": "alignment", "config": json.dumps(asdict(SMALL)), "info": "{}"}
    save_file(AlignmentNetwork(SMALL).state_dict(), path, header)
    return path


@pytest.fixture
def shifted() -> FocalStack:
    """Three slices, near first, each one pixel to the right of the one before."""
    coarse = torch.rand(1, 3, 12, 15, generator=torch.Generator().manual_seed(0))
    picture = torch.nn.functional.interpolate(coarse, size=(72, 92), mode="bicubic", align_corners=False)
    picture = picture.clamp(0, 1)[0].permute(1, 2, 0).numpy()
    return FocalStack(
        [np.ascontiguousarray(picture[4:68, 6 - k : 86 - k]) for k in range(3)], [3.0, 2.0, 1.0]
    )


def test_the_network_gives_the_start_and_the_direct_method_polishes(
    untrained: Path, shifted: FocalStack
) -> None:
    ordered, raw = align(shifted, method="network-only", aligner=str(untrained), reference="last")
    wanted = network_matrices(load_aligner(str(untrained)).network, ordered, 2, VIEWS)
    np.testing.assert_allclose(raw.matrices, wanted, atol=1e-9)
    assert raw.method == "network-only"
    aligner = load_aligner(str(untrained), "cpu")
    for method in ("network", "auto"):
        found = align(shifted, method=method, aligner=aligner, reference="last")[1]
        assert found.method == "network"
        # an untrained network says that nothing moved; polished, it is heard in part
        start = network_matrices(aligner.network, ordered, 1, VIEWS)
        polished = align_stack(ordered, "direct", reference="last", start=start)
        assert polished.shift_px[:, 0] == pytest.approx([2, 1, 0], abs=0.2)
        np.testing.assert_allclose(found.matrices, between(polished, start).matrices, atol=1e-9)
    result = predict(shifted, align="network", aligner=aligner, aif=False)
    assert result.report()["alignment"] == "network"
    assert align(shifted)[1].method == "direct"


def moved(x: float, rotation_deg: float = 0.0) -> np.ndarray:
    return motion.about_centre(1.0, np.deg2rad(rotation_deg), (x, 0.0), (100, 128))


def test_networks_are_heard_where_both_differ_plainly_but_not_wildly() -> None:
    flags = ("reference", "ok", "ok", "ok", "poor")
    matrices = np.array([moved(0), moved(1.0), moved(2.0), moved(5.0), moved(1.0)])
    found = Alignment(matrices, 0, (100, 128), "direct", flags, np.zeros(5))
    start = np.array([moved(3), moved(3 + 1.1), moved(3 + 3.0), moved(3 - 2.0), moved(3 + 2.0)])
    told = between(found, start).shift_px[:, 0]  # the network's are seen from a frame 3 px off
    assert told == pytest.approx([0, 1.0, 2 + 0.6 * (1 - 0.3**2) * (1 - 1 / 36), 5.0, 1.0], abs=1e-9)
    turned = replace(found, matrices=np.array([moved(0), moved(1), moved(2, 0.5), moved(3), moved(1)]))
    assert between(turned, start) is turned


def test_what_is_plain_grows_with_the_picture() -> None:
    size = (400, 512)
    at = [motion.about_centre(1.0, 0.0, (x, 0.0), size) for x in (0.0, 4.0, 4.3, 6.0)]
    found = Alignment(np.array([at[0], at[1]]), 0, size, "direct", ("reference", "ok"), np.zeros(2))
    assert between(found, np.array([at[0], at[2]])).shift_px[1, 0] == pytest.approx(4.0)
    drawn = 0.6 * (1 - 0.3**2) * (1 - 1 / 36)
    assert between(found, np.array([at[0], at[3]])).shift_px[1, 0] == pytest.approx(4 + 2 * drawn)


def test_on_the_command_line(stairs: Path, untrained: Path) -> None:
    options = ["--align", "network-only", "--aligner", str(untrained), "--report", "r.json", "--quiet"]
    assert main(["align", str(stairs), *options]) == 0
    assert strict(Path("r.json").read_text())["alignment"] == "network-only"
    options = ["--aligner", str(untrained), "--device", "cpu", "--focus", FOCUS, "--out", "d.npz"]
    assert main(["predict", str(stairs), *options, "--report", "p.json", "--quiet"]) == 0
    assert strict(Path("p.json").read_text())["alignment"] == "network"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--align direct --aligner {}", "align direct: uses no aligner"),
        ("--align network --aligner gone.safetensors", "no such name or .safetensors file"),
        ("--align network --aligner {} --reference 9", "--reference 9: give auto, first"),
    ],
)
def test_refused(
    options: str, message: str, stairs: Path, untrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["align", str(stairs), *options.format(untrained).split()]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "Traceback" not in told


def test_without_weights_that_ship_one_must_be_named(
    shifted: FocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dff.learned_alignment.known_weights", dict)
    with pytest.raises(ValueError, match="no alignment weights ship with dff yet"):
        align(shifted, method="network")


def test_a_lens_that_does_not_fit_is_told_and_not_used(untrained: Path, shifted: FocalStack) -> None:
    lens = Lens(focal_length_m=0.5, f_number=2.0, pixel_pitch_m=1e-5)
    stack = FocalStack(shifted.slices, shifted.focus, lens)
    with pytest.warns(UserWarning, match="the lens does not fit"):
        found = align(stack, method="network-only", aligner=str(untrained))[1]
    without = align(shifted, method="network-only", aligner=str(untrained))[1]
    assert np.array_equal(found.matrices, without.matrices)
