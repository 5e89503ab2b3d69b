"""The files of one cell as one series of samples: in the order of their clocks, nothing twice, time going on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

import numpy as np

from edgebat.arrays import Array, Bool, Float64, Int64
from edgebat.assemble.clocks import continued, typical_step_s
from edgebat.assemble.findings import Finding, plural
from edgebat.assemble.signs import charging_positive
from edgebat.data.readers.clock import USUAL
from edgebat.data.readers.records import Records
from edgebat.errors import DataError

LITTLE_OVERLAP_S = 7_200.0
"""Clocks of two files may disagree by this much (summer time, two computers) and the files still follow each other."""
SHORT_OVERLAP_S = 600.0
"""Up to here always; beyond it by no more than half of the earlier file: else it is two cells that ran side by side."""
OTHER_V, OTHER_A = 2e-3, 2e-2
"""Samples at one time that differ by more are of two measurements."""
EPOCH = datetime(1970, 1, 1)
"""Clocks have no time zone here: no hour comes or goes but by the file's own clock."""
OPTIONAL = ("temperature_degc", "charge_ah", "discharge_ah")


@dataclass(frozen=True)
class Piece:
    """One channel of one file with its name."""

    name: str
    records: Records


@dataclass(frozen=True)
class Samples:
    """One cell's samples [S] in time order, charging positive, s, V, A, degC, Ah."""

    time_s: Float64
    voltage_v: Float64
    current_a: Float64
    temperature_degc: Float64
    """NaN where not measured."""
    charge_ah: Float64
    """The files' own counters, NaN where there are none."""
    discharge_ah: Float64
    file_cycle: Int64
    """The files' own cycle number, -1 where a file has none."""
    file: Int64
    """Which of ``files`` a sample is of."""
    files: tuple[str, ...]
    blind: Bool
    """True where it is not known how much time passed before a sample: a file begins and has no wall clock."""

    def __len__(self) -> int:
        return self.time_s.size


@dataclass
class _Part:
    """A piece on its way: cleaned columns, and its start in seconds of wall clock, if known."""

    name: str
    start_s: float | None
    columns: dict[str, Array]
    findings: list[Finding] = field(default_factory=list)

    @property
    def size(self) -> int:
        return int(self.columns["time_s"].size)

    @property
    def content(self) -> bytes:
        shown = [np.round(self.columns[name], 4) + 0.0 for name in ("voltage_v", "current_a")]
        return hashlib.sha256(b"".join(values.tobytes() for values in shown)).digest()

    def without_first(self, count: int) -> _Part:
        columns = {name: values[count:] for name, values in self.columns.items()}
        later = float(self.columns["time_s"][count] - self.columns["time_s"][0]) if count < self.size else 0.0
        start = None if self.start_s is None else self.start_s + later
        return replace(self, columns=columns | {"time_s": columns["time_s"] - columns["time_s"][:1]}, start_s=start)


def join_pieces(cell: str, pieces: Sequence[Piece], order: str) -> tuple[Samples, list[Finding]]:
    """The samples of a cell out of all its files, and what was found on the way.

    order: ``time`` or ``name`` (``AddSettings.order``). Raises DataError when the order cannot be told, when two files of
    the cell were measured at the same time, or when a sign cannot be judged.
    """
    findings: list[Finding] = []
    _check_dates(cell, pieces)
    parts = [_part(piece) for piece in pieces]
    for part in parts:
        findings += part.findings
    parts = _once([part for part in parts if part.size], findings)
    if not parts:
        raise DataError(f"cell {cell}: its {plural(len(pieces), 'file')} hold no usable sample")
    parts = _ordered(cell, parts, order, findings)
    placed: list[_Part] = []
    begins: list[float] = []
    blind: list[bool] = []
    for part in parts:
        if not placed:
            placed, begins, blind = [part], [0.0], [False]
            continue
        before, began = placed[-1], begins[-1]
        end = began + float(before.columns["time_s"][-1])
        zero = parts[0].start_s
        known = part.start_s is not None and zero is not None
        start = part.start_s - zero if known else end  # type: ignore[operator]
        if known and start < end:
            part, start = _overlapping(cell, before, part, start - began, end - began, findings)
            start += began
            if not part.size:
                continue
        if not known:
            start = end + typical_step_s(part.columns["time_s"])
        placed.append(part)
        begins.append(max(start, end))
        blind.append(not known)
    return _joined(placed, begins, blind), findings


def _check_dates(cell: str, pieces: Sequence[Piece]) -> None:
    """Raises DataError where one file's dates prove the other order of day and month than is assumed of another's."""
    guesses = [(guess, p.name) for p in pieces for guess in p.records.guesses if guess.startswith("dates are ")]
    for guess, name in guesses:
        for other, proof in guesses:
            if guess.endswith(USUAL) and not guess.startswith(other.removesuffix(USUAL)):
                raise DataError(
                    f"cell {cell}: {guess}, in {name}, but {other} in {proof}, so the order of the files cannot be told; "
                    f"say --set date_order={other.removesuffix(USUAL)[-3:]}"
                )


