import json
import re
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
import tifffile
from PIL import Image

import dff
from dff.formats.depth_files import check_depth_output, depth_outputs, read_depth, write_depth
from dff.stack import DepthMap, Unit

LADDERS = {
    "dioptre": np.array([0.0, 0.05, 0.3, 0.35, 1.0, 2.5]),
    "um": np.array([-40.0, -20.0, 0.0, 21.0, 44.0, 100.0]),
    "index": np.arange(6.0),
}
SUFFIXES = (".png", ".exr", ".npz", ".tif", ".tiff")


def make(
    unit: Unit = "dioptre", positions: np.ndarray | None = None, shape: tuple[int, int] = (17, 23)
) -> DepthMap:
    positions = LADDERS[unit] if positions is None else positions
    rng = np.random.default_rng(len(positions))
    index = rng.uniform(0, len(positions) - 1, shape).astype(np.float32)
    index[0, :2] = 0, len(positions) - 1
    valid = rng.random(shape) > 0.2
    valid[0, :2] = True
    return DepthMap(index, rng.random(shape), valid, positions, unit)


def half_step(depth: DepthMap) -> float:
    """Documented precision of the PNG in the unit: half a code, and the rounding of float32 values."""
    span = float(np.ptp(depth.positions))
    return 0.5 * span / 65534 + float(np.abs(depth.positions).max()) * 2.0**-23


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("unit", list(LADDERS))
def test_round_trip(tmp_path: Path, suffix: str, unit: Unit) -> None:
    depth = make(unit)
    files = write_depth(depth, tmp_path / f"depth{suffix}")
    assert sorted(tmp_path.iterdir()) == sorted(files)
    back = read_depth(files[0])
    known = depth.valid
    assert back.unit == unit
    assert np.array_equal(back.positions, depth.positions)
    assert np.array_equal(back.valid, known)
    if suffix in (".exr", ".npz"):
        assert np.array_equal(back.index, depth.index)
        assert np.array_equal(back.confidence, depth.confidence)
    elif suffix == ".png":
        assert np.abs(back.value - depth.value)[known].max() <= half_step(depth)
        assert np.array_equal(back.confidence, known.astype(np.float32))
        assert "not in the file" in back.info["confidence"]
    else:
        assert np.abs(back.value - depth.value)[known].max() <= np.abs(depth.positions).max() * 2.0**-22
        assert np.abs(back.index - depth.index)[known].max() <= 1e-4
        assert np.abs(back.confidence - depth.confidence).max() <= 0.5 / 65535 + 1e-7


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("count", [2, 3, 10, 100])
def test_any_number_of_slices(tmp_path: Path, suffix: str, count: int) -> None:
    depth = make("dioptre", np.cumsum(np.random.default_rng(count).uniform(0.01, 1, count)))
    back = read_depth(write_depth(depth, tmp_path / f"d{suffix}")[0])
    assert np.array_equal(back.positions, depth.positions)
    assert np.abs(back.value - depth.value)[depth.valid].max() <= half_step(depth)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_infinity_stays_infinity(tmp_path: Path, suffix: str) -> None:
    depth = make("dioptre")
    back = read_depth(write_depth(depth, tmp_path / f"d{suffix}")[0])
    assert depth.metres is not None
    assert back.metres is not None
    assert np.isposinf(depth.metres[0, 0])
    assert np.isposinf(back.metres[0, 0])
    assert back.metres[0, 1] == pytest.approx(0.4)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_falling_positions(tmp_path: Path, suffix: str) -> None:
    depth = make("um", LADDERS["um"][::-1])
    back = read_depth(write_depth(depth, tmp_path / f"d{suffix}")[0])
    assert np.abs(back.index - depth.index)[depth.valid].max() < 1e-3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_known_and_nan(tmp_path: Path, suffix: str) -> None:
    depth = make()
    depth.index[3, 3] = np.nan
    depth.valid[3, 3] = True
    assert not read_depth(write_depth(depth, tmp_path / f"d{suffix}")[0]).valid[3, 3]
    depth.valid[:] = False
    assert not read_depth(write_depth(depth, tmp_path / f"e{suffix}")[0]).valid.any()


def test_png_is_decoded_as_documented(tmp_path: Path) -> None:
    depth = make()
    files = write_depth(depth, tmp_path / "depth.png")
    assert files == [tmp_path / "depth.png", tmp_path / "depth.json"]
    about = json.loads(files[1].read_text(), parse_constant=lambda word: pytest.fail(word))
    code = cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED).astype(np.float64)
    assert np.array_equal(code == 0, ~depth.valid)
    dioptre = about["offset"] + about["scale"] * (code - 1)
    assert np.abs(dioptre - depth.value)[depth.valid].max() <= half_step(depth)
    assert about["unit"] == "dioptre"
    with Image.open(files[0]) as image:
        assert image.mode.startswith("I")
        text = image.text  # type: ignore[attr-defined]
    assert json.loads(text["dff"]) == about
    assert (float(text["scale"]), float(text["offset"])) == (about["scale"], about["offset"])
    assert text["unit"] == "dioptre"
    assert "metres = 1 / value" in text["to_metres"]


def test_png_survives_without_its_json_and_without_its_text(tmp_path: Path) -> None:
    depth = make()
    png, beside = write_depth(depth, tmp_path / "depth.png")
    words = beside.read_text()
    beside.unlink()
    expected = read_depth(png).index
    cv2.imwrite(str(png), cv2.imread(str(png), cv2.IMREAD_UNCHANGED))  # drops the text
    with pytest.raises(ValueError, match=r"no scale in its text, and no depth\.json"):
        read_depth(png)
    beside.write_text(words)
    assert np.array_equal(read_depth(png).index, expected)


