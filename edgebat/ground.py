"""What a model was trained on, as values: the ground its answers stand on. NumPy only.

It lies in ``meta["ground"]`` of a graph, travels with the model's file, and from there into card, ``info`` and C header.
Files written before carry none: then nothing is stated, and the range of the border alone limits an input.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgebat.arrays import Bool, Int8, Int64
from edgebat.chemistry import unlike
from edgebat.errors import ModelFileError
from edgebat.files import Json

NOT_STATED = "not stated"
MOST_PROTOTYPES = 32
MOST_COLUMNS = 1024
"""So that a squared distance fits into 32 bits."""
MOST_VALUES = 2**32 // 255**2
"""Increments of all rows of an input, so that their squared distances add up in 32 bits."""
INT32_MAX, UINT32_MAX = 2**31 - 1, 2**32 - 1

Range = tuple[int, int]


@dataclass(frozen=True)
class Seen:
    """The cells of one part of the split. What their sources do not state is empty."""

    cells: int = 0
    chemistries: tuple[str, ...] = ()
    charge_rates_c: tuple[float, ...] = ()
    """Distinct charging currents, ascending, C."""
    temperatures_degc: tuple[float, ...] = ()
    """Distinct temperatures, ascending."""
    soh: tuple[float, ...] = ()
    """Least and largest label, fractions of the reference."""
    cycles: tuple[int, ...] = ()
    """Least and largest cycle number of a window's end."""
    silent: dict[str, int] = field(default_factory=dict)
    """Name of a field above -> cells whose source does not state it."""

    def facts(self) -> list[tuple[str, str]]:
        """(what, text)."""
        soh = f"{self.soh[0] * 100:.1f} to {self.soh[1] * 100:.1f} %" if self.soh else NOT_STATED
        cycles = f"{self.cycles[0]} to {self.cycles[1]}" if self.cycles else NOT_STATED
        return [
            ("chemistries", self._listed("chemistries", self.chemistries, "; ")),
            ("charge rates, C", self._listed("charge_rates_c", [f"{v:g}" for v in self.charge_rates_c])),
            ("temperatures, degC", self._listed("temperatures_degc", [f"{v:g}" for v in self.temperatures_degc])),
            ("SOH", soh),
            ("cycles", cycles),
        ]

    def _listed(self, name: str, values: tuple[str, ...] | list[str], join: str = ", ") -> str:
        without = self.silent.get(name, 0)
        if not values:
            return NOT_STATED
        return join.join(values) + (f" ({without} of {self.cells} cells: {NOT_STATED})" if without else "")


@dataclass(frozen=True)
class RowLimits:
    """What one row of inputs, a charge through the window, must be like for a device to use it."""

    low_ppm: tuple[int, ...] = ()
    """[columns] ppm of nominal capacity; empty: not limited. A column of rates is limited by ``rates_mc`` alone."""
    high_ppm: tuple[int, ...] = ()
    rates_mc: tuple[Range, ...] = ()
    """Charging currents, 0.001 C, ascending: one range for each rate that was trained, for what lies between two rates is
    not known either (docs/trust.md). Empty: not stated, so that none is refused."""
    temperature_ddegc: Range | None = None
    """Least and highest temperature, 0.1 degC; None: not stated."""

    def refusal(self, row_ppm: Int64, rate_c: float | None = None, degc: float | None = None) -> str:
        """Why a device leaves the row [columns] out, in words; "" when it takes it. None is not measured, and refuses
        nothing."""
        if rate_c is not None and not self.knows_rate(rate_c):
            return f"{RATE_UNLIKE}, {self.rates}"
        if degc is not None and self.temperature_ddegc is not None:
            low, high = self.temperature_ddegc
            if not low <= round(degc * 10) <= high:
                return f"charged outside {low / 10:g} to {high / 10:g} degC, the temperatures it has learnt from"
        if self.low_ppm and not ((row_ppm >= self.low_ppm) & (row_ppm <= self.high_ppm)).all():
            return CHARGE_UNLIKE
        return ""

    def knows_rate(self, rate_c: float) -> bool:
        """Whether a charging current, C, is one of those stated; True where none is."""
        return not self.rates_mc or any(low <= round(rate_c * 1000) <= high for low, high in self.rates_mc)

    @property
    def rates(self) -> str:
        """The rates in words."""
        return ", ".join(f"{low / 1000:g} to {high / 1000:g} C" for low, high in self.rates_mc)


RATE_UNLIKE = "charged at another rate than those it has learnt from"
CHARGE_UNLIKE = "a charge unlike those of the training cells"
WINDOW_UNLIKE = "charges that are together unlike those of the training cells"
TEMPERATURE_UNLIKE = "charged at another temperature than those it has learnt from"
AGE_UNLIKE = "an estimate below the SOH of every cell it has learnt from: a cell that has aged further"
CHEMISTRY_UNLIKE = "a cell of another chemistry than those it has learnt from"