def _part(piece: Piece) -> _Part:
    record = piece.records
    current, how = charging_positive(record, piece.name)
    findings = [Finding("judged", how, piece.name)]
    size = record.time_s.size
    columns: dict[str, Array] = {"time_s": record.time_s, "voltage_v": record.voltage_v, "current_a": current}
    for name in OPTIONAL:
        found = getattr(record, name)
        columns[name] = np.full(size, np.nan) if found is None else found
    columns["file_cycle"] = np.full(size, -1, np.int64) if record.cycle is None else record.cycle
    whole = np.isfinite(record.time_s) & np.isfinite(record.voltage_v) & np.isfinite(current)
    again = np.zeros(size, dtype=np.bool_)
    again[1:] = (np.diff(record.time_s) == 0.0) & (np.diff(record.voltage_v) == 0.0) & (np.diff(current) == 0.0)
    for rows, text in ((~whole, "without time, voltage or current"), (whole & again, "written twice")):
        if rows.any():
            findings.append(Finding("dropped", f"{plural(int(rows.sum()), 'sample')} {text}", piece.name))
    columns = {name: values[whole & ~again] for name, values in columns.items()}
    if columns["time_s"].size:
        columns["time_s"], mended = continued(columns["time_s"] - columns["time_s"][0], piece.name)
        findings += mended
    return _Part(
        piece.name, None if record.start is None else (record.start - EPOCH).total_seconds(), columns, findings
    )


def _once(parts: Sequence[_Part], findings: list[Finding]) -> list[_Part]:
    """Each content once, however it was written."""
    seen: dict[bytes, str] = {}
    kept = []
    for part in parts:
        same = seen.setdefault(part.content, part.name)
        if same == part.name:
            kept.append(part)
        else:
            findings.append(Finding("dropped", f"holds the same samples as {same}", part.name))
    return kept


def _ordered(cell: str, parts: list[_Part], order: str, findings: list[Finding]) -> list[_Part]:
    if len(parts) < 2:
        return parts
    if order == "name":
        findings.append(Finding("judged", f"{len(parts)} files in the order of their names, as asked"))
        return sorted(parts, key=lambda part: _natural(part.name))
    if all(part.start_s is not None for part in parts):
        ordered = sorted(parts, key=lambda part: (part.start_s or 0.0, part.size))
        names = [part.name for part in ordered]
        differs = names != sorted(names, key=_natural)
        findings.append(
            Finding("judged", f"{len(parts)} files in the order of their clocks" + ", not of their names" * differs)
        )
        return ordered
    spans = sorted(((p.columns["file_cycle"].min(), p.columns["file_cycle"].max()), i) for i, p in enumerate(parts))
    if all(first >= 0 for (first, _), _ in spans) and all(
        a[0][1] <= b[0][0] and a[0] != b[0] for a, b in pairwise(spans)
    ):
        findings.append(
            Finding("judged", f"{len(parts)} files in the order of their cycle numbers; they have no clock")
        )
        return [parts[i] for _, i in spans]
    lacking = [part.name for part in parts if part.start_s is None]
    raise DataError(
        f"cell {cell}: {len(lacking)} of its {len(parts)} files have no wall clock ({lacking[0]}, ...) and their cycle "
        "numbers do not follow each other, so their order cannot be told; if their names are in order, say --order name"
    )


def _natural(name: str) -> list[tuple[int, str]]:
    digits = ""
    key: list[tuple[int, str]] = []
    for char in f"{name}\0":
        if char.isdigit():
            digits += char
            continue
        if digits:
            key.append((int(digits), ""))
        digits = ""
        key.append((-1, char))
    return key


def _overlapping(
    cell: str, before: _Part, part: _Part, start: float, end: float, findings: list[Finding]
) -> tuple[_Part, float]:
    """``part`` without what ``before`` holds already, and when it starts; times in s since the start of ``before``."""
    time = before.columns["time_s"]
    shared = int(np.count_nonzero(part.columns["time_s"] + start <= end + 1e-6))
    at = np.interp(part.columns["time_s"][:shared] + start, time, np.arange(time.size))
    near = np.rint(at).astype(np.int64)
    volts, amps = (
        np.abs(part.columns[name][:shared] - before.columns[name][near]) for name in ("voltage_v", "current_a")
    )
    same = (volts <= OTHER_V) & (amps <= OTHER_A * _largest(before))
    if shared and same.mean() > 0.9:
        findings.append(Finding("dropped", f"{plural(shared, 'sample')} that {before.name} holds already", part.name))
        rest = part.without_first(shared)
        return rest, start + float(part.columns["time_s"][min(shared, part.size - 1)])
    if end - start <= max(SHORT_OVERLAP_S, min(LITTLE_OVERLAP_S, end / 2.0)) or shared <= 2:
        findings.append(
            Finding(
                "mended", f"its clock starts {end - start:,.0f} s before {before.name} ends; it follows it", part.name
            )
        )
        return part, end + typical_step_s(part.columns["time_s"])
    raise DataError(
        f"cell {cell}: {part.name} starts {(end - start) / 3600:,.1f} h before {before.name} ends, and they hold other "
        "samples of that time: two cells under one name (name them apart with --cells or --name-pattern), or a time in "
        f"another unit ({before.name} lasts {end / 3600:,.1f} h as read; --set time_unit=s, min, h or ms)"
    )


def _largest(part: _Part) -> float:
    return float(np.abs(part.columns["current_a"]).max())


def _joined(parts: list[_Part], begins: list[float], blind: list[bool]) -> Samples:
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    sizes = [part.size for part in parts]
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64)
    unknown = np.zeros(sum(sizes), dtype=np.bool_)
    unknown[starts[np.array(blind)]] = True
    columns["time_s"] = columns["time_s"] + np.repeat(begins, sizes)
    number = np.repeat(np.arange(len(parts)), sizes).astype(np.int64)
    return Samples(**columns, file=number, files=tuple(part.name for part in parts), blind=unknown)
