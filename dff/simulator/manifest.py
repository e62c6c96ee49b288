"""The manifest of a folder of simulated stacks: every setting, so that a run can go on and none are mixed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from dff.formats.png import strict_json
from dff.formats.safe_write import atomic_path
from dff.simulator.stack_files import SCHEMA

NAME = "manifest.json"
_STACK = re.compile(r"\d{6,}")
_ABSENT = object()


def stack_name(index: int) -> str:
    """Folder of stack ``index``."""
    return f"{index:06d}"


def write_manifest(manifest: dict[str, Any], folder: Path) -> None:
    """Write the manifest into an existing folder; the same manifest gives the same bytes."""
    with atomic_path(folder / NAME) as temporary:
        temporary.write_text(strict_json(manifest, indent=1) + "\n", encoding="ascii")


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a folder that `dff simulate` writes.

    Raises:
        FileNotFoundError: no such folder, or no manifest in it.
        ValueError: damaged, or of another version.
    """
    path = Path(folder) / NAME
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give a folder that dff simulate wrote")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON ({error}); simulate into another folder") from None
    found = manifest.get("schema") if isinstance(manifest, dict) else None
    if found != SCHEMA:
        raise ValueError(f"{path}: schema {found}, this dff reads {SCHEMA}; simulate the stacks again")
    return dict(manifest)


def simulated_folders(folder: str | Path) -> list[Path]:
    """Folders of the whole stacks in a folder that `dff simulate` writes, in order; a run may still go on.

    Raises:
        FileNotFoundError, ValueError: as `read_manifest`.
    """
    read_manifest(folder)
    found = [path for path in Path(folder).iterdir() if _STACK.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def check_same(old: Any, new: Any, path: Path, key: str = "") -> None:
    """Refuse to mix stacks of different settings.

    Raises:
        ValueError: names the first key that differs.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*new, *(name for name in old if name not in new)]:
            check_same(old.get(name, _ABSENT), new.get(name, _ABSENT), path, f"{key}.{name}" if key else name)
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        raise ValueError(
            f"{path}: its stacks were made with another {key}: {_told(old)} there, {_told(new)} now; "
            "repeat the settings, or choose another folder"
        )


def _told(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
