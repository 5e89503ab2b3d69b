"""``edgebat predict MODEL FOLDER`` and ``edgebat evaluate MODEL --logs FOLDER``: what they take besides, and how they go."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgebat.cli.app import plain
from edgebat.errors import EdgebatError, require

if TYPE_CHECKING:
    from edgebat.tasks.base import FileOptions


@dataclass(frozen=True)
class Reading:
    """How logs are read."""

    nominal_ah: Annotated[
        float | None, typer.Option("--nominal-ah", help="of cycler files: nominal capacity of the cells in Ah")
    ] = None
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            "--set",
            metavar="NAME=COLUMN[:FACTOR]",
            help="of cycler files: name a column, or say time_unit=min; repeatable",
        ),
    ] = None
    sign: Annotated[
        str | None,
        typer.Option("--sign", help="positive_is_charge or positive_is_discharge; checked against the voltage"),
    ] = None
    chemistry: Annotated[
        str,
        typer.Option("--chemistry", help="of the cells, as NCM811 or LFP: a model refuses one that it does not know"),
    ] = ""

    @property
    def options(self) -> FileOptions:
        """For the readers."""
        from edgebat.tasks.base import FileOptions

        return FileOptions(self.nominal_ah, self.mapping or (), self.sign, chemistry=self.chemistry)


@dataclass(frozen=True)
class Many:
    """A folder of logs: where results go, and who works."""

    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="of a folder of logs: results, as parquet")
    ] = None
    cells: Annotated[
        Path | None, typer.Option("--cells", metavar="FILE", help="of a folder: CSV with log and nominal_ah")
    ] = None
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=0, help="of a folder: processes; 0: one per core")] = 0
    ray: Annotated[
        str, typer.Option("--ray", metavar="ADDRESS", help="of a folder: work on a Ray cluster; local: start one")
    ] = ""
    shard: Annotated[int, typer.Option("--shard", min=1, help="of a folder: logs that are done together")] = 64

    def run(
        self, work: str, model: str | Path, logs: Path, how: FileOptions, *, last: bool = False, json_: bool = False
    ) -> None:
        """Do what is not done yet, and print what came out."""
        if self.out is None:
            raise EdgebatError(
                f"{logs} is a folder of logs: say with --out where the results go, for example --out results"
            )
        require("pyarrow", extra="data")
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from edgebat.bulk.run import Effort, Job, nominal_by_log, run_logs
        from edgebat.models import load_model
        from edgebat.report.tables import show

        job = Job(
            work, load_model(model), logs, self.out, how, last, nominal_by_log(self.cells) if self.cells else None
        )
        effort = Effort(self.jobs or os.cpu_count() or 1, self.ray, self.shard)
        console = Console(stderr=True, highlight=False)
        columns = (TextColumn("logs"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            bar, tenths = progress.add_task("logs", total=None), 0

            def watch(done: int, of: int) -> None:
                nonlocal tenths
                progress.update(bar, completed=done, total=of)
                if not console.is_terminal and 10 * done // of != tenths:  # a log has no bar
                    tenths = 10 * done // of
                    console.print(f"{done} of {of} logs")

            result = run_logs(job, effort, watch)
        if json_:
            show(result.to_json(), json_)
        else:
            Console(highlight=False).print(plain(result.text()), soft_wrap=True)
        if len(result.refused) == len(result.records):
            raise EdgebatError(
                f"none of {len(result.records)} logs could be used; the reasons: {self.out / 'logs.csv'}. Each file is "
                "taken for the log of one cell; files of one cell are joined by edgebat data add"
            )
