"""What the tests of the commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOCUS = "3,2,1.5,1.2,1,0.8"  # metres, far first


def strict(text: str) -> Any:
    """JSON without NaN and Infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def files_in(folder: str | Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())
