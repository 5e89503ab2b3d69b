"""Which file is of which cell: from a table, from a pattern of names, or asked for. Never assumed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import pandas as pd

from edgebat.assemble.settings import AddSettings
from edgebat.cells import CellKey
from edgebat.errors import DataError

TABLE_COLUMNS = ("dataset", "chemistry", "form_factor", "nominal_capacity_ah", "temperature_c", "charge_protocol",
                 "discharge_protocol", "published_cycle_life", "split", "quality")  # fmt: skip
ALIASES = {"nominal_ah": "nominal_capacity_ah", "temperature_degc": "temperature_c", "cell": "cell_id"}
CHANNEL = "{channel}"
"""Pattern for files whose channels are named after the cells."""
TAIL = re.compile(
    r"[ _.-]*(?:(?:part|file|run|ch|seq|cyc|cycles?|no|nr|p|\()?[ _.-]?\d{1,14}\)?(?:st|nd|rd|th)?)$", re.I
)
"""What numbers the files of one test, or dates them, at the end of a name."""


class Unnamed(DataError):
    """Files whose cells cannot be told without being asked."""


@dataclass(frozen=True)
class CellName:
    """A cell, and what the user states about it (columns of ``cells.csv``)."""

    key: CellKey
    facts: dict[str, object] = field(default_factory=dict)


class Naming:
    """Gives each channel of each file its cell. Raises DataError for a table or a pattern that cannot be used."""

    def __init__(self, settings: AddSettings) -> None:
        self.settings = settings
        self.table = None if settings.cells is None else _read_table(settings.cells)
        self.text = settings.name_pattern or "{cell}"
        self.pattern = compiled("{cell}" if self.text == CHANNEL else self.text)

    def cell_of(self, name: str, channel: str, channels: int) -> CellName:
        """The cell of one channel of the file ``name``, of ``channels`` in that file. Raises DataError when none fits."""
        if self.table is not None:
            return self._listed(self.table, name, channel, channels)
        if self.text == CHANNEL and channel:
            return CellName((self.settings.dataset, channel))
        stem = PurePosixPath(name).with_suffix("")
        # A pattern with a slash is about folders too.
        match = self.pattern.fullmatch(str(stem) if "/" in self.text else stem.name)
        if match is None:
            raise DataError(
                f"{name} does not fit --name-pattern {self.text!r}; change the pattern, or leave the file out with "
                f"--skip {name!r}"
            )
        cell = match["cell"]
        return CellName((self.settings.dataset, f"{cell}-{channel}" if channels > 1 else cell))

    def _listed(self, table: pd.DataFrame, name: str, channel: str, channels: int) -> CellName:
        fits = table[[fnmatch(name, p) or fnmatch(PurePosixPath(name).name, p) for p in table["file"]]]
        if "channel" in table.columns:
            fits = fits[fits["channel"].isna() | (fits["channel"].astype(str) == channel)]
        if fits.empty:
            raise DataError(
                f"{self.settings.cells}: no row is for {name}{f', channel {channel}' if channel else ''}; add one, or leave "
                f"the file out with --skip {name!r}"
            )
        if fits["cell_id"].nunique() > 1 or (channels > 1 and "channel" not in table.columns):
            raise DataError(
                f"{self.settings.cells}: {name}{f' (channel {channel})' if channel else ''} is listed for the cells "
                f"{sorted(fits['cell_id'])}; one cell per file, or per file and channel with a column 'channel', is needed"
            )
        row = fits.iloc[0]
        facts = {c: row[c] for c in TABLE_COLUMNS if c in table.columns and not pd.isna(row[c])}
        dataset = str(facts.pop("dataset", self.settings.dataset))
        return CellName((dataset, str(row["cell_id"])), facts)


def check_named(names: Sequence[str], settings: AddSettings) -> None:
    """Refuse to guess: raises Unnamed when names look like several files of one cell and nobody said whether they are."""
    if settings.cells is not None or settings.name_pattern is not None or len(names) < 2:
        return
    proposals = [(pattern, groups) for pattern, groups in _proposals(names) if len(groups) < len(names)]
    if not proposals:
        return
    lines = [f"{len(names)} files, and it is not said which are of one cell. Add one of:"]
    for pattern, groups in proposals:
        some = ", ".join(f"{cell} ({len(members)} files)" for cell, members in list(groups.items())[:4])
        lines.append(f"  --name-pattern {pattern!r}: {len(groups)} cells: {some}{', ...' if len(groups) > 4 else ''}")
    lines.append(f"  --name-pattern '{{cell}}': {len(names)} cells, one per file")
    lines.append("  --cells TABLE.csv: columns file (name or pattern) and cell_id")
    raise Unnamed("\n".join(lines))


def _proposals(names: Iterable[str]) -> list[tuple[str, dict[str, list[str]]]]:
    """Patterns that may be meant, with the cells and files that each would give."""
    paths = [PurePosixPath(name).with_suffix("") for name in names]
    found = []
    if any(len(path.parts) > 1 for path in paths):
        found.append(("{cell}/*", _groups((path.parts[0], path.name) for path in paths)))
    if any(TAIL.search(path.name) for path in paths):
        found.append((f"re:{TAILED}", _groups((_headed(path.name), path.name) for path in paths)))
    return found


TAILED = r"(?P<cell>.*?)(?:[ _.-]+(?:part|file|run|cyc|cycles|seq|p)?[ _.-]?\d+)*"
"""The pattern that is proposed for numbered or dated names."""


def _headed(stem: str) -> str:
    match = re.fullmatch(TAILED, stem, re.I)
    return (match and match["cell"]) or stem


def _groups(named: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for head, stem in named:
        groups.setdefault(head, []).append(stem)
    return groups


def compiled(pattern: str) -> re.Pattern[str]:
    """``{cell}_*`` or ``re:(?P<cell>...)`` as a regular expression. Raises DataError when it names no cell."""
    if pattern.startswith("re:") or "(?P<cell>" in pattern:
        text = pattern.removeprefix("re:")
    else:
        parts = re.split(r"(\{cell\}|\*|\?)", pattern)
        known = {"{cell}": "(?P<cell>.+)" if pattern.endswith("{cell}") else "(?P<cell>.+?)", "*": ".*", "?": "."}
        text = "".join(known.get(part, re.escape(part)) for part in parts)
    try:
        found = re.compile(text, re.I)
    except re.error as error:
        raise DataError(f"--name-pattern {pattern!r} is no pattern: {error}") from None
    if "cell" not in found.groupindex:
        raise DataError(
            f"--name-pattern {pattern!r} has no {{cell}}; for example '{{cell}}_*' for cell7_2024-05-01.xlsx"
        )
    return found


def _read_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, sep=None, engine="python", dtype=str, encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"--cells {path} is no UTF-8; save it as CSV in UTF-8") from None
    except (OSError, ValueError) as error:
        raise DataError(f"--cells {path} cannot be read as a table: {error}") from None
    table = table.rename(columns={name: ALIASES.get(name.strip(), name.strip()) for name in table.columns})
    missing = [name for name in ("file", "cell_id") if name not in table.columns]
    if missing:
        raise DataError(f"--cells {path} lacks {missing}; it has {list(table.columns)}; file and cell_id are needed")
    for name in ("nominal_capacity_ah", "temperature_c", "published_cycle_life"):
        if name in table.columns:
            try:
                table[name] = table[name].astype(float)
            except ValueError as error:
                raise DataError(f"--cells {path}, column {name}: {error}") from None
    return _one_statement(path, table.dropna(subset=["file", "cell_id"]))


def _one_statement(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """The table with what one row of a cell states in all rows of that cell. Raises DataError where two differ."""
    key = [name for name in ("dataset", "cell_id") if name in table.columns]
    stated = [name for name in TABLE_COLUMNS if name in table.columns and name != "dataset"]
    cells = table.groupby(key, dropna=False, sort=False)
    for _, rows in cells:
        for name in stated:
            values = rows[name].dropna().unique()
            if len(values) > 1:
                raise DataError(
                    f"--cells {path}, cell {rows['cell_id'].iloc[0]}: its rows state several values of {name} "
                    f"({', '.join(map(str, values))}); state one, in one row or in all"
                )
    return table.assign(**{name: cells[name].transform("first") for name in stated})