def test_npz_holds_what_is_known_and_no_objects(tmp_path: Path) -> None:
    expected = {"index", "confidence", "valid", "focus", "unit", "about"}
    for unit, more in (("dioptre", {"dioptre", "metres"}), ("um", {"height_um"}), ("index", set())):
        depth = make(unit)  # type: ignore[arg-type]
        with np.load(write_depth(depth, tmp_path / f"{unit}.npz")[0], allow_pickle=False) as data:
            assert set(data.files) == expected | more
            assert str(data["unit"]) == unit
            assert np.array_equal(data["focus"], depth.positions)
            for name in more:
                assert np.array_equal(np.isnan(data[name]), ~depth.valid)
            if unit == "dioptre":
                inside = depth.valid & (data["dioptre"] > 0)
                assert np.allclose(data["metres"][inside] * data["dioptre"][inside], 1, atol=1e-6)


def test_exr_channels(tmp_path: Path) -> None:
    for unit, more in (("dioptre", {"dioptre"}), ("um", {"height_um"}), ("index", set())):
        depth = make(unit)  # type: ignore[arg-type]
        path = write_depth(depth, tmp_path / f"{unit}.exr")[0]
        with OpenEXR.File(str(path), separate_channels=True) as file:
            parts = {name: channel.pixels for name, channel in file.channels().items()}
            header = dict(file.header())
        assert set(parts) == {"Z", "index", "confidence", "valid"} | more
        expected = depth.metres if unit == "dioptre" else depth.value
        assert np.array_equal(parts["Z"], np.where(depth.valid, expected, np.nan), equal_nan=True)
        assert header["unit"] == unit
        assert json.loads(header["dff"])["focus"] == depth.positions.tolist()


def test_tif_opens_as_one_float_picture(tmp_path: Path) -> None:
    depth = make()
    path = write_depth(depth, tmp_path / "depth.tif")[0]
    value = tifffile.imread(path)
    assert value.dtype == np.float32
    assert np.array_equal(value, np.where(depth.valid, depth.value, np.nan), equal_nan=True)
    assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), value, equal_nan=True)
    with tifffile.TiffFile(path) as tiff:
        assert json.loads(tiff.pages.first.description)["unit"] == "dioptre"


def test_nothing_is_overwritten_silently(tmp_path: Path) -> None:
    depth = make()
    (tmp_path / "depth.json").write_text("mine")
    with pytest.raises(ValueError, match=r"depth\.json: exists: pass --overwrite"):
        write_depth(depth, tmp_path / "depth.png")
    assert [file.name for file in tmp_path.iterdir()] == ["depth.json"]
    for _ in range(2):
        write_depth(depth, tmp_path / "depth.png", overwrite=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["depth.json", "depth.png"]
    assert depth_outputs("x/depth.exr") == [Path("x/depth.exr")]
    assert check_depth_output(tmp_path / "a.npz") == [tmp_path / "a.npz"]
    with pytest.raises(ValueError, match=r"unknown suffix '\.jpg'"):
        write_depth(depth, tmp_path / "depth.jpg")


@pytest.mark.parametrize("positions", [[1.0, 1.0, 2.0], [0.0, 2.0, 1.0], [0.5], [0.0, np.nan]])
def test_bad_positions_leave_nothing(tmp_path: Path, positions: list[float]) -> None:
    flat = np.zeros((4, 4))
    depth = DepthMap(flat, flat, flat == 0, np.array(positions), "dioptre")
    with pytest.raises(ValueError, match="far_first"):
        write_depth(depth, tmp_path / "depth.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_foreign_and_damaged_files(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_depth(tmp_path / f"none{suffix}")
    good = write_depth(make(), tmp_path / f"good{suffix}")[0].read_bytes()
    bad = tmp_path / f"bad{suffix}"
    for content in (b"", b"not a depth file at all", good[: len(good) // 2]):
        bad.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"bad\.\w+: not a depth file written by dff, or damaged"
        ) as caught:
            read_depth(bad)
        assert "\n" not in str(caught.value)


def test_a_plain_picture_is_not_depth(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((5, 5, 3), np.uint8))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 5), np.float32))
    np.savez(tmp_path / "a.npz", other=np.zeros(3))
    OpenEXR.File({}, {"Z": np.zeros((5, 5), np.float32)}).write(str(tmp_path / "a.exr"))
    for suffix in (".png", ".tif", ".npz", ".exr"):
        with pytest.raises(ValueError, match="not a depth file written by dff"):
            read_depth(tmp_path / f"a{suffix}")
    with pytest.raises(ValueError, match="unknown suffix"):
        read_depth(tmp_path / "a.jpg")


def test_png_chunks_are_well_formed(tmp_path: Path) -> None:
    data = write_depth(make(), tmp_path / "depth.png")[0].read_bytes()
    at, names = 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(body)
        names.append(body[:4])
        at += 12 + length
    assert names[0] == b"IHDR"
    assert names[1] == b"tEXt"
    assert names[-1] == b"IEND"


def test_the_snippets_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(dff.__file__).parents[1] / "docs" / "writing.md"
    if not page.is_file():
        pytest.skip("docs/writing.md is not part of an installed wheel")
    depth = make()
    for suffix in (".png", ".npz", ".exr", ".tif"):
        write_depth(depth, tmp_path / f"depth{suffix}")
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert len(snippets) == 4
    for snippet in snippets:
        found: dict[str, np.ndarray] = {}
        with np.errstate(divide="ignore"):
            exec(snippet, found)
        with np.errstate(divide="ignore"):
            dioptre = 1 / found["metres"]
        assert np.array_equal(np.isnan(dioptre), ~depth.valid)
        assert np.abs(dioptre - depth.value)[depth.valid].max() <= 2 * half_step(depth)
