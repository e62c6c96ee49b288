"""`dff eval` from end to end, on miniatures of the data sets, by the command line."""

from __future__ import annotations

import csv
import importlib
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import dff.data.ddff12
import dff.data.zedd
from dff.cli import main
from dff.data.catalogue import NAMES
from dff.eval.baselines.methods import RIVALS
from dff.eval.dataset_protocol import KIND
from dff.recipes import recipe_names

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
sys.path.append(str(Path(__file__).parents[1] / "data"))
data_fakes = importlib.import_module("data_fakes")

PROTOCOLS = {
    "ddff12": ("ddff12_h5_val", "ddff12_dfv_split", "ddff12_official_test"),
    "defocusnet": ("defocusnet", "defocusnet_dfv"),
    "smartphone": (None,),
    "lightfield4d": (None,),
    "flyingthings3d": (None,),
    "middlebury": (None,),
    "mobile_depth": (None,),
    "nyuv2": ("nyuv2_hybrid", "nyuv2_dered", "nyuv2_d3net"),
    "zedd": ("zedd", "zedd_test"),
    "arkitscenes": (None,),
    "mdff": (None,),
    "folder": (None,),
    "rgbd": (None,),
}
WITHOUT_TRUTH = ("ddff12_official_test", "zedd_test", "mobile_depth")
CASES = [(name, protocol) for name, protocols in PROTOCOLS.items() for protocol in protocols]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of a miniature, written when it is first asked for."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            place = tmp_path_factory.mktemp(name)
            path = place / "data"
            made[name] = getattr(data_fakes, name)(path)
            if name == "ddff12":
                data_fakes.ddff12_frames(path)
        return made[name]

    return folder


def run(data: Any, name: str, *more: object, model: object = "sml", protocol: str | None = None) -> int:
    words = ["eval", "--dataset", name, "--data", data(name), "--model", model, *more]
    return main([str(word) for word in (*words, *(["--protocol", protocol] if protocol else []))])


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_data_sets_and_protocols_are_tried() -> None:
    assert sorted(PROTOCOLS) == sorted(NAMES)
    assert sorted(protocol or name for name, protocol in CASES) == list(recipe_names(KIND))


