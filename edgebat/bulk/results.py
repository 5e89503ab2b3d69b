"""A folder of results: parquet parts that are written whole or not at all, each with a record of the logs it holds.

::

    OUT/job.json             what was done to the logs, with which model: another job does not go on here
    OUT/parts/*.parquet      rows, and in the metadata of the file a record per log
    OUT/logs.csv             the records of all logs, written at the end of every run

A log that has a record is finished, refused ones too, until its size or time changes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import DataError, require
from edgebat.files import Json, atomic_write, sha256_bytes

if TYPE_CHECKING:
    import pandas as pd

KEY = b"edgebat.logs"
"""Where a part's records stand in its metadata."""


@dataclass(frozen=True, order=True)
class Log:
    """A file below the folder of logs, as it was when it was looked at."""

    name: str
    """Path below the folder, with slashes."""
    size: int
    """Bytes."""
    time_ns: int
    """When it was changed."""


@dataclass(frozen=True)
class Record:
    """What became of a log."""

    name: str
    size: int
    time_ns: int
    rows: int
    """Rows that it gave."""
    error: str = ""
    """Why it gave none."""
    remarks: str = ""
    """How it was read: what was guessed, and what was left out."""

    @property
    def log(self) -> Log:
        """The log it is of."""
        return Log(self.name, self.size, self.time_ns)


@dataclass(frozen=True)
class Part:
    """Rows of some logs. columns: name -> [N], ``log`` among them."""

    columns: Mapping[str, Array]
    records: tuple[Record, ...]


class Results:
    """The folder ``OUT``; ``open`` makes it or goes on in it."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.arrow: Any = require("pyarrow", extra="data")
        self.parquet: Any = require("pyarrow.parquet", extra="data")

    def open(self, job: Json) -> None:
        """Go on in a folder of the same job, or begin. Raises DataError for a folder of another job."""
        file = self.folder / "job.json"
        if file.is_file():
            before = json.loads(file.read_text(encoding="utf-8"))
            differs = [name for name in {**before, **job} if before.get(name) != job.get(name)]
            if differs:
                seen = ", ".join(f"{name} {before.get(name)!r}, now {job.get(name)!r}" for name in differs)
                raise DataError(f"{self.folder} holds the results of another job: {seen}; give another folder: --out")
        elif self.folder.is_dir() and any(not path.name.startswith(".") for path in self.folder.iterdir()):
            raise DataError(f"{self.folder} holds files of something else; give an empty or new folder: --out")
        atomic_write(file, json.dumps(job, indent=1, sort_keys=True) + "\n")

    @cached_property
    def files(self) -> list[Path]:
        """The parts, sorted."""
        return sorted((self.folder / "parts").glob("*.parquet"))

    def records(self) -> dict[Path, tuple[Record, ...]]:
        """The records of each part. Raises DataError for a file that is no part."""
        return {file: self._records(file) for file in self.files}

    def _records(self, file: Path) -> tuple[Record, ...]:
        try:
            found = json.loads((self.parquet.read_schema(file).metadata or {})[KEY])
            return tuple(Record(**values) for values in found)
        except (OSError, ValueError, KeyError, TypeError, self.arrow.ArrowException) as error:
            raise DataError(
                f"{file} is not a part of these results: {error}; delete it to have its logs done"
            ) from None

    def unfinished(self, logs: Sequence[Log]) -> list[Log]:
        """Those without a record; rows of logs that changed since are taken out."""
        present = {log.name: log for log in logs}
        done: set[Log] = set()
        for file, records in self.records().items():
            stale = {r.name for r in records if r.name in present and present[r.name] != r.log}
            if stale:
                self._without(file, stale)
            done |= {r.log for r in records if r.name not in stale}
        return [log for log in logs if log not in done]

    def _without(self, file: Path, names: set[str]) -> None:
        table = self.parquet.read_table(file)
        keep = ~np.isin(table.column("log").to_numpy(zero_copy_only=False).astype(str), sorted(names))
        kept = table.filter(self.arrow.array(keep))
        records = [r for r in self._records(file) if r.name not in names]
        if records:
            self._write(file, kept, records)
        else:
            file.unlink()
        self.__dict__.pop("files", None)

    def add(self, part: Part) -> None:
        """Keep a finished part: all of it, or after a crash nothing."""
        name = sha256_bytes(json.dumps([asdict(record.log) for record in part.records]).encode())[:24]
        # Text is named as such: of a column without rows nobody could tell.
        text = self.arrow.string()
        columns = {k: self.arrow.array(v, text if v.dtype == object else None) for k, v in part.columns.items()}
        self._write(self.folder / "parts" / f"{name}.parquet", self.arrow.table(columns), part.records)
        self.__dict__.pop("files", None)

    def _write(self, file: Path, table: Any, records: Iterable[Record]) -> None:
        content = io.BytesIO()
        metadata = {**(table.schema.metadata or {}), KEY: json.dumps([asdict(record) for record in records]).encode()}
        self.parquet.write_table(table.replace_schema_metadata(metadata), content, compression="zstd")
        atomic_write(file, content.getvalue())

    def close(self) -> list[Record]:
        """Write ``logs.csv``; returns the records by name."""
        found = sorted((r for records in self.records().values() for r in records), key=lambda record: record.name)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([field.name for field in fields(Record)])
        writer.writerows([list(asdict(record).values()) for record in found])
        atomic_write(self.folder / "logs.csv", text.getvalue())
        return found

    def to_frame(self) -> pd.DataFrame:
        """All rows, sorted by log and in the order of each log. Raises DataError when there is none."""
        if not self.files:
            raise DataError(f"{self.folder} holds no results yet")
        table = self.arrow.concat_tables(
            [self.parquet.read_table(file).replace_schema_metadata() for file in self.files]
        )
        frame: pd.DataFrame = table.to_pandas().sort_values("log", kind="stable", ignore_index=True)
        return frame
