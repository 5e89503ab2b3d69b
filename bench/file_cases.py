"""One healthy cycler file with one thing changed each: does ``edgebat predict`` answer as before, refuse, or err?

::

    python -m bench.file_cases [--model demo-mlp] [--only NAME]

Prints the table of docs/file-faults.md: the largest error of the estimates, in points of SOH, or that there is none.
In bold: more than ``CLOSE`` points worse than the untouched file. Those must be refused, or say why they may be wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgebat.__main__ import main as edgebat
from edgebat.arrays import Bool, Float64, Int64
from edgebat.data.synthetic import make_raw_cell

NOMINAL_AH = 3.5
PERIOD_S = 20.0
CYCLES = range(281, 295)
AT_NIGHT = dt.datetime(2025, 3, 30, 2, 0)
CLOSE = 1.0
"""Points: other noise of 0.3 mV moves estimates by as much."""
NAMES = ("Test Time / s", "Voltage / V", "Current / A", "Cycle Count / 1")


@dataclass(frozen=True)
class Log:
    """A file in the making: columns, and what stands in the command line beside it."""

    time_s: Float64
    voltage_v: Float64
    current_a: Float64
    cycle: Int64
    names: tuple[str, ...] = NAMES
    formats: tuple[str, ...] = ("%.1f", "%.4f", "%.4f", "%d")
    more: dict[str, Sequence[str]] = field(default_factory=dict)
    """Further columns, as texts, in front of the others."""
    texts: Sequence[str] = ()
    """Instead of the times."""
    nominal_ah: float = NOMINAL_AH
    soh: dict[int, float] = field(default_factory=dict)
    """What is true of each cycle, %."""

    def take(self, rows: Int64 | Bool) -> Log:
        """These samples."""
        more = {name: [values[n] for n in np.arange(len(values))[rows]] for name, values in self.more.items()}
        texts = [self.texts[n] for n in np.arange(len(self.texts))[rows]] if self.texts else ()
        columns = (self.time_s, self.voltage_v, self.current_a, self.cycle)
        time, voltage, current, cycle = (column[rows] for column in columns)
        return replace(self, time_s=time, voltage_v=voltage, current_a=current, cycle=cycle, more=more, texts=texts)

    def write(self, path: Path) -> None:
        """As CSV."""
        columns = (self.time_s, self.voltage_v, self.current_a, self.cycle)[: len(self.names)]
        texts = [[form % value for value in column] for form, column in zip(self.formats, columns, strict=False)]
        if self.texts:
            texts[0] = list(self.texts)
        rows = zip(*self.more.values(), *texts, strict=True)
        lines = [",".join([*self.more, *self.names]), *(",".join(row) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def each(self, change: Callable[[Log], Log]) -> Log:
        """``change`` made to every cycle, whose own time begins at 0."""
        parts, offset = [], 0.0
        for number in np.unique(self.cycle):
            part = self.take(self.cycle == number)
            part = change(replace(part, time_s=part.time_s - part.time_s[0]))
            parts.append(replace(part, time_s=part.time_s + offset))
            offset = parts[-1].time_s[-1] + PERIOD_S
        columns = ("time_s", "voltage_v", "current_a", "cycle")
        return replace(self, **{name: np.concatenate([getattr(part, name) for part in parts]) for name in columns})

    @property
    def charging(self) -> Bool:
        """[S]"""
        return np.asarray(self.current_a > 0.0)

    @property
    def inside(self) -> Bool:
        """[S] charging between 3.62 and 3.68 V."""
        return np.asarray(self.charging & (self.voltage_v > 3.62) & (self.voltage_v < 3.68))

    @property
    def middle(self) -> int:
        """The sample of one cycle at which a charge passes 3.65 V."""
        return int(np.flatnonzero(self.charging & (self.voltage_v > 3.65))[0])


def healthy(cycles: Sequence[int] = CYCLES, index: int = 1, seed: int = 23) -> Log:
    """A simulated cell of 3.5 Ah, 0.5C to 4.2 V with constant voltage, 1C down."""
    cell = make_raw_cell(seed=seed, index=index, cycles=cycles, period_s=PERIOD_S)
    log = Log(cell.time_s, cell.voltage_v, cell.current_a, cell.cycle - cell.cycle[0] + 1).each(lambda part: part)
    return replace(log, soh={int(n): discharged(log.take(log.cycle == n)) for n in np.unique(log.cycle)})


def discharged(part: Log) -> float:
    """Charge that one cycle gives, % of the nominal capacity."""
    current = np.minimum(part.current_a, 0.0)
    return -float(np.sum(np.diff(part.time_s) * (current[1:] + current[:-1]) / 2)) / 36.0 / NOMINAL_AH


def scaled(name: str, factor: float, column: str, form: str = "%.4f") -> Callable[[Log], Log]:
    """A column times a factor, under another name."""
    at = NAMES.index(column)
    attribute = ("time_s", "voltage_v", "current_a", "cycle")[at]

    def change(log: Log) -> Log:
        names, formats = list(log.names), list(log.formats)
        names[at], formats[at] = name, form
        moved = {attribute: getattr(log, attribute) * factor}
        return replace(log, names=tuple(names), formats=tuple(formats), **moved)

    return change


def at_rate(factor: float) -> Callable[[Log], Log]:
    """Charges with ``factor`` times the current: as much faster, and lifted by the drop over the cell's resistance."""

    def change(log: Log) -> Log:
        start = int(np.argmax(log.charging))
        ohm = (log.voltage_v[start] - log.voltage_v[start - 1]) / log.current_a[start]
        extra = (factor - 1.0) * np.where(log.charging, log.current_a, 0.0)
        step = np.diff(log.time_s, prepend=0.0) / np.where(log.charging, factor, 1.0)
        return replace(
            log, time_s=np.cumsum(step), voltage_v=log.voltage_v + ohm * extra, current_a=log.current_a + extra
        )

    return lambda log: log.each(change)


