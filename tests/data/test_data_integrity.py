"""What is wrong with a data set is told in one line: trees, keys, truncated files, depth, order of slices."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import data_fakes
import h5py
import numpy as np
import pytest

from dff.cli import main
from dff.data.catalogue import NAMES, find_dataset, open_dataset
from dff.data.order import check_order, order_correlation
from dff.data.sample import DepthSample, Truth
from dff.simulator.camera_prior import CameraPrior
from dff.simulator.capture import SimulationConfig, simulate
from dff.train.__main__ import main as train

SPLITS = [(name, split) for name in NAMES for split in find_dataset(name).splits]
H5_FILES = (
    ("ddff12", "train", "ddff-dataset-trainval.h5", "stack_train"),
    ("ddff12", "h5_val", "ddff-dataset-trainval.h5", "disp_val"),
    ("ddff12", "official_test", "ddff-dataset-test.h5", "stack_test"),
    ("ddff12", "dfv_split", "my_ddff_trainVal.h5", "disp_val"),
    ("lightfield4d", "val", "HCI_FS_trainval.h5", "focus_position_disp"),
    ("mdff", "test", "mDFF-dataset_cropped_clipped.h5", "disp_test"),
    ("nyuv2", "d3net", "nyu_depth_v2_labeled.mat", "depths"),
)


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], Path]:
    """``fake(name, place)``: a miniature of its own, copied from one that is written once."""
    made: dict[str, Path] = {}

    def copied(name: str, place: Path) -> Path:
        if name not in made:
            made[name] = getattr(data_fakes, name)(tmp_path_factory.mktemp(name) / "data")
            if name == "ddff12":
                data_fakes.ddff12_frames(made[name])
        return Path(shutil.copytree(made[name], place / "data"))

    return copied


def told(call: Callable[[], object]) -> str:
    """The message of what ``call`` raises, of one line."""
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_an_empty_folder(name: str, split: str, tmp_path: Path) -> None:
    message = told(lambda: open_dataset(name, tmp_path, split))
    assert str(tmp_path) in message
    assert "expected" in message or "keep them as" in message


@pytest.mark.parametrize("name", NAMES)
def test_a_file_in_place_of_a_folder(name: str, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("no data set")
    assert str(path) in told(lambda: open_dataset(name, path, find_dataset(name).splits[0]))


@pytest.mark.parametrize(("name", "split", "file", "key"), H5_FILES)
def test_hdf5_that_is_cut_short_or_lacks_a_key(
    name: str, split: str, file: str, key: str, fake: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    path = fake(name, tmp_path) / file
    with h5py.File(path, "r+") as whole:
        whole.move(key, "something_else")
    message = told(lambda: open_dataset(name, path.parent, split)[0].truth())
    assert f"{path}: holds no array {key!r}, only" in message
    whole_bytes = path.read_bytes()
    for share in (0.9, 0.1):
        short = tmp_path / f"{share}" / file  # a file of its own: HDF5 holds on to those that are open
        short.parent.mkdir()
        short.write_bytes(whole_bytes[: int(share * len(whole_bytes))])
        message = told(lambda short=short: open_dataset(name, short.parent, split))
        assert f"{short}: cannot be opened as HDF5" in message
        assert "truncated" in message


def _h5(file: str, key: str, k: int = 0) -> Callable[[Path, float], None]:
    def spoil(folder: Path, value: float) -> None:
        with h5py.File(folder / file, "r+") as whole:
            whole[key][k] = value

    return spoil


def _exr(path: str, *channels: str) -> Callable[[Path, float], None]:
    def spoil(folder: Path, value: float) -> None:
        shape = (504, 378) if "conf" in path else (64, 80) if "disp" in path else (64, 64)
        data_fakes.write_exr(folder / path, **dict.fromkeys(channels, np.full(shape, value, np.float32)))

    return spoil


def _png(path: str, height: int, width: int) -> Callable[[Path, float], None]:
    def spoil(folder: Path, value: float) -> None:
        data_fakes.write_picture(folder / path, np.zeros((height, width), np.uint16))

    return spoil


def _npy(path: str) -> Callable[[Path, float], None]:
    def spoil(folder: Path, value: float) -> None:
        np.save(folder / path, np.full((32, 48), value, np.float32))

    return spoil


NAN_AND_ZERO, ZERO, NAN = (
    (np.nan, 0.0),
    (0.0,),
    (np.nan,),
)  # integers know no NaN; signed disparities may be 0
SPOILED = {
    ("ddff12", "train"): (_h5("ddff-dataset-trainval.h5", "disp_train"), NAN_AND_ZERO),
    ("ddff12", "dfv_split"): (_h5("my_ddff_trainVal.h5", "disp_val"), NAN_AND_ZERO),
    ("defocusnet", "train"): (_exr("fs_6/000000Dpt.exr", "R", "G", "B"), NAN_AND_ZERO),
    ("smartphone", "test"): (
        _exr("test/merged_conf/home1_0_0/result_merged_conf_center.exr", "R", "G", "B"),
        NAN_AND_ZERO,
    ),
    ("lightfield4d", "val"): (_h5("HCI_FS_trainval.h5", "disp_val"), NAN),
    ("flyingthings3d", "val"): (
        _exr("FlyingThings3D_FS/val/focal_stack/0000000/disp.exr", "Y"),
        NAN_AND_ZERO,
    ),
    ("middlebury", "test"): (_exr("Middlebury_FS/focal_stack/Adirondack/disp.exr", "Y"), NAN_AND_ZERO),
    ("nyuv2", "hybrid_test"): (_png("test/kitchen_0001/sync_depth_00045.png", 480, 640), ZERO),
    ("nyuv2", "dered_test"): (_png("test_depth/0001.png", 480, 640), ZERO),
    ("nyuv2", "d3net"): (_h5("nyu_depth_v2_labeled.mat", "depths"), NAN_AND_ZERO),
    ("zedd", "val"): (_npy("val/000/gt/depth.npy"), NAN_AND_ZERO),
    ("arkitscenes", "val"): (
        _png("upsampling/Validation/47334105/highres_depth/47334105_93033.275.png", 384, 512),
        ZERO,
    ),
    ("mdff", "test"): (_h5("mDFF-dataset_cropped_clipped.h5", "disp_test", 1), NAN_AND_ZERO),
}
SIMULATED = ("folder", "rgbd")  # their depth is the simulator's, and checked by its own tests
WITHOUT_TRUTH = ("mobile_depth",)


def test_depth_of_every_data_set_is_spoiled() -> None:
    assert {name for name, _ in SPOILED} | {*SIMULATED, *WITHOUT_TRUTH} == set(NAMES)


@pytest.mark.parametrize(("name", "split"), SPOILED)
def test_depth_that_is_nowhere_known(
    name: str, split: str, fake: Callable[[str, Path], Path], tmp_path: Path
) -> None:
    spoil, values = SPOILED[name, split]
    k = 1 if name == "mdff" else 0
    for value in values:
        folder = fake(name, tmp_path / f"{value}")
        spoil(folder, value)
        message = told(lambda folder=folder: open_dataset(name, folder, split)[k].truth())
        assert str(folder) in message
        assert any(words in message for words in ("holds no depth", "trusts no pixel", "no valid depth"))


# --- order of slices -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def textured() -> DepthSample:
    """A simulated stack, aligned, with its truth."""
    config = SimulationConfig(size=(64, 64), camera=CameraPrior(max_coc_px=(12.0, 12.0)))
    made = simulate(config, 3)
    truth = Truth(made.dioptre, made.valid)
    return DepthSample("made", list(made.stack.slices), made.focus, "dioptre", lambda: truth)


def test_the_order_shows_in_the_sharpest_slice(textured: DepthSample) -> None:
    truth = textured.truth()
    assert order_correlation(textured, truth) > 0.5
    check_order(textured, truth)
    turned = replace(textured, images=textured.images[::-1])
    assert order_correlation(turned, truth) < -0.5
    with pytest.raises(ValueError, match=r"^made: slices lie in the wrong order: .*turn the order"):
        check_order(turned, truth)


def test_a_scene_that_tells_nothing_of_the_order(textured: DepthSample) -> None:
    truth = textured.truth()
    grey = replace(textured, images=[np.full((64, 64, 3), 90, np.uint8)] * len(textured))
    wall = Truth(np.full((64, 64), 1.5, np.float32), np.ones((64, 64), bool))
    assert np.isnan(order_correlation(grey, truth))
    assert np.isnan(order_correlation(textured, wall))
    noise = replace(textured, images=list(data_fakes.pictures(0, len(textured), 64, 64)))
    assert abs(order_correlation(noise, truth)) < 0.4
    check_order(noise, truth)


def _as_ddff(folder: Path, sample: DepthSample, *, turned: bool) -> Path:
    """The stack as a file of DDFF 12-Scene, where the near slice must come first."""
    truth = sample.truth().depth
    far, near = sample.focus[[0, -1]]
    disparity = 0.020177 + (truth - far) / (near - far) * (0.282475 - 0.020177)
    order = slice(None) if turned else slice(None, None, -1)
    with h5py.File(folder / "ddff-dataset-trainval.h5", "w") as file:
        for part in ("train", "val"):
            file[f"stack_{part}"] = np.stack(sample.images)[order][None]
            file[f"disp_{part}"] = disparity[None].astype(np.float64)
    return folder


def test_a_swapped_order_is_refused_by_evaluation_and_training(
    textured: DepthSample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--dataset", "ddff12", "--data", str(tmp_path)]
    evaluation = ["eval", *words, "--protocol", "ddff12_h5_val", "--model", "sml", "--quiet"]
    _as_ddff(tmp_path, textured, turned=False)
    assert main(evaluation) == 0
    _as_ddff(tmp_path, textured, turned=True)
    capsys.readouterr()
    assert main(evaluation) == 2
    message = capsys.readouterr().err
    assert "h5_val/0000: slices lie in the wrong order" in message
    assert message.count("\n") == 1
    assert train([*words, "--out", str(tmp_path / "run"), "--steps", "1"]) == 2
    message = capsys.readouterr().err
    assert "train/0000: slices lie in the wrong order" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_data_set_without_truth_cannot_be_trained_on(
    fake: Callable[[str, Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fake("mobile_depth", tmp_path)
    assert train(["--dataset", "mobile_depth", "--data", str(folder), "--out", str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err
    assert "mobile_depth" in message
    assert message.count("\n") == 1
