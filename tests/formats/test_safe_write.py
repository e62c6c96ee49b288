import os
import stat
import tempfile
from pathlib import Path

import pytest

from dff.formats.safe_write import atomic_path, check_folder, check_output

SUFFIXES = (".png", ".exr")


def test_good_outputs_pass_and_leave_nothing(tmp_path: Path) -> None:
    assert check_output(tmp_path / "a.png", SUFFIXES) == tmp_path / "a.png"
    assert check_output(str(tmp_path / "A.EXR"), SUFFIXES) == tmp_path / "A.EXR"
    assert check_folder(tmp_path / "new") == tmp_path / "new"
    assert check_folder(tmp_path) == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("a.xyz", ValueError, r"unknown suffix '\.xyz'.*\.png, \.exr"),
        ("plain", ValueError, r"unknown suffix ''.*\.png, \.exr"),
        ("missing/a.png", FileNotFoundError, "missing does not exist; create it"),
        ("file.txt/a.png", ValueError, "file.txt is a file, not a folder"),
        ("folder", ValueError, r"is a folder; give a file name that ends in \.png"),
        ("folder.png", ValueError, "is a folder"),
        ("there.png", ValueError, "exists: pass --overwrite or choose another name"),
    ],
)
def test_bad_outputs_are_named(tmp_path: Path, name: str, error: type[Exception], words: str) -> None:
    for file in ("file.txt", "there.png"):
        (tmp_path / file).write_text("mine")
    for folder in ("folder", "folder.png"):
        (tmp_path / folder).mkdir()
    with pytest.raises(error, match=words) as caught:
        check_output(tmp_path / name, SUFFIXES)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert (tmp_path / "there.png").read_text() == "mine"


def test_overwrite_is_granted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("old")
    assert check_output(tmp_path / "a.png", SUFFIXES, overwrite=True) == tmp_path / "a.png"


def _refuse(*args: object, **options: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", _refuse)
    with pytest.raises(ValueError, match=r"cannot write in .* \(Permission denied\)"):
        check_output(tmp_path / "a.png", SUFFIXES)
    with pytest.raises(ValueError, match="cannot write in"):
        check_folder(tmp_path)
    with pytest.raises(ValueError, match="cannot write in"):
        check_folder(tmp_path / "new")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder even root cannot write: /proc")
def test_the_check_holds_for_root_too() -> None:
    with pytest.raises(ValueError, match="cannot write in /proc"):
        check_output("/proc/a.png", SUFFIXES)


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("mine")
    with pytest.raises(ValueError, match="is a file, a folder is needed"):
        check_folder(tmp_path / "file.txt", overwrite=True)
    with pytest.raises(ValueError, match="not empty: pass --overwrite"):
        check_folder(tmp_path)
    assert check_folder(tmp_path, overwrite=True) == tmp_path
    with pytest.raises(FileNotFoundError, match="create it first"):
        check_folder(tmp_path / "no" / "where")
    with pytest.raises(ValueError, match="is a file, not a folder"):
        check_folder(tmp_path / "file.txt" / "new")


def test_atomic_path_renames_on_success(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_text("old")
    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".png"
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_atomic_path_leaves_nothing_on_failure(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "a.png"
    target.write_text("old")

    def spoil() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        spoil()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="umask is of POSIX")
def test_atomic_path_obeys_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "a.png") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="symbolic links need a privilege elsewhere")
def test_atomic_path_writes_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_text("old")
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    with atomic_path(tmp_path / "link.png") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").read_text() == "new"
