"""Any cycler file to samples: which layout it is, which column is what, in which unit; guesses are listed, never hidden."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from edgebat.arrays import Bool, Float64, Int64, StrArray
from edgebat.data.readers.ambiguous import AmbiguousFile
from edgebat.data.readers.choose import Chosen, Remarks, choose
from edgebat.data.readers.currents import amperes
from edgebat.data.readers.names import cell_columns, layout_of, unit_of
from edgebat.data.readers.plausible import (
    Swings,
    charge_check,
    charge_fits,
    coarse_current,
    counter_in_ah,
    current_factor,
    current_offset,
    full_swings,
    lone_currents,
    temperature_in_degc,
    turned_in_place,
    voltage_in_v,
)
from edgebat.data.readers.profiles import ROLE_KEYS, Profile, load_profile, name_and_factor, shipped
from edgebat.data.readers.seams import (
    in_order,
    refuse_second_test,
    selected,
    spread_minutes,
    without_echoes,
    without_repeats,
)
from edgebat.data.readers.sources import read_tables
from edgebat.data.readers.steps import sign_by_steps, split_cv, step_kinds
from edgebat.data.readers.table import Table
from edgebat.data.readers.times import Times, continue_steps, seconds_of, times_of
from edgebat.errors import DataError

__all__ = ["AmbiguousFile", "Records", "read_records"]

MAX_CHANNELS = 64
MAX_JUDGED = 500_000
"""Samples that units are judged by; of more every n-th."""
NO_READING = 1e9
"""From here on a voltage or current is an instrument's mark for no value (9.9e37 is Keithley's), in whatever unit."""
JUDGES = (lone_currents, coarse_current)
COUNTERS = ("charge_ah", "discharge_ah")


@dataclass(frozen=True)
class Records:
    """Samples of one channel of one file, in file order, as the file has them: SI units, current's sign not yet judged."""

    path: Path
    channel: str
    """"" where the file has one."""
    layout: str
    """Name of the profile that read it."""
    time_s: Float64
    """[S] since the first sample of the file; strictly what the file says (never mended)."""
    start: datetime | None
    """Wall clock of the first sample (naive), where the file has one."""
    voltage_v: Float64
    """[S]"""
    current_a: Float64
    """[S] sign as in the file, or made by the step kind where the layout states it."""
    sign: str
    """"positive_is_charge", "positive_is_discharge", "by_step" (charging positive by then) or "unknown"."""
    temperature_degc: Float64 | None
    """[S], NaN where a sample has none."""
    cycle: Int64 | None
    """[S] the file's own number."""
    step: Int64 | None
    """[S] the file's own number."""
    step_kind: StrArray | None
    """[S] "charge_cc", "charge_cv", "discharge", "rest" or "other", where the file states it."""
    charge_ah: Float64 | None
    """[S] the file's own counter, NaN where a sample has none."""
    discharge_ah: Float64 | None
    """[S] the file's own counter, NaN where a sample has none."""
    nominal_ah: float | None
    """Where the file states it."""
    guesses: tuple[str, ...]
    """Every guess, in words: "delimiter ';', decimal comma", "column 'I/mA' is the current in mA"."""
    notes: tuple[str, ...]
    """What was dropped and why: "half a last line", "3 rows of text"."""


def read_records(
    path: Path, profile: Path | str | None = None, answers: Mapping[str, str] | None = None
) -> list[Records]:
    """The channels of a cycler file.

    profile: name of a shipped layout, or a YAML file of the user's; None detects it. answers: profile keys that override, as
    ``--set`` gives them (``{"time_unit": "min", "voltage": "Ecell/V"}``): the fields of ``Profile``, roles, and role_unit.
    Raises AmbiguousFile when a guess is not safe, DataError when the file cannot be used, MissingExtra for a kind of file
    whose reader is not installed.
    """
    path, answers = Path(path), answers or {}
    base = load_profile(profile) if profile else shipped()["generic"]
    asked = base.answered(answers)
    named = tuple(name_and_factor(value)[0] for key, value in answers.items() if key in ROLE_KEYS)
    found: list[Records] = []
    for table in read_tables(path, asked, named):
        layout = base if profile else shipped().get(table.layout) or layout_of(table.names)
        found += _table_records(path, table, layout.answered(answers))
    if asked.channel:
        known = [records.channel for records in found]
        found = [records for records in found if records.channel == asked.channel]
        if not found:
            raise DataError(f"{path.name} has no channel {asked.channel!r}; it has {known}")
    return found