@pytest.mark.parametrize(("name", "protocol"), CASES)
def test_every_data_set(
    name: str, protocol: str | None, data: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(data, name, "--limit", 1, "--out", out, protocol=protocol) == 0
    said, label = capsys.readouterr().out, protocol or name
    assert f"protocol {label}: 1 of" in said
    assert "| sml " in said
    result = json.loads((out / f"{label}.json").read_text())
    (line,) = result["lines"]
    truth = label not in WITHOUT_TRUTH
    assert (line["method"], line["stacks"], line["scored"]) == ("sml", 1, int(truth))
    (row,) = lines(out / f"{label}.csv")
    for metric in set(result["protocol"]["metrics"]) - {"ause", "edge_error"}:
        assert float(row[metric]) == pytest.approx(line["scores"][metric], rel=1e-6)
        assert line["scores"][metric] >= 0
    assert float(row["cpu_s"]) >= 0
    assert (out / f"{label}.tex").read_text().count(r"\\") == (out / f"{label}.md").read_text().count(
        "\n| "
    ) - 1


class Flat(torch.nn.Module):
    """One depth for all pixels."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(value))

    def forward(self, images: torch.Tensor, focus: torch.Tensor) -> torch.Tensor:
        return images[:, 0, 0] * 0 + focus[:, :1, None] * 0 + self.value


def flat(path: Path, value: float) -> Path:
    torch.jit.trace(Flat(value), (torch.rand(1, 3, 3, 32, 32), torch.rand(1, 3))).save(str(path))
    return path


def test_the_figures_are_right_ddff(data: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    with h5py.File(data("ddff12") / "ddff-dataset-trainval.h5") as file:
        truth = file["disp_val"][:]
    error = np.abs(0.1 - truth[0][truth[0] != 0])
    model = flat(tmp_path / "flat.pt", 0.1)
    assert run(data, "ddff12", "--split", "h5_val", "--out", out, "--quiet", model=model) == 0
    assert capsys.readouterr().out == ""
    (line,) = json.loads((out / "ddff12_h5_val.json").read_text())["lines"]
    assert line["scores"]["mae"] == pytest.approx(error.mean(), abs=1e-6)
    assert line["scores"]["rmse"] == pytest.approx(np.sqrt((error**2).mean()), abs=1e-6)
    assert line["parameters"] == 1


def test_the_figures_are_right_smartphone(data: Any, tmp_path: Path) -> None:
    out, model = tmp_path / "out", flat(tmp_path / "flat.pt", 3.0)
    assert run(data, "smartphone", "--out", out, model=model) == 0
    (line,) = json.loads((out / "smartphone.json").read_text())["lines"]
    # one level but for the first pixel, which lies below the range
    error = abs(3 - (100 - 99.8 * 51 / 255) / 20)
    assert line["scores"]["weighted_mae"] == pytest.approx(error, abs=1e-6)
    assert line["scores"]["weighted_mse"] == pytest.approx(error**2, abs=1e-5)


def test_models_of_this_package_are_scored_side_by_side(data: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert (
        run(data, "ddff12", "--limit", 1, "--out", out, model="tiny,classical", protocol="ddff12_h5_val") == 0
    )
    tiny, classical = json.loads((out / "ddff12_h5_val.json").read_text())["lines"]
    assert (tiny["method"], classical["method"]) == ("tiny", "classical")
    assert tiny["parameters"] > 1e5 > classical["parameters"] == 0
    assert tiny["scores"]["ause"] is not None
    assert 0 <= tiny["scores"]["known"] <= 1


def test_a_run_goes_on_where_it_was(data: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, model = tmp_path / "out", flat(tmp_path / "flat.pt", 0.1)

    def again(*more: object, protocol: str = "ddff12_h5_val") -> str:
        assert run(data, "ddff12", "--out", out, *more, model=f"sml,{model}", protocol=protocol) == 0
        return capsys.readouterr().out

    assert "kept" not in again("--limit", 1)
    first = lines(out / "ddff12_h5_val.csv")
    said = again()
    assert "sml: 1 of 2 stacks kept from an earlier run" in said
    assert "flat: 1 of 2 stacks kept" in said
    both = lines(out / "ddff12_h5_val.csv")
    assert both[::2] == first  # to the last digit of the time it took: not computed again
    (rows,) = (out / "rows").glob("sml-*")
    rows.write_text(rows.read_text()[:-20])
    said = again()
    assert "sml: 1 of 2" in said
    assert "flat: 2 of 2" in said
    flat(model, 0.2)
    said = again()
    assert "sml: 2 of 2" in said
    assert "flat" not in said.split("##")[0]
    kept = [line["kept"] for line in json.loads((out / "ddff12_h5_val.json").read_text())["lines"]]
    assert kept == [2, 0]
    assert "kept" not in again("--overwrite")
    vis = tmp_path / "vis"
    assert "kept" not in again("--vis", vis)  # pictures that are missing have to be made
    assert "sml: 2 of 2" in again("--vis", vis)
    assert len(list((vis / "flat").glob("*.png"))) == 2


def test_predictions_are_saved_in_the_unit_of_the_protocol(data: Any, tmp_path: Path) -> None:
    model, saved = flat(tmp_path / "flat.pt", 2.0), tmp_path / "saved"
    assert run(data, "defocusnet", "--save-predictions", saved, model=model, protocol="defocusnet") == 0
    (path,) = saved.rglob("*.npz")
    assert path == saved / "flat" / "000400.npz"
    with np.load(path) as found:
        assert found["depth"] == pytest.approx(np.full((64, 64), 0.5))
        assert found["depth"].dtype == np.float32


def test_all_of_the_official_test_part_can_be_submitted(
    data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--save-predictions", tmp_path / "saved", "--json")
    assert run(data, "ddff12", *asked, protocol="ddff12_official_test") == 0
    told = capsys.readouterr()
    assert "nothing to submit" in told.err
    assert json.loads(told.out)["lines"][0]["scored"] == 0
    monkeypatch.setattr(dff.data.ddff12, "TEST_SCENES", ("lockeroom",))
    monkeypatch.setattr(dff.data.ddff12, "TEST_STACKS", 2)
    assert run(data, "ddff12", *asked, protocol="ddff12_official_test") == 0
    folder = tmp_path / "saved" / "sml" / "submission"
    assert np.load(folder / "lockeroom" / "DISP_0002.npy").shape == (12, 16)
    assert (folder / "runtime.txt").read_text().count("\n") == 2


def test_the_test_part_of_zedd_can_be_submitted(
    data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dff.data.zedd, "TEST_STACKS", 2)
    monkeypatch.setattr(dff.data.zedd, "TEST_SIZE", (32, 48))
    own = tmp_path / "own.toml"
    own.write_text('base = "zedd_test"\nheight = 32\ncrop = [32, 48]\n')
    assert run(data, "zedd", "--save-predictions", tmp_path / "saved", protocol=str(own)) == 0
    with zipfile.ZipFile(tmp_path / "saved" / "sml" / "submission.zip") as packed:
        assert packed.namelist() == ["zedd_output_0001.npy", "zedd_output_0002.npy"]
        depth = np.load(io.BytesIO(packed.read("zedd_output_0002.npy")))
    assert (depth.shape, depth.dtype) == ((32, 48), np.float32)
    assert 0.6 <= depth.min() <= depth.max() <= 9
    # a map of another size is refused, and nothing is left of it
    monkeypatch.setattr(dff.data.zedd, "TEST_SIZE", (32, 49))
    other = tmp_path / "other.zip"
    with pytest.raises(ValueError, match=r"other.zip: map 1 is not 49x32 px of finite metres above 0"):
        dff.data.zedd.write_submission(other, [depth])
    assert not other.exists()


def test_an_earlier_run_is_set_beside_this_one(
    data: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert run(data, "ddff12", "--out", one, protocol="ddff12_h5_val") == 0
    assert run(data, "ddff12", "--out", other, protocol="ddff12_dfv_split") == 0
    capsys.readouterr()
    assert run(data, "ddff12", "--compare", one, model="ddl", protocol="ddff12_h5_val") == 0
    said = capsys.readouterr().out
    assert f"measured ({one})" in said
    for where, more, message in (
        ("--compare", (other,), "figures of protocol ddff12_h5_val and of ddff12_dfv_split do not compare: "),
        ("--compare", (one, "--limit", 1), "is of 2 stacks, this run of 1"),
        ("--compare", (tmp_path,), "holds no results of dff eval"),
        ("--out", (other,), "choose another --out"),
        ("--out", (tmp_path,), "is not empty, and holds no results of dff eval"),
    ):
        assert run(data, "ddff12", where, *more, protocol="ddff12_h5_val") == 2
        told = capsys.readouterr().err
        assert message in told
        assert told.count("\n") == 1


def test_a_stack_with_nothing_to_score_is_left_out_and_told(
    data: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('base = "ddff12_h5_val"\nmask_range = [2.0, 3.0]\n')
    assert run(data, "ddff12", protocol=str(own)) == 0
    told = capsys.readouterr()
    assert "h5_val/0001: no true depth in the range of the protocol: left out" in told.err
    assert "2 stacks have no such pixel" in told.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "ddff12 is scored in ways that do not compare; choose --protocol from"),
        (("--protocol", "ddff12_h5_val,ddff12_dfv_split"), "figures of several protocols do not compare"),
        (("--protocol", "h5_val"), "no recipe 'h5_val'"),
        (("--protocol", "smartphone"), "is for smartphone, not for ddff12"),
        (("--split", "train"), "no protocol scores the split 'train' of ddff12"),
        (("--split", "h5_vall"), "no split 'h5_vall'"),
        (("--split", "h5_val", "--limit", "0"), "--limit 0: give 1 or more"),
        (("--split", "h5_val", "--model", "tiney"), "no such model"),
        (("--split", "h5_val", "--model", ","), "names no model"),
        (("--split", "h5_val", "--model", "gone.onnx"), "gone.onnx: no such file"),
        (("--split", "h5_val", "--data", "."), "holds no ddff-dataset-trainval.h5"),
        (("--split", "h5_val", "--data", "gone"), "gone: no such file or folder; ddff12 is expected as"),
        (("--dataset", "ddff"), "did you mean 'ddff12'"),
        (("--split", "h5_val", "--out", "gone/out"), "the folder gone does not exist"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    more: tuple[str, ...],
    message: str,
    data: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = data("ddff12")
    monkeypatch.chdir(tmp_path)
    words = {"--dataset": "ddff12", "--data": str(place), "--model": "sml"}
    words |= dict(zip(more[::2], more[1::2], strict=True))
    assert main(["eval", *(word for pair in words.items() for word in pair)]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("dff: error: ")
    assert told.count("\n") == 1


def test_help_names_every_rival(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["eval", "--help"])
    words = capsys.readouterr().out.replace(",", " ").split()
    assert set(RIVALS) <= set(words)


def test_a_wrong_tree_is_told(data: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--dataset", "zedd", "--split", "val", "--data", str(data("mdff"))]) == 2
    assert "zedd is expected as DIR/metadata.txt" in capsys.readouterr().err
