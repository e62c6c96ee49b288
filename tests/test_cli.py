"""The command line: help, what is loaded, and how things end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dff
from dff.cli import main
from dff.commands import verbs


@pytest.mark.parametrize("chosen", ["", "ACTIVE"])
def test_threads_sleep_while_they_wait_unless_the_user_has_chosen(
    chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", chosen)
    if not chosen:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    assert main(["--version"]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == (chosen or "PASSIVE")


@pytest.mark.parametrize("argv", [["--help"], [], ["predict", "--help"]])
def test_help_loads_nothing_heavy(argv: list[str]) -> None:
    script = (
        "import sys\nfrom dff.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'cv2', 'torch', 'PIL', 'rich'} & set(sys.modules)\nprint('heavy:', *heavy)"
    )
    run = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, check=True)
    assert run.stdout.rstrip().endswith("heavy:")
    assert ("--focus" if argv[:1] == ["predict"] else "predict") in run.stdout


def test_help_is_quick() -> None:
    def cpu_s() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "dff", "--help"], capture_output=True, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    # 0.2 s when the machine has nothing else to do
    assert min(cpu_s() for _ in range(3)) < 0.5


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dff {dff.__version__}\n"


def test_python_m_dff(stairs: Path) -> None:
    run = subprocess.run([sys.executable, "-m", "dff", "info", "stairs"], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert "6 slices" in run.stdout


def test_predict_loads_only_what_it_needs(stairs: Path) -> None:
    script = (
        "import sys\nfrom dff.cli import main\nassert main(sys.argv[1:]) == 0\n"
        "heavy = {'torch', 'kornia', 'trimesh', 'OpenEXR', 'scipy', 'imageio', 'rich', 'av', 'rawpy'}\n"
        "print('heavy:', *(heavy & set(sys.modules)))"
    )
    argv = ["predict", str(stairs), "--model", "classical", "--out", "d.png", "--aif", "a.jpg", "--quiet"]
    run = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, check=True)
    assert run.stdout == "heavy:\n"


def _raising(error: BaseException) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        raise error

    return run


def test_ctrl_c_is_one_line_and_leaves_nothing(
    stairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], snapshot: Callable
) -> None:
    before = snapshot()
    with monkeypatch.context() as patch:
        patch.setattr(verbs, "run_predict", _raising(KeyboardInterrupt()))
        assert main(["predict", str(stairs), "--out", "d.png", "--save-steps", "steps"]) == 130
    assert capsys.readouterr() == ("", "dff: interrupted\n")
    assert snapshot() == before
    monkeypatch.setattr("dff.formats.depth_files.encode_png", _raising(KeyboardInterrupt()))
    assert main(["predict", str(stairs), "--out", "d.png"]) == 130
    assert snapshot() == before


def test_what_is_finished_stays_when_a_later_output_fails(
    stairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = OSError(28, "No space left on device", "m.glb")
    monkeypatch.setattr("dff.formats.mesh._glb_bytes", _raising(full))
    assert main(["predict", str(stairs), "--out", "d.npz", "--mesh", "m.glb", "--report", "r.json"]) == 2
    assert capsys.readouterr().err == "dff: error: m.glb: No space left on device\n"
    assert {path.name for path in Path().iterdir()} == {"d.npz", "stairs"}


def test_lack_of_memory_is_one_line(
    stairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verbs, "run_predict", _raising(MemoryError()))
    assert main(["predict", str(stairs)]) == 1
    assert capsys.readouterr().err == "dff: error: not enough memory; use fewer or smaller pictures\n"


@pytest.mark.parametrize("error", [KeyError("x"), np.linalg.LinAlgError("singular"), AssertionError()])
def test_faults_of_dff_surface(error: Exception, stairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "run_predict", _raising(error))
    with pytest.raises(type(error)):
        main(["predict", str(stairs)])


def test_a_user_error_surfaces_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFF_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        main(["info", "nowhere"])


def test_a_typo_gets_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "stairs", "--alignd", "x"]) == 2
    err = capsys.readouterr().err
    assert "perhaps you meant --align" in err
    assert "see dff predict --help" in err


def test_cuda(
    stairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], snapshot: Callable
) -> None:
    import torch

    before = snapshot()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["predict", str(stairs), "--device", "cuda"]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert snapshot() == before
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert main(["predict", str(stairs), "--model", "classical", "--device", "cuda", "--quiet"]) == 0
    assert "--device cuda is ignored" in capsys.readouterr().err
