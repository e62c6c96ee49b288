"""Recipes: the TOML files that a person edits, found in the checkout, in the wheel, or at a path.

A recipe may start with ``base = "other"``: then it is that recipe plus the differences it states.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, overload

KINDS = (
    "train",
    "eval",
    "simulator/cameras",
    "simulator/scenes",
    "simulator/defocus",
    "eval/datasets",
    "weights",
)
"""What there are recipes for: the folder of the checkout that holds them."""

_PACKAGE = Path(__file__).parent
_Recipe = TypeVar("_Recipe")


def _folders(kind: str) -> list[Path]:
    if kind not in KINDS:
        raise ValueError(f"recipes: no kind {kind!r}; choose from {', '.join(KINDS)}")
    checkout = _PACKAGE.parent
    # an installed dff/ lies among other people's packages: a folder "train" beside it is not ours
    found = [checkout / kind] if (checkout / "pyproject.toml").is_file() else []
    return [*found, _PACKAGE / "_recipes" / kind]


def _known(kind: str) -> dict[str, Path]:
    """Recipe files of a kind by name; the checkout hides the wheel's copy."""
    files: dict[str, Path] = {}
    for folder in _folders(kind):
        for path in folder.glob("*.toml"):
            files.setdefault(path.stem, path)
    return files


def recipe_names(kind: str) -> tuple[str, ...]:
    """Names of the recipes of ``kind``, sorted.

    Raises:
        ValueError: an unknown kind.
    """
    return tuple(sorted(_known(kind)))


def _hint(word: str, known: list[str] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def find_recipe(kind: str, name: str | Path) -> Path:
    """The file of a recipe.

    Args:
        kind: one of `KINDS`.
        name: a known name, with or without ".toml", or the path of a file.

    Raises:
        ValueError: an unknown kind, or no such recipe; the message lists those that are known.
    """
    known = _known(kind)
    word = str(name).removesuffix(".toml")
    if word in known:
        return known[word]
    if Path(name).is_file():
        return Path(name)
    listing = f"{_hint(word, list(known))}known: {', '.join(sorted(known)) or 'none yet'}"
    raise ValueError(f"{kind}: no recipe {str(name)!r}; {listing}; or give the path of a file")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid TOML ({error})") from None


def _merge(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """``base`` with ``change`` on top: tables merge key by key, everything else is replaced."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _read_with_base(kind: str, path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    if path.resolve() in above:
        chain = " -> ".join(one.name for one in (*above, path))
        raise ValueError(f"{path}: the recipe is its own base ({chain}); remove one 'base'")
    text = _read(path)
    if "base" not in text:
        return text
    base = text.pop("base")
    if not isinstance(base, str):
        raise ValueError(f"{path}: 'base' must be the name of a recipe, got {base!r}")
    beside = path.parent / f"{base.removesuffix('.toml')}.toml"
    try:
        # a file of one's own may be called like the known recipe it changes
        own = beside.is_file() and beside.resolve() != path.resolve()
        base_path = beside if own else find_recipe(kind, base)
    except ValueError as error:
        raise ValueError(f"{path}: base: {error}") from None
    return _merge(_read_with_base(kind, base_path, (*above, path.resolve())), text)


def _type_name(kind: Any) -> str:
    return str(kind).removeprefix("typing.") if get_args(kind) else kind.__name__


class _MismatchError(Exception):
    """A value does not fit its type; carries the words of the type that was wanted."""


def _fit_sequence(value: Any, wanted: Any, key: str) -> Any:
    origin, inner = get_origin(wanted), get_args(wanted)
    if not isinstance(value, list):
        raise _MismatchError(_type_name(wanted))
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        if len(value) != len(inner):
            raise _MismatchError(f"{len(inner)} values")
        return tuple(_fit(v, t, f"{key}[{i}]") for i, (v, t) in enumerate(zip(value, inner, strict=True)))
    return origin(_fit(v, inner[0], f"{key}[{i}]") for i, v in enumerate(value))


def _fit_union(value: Any, wanted: Any, key: str) -> Any:
    for option in get_args(wanted):
        try:
            return _fit(value, option, key)
        except _MismatchError:
            continue
    options = (option for option in get_args(wanted) if option is not type(None))
    raise _MismatchError(" or ".join(_type_name(option) for option in options))


def _fit(value: Any, wanted: Any, key: str) -> Any:
    """``value`` as the type ``wanted``; ``key`` is its place in the recipe, for messages."""
    origin = get_origin(wanted)
    if wanted is Any:
        return value
    if origin in (Union, types.UnionType):
        return _fit_union(value, wanted, key)
    if origin is Literal:
        if value not in get_args(wanted):
            raise _MismatchError("one of " + ", ".join(map(repr, get_args(wanted))))
        return value
    if origin in (tuple, list):
        return _fit_sequence(value, wanted, key)
    if origin is dict or dataclasses.is_dataclass(wanted):
        if not isinstance(value, dict):
            raise _MismatchError("a table")
        if origin is dict:
            return {name: _fit(item, get_args(wanted)[1], f"{key}.{name}") for name, item in value.items()}
        return _fill(value, wanted, key)
    if wanted is Path and isinstance(value, str):
        return Path(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise _MismatchError(_type_name(wanted))
    return value


def _fill(table: dict[str, Any], into: Any, key: str = "") -> Any:
    """The dataclass ``into`` from the table at ``key``."""
    fields = {field.name: field for field in dataclasses.fields(into) if field.init}
    place = f"{key}." if key else ""
    for name in table:
        if name not in fields:
            raise ValueError(
                f"{place}{name}: unknown key; {_hint(name, list(fields))}known: {', '.join(fields)}"
            )
    hints = get_type_hints(into)
    values = {}
    for name, value in table.items():
        try:
            values[name] = _fit(value, hints[name], place + name)
        except _MismatchError as wanted:
            raise ValueError(f"{place}{name}: expected {wanted}, got {value!r}") from None
    for name, field in fields.items():
        no_default = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if name not in values and no_default:
            raise ValueError(f"{place}{name}: missing, and it has no default")
    try:
        return into(**values)
    except ValueError as error:
        raise ValueError(f"{key}: {error}" if key else str(error)) from None


@overload
def load_recipe(kind: str, name: str | Path) -> dict[str, Any]: ...


@overload
def load_recipe(kind: str, name: str | Path, into: None) -> dict[str, Any]: ...


@overload
def load_recipe(kind: str, name: str | Path, into: type[_Recipe]) -> _Recipe: ...


def load_recipe(kind: str, name: str | Path, into: type[_Recipe] | None = None) -> dict[str, Any] | _Recipe:
    """Read a recipe, with its base below it.

    Args:
        kind: one of `KINDS`.
        name: a known name or the path of a file.
        into: a dataclass, nested if need be, to fill; None returns the plain tables. Types understood:
            bool, int, float (an integer serves), str, Path, Literal, lists, tuples, dicts, unions and
            dataclasses of these.

    Raises:
        ValueError: no such recipe, invalid TOML, a base that is missing or circular, an unknown or missing
            key, a value of the wrong type, or one the dataclass itself refuses. File and key are named.
    """
    path = find_recipe(kind, name)
    text = _read_with_base(kind, path)
    if into is None:
        return text
    try:
        return _fill(text, into)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
