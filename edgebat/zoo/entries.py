"""What the zoo holds. A student is a folder with an ``entry.json``, a teacher a file beside others of its system; the
listing of the folders is the registry. NumPy only.

::

    export/zoo/students/<name>/   <name>.ebat, .tflite, .onnx   golden.json   card.md   entry.json
    export/zoo/teachers/<system>/   <name>.safetensors   card.md
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from edgebat.errors import EdgebatError, ModelFileError
from edgebat.files import Json
from edgebat.paths import TEACHERS_HINT, students_dir, teachers_dir

ENTRY = "entry.json"


@dataclass(frozen=True)
class Entry:
    """One model of the zoo, as its ``entry.json`` or the header of its file has it."""

    name: str
    """``health-lstm-small``; of a teacher ``ic2ml/tongji``."""
    task: str
    family: str
    """Of students, or ``teacher``."""
    weights: int
    bytes: int
    """Of the model's own file, ``.ebat`` or ``.safetensors``."""
    data: str
    """What it has learnt from, in a few words."""
    error: float | None = None
    """The figure that models of its task are ranked by, on cells held out."""
    error_of: str = ""
    """Its unit and what it is: ``pp SOH RMSE``."""
    fingerprint: str = ""
    """Of a student's integers."""
    files: Mapping[str, str] = field(default_factory=dict)
    """File -> sha256; of a teacher "", for pip has checked what it installed."""
    folder: Path = Path()

    @property
    def model(self) -> Path:
        """The model's own file."""
        (name,) = (name for name in self.files if name.endswith((".ebat", ".safetensors")))
        return self.folder / name

    def to_row(self) -> Json:
        """What ``edgebat zoo list --json`` says of it."""
        left_out = ("files", "folder")
        return {key: value for key, value in vars(self).items() if key not in left_out} | {"files": sorted(self.files)}


def students() -> list[Entry]:
    """The ready students, by name. Raises ModelFileError for an entry that cannot be read."""
    return [_student(path) for path in sorted(students_dir().glob(f"*/{ENTRY}"))]


def teachers() -> list[Entry]:
    """The trained teachers, by name; none where they are not installed. Raises ModelFileError."""
    return [_teacher(path) for path in sorted(teachers_dir().glob("*/*.safetensors"))]


def find(name: str) -> Entry:
    """The student or teacher ``name``. Raises EdgebatError that lists the names there are."""
    there = {entry.name: entry for entry in [*students(), *teachers()]}
    if name in there:
        return there[name]
    near = difflib.get_close_matches(name, there, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(there) or 'none'}."
    missing = "" if teachers_dir().is_dir() or "/" not in name else f" {TEACHERS_HINT}"
    raise EdgebatError(f"the zoo has no model {name!r}{hint}{missing}")


def _student(path: Path) -> Entry:
    try:
        return Entry(**json.loads(path.read_text(encoding="utf-8")), folder=path.parent)
    except (OSError, ValueError, TypeError) as error:
        raise ModelFileError(f"{path} is no entry of the zoo: {error}; install edgebat again") from None


def _teacher(path: Path) -> Entry:
    try:
        with path.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        origin = json.loads(header.pop("__metadata__")["edgebat"])["provenance"]
        weights = sum(prod(tensor["shape"]) for tensor in header.values())
        task = origin["task"]["name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{path} is not a teacher's file: {error!r}; {TEACHERS_HINT}") from None
    data = ", ".join(origin.get("datasets", ())) or origin.get("variant") or origin.get("source") or "made-up curves"
    return Entry(
        name=f"{path.parent.name}/{path.stem}",
        task=task,
        family="teacher",
        weights=weights,
        bytes=path.stat().st_size,
        data=str(data).removeprefix("corpus data: "),
        files={path.name: "", "card.md": ""},
        folder=path.parent,
    )
