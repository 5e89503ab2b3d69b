"""What a file holds besides one series in order: rows out of order, samples pasted twice, a second test after the first,
times that show whole minutes alone. What can be put right exactly is, and noted; anything else is asked or refused.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from edgebat.arrays import Array, Bool, Float64, Int64
from edgebat.data.readers.ambiguous import AmbiguousFile
from edgebat.data.readers.plausible import full_swings
from edgebat.data.readers.raw import number_cycles
from edgebat.errors import DataError

if TYPE_CHECKING:
    from edgebat.data.readers.records import Records

DAY_S, HOUR_S = 86_400.0, 3_600.0
SET_BACK_S = 120.0
"""A clock that falls by an hour or a day within this much was set, or passed midnight."""
FEWEST_AGAIN = 20
"""Samples that must be the same to be the same samples."""
WINDOW = 64
"""Samples that are compared at once where the clock goes on."""
LONG_AGAIN = 200
"""Samples that come again under a later clock, above which it is no chance."""
REVERSALS = 0.05
"""Share of samples in which a measured voltage turns at least, by its noise: a simulated one may repeat itself."""
JUMP = 0.04
"""Two tests of one cell do not differ by more than this in the charge of their neighbouring full swings."""
SWINGS = 4
COARSE_S = 10.0
"""A clock that shows no less than this is too coarse for samples that share its times."""
ONE_WINDOW_OF = 512
"""Samples per window that is compared."""
MOST_COMPARED = 20
"""Windows that come again of which it is looked how long they do."""
ECHOES = 0.9
"""Share of the rows with the time of the one before that must be equal to it to be that row once more."""
MOST_SEAMS = 20
"""So many are looked at."""


def selected(records: Records, rows: Int64 | Bool) -> Records:
    """Some samples, in the order of ``rows``."""
    arrays: dict[str, Array] = {
        field.name: value[rows]
        for field in dataclasses.fields(records)
        if isinstance(value := getattr(records, field.name), np.ndarray)
    }
    return dataclasses.replace(records, **arrays)  # type: ignore[arg-type]


def in_order(records: Records) -> Records:
    """The samples sorted by time where their rows are merely out of order."""
    step = np.diff(records.time_s)
    if not (step < 0).any() or step.size < FEWEST_AGAIN:
        return records
    rows = np.argsort(records.time_s, kind="stable")
    time, volts = records.time_s[rows], records.voltage_v
    cycle_falls = records.cycle is not None and bool((np.diff(records.cycle[rows]) < 0).any())
    rougher = np.abs(np.diff(volts[rows])).sum() > 1.0001 * np.abs(np.diff(volts)).sum()
    if (np.diff(time) == 0).sum() > (step == 0).sum() or cycle_falls or rougher:
        return records
    found = selected(records, rows)
    start = records.start and records.start + np.timedelta64(round(float(time[0]) * 1e6), "us").item()
    words = f"{int((step < 0).sum())} times the rows are not in the order of their time: sorted by it"
    return dataclasses.replace(found, time_s=time - time[0], start=start, guesses=(*records.guesses, words))


def without_echoes(records: Records) -> Records:
    """Without rows that say what the one before says, time included, where nearly all that share a time do: they were
    written twice. A clock of whole minutes has rows alike too, in a rest; but not all.
    """
    same = np.diff(records.time_s) == 0
    alike = same & (np.diff(records.voltage_v) == 0) & (np.diff(records.current_a) == 0)
    if not same.any() or alike.sum() < ECHOES * same.sum():
        return records
    note = f"{int(alike.sum())} rows come twice, first row {int(np.argmax(alike)) + 2}: used once"
    return dataclasses.replace(selected(records, ~np.append(False, alike)), notes=(*records.notes, note))


def without_repeats(records: Records) -> Records:
    """Without samples that the file has already, times included, after its clock fell back."""
    time, volts, amps = records.time_s, records.voltage_v, records.current_a
    begins = np.flatnonzero(np.diff(time) < 0) + 1
    if not begins.size or begins.size > 50:
        return records
    keep, last = np.ones(time.size, dtype=np.bool_), 0
    for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), time.size], strict=True):
        first = last + int(np.searchsorted(time[last:begin], time[begin]))
        size = min(begin - first, end - begin)
        same = (
            (time[first : first + size] == time[begin : begin + size])
            & (volts[first : first + size] == volts[begin : begin + size])
            & (amps[first : first + size] == amps[begin : begin + size])
        )
        again = size if same.all() else int(np.argmin(same))
        if again >= min(FEWEST_AGAIN, end - begin):
            keep[begin : begin + again] = False
        last = begin if again < size or end - begin > again else last
    if keep.all():
        return records
    note = f"{int((~keep).sum())} samples are in the file twice, first row {int(np.argmin(keep)) + 1}: used once"
    return dataclasses.replace(selected(records, keep), notes=(*records.notes, note))


def refuse_second_test(records: Records, restarts: str) -> None:
    """Raise AmbiguousFile where a second series begins, unless ``restarts`` is "continue": it is of this cell."""
    if restarts == "continue":
        return
    remedy = (
        "split the file there, or name a column that tells the series apart (--set channel_column=NAME); if one cell goes "
        "on, say --set restarts=continue"
    )
    falls = np.diff(records.time_s)
    near = np.minimum(np.abs(falls + HOUR_S), np.abs(falls + DAY_S))
    seams = np.flatnonzero((falls < 0) & (near > SET_BACK_S)) + 1
    if seams.size:
        parts = [part for part in np.split(records.current_a, seams) if part.any()]
        # A clock of cycles or steps starts anew with each of them; whichever direction of the current comes first.
        if np.mean([min(number_cycles(part)[-1], number_cycles(-part)[-1]) for part in parts] or [0]) >= 1.5:
            what = "date" if records.start else "clock"
            raise AmbiguousFile(records.path, f"the {what} falls back after sample {int(seams[0])}, with whole cycles "
                                f"before and after it: another test, or another cell; {remedy}")  # fmt: skip
    anew = falls > DAY_S
    if records.cycle is not None:
        anew |= np.diff(records.cycle) < 0
    for seam in (np.flatnonzero(anew) + 1)[:MOST_SEAMS].tolist():
        if ratio := _other_charge(records, seam):
            what = "a pause of days comes" if falls[seam - 1] > DAY_S else "the cycle number starts anew"
            raise AmbiguousFile(records.path, f"{what} after sample {seam}, and full charges and discharges move "
                                f"{ratio:.2f} times the charge of those before: another cell; {remedy}")  # fmt: skip
    if twice := _again_later(records.voltage_v, records.current_a):
        first, second = twice
        raise AmbiguousFile(
            records.path, f"the samples from {second + 1} on are those from {first + 1} on once more, under a later clock: "
            "pasted twice; delete them, or say --set restarts=continue to count both"
        )  # fmt: skip


def _other_charge(records: Records, seam: int) -> float:
    """By what full swings after a sample move another charge than those before; 0 where they are alike or scatter."""
    sides = []
    for rows in (slice(None, seam), slice(seam, None)):
        time = np.maximum.accumulate(records.time_s[rows])
        charge = full_swings(time, records.voltage_v[rows], records.current_a[rows]).charge_ah
        charge = charge[:-1][-SWINGS:] if rows.stop else charge[1:][:SWINGS]  # the ones at the seam may be cut
        if charge.size < 2 or np.ptp(charge) > JUMP / 2 * charge.max():
            return 0.0
        sides.append(float(np.median(charge)))
    ratio = sides[1] / sides[0]
    return ratio if abs(ratio - 1.0) > JUMP else 0.0


def _again_later(voltage_v: Float64, current_a: Float64) -> tuple[int, int] | None:
    """(first sample, sample) of a long stretch that comes twice; None for none. Windows are chosen by what is in them, so
    that both copies choose the same ones."""
    if voltage_v.size < 2 * LONG_AGAIN:
        return None
    mixed = np.ascontiguousarray(voltage_v).view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    starts = np.flatnonzero(mixed < np.uint64(2**64 // ONE_WINDOW_OF))
    found: dict[bytes, int] = {}
    compared = 0
    for start in starts[starts <= voltage_v.size - WINDOW].tolist():
        rows = slice(start, start + WINDOW)
        earlier = found.setdefault(voltage_v[rows].tobytes() + current_a[rows].tobytes(), start)
        if earlier == start or np.unique(voltage_v[rows]).size < WINDOW // 8:
            continue
        compared += 1
        if compared > MOST_COMPARED:
            break
        size = min(start - earlier, voltage_v.size - start)
        before, now = slice(earlier, earlier + size), slice(start, start + size)
        same = (voltage_v[before] == voltage_v[now]) & (current_a[before] == current_a[now])
        again = size if same.all() else int(np.argmin(same))
        turns = np.diff(np.sign(np.diff(voltage_v[start : start + again])))
        if again >= LONG_AGAIN and np.count_nonzero(turns) >= REVERSALS * again:
            return earlier, start
    return None


def spread_minutes(records: Records) -> Records:
    """Samples that share whole minutes (or a coarser clock's times) spread evenly, where every minute has equally many.

    Raises DataError elsewhere.
    """
    step = np.diff(records.time_s)
    same, later = step == 0, step[step > 0]
    if not later.size or same.mean() < 0.3 or later.min() < COARSE_S or (step % later.min() != 0).any():
        return records
    unit = float(later.min())
    starts = np.concatenate(([0], np.flatnonzero(~same) + 1))
    sizes = np.diff(np.append(starts, records.time_s.size))
    follows = np.concatenate(([False], step[~same] == unit))
    followed = np.append(follows[1:], False)
    inner = sizes[follows & followed]
    rows = int(np.median(inner)) if inner.size else int(sizes.max())
    if (inner != rows).any() or (sizes > rows).any():
        raise DataError(
            f"{records.path.name}: times are known to {unit:g} s alone, and not each of them has equally many rows, so it "
            "is not known when those were; export the time with seconds"
        )
    # The first minute of a stretch may have begun before its first row.
    skipped = np.where(~follows & followed, rows - sizes, 0)
    offset = np.arange(records.time_s.size) - np.repeat(starts - skipped, sizes)
    time = records.time_s + offset * (unit / rows)
    words = f"times are known to {unit:g} s with {rows} rows each: spread evenly over them"
    return dataclasses.replace(records, time_s=time - time[0], guesses=(*records.guesses, words))
