"""`stack.toml`: what a person knows about a stack, kept in its folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "stack.toml"
_POSITIONS = ("focus_m", "focus_dioptre", "z_um", "z_step_um")
_KEYS = (*_POSITIONS, "files", "lens")
_LENS = {"focal_length_mm": ("focal_length_m", 1e-3), "f_number": ("f_number", 1.0),
         "pixel_pitch_um": ("pixel_pitch_m", 1e-6), "breathing": ("breathing", 1.0)}  # fmt: skip


@dataclass(frozen=True)
class StackToml:
    """Contents of a `stack.toml`.

    Args:
        path: the file.
        key: which of focus_m, focus_dioptre, z_um, z_step_um is given, or "".
        values: its numbers, one per slice (z_step_um: just one).
        files: the slices in order, or empty for all pictures of the folder.
        lens: arguments of `Lens`, in metres; any subset.
    """

    path: Path
    key: str = ""
    values: tuple[float, ...] = ()
    files: tuple[Path, ...] = ()
    lens: dict[str, float] = field(default_factory=dict)


def read_stack_toml(folder: Path) -> StackToml | None:
    """Read `stack.toml` of a folder; None when there is none.

    Raises:
        ValueError: not TOML, unknown keys, wrong types, more than one kind of position.
        FileNotFoundError: a file it lists does not exist.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid TOML ({error})") from None
    _refuse_unknown(path, "", raw, _KEYS)
    given = [key for key in _POSITIONS if key in raw]
    if len(given) > 1:
        raise ValueError(f"{path}: gives {' and '.join(given)}; keep one of them")
    key = given[0] if given else ""
    values: tuple[float, ...] = ()
    if key == "z_step_um":
        values = (_number(path, key, raw[key]),)
        if not values[0] > 0:
            raise ValueError(f"{path}: z_step_um must be positive, got {values[0]:g}")
    elif key:
        values = tuple(_number(path, key, v) for v in _list(path, key, raw[key]))
    lens = raw.get("lens", {})
    if not isinstance(lens, dict):
        raise ValueError(f"{path}: lens must be a table, [lens]")
    _refuse_unknown(path, "lens.", lens, tuple(_LENS))
    parts = {_LENS[k][0]: _number(path, f"lens.{k}", v) * _LENS[k][1] for k, v in lens.items()}
    for word in lens:
        if word != "breathing" and not parts[_LENS[word][0]] > 0:
            raise ValueError(f"{path}: lens.{word} must be positive, got {lens[word]:g}")
    return StackToml(path, key, values, _files(path, raw), parts)


def _files(path: Path, raw: dict[str, Any]) -> tuple[Path, ...]:
    if "files" not in raw:
        return ()
    names = _list(path, "files", raw["files"])
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: files must be file names in quotes")
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: files names {next(n for n in names if names.count(n) > 1)} twice")
    for name in names:
        if not (path.parent / name).is_file():
            raise FileNotFoundError(f"{path}: files names {name}, which is not in the folder")
    return tuple(path.parent / name for name in names)


def _refuse_unknown(path: Path, prefix: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ValueError(f"{path}: unknown key {prefix}{unknown[0]}; known are {', '.join(known)}")


def _list(path: Path, key: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{path}: {key} must be a list with one entry per slice")
    return value


def _number(path: Path, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{path}: {key} must be a number, got {value!r}")
    return float(value)
