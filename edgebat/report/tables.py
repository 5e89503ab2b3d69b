"""What the command line prints: tables for people (Rich), JSON for programs."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from edgebat.evaluate import Evaluation
from edgebat.extras import EXTRAS
from edgebat.files import Json
from edgebat.report.results import ConditionRow, with_figures
from edgebat.tasks.base import AnyTask, Column, Scores, task

Row = Mapping[str, Any]
PIPE_WIDTH = 120


def show(content: Any, as_json: bool = False, console: Console | None = None) -> None:
    """Print ``content``: JSON-able data as JSON, anything else through Rich.

    A terminal that is too narrow is written on as if it were wide enough: a line that wraps can be read, a number that was
    cut off cannot. Files and pipes have no width and get ``PIPE_WIDTH``.
    """
    if as_json:
        print(json.dumps(content, indent=1, sort_keys=True))
        return
    console = console or Console()
    before = console.width
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    # Rich caps what it measures at the width it is told of; any line here is shorter than this one.
    unbounded = console.options.update(width=1000)
    console.width = max(console.width, console.measure(content, options=unbounded).minimum)
    console.print(content)
    console.width = before


def number(value: float | None, digits: int) -> str:
    """A number with ``digits`` decimals; a dash for nothing."""
    if value is None or not math.isfinite(value):
        return "–"
    # A baseline far outside what it learnt from can say anything; its digits would push the other columns away.
    # Counts (no decimals) are exact.
    return f"{value:,.{digits}f}" if digits == 0 or abs(value) < 1e6 else f"{value:.0e}"


def _table(title: str, left: Sequence[str], right: Sequence[str], caption: str = "") -> Table:
    """A table with text columns (a name ending in * may wrap) and number columns, which keep their width."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption or None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
    )
    for name in left:
        table.add_column(name.strip("*"), no_wrap=not name.endswith("*"), overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _keep_numbers(table: Table) -> Table:
    """Give columns that may not wrap the width they need: Rich shortens cells on a narrow terminal, and half a number is
    wrong."""
    for column in table.columns:
        if column.no_wrap:
            words = [*str(column.header).split("\n"), *map(str, column.cells)]
            column.min_width = max(Text.from_markup(word).cell_len for word in words)
    return table


def _by_model(table: Table, rows: Sequence[Row]) -> Iterator[Row]:
    """The rows, with the model's name as a line of its own before each model's first one."""
    before = None
    for row in rows:
        if row["model"] != before:
            table.add_row(f"[bold]{row['model'].upper()}")
        before = row["model"]
        yield row


def _with_reasons(table: Table, rows: Sequence[Row], what: str) -> Group:
    """The table and, under it, why something was not run."""
    reasons = dict.fromkeys(f"[dim]not run: {row[what]}: {escape(row['skipped'])}" for row in rows if row["skipped"])
    return Group(_keep_numbers(table), *reasons)


def accuracy_table(rows: Sequence[Row], of: AnyTask, title: str = "Accuracy on held-out cells") -> Table:
    """Rows of the card's ``accuracy``: one line per model, its float and its int8 form side by side for the figure that
    models of the task ``of`` are ranked by; the others of the int8 form where there is one."""
    known = [c for c in of.columns if c.brief and any(row.get(c.key) is not None for row in rows)]
    first, *others = known or of.columns[:1]
    table = _table(
        title,
        ["model", "taught"],
        ["weights", f"{first.title}\nfloat", f"{first.title}\nint8", *(column.title for column in others)],
        of.explanation,
    )
    lines: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        lines.setdefault((row["label"], row["learned_from"]), {})[row["form"]] = row
    for (label, source), forms in lines.items():
        final = forms.get("int8", forms["float"])
        table.add_row(
            label,
            "yes" if source == "teacher" else "",
            number(final["parameters"], 0),
            number(forms["float"].get(first.key), first.digits),
            number(forms["int8"].get(first.key) if "int8" in forms else None, first.digits),
            *(number(final.get(column.key), column.digits) for column in others),
            style="bold green" if final["best"] else "dim" if final["role"] == "baseline" else None,
        )
    return _keep_numbers(table)


def equality_table(rows: Sequence[Row]) -> Group:
    """Rows of the card's ``equality``."""
    table = _table(
        "Equality with the NumPy reference",
        ["engine"],
        ["windows", "outputs", "different", "largest"],
        "Counted over every output integer; largest difference in steps of the last place.",
    )
    for row in _by_model(table, rows):
        if row["skipped"]:
            table.add_row(f"  {row['engine']}", "", "", "not run", style="dim")
            continue
        counts = [number(row[name], 0) for name in ("windows", "outputs", "mismatches", "max_difference")]
        wrong = row["mismatches"] and row["expected"] == "0"
        note = "" if row["expected"] == "0" else " *"
        table.add_row(f"  {row['engine']}{note}", *counts, style="bold red" if wrong else None)
    notes = dict.fromkeys(
        f"* {r['engine']}: {r['expected']}" for r in rows if r["expected"] != "0" and not r["skipped"]
    )
    return Group(_with_reasons(table, rows, "engine"), *notes)


def targets_table(rows: Sequence[Json]) -> Group:
    """Rows of the card's ``targets``."""
    table = _table(
        "Size and speed of one inference",
        ["target", "by"],
        ["flash", "RAM", "stack", "instructions\n(simulator)", "cycles\n(model)", "ms"],
        "Flash and RAM in bytes, from the linked image. Stack and instructions from a simulator (= QEMU counts the same), "
        "not from hardware. ms: cycles (model) at the target's clock; on the host measured.",
    )
    for row in _by_model(table, with_figures(rows)):
        if row["skipped"]:
            table.add_row(row["target"], "", "", "", "", "not run", style="dim")
            continue
        counts = [row[name] for name in ("flash_bytes", "ram_bytes", "stack_bytes", "instructions", "cycles")]
        mark = "=" if row["confirmed"] and row["confirmed"]["equal"] else " "
        numbers = [number(c, 0) for c in counts]
        numbers[3] += mark
        table.add_row(row["target"], row["built_by"], *numbers, number(row["ms"], 2))
    unfit = [
        f"[bold red]{row['label']} does not fit {row['target']} ({row['built_by']}): {row['lacks']}"
        for row in rows
        if row.get("lacks")
    ]
    return Group(_with_reasons(table, rows, "target"), *unfit)


def cells_table(rows: Sequence[ConditionRow], title: str) -> Table:
    """Rows of data: condition, cells per part of the split, windows."""
    table = _table(title, ["condition*"], ["cells", "train", "val", "test", "windows", "reached EOL"])
    for row in rows:
        counts = (row["cells"], row["train"], row["val"], row["test"], row["windows"], row["eol"])
        table.add_row(row["condition"], *(number(count, 0) for count in counts))
    return _keep_numbers(table)


def evaluation_table(result: Evaluation) -> Group:
    """What ``edgebat.evaluate.evaluate_file`` found: a line per cell, then the model, then the baselines."""
    found = task(result.task_kind)
    rows = [*(cell.scores for cell in result.cells), result.all, *result.baselines.values()]
    first = found.columns[0]
    answered = replace(first, key="answered", title=f"{first.title},\nanswered")
    wanted = [*found.cell_columns, Column("refused", "refused", 0), *found.columns, answered]
    columns = [column for column in wanted if any(column.key in row for row in rows)]
    table = _table(
        f"{result.model} ({result.kind}) on {result.corpus}",
        ["cell", "data set*", "note"],
        [column.title for column in columns],
        f"{found.explanation} seen: used in training.",
    )

    table.columns[2].min_width = len("baseline")

    def add(name: str, dataset: str, note: str, row: Scores, style: str | None = None) -> None:
        values = [number(row[c.key], c.digits) if c.key in row else "" for c in columns]
        table.add_row(name, dataset, note, *values, style=style)

    for cell in result.cells:
        add(cell.cell, cell.dataset, "seen" if cell.seen else "", cell.scores, "dim" if cell.seen else None)
    table.add_section()
    for name, row in result.datasets.items():
        add("all of it" if result.unseen is None else "its unseen cells", name, "", row)
    if result.unseen:
        add("all unseen", "", "", result.unseen, "bold")
    add("all", "", "", result.all)
    for name, row in result.baselines.items():
        add(name, "", "baseline", row)
    held = [_coverage_table(result)] if result.coverage else []
    refused = [
        f"refused, as a device refuses them: {count:,} windows, {reason}" for reason, count in result.refused.items()
    ]
    return Group(_keep_numbers(table), *(f"[dim]{escape(note)}[/]" for note in [*refused, *result.notes]), *held)


def _coverage_table(result: Evaluation) -> Table:
    """How often the model's interval held."""
    table = _table(
        f"Interval, on {'all' if result.unseen is None else 'unseen'} cells",
        ["of"],
        ["cells", "windows", "held, %", "worst cell, %", "median width"],
        "held: mean over the cells of the share of windows whose measured value lies inside; width in points or cycles. "
        "Windows that the model refuses do not count.",
    )
    for row in result.coverage:
        width = f"{row.width * 100:.2f}" if row.width < 1.0 else f"{row.width:.0f}"
        shares = [number(100 * value, 1) for value in (row.coverage, row.worst)]
        table.add_row(row.group or "all", number(row.cells, 0), number(row.windows, 0), *shares, width)
    return _keep_numbers(table)


def target_list(as_json: bool) -> Table | list[Json]:
    """All shipped targets, as a table or as data."""
    from edgebat.simulate.targets import list_targets, load_target

    described = [load_target(name) for name in list_targets()]
    if as_json:
        return [
            {
                "name": t.name,
                "core": t.core,
                "clock_hz": t.clock_hz,
                "routes": list(t.routes),
                "description": t.description,
            }
            for t in described
        ]
    table = _table("Targets", ["name", "description*"], ["clock\nMHz", "flash\nKiB", "RAM\nKiB"])
    for t in described:
        sizes = [value / unit if value else None for value, unit in
                 ((t.clock_hz, 1e6), (t.flash_bytes, 1024), (t.ram_bytes, 1024))]  # fmt: skip
        table.add_row(t.name, t.description, *(number(v, 0) for v in sizes))
    return _keep_numbers(table)


PROGRAMS = {
    "gcc": "host C; else zig is used",
    "arm-none-eabi-gcc": "a second compiler beside zig",
    "qemu-system-arm": "a second simulator beside Unicorn",
    "qemu-aarch64": "runs the Raspberry Pi build",
}


@dataclass(frozen=True)
class Part:
    """Something edgebat can use: an extra, an outside program, the GPU."""

    name: str
    state: str
    """ok, missing, or not there for what edgebat does without."""
    found: str = ""
    """Versions, or where it lies."""
    todo: str = ""
    """The command that brings it."""


def installed_parts() -> list[Part]:
    """What is installed: extras with their packages, outside programs, the GPU."""
    parts = []
    for extra, packages in EXTRAS.items():
        found, missing = [], []
        for package in packages:
            try:
                found.append(f"{package} {metadata.version(package)}")
            except metadata.PackageNotFoundError:
                missing.append(package)
        todo = f'pip install "edgebat[{extra}]"' if missing else ""
        state = f"missing {', '.join(missing)}" if missing else "ok"
        parts.append(Part(f"extra {extra}", state, ", ".join(found), todo))
    for program, use in PROGRAMS.items():
        path = shutil.which(program)
        parts.append(Part(program, "ok" if path else "not there", path or "", "" if path else f"optional: {use}"))
    if importlib.util.find_spec("torch"):
        import torch

        there = torch.cuda.is_available()
        name = torch.cuda.get_device_name(0) if there else "none seen by torch; training uses the CPU"
        parts.append(Part("GPU", "ok" if there else "not there", name))
    return parts


STATES = {"ok": "green", "not there": "yellow"}


def doctor_table(parts: Sequence[Part]) -> Table:
    """``installed_parts`` for people."""
    table = _table("edgebat doctor", ["part", "state*", "found*", "to do*"], [])
    for part in parts:
        table.add_row(part.name, f"[{STATES.get(part.state, 'red')}]{part.state}", part.found, escape(part.todo))
    return _keep_numbers(table)