def paused(seconds: float, drop_v: float) -> Callable[[Log], Log]:
    """In the middle of each charge's window the current rests, and the voltage falls by so much."""

    def change(log: Log) -> Log:
        at, count = log.middle, int(seconds / PERIOD_S)
        order = np.concatenate([np.arange(at), np.full(count, at), np.arange(at, log.time_s.size)])
        rest = slice(at, at + count)
        found = log.take(order)
        voltage, current = found.voltage_v.copy(), found.current_a.copy()
        voltage[rest] -= drop_v
        current[rest] = 0.0
        return replace(found, time_s=PERIOD_S * np.arange(order.size), voltage_v=voltage, current_a=current)

    return lambda log: log.each(change)


def slower_from_the_middle(log: Log) -> Log:
    """Two currents in one charge: 0.5C up to 3.65 V, 0.3C beyond."""
    late = log.charging & (np.arange(log.time_s.size) >= log.middle)
    step = np.diff(log.time_s, prepend=0.0) / np.where(late, 0.6, 1.0)
    return replace(log, time_s=np.cumsum(step), current_a=np.where(late, 0.6, 1.0) * log.current_a)


def pulsed(log: Log) -> Log:
    """The current of a charge comes in pulses of twice the height, every second sample, with the drop they make."""
    on = np.arange(log.time_s.size) % 2 == 0
    extra = np.where(log.charging, np.where(on, log.current_a, -log.current_a), 0.0)
    return replace(log, current_a=log.current_a + extra, voltage_v=log.voltage_v + 0.05 * extra)


def on_change(log: Log) -> Log:
    """A sample when the voltage has moved by 5 mV, or the direction of the current has changed."""
    kept, last = [0], log.voltage_v[0]
    for at in range(1, log.time_s.size):
        turned = np.sign(log.current_a[at]) != np.sign(log.current_a[at - 1])
        if abs(log.voltage_v[at] - last) >= 0.005 or turned or log.cycle[at] != log.cycle[at - 1]:
            kept.append(at)
            last = log.voltage_v[at]
    return log.take(np.array(kept))


def averaged(log: Log) -> Log:
    """An instrument that is slow by 100 s."""
    return replace(log, voltage_v=np.convolve(np.pad(log.voltage_v, (9, 0), "edge"), np.full(10, 0.1), "valid"))


def with_load(log: Log) -> Log:
    """What the load takes out of the cell while it rests goes in again."""
    resting = np.abs(log.current_a) < 0.01
    balance = 0.03 * resting.sum() / log.charging.sum()
    return replace(log, current_a=np.where(resting, -0.03, log.current_a + balance * log.charging))


