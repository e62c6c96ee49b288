"""Which files make the stack."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from dff.formats.read import read_stack
from dff.formats.select import natural_order, numbered_series, pattern, resolve


def _names(files):
    return [file.name for file in files]


def _touch(folder: Path, names):
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def test_natural_order():
    names = ["img10.jpg", "IMG2.jpg", "img1.jpg", "img1.5.jpg"]
    assert _names(natural_order(map(Path, names))) == ["img1.jpg", "img1.5.jpg", "IMG2.jpg", "img10.jpg"]


def test_patterns_ignore_case_sign_decimals_and_spelling_of_the_suffix():
    assert pattern(Path("IMG_0.35m.JPEG")) == pattern(Path("img_1m.jpg"))
    assert pattern(Path("z-12um.tif")) == pattern(Path("z0um.tiff"))
    assert pattern(Path("expected.jpg")) != pattern(Path("pcb_1.jpg"))


def test_series_keeps_most_and_names_the_others():
    files = [Path(f"pcb_{k}.jpg") for k in range(3)] + [Path("expected.jpg"), Path("depth_0.png")]
    kept, others = numbered_series(files)
    assert kept == files[:3]
    assert others == files[3:]


def test_no_series_keeps_all():
    files = [Path("far.jpg"), Path("mid.jpg"), Path("near1.jpg"), Path("near2.jpg")]
    assert numbered_series(files) == (files, [])


def test_raw_twins_are_left_out():
    files = [Path(f"IMG_{k}.{s}") for k in range(3) for s in ("dng", "jpg")]
    kept, others = numbered_series(files)
    assert {p.suffix for p in kept} == {".jpg"}
    assert {p.suffix for p in others} == {".dng"}


def test_folder_ignores_what_is_no_picture(save_stack):
    folder = save_stack(["s1.png", "s2.png", "s10.png"])
    _touch(folder, [".hidden1.png", "._s1.png", "LICENSE", "LICENSE.md", "notes.txt", "depth.json", "t.npy"])
    (folder / "s3.png").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_stack(folder).names == ("s1.png", "s2.png", "s10.png")


def test_folder_leaves_out_results_with_one_warning(save_stack):
    folder = save_stack(["s1.png", "s2.png", "s3.png", "depth.png", "expected.jpg"])
    with pytest.warns(UserWarning, match=r"left out.*depth\.png, expected\.jpg") as seen:
        stack = read_stack(folder)
    assert stack.names == ("s1.png", "s2.png", "s3.png")
    assert len(seen) == 1
    assert len(read_stack(folder, series=False)) == 5


@pytest.mark.parametrize("as_path", [str, Path])
def test_glob(save_stack, as_path):
    folder = save_stack(["s1.png", "s2.png", "s10.png", "t1.jpg"])
    assert read_stack(as_path(folder / "s*.png")).names == ("s1.png", "s2.png", "s10.png")


def test_glob_without_a_match(tmp_path):
    with pytest.raises(FileNotFoundError, match="no picture or video matches"):
        read_stack(str(tmp_path / "*.jpg"))


def test_brackets_in_a_real_folder_name_are_no_glob(save_stack):
    assert len(read_stack(save_stack(["1.png", "2.png"], folder="stack[1]"))) == 2


def test_shell_expanded_list_is_put_in_natural_order(save_stack):
    folder = save_stack(["s1.png", "s2.png", "s10.png", "result.jpg"])
    (folder / "README.md").write_text("x")
    expanded = sorted(str(p) for p in folder.iterdir())
    with pytest.warns(UserWarning, match=r"left out.*result\.jpg"):
        assert read_stack(expanded).names == ("s1.png", "s2.png", "s10.png")


def test_list_in_its_own_order_is_kept(save_stack):
    folder = save_stack(["a.png", "s2.png", "s10.png"])
    chosen = [folder / n for n in ("s10.png", "a.png", "s2.png")]
    assert _names(resolve(chosen)) == ["s10.png", "a.png", "s2.png"]


def test_explicit_part_of_a_folder_keeps_every_file(save_stack):
    folder = save_stack(["last.png", "s1.png", "s2.png", "s3.png"])
    chosen = [folder / n for n in ("last.png", "s1.png", "s2.png")]
    assert _names(resolve(chosen)) == ["last.png", "s1.png", "s2.png"]


def test_same_file_name_in_numbered_folders(save_stack, tmp_path):
    for k in range(3):
        folder = save_stack(["x.png", "result.png"][: 2 if k else 1], folder=str(k))
        (folder / "x.png").rename(folder / "slice.png")
        (folder / "slice.png").write_bytes(_png(k))
    stack = read_stack(str(tmp_path / "*" / "slice.png"))
    assert stack.names == ("0/slice.png", "1/slice.png", "2/slice.png")


def _png(k):
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (8, 6), (k * 20, 0, 0)).save(file, "png")
    return file.getvalue()


def test_missing_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such file or folder"):
        read_stack(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"b\.png: no such file"):
        read_stack([tmp_path / "a.png", tmp_path / "b.png"][::-1])


def test_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no picture or video in this folder"):
        read_stack(tmp_path)
    (tmp_path / "one").mkdir()
    with pytest.raises(FileNotFoundError, match="it has the folders one: give one of them"):
        read_stack(tmp_path)


def test_one_picture(save_stack):
    folder = save_stack(["only.png"])
    for source in (folder, folder / "only.png", [folder / "only.png"], str(folder / "*.png")):
        with pytest.raises(ValueError, match=r"only one picture.*at least 2 slices"):
            read_stack(source)


def test_other_bad_sources(save_stack, tmp_path):
    folder = save_stack(["a1.png", "a2.png"])
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match=r"notes\.txt: files of this kind \(\.txt\) are not read"):
        read_stack(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="empty list"):
        read_stack([])
    with pytest.raises(ValueError, match="a folder among 2 paths"):
        read_stack([folder, folder / "a1.png"])
    _touch(folder, ["b.mp4"])
    with pytest.raises(ValueError, match="a video among 3 files"):
        read_stack([folder / "b.mp4", folder / "a1.png", folder / "a2.png"])
