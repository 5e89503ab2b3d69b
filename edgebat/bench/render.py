"""Bench reports as Markdown, as one HTML file that needs nothing else, and on the console."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from edgebat.bench.run import Report
from edgebat.bench.tables import Table, flat, heading, tables, unfit

LAYERS = "By layer"


def to_json(reports: Sequence[Report]) -> str:
    """All figures as JSON text, a list of rows; the same reports give the same text."""
    return json.dumps([row for report in reports for row in report.to_rows()], indent=1, sort_keys=True) + "\n"


def to_markdown(reports: Sequence[Report]) -> str:
    """All tables as Markdown text, facts before numbers."""
    parts = []
    for report in reports:
        parts.append(f"## {report.model}\n")
        parts.append("\n".join(f"* {key}: {_cell(value)}" for key, value in heading(report)) + "\n")
        parts += [table_markdown(table) for table in tables(report)]
    if missing := flat(reports):
        parts.append("Without figures:\n\n" + "\n".join(f"* {_cell(line)}" for line in missing) + "\n")
    return "\n".join(parts)


def table_markdown(table: Table) -> str:
    """One table with its title and note."""
    marks = ["---:" if table.is_number(index) else "---" for index in range(len(table.columns))]
    lines = [table.columns, marks, *table.rows]
    grid = "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)
    return f"### {table.title}\n\n{grid}\n" + (f"\n{table.note}\n" if table.note else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def to_html(reports: Sequence[Report]) -> str:
    """All tables as one HTML page, for light and dark screens."""
    sections = [report_html(report) for report in reports]
    if missing := [*unfit(reports), *flat(reports)]:
        items = "".join(f"<li>{escape(line)}</li>" for line in missing)
        sections.append(f"<section><h2>Without figures</h2><ul>{items}</ul></section>")
    return page("edgebat bench", "".join(sections))


def report_html(report: Report) -> str:
    """Facts and tables of one report as a section of a page."""
    facts = "".join(f"<tr><th>{escape(k)}</th><td class=muted>{escape(v)}</td></tr>" for k, v in heading(report))
    body = "".join(table_html(table) for table in tables(report))
    return f"<section><h2>{escape(report.model)}</h2><div class=scroll><table>{facts}</table></div>{body}</section>"


def page(title: str, body: str) -> str:
    """A complete HTML page around ``body``."""
    css = (resources.files("edgebat.report") / "templates" / "report.css").read_text("utf-8")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{css}</style></head>'
        f"<body><header><h1>{escape(title)}</h1></header><main>{body}</main></body></html>\n"
    )


def table_html(table: Table) -> str:
    """One table with its title and note."""

    def line(cells: Sequence[str], tag: str) -> str:
        marked = (
            f"<{tag}{' class=n' if table.is_number(index) else ''}>{escape(cell)}</{tag}>"
            for index, cell in enumerate(cells)
        )
        return f"<tr>{''.join(marked)}</tr>"

    head, body = line(table.columns, "th"), "".join(line(row, "td") for row in table.rows)
    note = f"<p class=foot>{escape(table.note)}</p>" if table.note else ""
    return (
        f"<h3>{escape(table.title)}</h3><div class=scroll><table><thead>{head}</thead><tbody>{body}</tbody></table>"
        f"</div>{note}"
    )


def print_reports(reports: Sequence[Report], *, layers: bool = False) -> None:
    """The tables on the console; the long one by layer only when asked for."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for report in reports:
        print_heading(report, console)
        for table in tables(report):
            if layers or table.title != LAYERS:
                print_table(table, console)
    for line in unfit(reports):
        console.print(Text(line, style="bold red"), soft_wrap=True)
    for line in flat(reports):
        console.print(Text(f"not measured: {line}", style="dim"), soft_wrap=True)


def print_heading(report: Report, console: Any) -> None:
    """What stands before the first number, on a Rich console."""
    from rich.text import Text

    for key, value in heading(report):
        console.print(Text.assemble((f"{key:<22}", "dim"), value), soft_wrap=True)
    console.print()


def print_table(table: Table, console: Any) -> None:
    """One table on a Rich console, its note under it."""
    from rich import box
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(
        title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=0
    )
    for index, name in enumerate(table.columns):
        number = table.is_number(index)
        keep = number or index < 2 <= table.texts
        # Rich shortens columns on a narrow terminal; a shortened number is a wrong number.
        words = [*name.split("\n"), *(row[index] for row in table.rows)] if keep else [""]
        justify: Any = "right" if number else "left"
        grid.add_column(name, justify=justify, no_wrap=keep, min_width=max(map(len, words)))
    for row in table.rows:
        grid.add_row(*map(Text, row))
    # As for tables of a run: lines that wrap can be read, columns that were cut off cannot.
    before = console.width
    console.width = max(before, console.measure(grid, options=console.options.update(width=1000)).minimum)
    console.print(grid)
    console.width = before
    if table.note:
        console.print(Text(table.note, style="dim"))
