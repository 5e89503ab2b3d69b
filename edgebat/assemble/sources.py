"""The files of a corpus: found, known by their content, read once and kept beside the corpus in ``sources/``.

What a file holds is kept as arrays, so that a cell can be built anew when more of its files come, without the older ones.
The folder may be deleted; the files are then read again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from edgebat import __version__
from edgebat.arrays import Array
from edgebat.assemble.settings import AddSettings
from edgebat.data.corpus import read_arrays
from edgebat.data.readers.records import AmbiguousFile, Records, read_records
from edgebat.errors import DataError
from edgebat.files import atomic_write, sha256_bytes, sha256_file

FOLDER = "sources"
NO_DATA = (".md", ".pdf", ".png", ".jpg", ".jpeg", ".svg", ".html", ".yaml", ".yml", ".py", ".ipynb", ".docx", ".log~")
"""Endings of what lies in folders of measurements without being one."""
ARRAYS = ("time_s", "voltage_v", "current_a", "temperature_degc", "cycle", "step", "step_kind", "charge_ah",
          "discharge_ah")  # fmt: skip


@dataclass(frozen=True, order=True)
class Source:
    """A file by content. ``name`` is its path below the folder that was given, with forward slashes."""

    name: str
    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Duplicate:
    """A file whose content another one has."""

    name: str
    same_as: str


def find_sources(paths: Iterable[Path], skip: Sequence[str] = ()) -> tuple[list[Source], list[Duplicate]]:
    """All files below ``paths``, sorted by name, each content once. Raises DataError when there is none."""
    found: list[tuple[str, Path]] = []
    for path in paths:
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.is_file() and _is_data(p.relative_to(path)))
            found += [(p.relative_to(path).as_posix(), p) for p in below]
        elif path.is_file():
            found.append((path.name, path))
        else:
            raise DataError(f"{path} does not exist; give cycler files or a folder of them")
    # Files of one name in several folders are told apart by as much of their paths as it takes.
    named: dict[str, Path] = {}
    for name, path in found:
        longer = [name, *("/".join(path.parts[-n:]) for n in range(2, len(path.parts) + 1))]
        named[next(n for n in longer if named.get(n, path) == path)] = path
    named = {name: p for name, p in named.items() if not any(fnmatch(name, s) or fnmatch(p.name, s) for s in skip)}
    if not named:
        raise DataError(f"no file to read in {', '.join(map(str, paths))}; give cycler files or a folder of them")
    sources: dict[str, Source] = {}
    duplicates = []
    for name, path in named.items():
        digest = sha256_file(path)
        if digest in sources:
            duplicates.append(Duplicate(name, sources[digest].name))
        else:
            sources[digest] = Source(name, path, digest, path.stat().st_size)
    return list(sources.values()), duplicates


def _is_data(path: Path) -> bool:
    hidden = any(part.startswith((".", "~$", "__")) for part in path.parts)
    return not hidden and path.suffix.lower() not in NO_DATA


class SourceStore:
    """Reads files, each once."""

    def __init__(self, corpus: Path, settings: AddSettings, keep: bool = True) -> None:
        self.folder = corpus / FOLDER
        self.keep = keep
        self.read_now: dict[str, list[Records]] = {}
        self.settings = settings
        # Of cells in a table each may have a capacity of its own.
        self.nominal_ah = None if settings.cells else settings.nominal_ah
        asked = [__version__, settings.profile, dict(settings.answers), _text_of(settings.profile), self.nominal_ah]
        self.reading = sha256_bytes(json.dumps(asked, sort_keys=True).encode())[:8]

    def read(self, source: Source) -> list[Records]:
        """The channels of a file, from ``sources/`` when they are there. Raises what ``read_records`` raises."""
        kept = self._file(source.sha256, self.reading)
        if kept.is_file():
            return load_records(kept, source.name)
        found = self._read(source.path)
        if not found:
            raise DataError(f"{source.name} holds no samples")
        records = [replace(record, path=Path(source.name)) for record in found]
        if self.keep:
            save_records(kept, records)
        else:
            self.read_now[source.sha256] = records
        return records

    def _read(self, path: Path) -> list[Records]:
        """The channels of a file; the nominal capacity answers what would be asked without it, such as a unit."""
        profile, answers = self.settings.profile, self.settings.answers
        try:
            return read_records(path, profile, answers)
        except AmbiguousFile:
            if self.nominal_ah is None:
                raise
        return read_records(path, profile, {"nominal_ah": str(self.nominal_ah), **answers})

    def records(self, sha256: str, name: str, reading: str) -> list[Records]:
        """A file by content, read in this call or an earlier one with the mark ``reading``. Raises DataError when it is
        not kept."""
        if sha256 in self.read_now:
            return self.read_now[sha256]
        if (kept := self._file(sha256, reading)).is_file():
            return load_records(kept, name)
        raise DataError(
            f"{name} was added to this corpus before, its cell gets more files now, and what was read of it is no longer in "
            f"{self.folder}; give that file again together with the new ones"
        )

    def _file(self, sha256: str, reading: str) -> Path:
        return self.folder / f"{sha256[:24]}-{reading}.npz"


def _text_of(profile: str | None) -> str:
    return Path(profile).read_text(encoding="utf-8") if profile and Path(profile).is_file() else ""


def save_records(path: Path, records: Sequence[Records]) -> None:
    """Write the channels of one file as NumPy arrays."""
    arrays: dict[str, Array] = {}
    about = []
    for i, record in enumerate(records):
        arrays |= {f"{i}/{name}": values for name in ARRAYS if (values := getattr(record, name)) is not None}
        plain = {f.name: getattr(record, f.name) for f in fields(record) if f.name not in (*ARRAYS, "path")}
        about.append(plain | {"start": record.start and record.start.isoformat()})
    arrays["about"] = np.array(json.dumps(about))
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    atomic_write(path, stream.getvalue())


def _arrays_of(arrays: dict[str, Array], number: int) -> dict[str, Any]:
    return {name: arrays.get(f"{number}/{name}") for name in ARRAYS}


def load_records(path: Path, name: str) -> list[Records]:
    """What ``save_records`` wrote. Raises DataError."""
    arrays = read_arrays(path, "samples of a cycler file")
    try:
        about = json.loads(str(arrays["about"]))
        return [
            Records(
                path=Path(name),
                **_arrays_of(arrays, i),
                **plain
                | {
                    "start": datetime.fromisoformat(plain["start"]) if plain["start"] else None,
                    "guesses": tuple(plain["guesses"]),
                    "notes": tuple(plain["notes"]),
                },
            )
            for i, plain in enumerate(about)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it and add its file again") from None
