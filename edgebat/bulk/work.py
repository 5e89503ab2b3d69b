"""What a worker does: logs in, rows out. NumPy's runtime; a log that cannot be read costs itself alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgebat.arrays import Array
from edgebat.bulk.results import Log, Part, Record
from edgebat.cells import seen_cells
from edgebat.errors import EdgebatError
from edgebat.estimates import device_estimates
from edgebat.evaluate import scored
from edgebat.graph import IntGraph
from edgebat.models import predict_int8, run_cells
from edgebat.predict import predict_file, predict_windows
from edgebat.tasks.base import FileOptions, task_of

Columns = Mapping[str, Array]


@dataclass(frozen=True)
class Shared:
    """What all jobs share."""

    graph: IntGraph
    root: Path
    """The folder of logs, as the workers find it."""
    how: FileOptions
    last: bool = False
    """Only the newest window of a log."""
    nominal_ah: Mapping[str, float] | None = None
    """By log, Ah; ``how`` has it for the others."""

    def options(self, log: Log) -> FileOptions:
        """How this log is read."""
        own = (self.nominal_ah or {}).get(log.name, self.how.nominal_ah)
        return replace(self.how, nominal_ah=own)


def predict_logs(shared: Shared, logs: Sequence[Log]) -> Part:
    """Estimates of every window of the logs."""
    graph = shared.graph
    one = device_estimates(graph, predict_windows(graph, np.zeros((1, *graph.input_tensor.shape)))).columns()

    def rows(log: Log) -> tuple[Columns, Sequence[str]]:
        estimates = device_estimates(graph, predict_file(graph, shared.root / log.name, shared.options(log)))
        found = estimates.columns()
        return {k: v[-1:] for k, v in found.items()} if shared.last else found, estimates.remarks

    return _each(logs, rows, {name: values[:0] for name, values in one.items()})


def evaluate_logs(shared: Shared, logs: Sequence[Log]) -> Part:
    """Scores of every log: estimates against what the log itself measured, one row per cell."""
    from edgebat.assemble.fleet import read_fleet
    from edgebat.assemble.settings import AddSettings
    from edgebat.data.readers.cell import answers_of

    graph = shared.graph
    task, spec = task_of(graph.meta.get("task"), f"model {graph.name!r}")
    seen = str((graph.meta.get("training") or {}).get("seen", ""))

    def rows(log: Log) -> tuple[Columns, Sequence[str]]:
        how = shared.options(log)
        answers = answers_of(how.mapping) | ({"sign": how.sign} if how.sign else {})
        settings = AddSettings(
            dataset=shared.root.name, answers=answers, nominal_ah=how.nominal_ah, chemistry=how.chemistry
        )
        fleet = read_fleet([shared.root / log.name], settings)
        windows = task.of_fleet(fleet, spec).windows
        every = np.ones(len(windows), dtype=np.bool_)
        refusal = run_cells(graph, windows).refusal if task.domain_scored else None
        scores = scored(task, windows, predict_int8(graph, windows), refusal, every, task.score_cell)
        values = {name: np.array([np.nan if v is None else v], dtype=np.float64) for name, v in scores.items()}
        return {"seen": np.array(seen_cells(seen, windows.cells)), **values}, fleet.notes

    keys = ("windows", *(column.key for column in task.columns), "refused", "answered")
    return _each(logs, rows, {"seen": np.zeros(0, dtype=np.bool_), **{key: np.zeros(0) for key in keys}})


def _each(logs: Sequence[Log], rows: Callable[[Log], tuple[Columns, Sequence[str]]], nothing: Columns) -> Part:
    """The rows of all logs below each other, in the columns of ``nothing``."""
    found, records = [], []
    for log in logs:
        try:
            (own, remarks), error = rows(log), ""
        except EdgebatError as refused:
            own, remarks, error = nothing, (), str(refused)
        except Exception as fault:  # one strange log must not end the work on thousands
            own, remarks, error = nothing, (), f"internal error: {type(fault).__name__}: {fault}"
        count = len(next(iter(own.values())))
        records.append(Record(log.name, log.size, log.time_ns, count, error, "; ".join(remarks)))
        found.append({"log": np.full(count, log.name, dtype=object), **own})
    # A cell of which something is not known, as its end of life, has no column for it.
    columns = {
        name: np.concatenate([own.get(name, np.full(len(own["log"]), np.nan)) for own in found])
        for name in ("log", *nothing)
    }
    return Part(columns, tuple(records))
