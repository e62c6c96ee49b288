"""The house itself: light imports, recipes in the wheel, short files, no machine's paths."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dff
from dff.recipes import KINDS

ROOT = Path(dff.__file__).parents[1]
HEAVY = ("numpy", "torch", "cv2", "scipy", "PIL", "kornia")
MAX_LINES = 350

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="needs the checkout")


def tracked_files() -> list[Path]:
    """Files git knows or would add; skips where there is no git checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize("module", ["dff", "dff.cli"])
def test_import_is_light(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not there")
    script = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_public_names_are_found_where_they_are_said_to_be() -> None:
    for name in dff.__all__:
        assert getattr(dff, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dff.nothing


def test_recipe_folders_travel_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for kind in KINDS:
        top = kind.split("/")[0]
        assert included[top] == f"dff/_recipes/{top}"
        assert (ROOT / top).is_dir()


def test_every_direct_dependency_is_pinned_within_its_range() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    pinned = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    for text in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), text


def test_no_file_is_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / "dff").rglob("*.py")}
    assert {str(path): lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_no_tracked_text_names_a_place_on_somebodys_machine() -> None:
    place = re.compile(rb"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/")
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" not in content and place.search(content):
            found.append(str(path.relative_to(ROOT)))
    assert found == []