def interleaved(log: Log, other: Log, name: str = "") -> Log:
    """Two cells sample by sample, in one clock."""
    size = min(log.time_s.size, other.time_s.size)
    both = np.argsort(np.concatenate([np.arange(size), np.arange(size)]), kind="stable")
    own, beside = log.take(np.arange(size)), other.take(np.arange(size))
    columns = ("voltage_v", "current_a")
    found = replace(
        own, time_s=np.concatenate([own.time_s, own.time_s])[both], cycle=np.concatenate([own.cycle, own.cycle])[both],
        **{c: np.concatenate([getattr(own, c), getattr(beside, c)])[both] for c in columns})  # fmt: skip
    return replace(found, more={name: ["A" if n % 2 == 0 else "B" for n in range(2 * size)]}) if name else found


def spliced(log: Log, other: Log) -> Log:
    """One cell after the other, clock and cycle number going on."""
    time, cycle = other.time_s + log.time_s[-1] + 60.0, other.cycle + log.cycle[-1]
    columns = {"voltage_v": (log.voltage_v, other.voltage_v), "current_a": (log.current_a, other.current_a)}
    columns |= {"time_s": (log.time_s, time), "cycle": (log.cycle, cycle)}
    soh = log.soh | {int(n + log.cycle[-1]): true for n, true in other.soh.items()}
    return replace(log, soh=soh, **{name: np.concatenate(parts) for name, parts in columns.items()})


def stamps(log: Log, local: Callable[[dt.datetime], dt.datetime], form: str = "%Y-%m-%d %H:%M:%S") -> Log:
    """Wall-clock times instead of seconds."""
    night = log.time_s[np.flatnonzero(log.inside & (log.cycle == 9))[0]] + 0.5
    times = [local(AT_NIGHT + dt.timedelta(seconds=float(seconds - night))).strftime(form) for seconds in log.time_s]
    return replace(log, names=("Date_Time", *NAMES[1:]), texts=times)


def summer(hours: int) -> Callable[[dt.datetime], dt.datetime]:
    """A clock that is put forward, or back, in the night: in the window of the ninth charge."""
    return lambda time: time + dt.timedelta(hours=hours) if time >= AT_NIGHT else time


def wrapped(bits_s: float) -> Callable[[Log], Log]:
    """A counter of seconds that overflows."""
    return lambda log: replace(log, time_s=np.mod(log.time_s, bits_s))


def with_temperature(name: str, value: float) -> Callable[[Log], Log]:
    """One more column, the same value throughout."""
    return lambda log: replace(log, more={name: [f"{value:g}"] * log.time_s.size})


def every(count: int) -> Callable[[Log], Log]:
    """One sample of so many."""
    return lambda log: log.take(np.arange(0, log.time_s.size, count))


def rounded(attribute: str, step: float) -> Callable[[Log], Log]:
    """A coarse instrument."""
    return lambda log: replace(log, **{attribute: np.round(getattr(log, attribute) / step) * step})


def where(attribute: str, rows: Callable[[Log], Bool], value: Callable[[Log], Float64]) -> Callable[[Log], Log]:
    """Other values in some samples."""
    return lambda log: replace(log, **{attribute: np.where(rows(log), value(log), getattr(log, attribute))})


def without(rows: Callable[[Log], Bool]) -> Callable[[Log], Log]:
    """Some samples are not there."""
    return lambda log: log.take(~rows(log))


def named(names: Sequence[str]) -> Callable[[Log], Log]:
    """Other column names."""
    return lambda log: replace(log, names=tuple(names))


def moved(**by: float) -> Callable[[Log], Log]:
    """An offset of an instrument."""
    return lambda log: replace(log, **{name: getattr(log, name) + value for name, value in by.items()})


def mixed_order(log: Log) -> Log:
    """Cycles in the order of their numbers as texts: 1, 10, 11, ..., 2."""
    order = sorted(np.unique(log.cycle), key=lambda number: str(number))
    return log.take(np.concatenate([np.flatnonzero(log.cycle == number) for number in order]))


