"""Results of single stacks, kept in a folder so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import dff
from dff.eval.baselines.methods import Method, hashed
from dff.eval.dataset_protocol import DatasetProtocol, check_same
from dff.eval.dataset_score import Scores
from dff.eval.spent import Spent
from dff.formats.safe_write import atomic_path, check_folder

_PROTOCOL = "protocol.json"


@dataclass(frozen=True)
class Row:
    """One stack by one method: ``scores`` is empty where there is nothing to score."""

    stack: str
    scores: Scores
    spent: Spent

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; what is not finite becomes null."""
        scores = {name: value if math.isfinite(value) else None for name, value in self.scores.items()}
        return {"stack": self.stack, "scores": scores, "spent": asdict(self.spent)}


def row_from(plain: dict[str, Any]) -> Row:
    """The inverse of `Row.as_dict`."""
    scores = {name: math.nan if value is None else value for name, value in plain["scores"].items()}
    return Row(plain["stack"], scores, Spent(**plain["spent"]))


def file_name(name: str) -> str:
    """A name as that of a file."""
    return re.sub(r"[^\w.-]+", "_", name)


@cache
def code_hash() -> str:
    """Hash of this package's own code: what other code found is not taken for what this code finds."""
    root = Path(dff.__file__).parent
    files = sorted(root.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


class Kept:
    """The folder of one protocol on one data set; a file of rows for every set of weights or settings.

    Args:
        folder: missing, empty, or of an earlier run of the same protocol.
        name: of the protocol.
        data: the data set's folder.
        overwrite: forget rows of earlier runs.

    Raises:
        ValueError: the folder holds something else, or results of another protocol.
        FileNotFoundError: its parent does not exist.
    """

    def __init__(
        self, folder: Path, name: str, protocol: DatasetProtocol, data: Path, *, overwrite: bool = False
    ) -> None:
        self.folder, self.protocol, self.data, self.overwrite = folder, protocol, data, overwrite
        self._mark = {"protocol": name, "settings": protocol.settings()}
        if (folder / _PROTOCOL).is_file():
            found = json.loads((folder / _PROTOCOL).read_text(encoding="utf-8"))
            remedy = f"{folder} holds those of {found['protocol']}: choose another --out"
            check_same(name, protocol.settings(), found["protocol"], found["settings"], remedy)
            return
        try:
            check_folder(folder)
        except ValueError as error:
            if folder.is_dir() and any(folder.iterdir()):
                raise ValueError(
                    f"{folder}: is not empty, and holds no results of dff eval; choose another --out"
                ) from None
            raise error

    def begin(self) -> None:
        """Make the folder; do so before `rows` and `add`."""
        (self.folder / "rows").mkdir(parents=True, exist_ok=True)
        with atomic_path(self.folder / _PROTOCOL) as temporary:
            temporary.write_text(json.dumps(self._mark, indent=1) + "\n", encoding="utf-8")

    def _file(self, method: Method) -> Path:
        key = hashed(code_hash(), self.protocol.fingerprint, method.fingerprint, self.data.resolve())
        return self.folder / "rows" / f"{file_name(method.name)}-{key}.jsonl"

    def rows(self, method: Method) -> dict[str, Row]:
        """What is kept of a method by stack; a line that was cut short does not count."""
        path = self._file(method)
        if self.overwrite:
            path.unlink(missing_ok=True)
        found = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                row = row_from(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue
            found[row.stack] = row
        return found

    def add(self, method: Method, row: Row) -> None:
        """Keep a row, written out at once."""
        with self._file(method).open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(row.as_dict()))
