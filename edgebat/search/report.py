"""What a search found: the table of its finalists, the Pareto front as a table and as pictures. Figures are of validation
cells; test cells are for the run of the recipe that a search writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebat.bench.budget import Limits, Need
from edgebat.files import atomic_write
from edgebat.report.svg import Chart, padded_range
from edgebat.report.tables import number
from edgebat.search.study import Finalist, Trial, within
from edgebat.tasks.base import Column

STYLE = (
    "<style>text{font:10.5px sans-serif;fill:#5c6670}.grid{stroke:#dfe3e6;stroke-width:.8;fill:none}"
    ".line{fill:none;stroke-width:1.4}.dots{fill:none;stroke-linecap:round}"
    ".level{stroke:#5c6670;stroke-width:.9;stroke-dasharray:3 3;fill:none}"
    ".c0{stroke:#d1603d}.c1{stroke:#0b7a75}.c2{stroke:#a9b2b9}.c3{stroke:#5b5fc7}</style>"
)
LEGEND = "red: the best; green: finalists; blue: by hand; grey: trials, one seed; line: Pareto front"


@dataclass(frozen=True)
class Point:
    """A student on the picture: error on validation cells, and what it takes."""

    label: str
    error: float
    need: Need


def pareto(points: Sequence[Point]) -> list[Point]:
    """The points that no other one equals or beats in error, flash and instructions at once, by error."""

    def axes(point: Point) -> tuple[float, int, int]:
        return point.error, point.need.flash, point.need.instructions

    def beaten(point: Point) -> bool:
        return any(
            axes(other) != axes(point) and all(a <= b for a, b in zip(axes(other), axes(point), strict=True))
            for other in points
        )

    return sorted((point for point in points if not beaten(point)), key=axes)


def confirmed(finalists: Sequence[Finalist]) -> list[Point]:
    """The finalists by their median, where they can be built."""
    return [Point(str(f.candidate), f.error, f.measured) for f in finalists if f.measured]


def tried(trials: Sequence[Trial], finalists: Sequence[Finalist]) -> list[Point]:
    """The other trials that were trained to the end."""
    known = {finalist.candidate.content for finalist in finalists}
    return [Point(str(t.candidate), t.trained.error, t.need)
            for t in trials if t.trained.error is not None and t.candidate.content not in known]  # fmt: skip


def markdown(
    trials: Sequence[Trial], finalists: Sequence[Finalist], column: Column, limits: Limits, cut: Sequence[str] = ()
) -> str:
    """Finalists and Pareto front as two tables. cut: what was left out for want of time."""
    unit = f", {column.unit}" if column.unit else ""
    seeds = max(len(finalist.errors) for finalist in finalists)
    head = f"| student | {column.title}{unit} | seeds | flash, bytes | RAM, bytes | instructions | ms | |"
    rows = ["| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"]
    rows += [_row(f, column, limits) for f in finalists]
    front = [f"| {point.label} | {number(point.error, column.digits)} | {_figures(point.need)} |"
             for point in pareto([*tried(trials, finalists), *confirmed(finalists)])]  # fmt: skip
    return "\n".join(
        [
            f"Median error of the int8 student over {seeds} seeds on validation cells (fewer where the table says so); "
            f"budget: {limits}.",
            *(["", f"Left out for want of time: {'; '.join(cut)}."] if cut else []),
            "",
            head,
            *rows,
            "",
            "Pareto front of error, flash and instructions; students that are not above by one seed:",
            "",
            f"| student | {column.title}{unit} | flash, bytes | RAM, bytes | instructions | ms |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            *front,
            "",
        ]
    )


def _row(finalist: Finalist, column: Column, limits: Limits) -> str:
    need, notes = finalist.measured, []
    if finalist.picked:
        notes.append("the recipe's own")
    if finalist.scaled:
        notes.append("picked by hand, as large as the budget allows")
    if not within(finalist, limits):
        notes.append(f"over budget: {'; '.join(need.excess(limits))}" if need else "C has no exact kernel for it")
    elif finalist.price.need != need:
        notes.append(f"priced at {finalist.price.need}")
    spread = f"{number(min(finalist.errors), column.digits)} to {number(max(finalist.errors), column.digits)}"
    spread += f" ({len(finalist.errors)})"
    figures = _figures(need) if need else "– | – | – | –"
    return f"| {finalist.candidate} | {number(finalist.error, column.digits)} | {spread} | {figures} | {'; '.join(notes)} |"


def _figures(need: Need) -> str:
    return f"{need.flash:,} | {need.ram:,} | {need.instructions:,} | {number(need.ms, 2)}"


def draw(
    folder: Path, trials: Sequence[Trial], finalists: Sequence[Finalist], column: Column, limits: Limits
) -> list[Path]:
    """``pareto-flash.svg``, with the budget where students lie on both sides of it, and ``pareto-instructions.svg`` in
    ``folder``."""
    files = []
    axes: dict[str, Callable[[Need], int]] = {
        "flash": lambda need: need.flash,
        "instructions": lambda n: n.instructions,
    }
    points, again = tried(trials, finalists), confirmed(finalists)
    own, best = confirmed([f for f in finalists if f.picked or f.scaled]), confirmed(finalists[:1])
    for name, figure in axes.items():

        def xy(some: Sequence[Point], figure: Callable[[Need], int] = figure) -> tuple[list[float], list[float]]:
            return [figure(point.need) / 1000 for point in some], [point.error for point in some]

        unit = "flash, 1000 bytes" if name == "flash" else "instructions of one inference, thousands (simulator)"
        x, y = xy([*points, *again])
        title = f"{column.title} by {name}"
        chart = Chart(padded_range(x), padded_range(y), unit, f"{column.title}, validation", title, 560, 360, LEGEND)
        chart.dots(*xy(points), "c2", 2.5).dots(*xy(again), "c1", 4).dots(*xy(own), "c3", 4).dots(*xy(best), "c0", 4)
        # The front in the plane of this picture, as a line through its corners.
        flat = [Point("", point.error, Need(figure(point.need), 0, None)) for point in [*points, *again]]
        front = sorted(pareto(flat), key=lambda point: point.need.flash)
        chart.line([point.need.flash / 1000 for point in front], [point.error for point in front], "c1")
        if name == "flash" and limits.flash is not None:
            chart.upright(limits.flash / 1000, f"budget: {limits.flash:,} bytes")
        svg = chart.svg().replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(">", f">{STYLE}", 1)
        files.append(folder / f"pareto-{name}.svg")
        atomic_write(files[-1], svg + "\n")
    return files