YOUNG = range(41, 55)
V, A, T, N = NAMES[1], NAMES[2], NAMES[0], NAMES[3]
CASES: dict[str, Callable[[Log], Log]] = {
    "as it is": lambda log: log,
    "resampled to 60 s": every(3),
    "resampled to 300 s": every(15),
    "time in hours, said so": scaled("Test Time / h", 1 / 3600, T, "%.7f"),
    "time in hours, called seconds": scaled(T, 1 / 3600, T, "%.7f"),
    "time in minutes, no unit": scaled("time", 1 / 60, T, "%.5f"),
    "current in mA, said so": scaled("Current / mA", 1000, A),
    "current in mA, called A": scaled(A, 1000, A),
    "current in A, called mA": scaled("Current / mA", 1, A),
    "current as a C-rate": scaled(A, 1 / NOMINAL_AH, A),
    "current of two cells in parallel": scaled(A, 2, A),
    "voltage in mV, called V": scaled(V, 1000, V),
    "voltage of two cells in series": scaled(V, 2, V),
    "voltage and current mixed up": named((T, A, V, N)),
    "time and cycle mixed up": named((N, V, A, T)),
    "nominal capacity in mAh": lambda log: replace(log, nominal_ah=3500.0),
    "nominal capacity of another cell, 3.3 Ah": lambda log: replace(
        log, nominal_ah=3.3, soh={n: true * NOMINAL_AH / 3.3 for n, true in log.soh.items()}
    ),
    "nominal capacity of another cell, 2.5 Ah": lambda log: replace(log, nominal_ah=2.5),
    "a column of SOC in percent called capacity": lambda log: replace(
        log, more={"Capacity / Ah": [f"{x:.2f}" for x in np.clip((log.voltage_v - 2.8) / 1.4 * 100, 0, 100)]}
    ),
    "no current, only capacity": lambda log: replace(
        log, names=(T, V, "Capacity(Ah)", N), current_a=np.cumsum(np.abs(log.current_a)) * PERIOD_S / 3600
    ),
    "discharging is positive": scaled(A, -1, A),
    "current without a sign": where("current_a", lambda log: log.current_a < 0, lambda log: -log.current_a),
    "constant-voltage part with the other sign": where(
        "current_a", lambda log: log.charging & (log.voltage_v > 4.195), lambda log: -log.current_a
    ),
    "current offset of 50 mA": moved(current_a=0.05),
    "current offset of -30 mA": moved(current_a=-0.03),
    "a true load of 30 mA while resting": with_load,
    "current 5 % too large": scaled(A, 1.05, A),
    "current in steps of 0.1 A": rounded("current_a", 0.1),
    "voltage in steps of 10 mV": rounded("voltage_v", 0.01),
    "voltage 20 mV too high": moved(voltage_v=0.02),
    "charger's set voltage instead of the cell's": where(
        "voltage_v", lambda log: log.charging, lambda log: np.full(log.time_s.size, 4.2)
    ),
    "missing voltages as 0": where("voltage_v", lambda log: np.arange(log.time_s.size) % 9 == 0, lambda log: 0 * log.time_s),
    "last value held over the window": lambda log: log.each(
        lambda part: replace(part, voltage_v=np.where(part.inside, 3.62, part.voltage_v))
    ),
    "two channels woven, other ages": lambda log: interleaved(log, healthy(YOUNG)),
    "two channels woven, like ages": lambda log: interleaved(log, healthy(range(282, 296))),
    "two channels woven, with a column": lambda log: interleaved(log, healthy(YOUNG), "Channel"),
    "two cells, clock and number going on": lambda log: spliced(log, healthy(YOUNG)),
    "two cells, the older one first, 8 % apart": lambda log: spliced(log, healthy(range(201, 215))),
    "the file twice, one after the other": lambda log: log.take(np.tile(np.arange(log.time_s.size), 2)),
    "each row twice": lambda log: log.take(np.repeat(np.arange(log.time_s.size), 2)),
    "newest row first": lambda log: log.take(np.arange(log.time_s.size)[::-1]),
    "cycles sorted as texts": mixed_order,
    "time wraps at 65,536 s": wrapped(65536.0),
    "time wraps at 65,536 s, no cycle": lambda log: replace(wrapped(65536.0)(log), names=NAMES[:3]),
    "clock put forward one hour": lambda log: stamps(log, summer(1)),
    "clock put back one hour": lambda log: stamps(log, summer(-1)),
    "twelve-hour clock without am or pm": lambda log: stamps(log, lambda time: time, "%Y-%m-%d %I:%M:%S"),
    "dates, minutes alone": lambda log: stamps(log, lambda time: time, "%Y-%m-%d %H:%M"),
    "logging gap in the window": without(lambda log: log.inside),
    "logging gap of a discharge": without(lambda log: (log.current_a < 0) & (log.cycle == 9)),
    "pause of 10 minutes in the window, voltage drops": paused(600.0, 0.04),
    "pause of 10 minutes in the window, voltage stays": paused(600.0, 0.0),
    "pause not logged, voltage goes on": lambda log: log.each(
        lambda part: replace(part, time_s=part.time_s + 600.0 * (np.arange(part.time_s.size) >= part.middle))
    ),
    "pulses of 1C, half of the time": lambda log: log.each(pulsed),
    "logged when the voltage moves by 5 mV": on_change,
    "voltage averaged over ten samples": lambda log: log.each(averaged),
    "two currents in one charge": lambda log: log.each(slower_from_the_middle),
    "charged at 0.2C": at_rate(0.4),
    "charged at 0.75C": at_rate(1.5),
    "charged at 2C": at_rate(4.0),
    "constant-voltage part only": without(lambda log: log.charging & (log.voltage_v < 4.19)),
    "charges begin inside the window": without(lambda log: log.charging & (log.voltage_v < 3.64)),
    "discharges alone": without(lambda log: log.charging),
    "temperature in K, said so": with_temperature("Temperature / K", 298.15),
    "temperature in K, not said": with_temperature("Temperature", 298.15),
    "temperature in K, called degC": with_temperature("Temperature / degC", 298.15),
    "temperature in F, said so": with_temperature("Temperature / F", 77.0),
    "temperature in F, not said": with_temperature("Temperature", 77.0),
    "temperature in F, freezing, said so": with_temperature("Temperature (F)", 30.0),
    "temperature -40 as not connected": with_temperature("Temperature / degC", -40.0),
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """Of ``edgebat predict``."""

    code: int
    cycle: tuple[int, ...]
    soh: tuple[float, ...]
    """Where there is an estimate, %."""
    words: str


def asked(log: Log, model: str, folder: Path) -> Answer:
    """The command line's answer to the file."""
    path, out, err = folder / "log.csv", io.StringIO(), io.StringIO()
    log.write(path)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = edgebat(["predict", model, str(path), "--nominal-ah", f"{log.nominal_ah:g}", "--json"])
    if code:
        return Answer(code, (), (), err.getvalue().strip().replace("\n", " ").removeprefix("error: "))
    found = json.loads(out.getvalue())
    rows = [(w["cycle"], w["soh_percent"]) for w in found["windows"] if w["soh_percent"] is not None]
    said = [f"{count} x {reason}" for reason, count in found["left_out"].items()] + found["remarks"]
    return Answer(0, tuple(c for c, _ in rows), tuple(s for _, s in rows), "; ".join(said))


def verdict(log: Log, answer: Answer, allowed: float) -> str:
    """How wrong it is at most, in points, or that it is refused."""
    if answer.code or not answer.soh:
        return "refused"
    off = worst(log, answer)
    return f"{off:.1f}" if off <= allowed + CLOSE else f"**{off:.1f}**"


def worst(log: Log, answer: Answer) -> float:
    """The largest error of the estimates, points."""
    return max(abs(soh - log.soh[cycle]) for cycle, soh in zip(answer.cycle, answer.soh, strict=True))


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo-mlp")
    parser.add_argument("--only", action="append", help="a case; repeatable")
    parser.add_argument("--words", action="store_true", help="the command line's words as well")
    given = parser.parse_args()
    log = healthy()
    with tempfile.TemporaryDirectory() as folder:
        allowed = worst(log, asked(log, given.model, Path(folder)))
        for name, change in CASES.items():
            if given.only and name not in given.only:
                continue
            changed = change(log)
            answer = asked(changed, given.model, Path(folder))
            words = f" {answer.words} |" if given.words else ""
            print(f"| {name} | {verdict(changed, answer, allowed)} |{words}", flush=True)


if __name__ == "__main__":
    main()
