"""Thousands of logs, shard by shard: whoever works, whatever is killed, every log is done once and the rows are the same."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgebat import __version__
from edgebat.bulk.results import Log, Part, Record, Results
from edgebat.bulk.work import Shared, evaluate_logs, predict_logs
from edgebat.errors import DataError
from edgebat.files import Json, sha256_bytes
from edgebat.graph import IntGraph
from edgebat.lock import only_one
from edgebat.tasks.base import FileOptions, task_of
from edgebat.workers import Workers, workers

if TYPE_CHECKING:
    import pandas as pd

WORK: Mapping[str, Callable[[Shared, Sequence[Log]], Part]] = {"predict": predict_logs, "evaluate": evaluate_logs}


@dataclass(frozen=True)
class Effort:
    """Who works, and in which pieces."""

    jobs: int = 1
    """Processes of this machine, without Ray."""
    ray: str = ""
    """``local`` or the address of a cluster; its nodes find the logs under the same path."""
    shard: int = 64
    """Logs that are done together: what a killed worker does again."""


@dataclass(frozen=True)
class Job:
    """What is done to the logs."""

    work: str
    """``predict`` or ``evaluate``."""
    graph: IntGraph
    logs: Path
    """Folder of logs; those in folders below it count too."""
    out: Path
    """Folder of results."""
    how: FileOptions = field(default_factory=FileOptions)
    last: bool = False
    nominal_ah: Mapping[str, float] | None = None
    """By log."""

    def to_json(self) -> Json:
        """What must be the same when it goes on."""
        return {
            "work": self.work,
            "model": self.graph.fingerprint,
            "model_states": sha256_bytes(json.dumps(self.graph.meta, sort_keys=True, default=str).encode())[:16],
            "edgebat": __version__,
            "nominal_ah": self.how.nominal_ah,
            "columns": list(self.how.mapping),
            "sign": self.how.sign,
            "max_gap_ms": self.how.max_gap_ms,
            "chemistry": self.how.chemistry,
            "last": self.last,
            "nominal_ah_by_log": dict(self.nominal_ah or {}),
        }


@dataclass(frozen=True)
class BulkResult:
    """What a run over logs came to."""

    folder: Path
    task: str
    work: str
    records: tuple[Record, ...]
    """Of every log, those of earlier runs too."""
    done_now: int
    """Logs that were done in this run."""
    seconds: float
    """This run's."""

    @property
    def refused(self) -> tuple[Record, ...]:
        """Logs that gave no rows, with the reason."""
        return tuple(record for record in self.records if record.error)

    def to_frame(self) -> pd.DataFrame:
        """All rows, sorted by log."""
        return Results(self.folder).to_frame()

    def to_json(self) -> Json:
        """Counts and, of an evaluation, the spread of the errors over logs."""
        rows = sum(record.rows for record in self.records)
        found: Json = {"out": str(self.folder), "logs": len(self.records), "refused": len(self.refused), "rows": rows,
                       "done_now": self.done_now, "seconds": round(self.seconds, 2)}  # fmt: skip
        return found | ({"errors": self._errors()} if self.work == "evaluate" and rows else {})

    def _errors(self) -> Json:
        frame = self.to_frame()
        names = [name for name in frame.columns if name not in ("log", "seen", "windows")]
        shares = {"median": 0.5, "worst_tenth": 0.9, "worst": 1.0}
        return {name: {k: float(np.nanquantile(frame[name], q)) for k, q in shares.items()} for name in names
                if frame[name].notna().any()}  # fmt: skip

    def text(self) -> str:
        """A few lines for a person."""
        counts = self.to_json()
        lines = [f"{counts['logs']} logs, {counts['refused']} refused, {counts['rows']} rows; {self.done_now} logs in "
                 f"{self.seconds:.1f} s now"]  # fmt: skip
        for name, each in counts.get("errors", {}).items():
            lines.append(f"{name:<24} median {each['median']:.3f}   90 % of logs below {each['worst_tenth']:.3f}   "
                         f"worst {each['worst']:.3f}")  # fmt: skip
        for record in self.refused[:5]:
            lines.append(f"refused {record.name}: {record.error}")
        if len(self.refused) > 5:
            lines.append(f"and {len(self.refused) - 5} more: {self.folder / 'logs.csv'}")
        return "\n".join([*lines, f"rows {self.folder / 'parts'}   logs {self.folder / 'logs.csv'}"])


def run_logs(
    job: Job,
    effort: Effort = Effort(),
    watch: Callable[[int, int], None] = lambda done, of: None,
    hands: Workers[Shared, Sequence[Log], Part] | None = None,
) -> BulkResult:
    """Do the logs that are not done yet. watch hears of the logs that are done and of all. hands: who works, made from
    ``effort`` unless given.

    Raises DataError for a folder without files, results of another job or capacities of unknown logs, FolderBusy,
    MissingExtra.
    """
    started = time.perf_counter()
    results = Results(job.out)
    logs = logs_in(job.logs, job.out)
    _check_named(job, logs)
    with only_one(job.out, "--out FOLDER"):
        results.open(job.to_json())
        waiting = results.unfinished(logs)
        done = len(logs) - len(waiting)
        shards = [waiting[at : at + effort.shard] for at in range(0, len(waiting), effort.shard)]
        watch(done, len(logs))
        if shards:
            with hands or workers(WORK[job.work], min(effort.jobs, len(shards)), effort.ray) as them:
                them.share(Shared(job.graph, job.logs.resolve(), job.how, job.last, job.nominal_ah))
                for _, part in them.run(shards):
                    results.add(part)
                    done += len(part.records)
                    watch(done, len(logs))
        records = results.close()
    name = task_of(job.graph.meta.get("task"), f"model {job.graph.name!r}")[0].name
    seconds = time.perf_counter() - started
    return BulkResult(job.out, name, job.work, tuple(records), len(waiting), seconds)


def _check_named(job: Job, logs: Sequence[Log]) -> None:
    """Raises DataError when a capacity is stated for a log that is not there, and a default would silently replace it."""
    unknown = sorted(set(job.nominal_ah or {}) - {log.name for log in logs})
    if unknown and job.how.nominal_ah is not None:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise DataError(
            f"a capacity is given for {unknown[0]}{more}, not in {job.logs}, and {job.how.nominal_ah:g} Ah for all others: "
            "a log under another name would be taken for one of these. Name each by its path below the folder, as "
            f"{logs[0].name}, or give no capacity for all others"
        )


def logs_in(folder: Path, out: Path) -> list[Log]:
    """The files in a folder and below it, sorted by name; hidden ones and the results are no logs. Raises DataError when
    there is none."""
    own = out.resolve()
    found = []
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        if path.is_file() and not any(p.startswith(".") for p in inside.parts) and own not in path.resolve().parents:
            stat = path.stat()
            found.append(Log(inside.as_posix(), stat.st_size, stat.st_mtime_ns))
    if not found:
        raise DataError(f"there is no log in {folder}")
    return sorted(found)


def nominal_by_log(file: Path) -> dict[str, float]:
    """Log -> Ah, out of a CSV with the columns ``log`` (path below the folder of logs) and ``nominal_ah``. Raises
    DataError."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return {row["log"]: float(row["nominal_ah"]) for row in csv.DictReader(stream)}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(f"{file} cannot be read as a CSV with log and nominal_ah: {error!r}") from None
