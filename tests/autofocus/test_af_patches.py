"""Simulated patches, networks from files, decisions."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from dff.autofocus.inputs import metered
from dff.autofocus.load import decide
from dff.autofocus.models import AutofocusConfig, AutofocusNet, from_start
from dff.data.af_open import open_patches
from dff.data.af_patches import SimulatedPatches, coded, decoded
from dff.simulator.patch_set import PatchSetConfig, nearest, simulate_patches
from dff.train.autofocus_patches import main, photos_of, scene_seed

SMALL = PatchSetConfig(size=32, region=64, least_snr=0.0)


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> SimulatedPatches:
    out = tmp_path_factory.mktemp("patches") / "test.h5"
    told = ["--split", "test", "--scenes", "2", "--size", "32", "--region", "64"]
    assert main([str(out), *told]) == 0
    return SimulatedPatches(out)


def test_code_is_finer_than_noise() -> None:
    light = np.linspace(0, 1, 1001)
    assert np.abs(decoded(coded(light)) - light).max() < 1 / 255
    dark = np.linspace(0, 0.01, 101)
    assert np.abs(decoded(coded(dark)) - dark).max() < 5e-4
    np.testing.assert_array_equal(coded(decoded(np.arange(256))), np.arange(256))


def test_file_of_patches(patches: SimulatedPatches) -> None:
    assert patches.count == 49
    assert patches.size == (32, 32)
    assert patches.frame == (1512, 2016)
    assert len(patches.left) == len(patches)
    assert np.all(np.diff(patches.focus) > 0)
    assert np.abs(patches.centre).max() <= 1
    frames = patches.frames(0, np.array([3, 30]))
    assert frames.shape == (2, 2, 32, 32)
    np.testing.assert_array_equal(patches.stack(0)[[3, 30]], frames)
    for patch in range(len(patches)):
        dioptre = float(np.median(patches.depth(patch)))
        assert dioptre == pytest.approx(float(patches.dioptre[patch]), abs=0.01)
        assert patches.index[patch] == nearest(float(patches.dioptre[patch]), patches.true_focus[patch])
        assert patches.ladder_index[patch] == nearest(float(patches.dioptre[patch]), patches.focus)
    np.testing.assert_array_equal(
        patches.matrices[:, patches.reference], np.tile(np.eye(2, 3), (len(patches), 1, 1))
    )


def test_a_run_that_was_stopped_goes_on(
    tmp_path: Path, patches: SimulatedPatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dff.simulator.patch_set as simulator

    real, calls = simulator.simulate_patches, []

    def once(*arguments: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(simulator, "simulate_patches", once)
    told = [str(tmp_path / "t.h5"), "--split", "test", "--scenes", "2", "--size", "32", "--region", "64"]
    with pytest.raises(KeyboardInterrupt):
        main(told)
    assert not (tmp_path / "t.h5").exists()
    assert main([*told, "--seed", "1"]) == 2  # other settings
    assert main(told) == 0
    assert len(calls) == 3
    found = SimulatedPatches(tmp_path / "t.h5")
    np.testing.assert_array_equal(found.left, patches.left)
    np.testing.assert_array_equal(found.scene, patches.scene)
    assert [path.name for path in tmp_path.iterdir()] == ["t.h5"]


def test_scenes_depend_on_their_seed_alone() -> None:
    one, same, other = (simulate_patches(SMALL, seed) for seed in (5, 5, 6))
    assert len(one) == len(same) == 4
    assert all(np.array_equal(a.left, b.left) and a.index == b.index for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0].left, other[0].left)
    seeds = {scene_seed(0, split, k) for split in ("train", "val", "test") for k in range(50)}
    assert len(seeds) == 150


def test_halves_part_by_the_signed_blur() -> None:
    """Nearer than the focus, the right half shows things farther to the right."""
    patch = max((p for seed in range(3) for p in simulate_patches(SMALL, seed)), key=lambda p: p.snr)

    def shift(k: int) -> float:
        left, right = (np.float32(half[k] - half[k].mean()) for half in (patch.left, patch.right))
        return cv2.phaseCorrelate(left, right, cv2.createHanningWindow((32, 32), cv2.CV_32F))[0][0]

    far, near = max(patch.index - 5, 0), min(patch.index + 5, 48)
    assert shift(far) > shift(near)


def test_photographs_of_splits_are_apart() -> None:
    from dff.simulator.photos import PhotoPack

    random = torch.Generator().manual_seed(0)
    tiles = torch.randint(0, 256, (20, 3, 32, 32), generator=random, dtype=torch.uint8)
    pack = PhotoPack(tiles, tuple(f"p{k:02d}" for k in range(20)))
    parts = [photos_of(pack, split) for split in ("train", "val", "test")]
    names = [set(part.credits) for part in parts if part is not None]
    assert len(names) == 3
    assert sum(map(len, names)) == len(set.union(*names))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["x.h5", "--scenes", "0"], "1 or more scenes"),
        (["x.h5", "--size", "8"], "32 or more"),
        (["x.h5", "--camera", "random_camera"], "no camera model"),
        (["x.txt"], "unknown suffix"),
        (["x.h5", "--photos", "nowhere"], "no such photographs"),
    ],
)
def test_settings_that_cannot_be(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / options[0]), *options[1:]]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="autofocus_patches makes one"):
        open_patches(tmp_path, "train")
    with pytest.raises(ValueError, match="no split 'all'"):
        open_patches(tmp_path, "all")
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["left"] = np.zeros(3)
    with pytest.raises(ValueError, match="holds no autofocus patches"):
        open_patches(tmp_path, "train")
    (tmp_path / "val.h5").write_bytes(b"no")
    with pytest.raises(ValueError, match="cannot be opened as HDF5"):
        open_patches(tmp_path, "val")


def test_metered_light_does_not_know_the_exposure() -> None:
    light = torch.rand(2, 3, 2, 8, 8) * 0.4 + 0.05
    torch.testing.assert_close(metered(light), metered(2 * light), atol=2e-3, rtol=0)
    assert torch.equal(metered(torch.zeros(1, 2, 4, 4)), -torch.ones(1, 2, 4, 4))
    halves = metered(torch.stack([torch.full((4, 4), 0.2), torch.full((4, 4), 0.6)]))
    assert halves[1].mean() > halves[0].mean()  # they stay comparable


def test_a_decision_is_the_networks(patches: SimulatedPatches) -> None:
    torch.manual_seed(0)
    network = AutofocusNet(AutofocusConfig(problem="I2", width=0.1, light="metered")).eval()
    where, index = (100, 50), np.array([4, 5])
    chance = decide(network, patches.frames(0, index), index, where, patches.frame)
    assert chance.shape == (49,)
    assert chance.sum() == pytest.approx(1, abs=1e-5)
    from dff.autofocus.inputs import roi_planes

    place = roi_planes(torch.tensor([where]), patches.size, patches.frame)
    stack = torch.from_numpy(patches.stack(0)).sum(dim=1, keepdim=True)[None]
    with torch.no_grad():
        logits = from_start(network, stack, torch.tensor([4]), place)
    np.testing.assert_allclose(chance, torch.softmax(logits[0], 0).numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("index", "corner", "message"),
    [
        ([48, 49], (0, 0), "ladder has 0 to 48"),
        ([1, 2, 3], (0, 0), "3 indices"),
        ([1, 2], (2000, 0), "leaves the picture"),
        ([1, 2], (-1, 0), "leaves the picture"),
    ],
)
def test_decisions_about_nothing(
    index: list[int], corner: tuple[int, int], message: str, patches: SimulatedPatches
) -> None:
    network = AutofocusNet(AutofocusConfig(problem="D2", width=0.1)).eval()
    with pytest.raises(ValueError, match=message):
        decide(network, patches.frames(0, np.array([1, 2])), np.array(index), corner, patches.frame)