@dataclass(frozen=True)
class Domain:
    """How far a window may be from what the model has learnt from.

    A window's score is the squared distance of its mean row to the nearest prototype, in steps of the int8 input. Where rows
    are of different voltages, and have no mean, each has its own distance, to the nearest of the prototypes whose windows
    begin where its own does (or nearest to there), and the score is the mean of these.
    """

    prototypes: tuple[tuple[int, ...], ...]
    """At most 32 rows of the quantized input plus 128, 0 to 255; of its first columns where a row ends with its rate. Of any
    window: the increments and, behind them, where it begins."""
    limit: int
    """Largest score that is inside."""
    false_alarms: float
    """Share of the validation cells' windows that the limit was set for to lie outside."""
    empty: int | None = None
    """Of any window: what stands, plus 128, for its beginning where a row has no charge. None: all rows are of one."""

    def scores(self, windows: Int8) -> Int64:
        """Scores [N] of quantized windows [N, T, columns], as a generated ``<name>_domain`` computes them."""
        shifted = windows[..., : len(self.prototypes[0])].astype(np.int64) + 128
        if self.empty is not None:
            return self._scores_by_start(shifted, shifted[..., -1] != self.empty)
        steps = shifted.shape[1]
        mean = (2 * shifted.sum(axis=1) + steps) // (2 * steps)
        table = np.array(self.prototypes, dtype=np.int64)
        return np.array([((row - table) ** 2).sum(axis=1).min() for row in mean], dtype=np.int64)

    def _scores_by_start(self, shifted: Int64, there: Bool) -> Int64:
        """The same of rows [N, T, increments + 1] of any window, of which some are ``there`` [N, T]; without one nothing is
        known, and the score is the largest that there is."""
        rows, table = shifted[there], np.array(self.prototypes, dtype=np.int64)
        apart = np.abs(rows[:, -1:] - table[:, -1])
        squared = np.stack([((rows[:, :-1] - one[:-1]) ** 2).sum(axis=1) for one in table], axis=1)
        squared[apart != apart.min(axis=1, keepdims=True)] = UINT32_MAX
        least = np.zeros(there.shape, dtype=np.int64)
        least[there] = squared.min(axis=1)
        count = there.sum(axis=1)
        return np.where(count > 0, least.sum(axis=1) // np.maximum(count, 1), UINT32_MAX)


@dataclass(frozen=True)
class Starts:
    """Where windows begin of a model that reads charges through any: ``count`` voltages from its lowest level on."""

    count: int
    step_mv: int
    """From one to the next."""
    next: int
    """Where a window ends the one begins that is so many starts further on; 0: none does."""
    max_age: int
    """Cycles; an older row is not read."""


@dataclass(frozen=True)
class Ground:
    """All of it."""

    train: Seen = Seen()
    val: Seen = Seen()
    voltage_v: tuple[float, ...] = ()
    """Least and largest voltage of the window that is read; empty where a task has none."""
    rows: RowLimits = RowLimits()
    domain: Domain | None = None

    @property
    def stated(self) -> bool:
        """Whether the file says anything."""
        return self.train.cells > 0

    @property
    def least_soh_cpct(self) -> int | None:
        """The smallest label learnt from, 0.01 %: an estimate below it is of a cell that has aged further than any of those,
        and is refused; None where none is stated."""
        return round(self.train.soh[0] * 10_000) if self.train.soh else None

    def knows_chemistry(self, stated: str) -> bool:
        """Whether a cell whose source states this chemistry is like one of those learnt from; True where nothing is stated,
        of the cell or of these."""
        return not unlike(stated, self.train.chemistries)

    def facts(self) -> list[tuple[str, str]]:
        """(what, text) for people."""
        if not self.stated:
            return [("ground", NOT_STATED)]
        window = f"{self.voltage_v[0]:g} to {self.voltage_v[1]:g} V" if self.voltage_v else NOT_STATED
        lines = [("trained on", f"{self.train.cells} cells, validated on {self.val.cells}"), ("voltage window", window)]
        val = dict(self.val.facts()) if self.val.cells else {}
        for what, text in self.train.facts():
            other = val.get(what, text)
            lines.append((what, text if other == text else f"{text}; validation cells: {other}"))
        return [*lines, *self._gates()]

    def _gates(self) -> list[tuple[str, str]]:
        degrees = self.rows.temperature_ddegc
        open_gate = f"{NOT_STATED}, none is refused"
        gates = [
            ("charge rates taken", self.rows.rates or open_gate),
            (
                "temperatures taken",
                f"{degrees[0] / 10:g} to {degrees[1] / 10:g} degC" if degrees else open_gate,
            ),
        ]
        if self.domain is not None:
            share = f"{self.domain.false_alarms:.0%} of the validation cells' windows lie outside"
            each = "" if self.domain.empty is None else " of rows, by where their windows begin"
            many = f"{len(self.domain.prototypes)} prototypes{each}"
            gates.append(("domain", f"{many}, limit {self.domain.limit}: {share}"))
        return gates

    def to_json(self) -> Json:
        """JSON-able, the inverse of ``ground_of``."""
        found = dataclasses.asdict(self)
        if self.domain is not None and self.domain.empty is None:
            del found["domain"]["empty"]
        return found


def ground_of(meta: Any, name: str) -> Ground:
    """The ground in a model's ``meta``; nothing stated where it carries none. Raises ModelFileError, naming the model
    ``name``, for one that is damaged: it comes from a file."""
    found = meta.get("ground")
    if found is None:
        return Ground()
    try:
        rows, domain = found["rows"], found.get("domain")
        ground = Ground(
            _seen(found["train"]),
            _seen(found["val"]),
            tuple(float(v) for v in found["voltage_v"]),
            RowLimits(
                _integers(rows["low_ppm"]),
                _integers(rows["high_ppm"]),
                tuple(_range(values) for values in rows["rates_mc"]),
                None if rows["temperature_ddegc"] is None else _range(rows["temperature_ddegc"]),
            ),
            _domain(domain) if domain else None,
        )
        _check(ground)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ModelFileError(f"model {name!r} carries an unusable entry 'ground': {error}; export it again") from None
    return ground


def _seen(found: Any) -> Seen:
    return Seen(
        cells=int(found["cells"]),
        chemistries=tuple(str(v)[:200] for v in found["chemistries"]),
        charge_rates_c=tuple(float(v) for v in found["charge_rates_c"]),
        temperatures_degc=tuple(float(v) for v in found["temperatures_degc"]),
        soh=tuple(float(v) for v in found["soh"]),
        cycles=tuple(int(v) for v in found["cycles"]),
        silent={str(k): int(v) for k, v in found["silent"].items()},
    )


def _domain(found: Any) -> Domain:
    prototypes = tuple(_integers(row) for row in found["prototypes"])
    (limit,) = _integers([found["limit"]])
    empty = found.get("empty")
    return Domain(prototypes, limit, float(found["false_alarms"]), None if empty is None else _integers([empty])[0])


def _integers(values: Any) -> tuple[int, ...]:
    if not all(isinstance(v, int) and not isinstance(v, bool) and abs(v) <= INT32_MAX for v in values):
        raise ValueError(f"{str(values)[:80]} are not 32-bit integers")
    return tuple(values)


def _range(values: Any) -> Range:
    low, high = _integers(values)
    if not -32768 <= low <= high <= 32767:
        raise ValueError(f"the range {values} does not ascend within 16 bits")
    return low, high


def _check(ground: Ground) -> None:
    rows, domain = ground.rows, ground.domain
    columns = len(rows.low_ppm)
    if len(rows.high_ppm) != columns or any(a > b for a, b in zip(rows.low_ppm, rows.high_ppm, strict=True)):
        raise ValueError("its limits of a row do not fit each other")
    for seen in (ground.train, ground.val):
        if len(seen.soh) not in (0, 2) or len(seen.cycles) not in (0, 2):
            raise ValueError("a range has no two ends")
    if len(ground.voltage_v) not in (0, 2):
        raise ValueError("the voltage window has no two ends")
    if columns > MOST_COLUMNS:
        raise ValueError(f"it limits {columns} columns; at most {MOST_COLUMNS}")
    if domain is None:
        return
    sizes = {len(row) for row in domain.prototypes}
    limits = list(zip(rows.low_ppm, rows.high_ppm, strict=True))
    rated = columns > 1 and limits[-1] == (0, INT32_MAX)
    # Of any window start, age and perhaps the rate stand behind the increments, and the start belongs to a prototype.
    width = columns - int(rated) if domain.empty is None else columns - limits.count((0, INT32_MAX)) + 1
    fits = sizes == {width} and (domain.empty is None or width < columns)
    if not (1 <= len(domain.prototypes) <= MOST_PROTOTYPES and fits and columns):
        raise ValueError(f"{len(domain.prototypes)} prototypes of {sorted(sizes)} values; the model reads {columns}")
    values = [*(v for row in domain.prototypes for v in row), domain.empty or 0]
    if not all(0 <= v <= 255 for v in values) or domain.limit < 0:
        raise ValueError("prototypes are 0 to 255, the limit is at least 0")