def _table_records(path: Path, table: Table, profile: Profile) -> list[Records]:
    """The channels of one table."""
    cells = cell_columns(table.names)
    chosen = choose(path, table, profile, wide=bool(cells))
    chosen.load(also=[index for index, _ in cells])
    if _newest_first(chosen):
        chosen.loaded = {
            index: dataclasses.replace(part, values=part.values[::-1]) for index, part in chosen.loaded.items()
        }
        chosen.guesses.append("the newest row is the first: read from the last row on")
    if "voltage" in chosen.roles:
        return _series(chosen)
    found: list[Records] = []
    chosen.guesses.append(f"{len(cells)} columns are voltages of cells: one channel each")
    for index, name in cells:
        roles = {**chosen.roles, "voltage": (index, unit_of(table.names[index], "voltage"))}
        cell = dataclasses.replace(chosen, roles=roles)
        found += [dataclasses.replace(part, channel=name) for part in _series(cell)]
    return found


def _times(chosen: Chosen, rows: slice = slice(None)) -> Times:
    """What the columns of times hold in some rows."""
    by_step = "step_time" in chosen.roles
    unit = chosen.unit("step_time" if by_step else "time")
    columns = chosen.columns("time", "datetime", "date", "clock")
    if by_step:
        columns["time"] = chosen.columns("step_time")["step_time"]
    part = {role: dataclasses.replace(column, values=column.values[rows]) for role, column in columns.items()}
    times = times_of(part, unit.name, unit.by_user, chosen.profile.dates, by_step)
    if by_step:
        continue_steps(times, chosen.numbers("step")[rows] if "step" in chosen.roles else None)
    return times


def _newest_first(chosen: Chosen) -> bool:
    """Whether times fall from row to row."""
    times = _times(chosen, slice(0, 500))
    seconds = times.wall.seconds if times.wall else times.elapsed
    steps = np.diff(seconds[np.isfinite(seconds)]) if seconds is not None else np.zeros(0)
    return steps.size > 10 and float((steps < 0).mean()) > 0.9


def _series(chosen: Chosen) -> list[Records]:
    """All samples with a time, a voltage and a current, split by channel. Raises AmbiguousFile, DataError."""
    remarks = Remarks(list(chosen.guesses), list(chosen.notes))
    named = "".join(chosen.profile.columns.get("channel", ())).startswith("'")
    if "channel" in chosen.roles and not named and _is_level(chosen.numbers("channel")):
        guess = f"column {chosen.name('channel')!r} is the channel"
        remarks.guesses = [text for text in remarks.guesses if text != guess]
        remarks.notes.append(f"column {chosen.name('channel')!r} rises and falls like a level: not taken for channels")
        chosen = dataclasses.replace(chosen, roles={r: c for r, c in chosen.roles.items() if r != "channel"})
    volts, amps = chosen.measured("voltage"), amperes(chosen, remarks)
    valued = (np.abs(volts) < NO_READING) & (np.abs(amps) < NO_READING)
    if not valued.all():
        volts, amps = np.where(valued, volts, np.nan), np.where(valued, amps, np.nan)
    if not valued.any():
        raise DataError(
            f"{chosen.path.name} has no sample with a voltage and a current that are numbers: columns "
            f"{chosen.name('voltage')!r} and {chosen.name('current')!r}; export both in one row, or name others with --set"
        )
    voltage = voltage_in_v(volts, chosen.unit("voltage"), remarks)
    current, sign, kinds = _signed(chosen, amps, remarks)
    series = _timed(chosen, voltage, current, valued, remarks)
    rows = valued & _one_channel(chosen, valued)
    one = slice(None) if rows.all() else rows
    by_user = chosen.unit("current").by_user
    remarks.questions += [judge(voltage[one], current[one], by_user) for judge in JUDGES]
    if any(remarks.questions):
        raise AmbiguousFile(chosen.path, *filter(None, remarks.questions))
    good = valued & np.isfinite(series.time_s)
    cycle, step = (_whole(chosen, role, good, remarks.notes) for role in ("cycle", "step"))
    _note_dropped(good, remarks.notes, chosen.path)
    temperature = temperature_in_degc(chosen.optional("temperature"), chosen.unit("temperature"), remarks)
    kept = slice(None) if good.all() else good
    time_s, voltage, current = series.time_s[kept], voltage[kept], series.current_a[kept]
    records = Records(
        path=chosen.path,
        channel=chosen.table.channel,
        layout=chosen.profile.name,
        time_s=time_s - time_s[0],
        start=_start(series.times, good, chosen, float(time_s[0])),
        voltage_v=voltage,
        current_a=current,
        sign=sign,
        temperature_degc=_optional(temperature, kept),
        cycle=None if cycle is None else cycle[kept],
        step=None if step is None else step[kept],
        step_kind=None if kinds is None else split_cv(kinds[kept], voltage, current),
        charge_ah=_optional(series.counters.get("charge_ah"), kept),
        discharge_ah=_optional(series.counters.get("discharge_ah"), kept),
        nominal_ah=chosen.nominal_ah(),
        guesses=tuple(remarks.guesses),
        notes=tuple(remarks.notes),
    )
    return [_checked(part, chosen.profile.restarts) for part in _channels(records, chosen, good)]


def _signed(chosen: Chosen, current: Float64, remarks: Remarks) -> tuple[Float64, str, StrArray | None]:
    """The current [S], made by the step kinds where it has no sign; its sign; the step kinds [S]."""
    sign = chosen.profile.sign if "current" in chosen.roles else "positive_is_charge"
    kinds = step_kinds(chosen.texts("step_kind"), chosen.profile.step_kinds) if "step_kind" in chosen.roles else None
    if kinds is not None and "sign" not in chosen.profile.stated:
        proved, current = sign_by_steps(current, kinds)
        sign = proved if proved not in ("", "unknown") else sign
        if proved == "unknown":
            remarks.notes.append(
                "the step kinds do not tell the current's sign: it has both signs in charges or in discharges"
            )
    return current, "unknown" if sign == "by_step" and kinds is None else sign, kinds


@dataclass
class _Timed:
    """Seconds [S] from any zero, currents in A [S], counters in Ah [S] by role."""

    times: Times
    time_s: Float64
    current_a: Float64
    counters: dict[str, Float64 | None]


def _timed(chosen: Chosen, voltage: Float64, current: Float64, valued: Bool, remarks: Remarks) -> _Timed:
    """Time and charge in SI units, each unit held against what the battery does; questions go to ``remarks``."""
    judged = valued & _one_channel(chosen, valued)

    def rows(seconds: Float64) -> Int64:
        return np.flatnonzero(judged & np.isfinite(seconds))[:: seconds.size // MAX_JUDGED + 1]

    def swings(seconds: Float64) -> Swings:
        at = rows(seconds)
        return full_swings(seconds[at], voltage[at], current[at])

    times, nominal = _times(chosen), chosen.nominal_ah()
    seconds = seconds_of(times, swings, lambda part: charge_fits(part, nominal, chosen.unit("current")))
    remarks.guesses += seconds.guesses
    remarks.questions += [times.question, seconds.question, times.wall.question if times.wall else ""]
    counters = {role: chosen.optional(role) for role in COUNTERS}
    if not seconds.question:
        timed = rows(seconds.values)
        found = seconds.swings or swings(seconds.values)
        stated = [values[timed] for role, values in counters.items() if values is not None and chosen.unit(role).name]
        check = charge_check(found, stated, nominal)
        factor = current_factor(current, chosen.unit("current"), check, remarks)
        current = current * factor
        if not chosen.unit("current").by_user:
            remarks.questions.append(current_offset(seconds.values[timed], current[timed], found))
            if (np.diff(seconds.values[timed]) >= 0.0).all():  # rows out of order are no neighbours
                remarks.questions.append(turned_in_place(voltage[timed], current[timed]))
        for role, values in counters.items():
            if values is not None and not chosen.unit(role).name:
                counters[role] = counter_in_ah(values, timed, found, factor, remarks)
    return _Timed(times, seconds.values, current, counters)


def _optional(values: Float64 | None, kept: Bool | slice) -> Float64 | None:
    return None if values is None or not np.isfinite(values[kept]).any() else values[kept]


def _whole(chosen: Chosen, role: str, good: Bool, notes: list[str]) -> Int64 | None:
    """Cycle or step numbers [S]; None, and a note, where they are no whole numbers. Clears ``good`` where few have none."""
    if role not in chosen.roles:
        return None
    values = chosen.numbers(role)
    present = np.isfinite(values)
    if (good & ~present).sum() > 0.01 * good.sum():
        notes.append(f"column {chosen.name(role)!r} has no number in {int((good & ~present).sum())} rows: not used")
        return None
    if not present.all():
        values = np.where(present, values, np.rint(np.nanmin(values)))
    broken = values != np.rint(values)
    if broken.any():
        example = values[int(np.argmax(broken))]
        notes.append(f"column {chosen.name(role)!r} has numbers that are not whole, such as {example:g}: not used")
        return None
    good &= present
    return values.astype(np.int64)


def _note_dropped(good: Bool, notes: list[str], path: Path) -> None:
    dropped = int((~good).sum())
    if dropped > good.size / 2:
        raise DataError(
            f"{path.name}: {dropped} of {good.size} rows lack a time, a voltage or a current; export all of them in one row"
        )
    if dropped:
        notes.append(f"{dropped} rows without a time, a voltage or a current, first row {int(np.argmin(good)) + 1}")


def _start(times: Times, good: Bool, chosen: Chosen, first_s: float) -> datetime | None:
    """Wall clock of the first good sample, by a line above the header if need be: that is the test's begin, and ``first_s``
    of the test have passed by then."""
    if times.wall is not None:
        stamp = times.wall.stamps[good][0]
        return None if np.isnat(stamp) else stamp.astype("datetime64[us]").item()
    start = chosen.stated_start()
    return start and start + timedelta(seconds=first_s)


def _is_level(values: Float64) -> bool:
    """Whether numbers [S] go up and down in steps, as a state of charge does; channels come in blocks or in rotation."""
    values = values[np.isfinite(values)]
    steps = np.diff(values)
    steps = steps[steps != 0]
    if np.unique(values).size <= 8 or not steps.size:
        return False
    rising = float((steps > 0).mean())
    return 0.2 < rising < 0.8 and values.size > 2 * steps.size


def _one_channel(chosen: Chosen, valued: Bool) -> Bool:
    """The rows of the channel with the first value: units are judged by one series."""
    if "channel" not in chosen.roles:
        return valued
    texts = np.array(chosen.texts("channel"), dtype=np.str_)
    rows: Bool = texts == texts[int(np.argmax(valued))]
    return rows


def _channels(records: Records, chosen: Chosen, good: Bool) -> list[Records]:
    """By the values of the channel's column, in order of appearance."""
    if "channel" not in chosen.roles:
        return [records]
    texts = np.array([text for text, keep in zip(chosen.texts("channel"), good, strict=True) if keep], dtype=np.str_)
    names, first = np.unique(texts, return_index=True)
    if names.size > MAX_CHANNELS:
        note = f"column {chosen.name('channel')!r} has {names.size} different values: not taken for channels"
        return [dataclasses.replace(records, notes=(*records.notes, note))]
    if names.size == 1:
        return [dataclasses.replace(records, channel=records.channel or str(names[0]))]
    return [_selected(records, texts == name, str(name)) for name in names[np.argsort(first)]]


def _selected(records: Records, rows: Bool, channel: str) -> Records:
    found = selected(records, rows)
    start = records.start if rows[0] else None
    if records.start is not None and start is None:
        start = records.start + np.timedelta64(round(float(found.time_s[0]) * 1e6), "us").item()
    return dataclasses.replace(found, channel=channel, start=start)


def _checked(records: Records, restarts: str) -> Records:
    """One series in the order of its time, each sample once. Raises DataError where that cannot be told."""
    records = without_repeats(without_echoes(in_order(records)))
    refuse_second_test(records, restarts)
    return spread_minutes(_with_order_noted(records))


def _with_order_noted(records: Records) -> Records:
    """Times that fall or repeat are noted; series that are woven into one are refused."""
    step = np.diff(records.time_s)
    falls, same = int((step < 0).sum()), step == 0
    if same.sum() > max(10, 0.3 * same.size):
        _refuse_woven(records, round(1 / (1 - float(same.mean()))) if not same.all() else 2, same)
    elif step.size > 20 and _steady(records.current_a[:MAX_JUDGED]):
        # Two cells in turn: the voltage goes to and fro under a current that does not.
        _refuse_woven(records, 2, step > 0)
    notes = [f"the time falls {falls} times, first after sample {int(np.argmax(step < 0)) + 1}"] if falls else []
    notes += [f"{int(same.sum())} samples have the time of the one before"] if same.any() else []
    return dataclasses.replace(records, notes=(*records.notes, *notes))


def _steady(current: Float64) -> bool:
    """Whether most neighbours have nearly the same current."""
    return bool(np.median(np.abs(np.diff(current))) <= 0.02 * np.abs(current).max())


def _refuse_woven(records: Records, series: int, between: Bool) -> None:
    """Raise DataError when neighbours differ and every n-th sample is like the last: ``series`` are woven into one."""
    volts, between = records.voltage_v[:MAX_JUDGED], between[: MAX_JUDGED - 1]
    apart = float(np.median(np.abs(np.diff(volts)[between]))) if between.any() else 0.0
    if apart > 0.005 and np.median(np.abs(volts[series:] - volts[:-series])) < apart / 3:
        raise DataError(
            f"{records.path.name}: every {series} samples in turn have voltages {apart:.3f} V apart: several series are "
            "woven into one. Export one channel per file, or with a column that names it (--set channel_column=NAME)"
        )
