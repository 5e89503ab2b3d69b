"""One life in front of the exported firmware: what it publishes, beside the truth, and beside its Python twin."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgebat.arrays import Array, Float64
from edgebat.bms.can import FIRST_ID, HEALTH, MODEL
from edgebat.bms.cell_replay import differences
from edgebat.bms.estimator import MOVE_CPCT
from edgebat.bms.rest import OcvTable
from edgebat.bms.results import Source, Status
from edgebat.bms.samples import Samples
from edgebat.bms.twin import FRAME_MS, Twin, newest_state
from edgebat.bms.virtual import BoardFirmware, Firmware, Frame, HostFirmware
from edgebat.errors import EdgebatError
from edgebat.formats.c.bms_models import UNKNOWN, health_model
from edgebat.graph import IntGraph
from edgebat.graph.model import Lstm, Weighted
from edgebat.lives.cell import LivingCell
from edgebat.lives.days import DayOver, Happened, Idle, PowerOn, Samplings, Step
from edgebat.lives.settings import Life
from edgebat.tasks.health.charge_types import ChargeEnd, Config

BOUND_SIGMAS = 1.645
"""Of the published deviation: 90 % of a normal distribution."""
SEED_SIGMA_CPCT = 100
AGAIN_DAYS = 90
"""The twin joins again at the first power-up after so many days."""
MOST_SLEEP_MS = 2_000_000_000
FULL_BELOW_MV, EMPTY_ABOVE_MV = 20, 50
"""Full and empty voltage of the configuration, from the highest and lowest of the cell."""
_HEALTH = [("soh", "<u2"), ("sigma", "<u2"), ("rul", "<u2"), ("status", "u1"), ("alive", "u1")]
OUTSIDE = 107
"""In a saved state: the last charge was unlike the training data (``edgebat_state.h``)."""
FRAME = np.dtype(_HEALTH)
"""The frame ``Health``; ``status`` with the source in its upper half."""
PUBLISHED = np.dtype([*_HEALTH, ("at_s", "f8"), ("charge", "u1")])
"""A burst of frames: what ``Health`` says, the clock of the life, the last charge."""


@dataclass
class LifeRecord:
    """What a life came to: one value per day, SOH in %, NaN where unknown."""

    day: list[int] = field(default_factory=list)
    true: list[float] = field(default_factory=list)
    """Of the reference capacity of the configuration."""
    published: list[float] = field(default_factory=list)
    """Published last."""
    bound: list[float] = field(default_factory=list)
    """Half-width of the published 90 % bound, points."""
    status: list[str] = field(default_factory=list)
    charges: dict[str, int] = field(default_factory=dict)
    """What became of the charges, by name."""
    jumps: list[float] = field(default_factory=list)
    """Days on which the published SOH moved by more than its slew limit, cuts, sleeps and updates included."""
    efc: float = 0.0
    samples: int = 0
    power_ups: int = 0
    compared: int = 0
    """Frames that were compared with the twin's."""
    mismatches: int = 0
    """Frames and saved states that differ."""


@dataclass(frozen=True)
class Bench:
    """What lives are led in front of."""

    graph: IntGraph
    update: IntGraph | None = None
    """What an update over the air brings; the same model with one bias a step larger unless given."""
    target: str = "host"
    """``host``: compiled for this computer; ``board``: a simulated Cortex-M4."""
    twin_days: int = 3
    """So many days in a row are compared with the Python twin, at the beginning and again every 90 days."""


def lead(bench: Bench, life: Life, cell: LivingCell, steps: Iterable[Step], ocv: OcvTable | None = None) -> LifeRecord:
    """All steps of a life, through the firmware; ``ocv``: its table of open-circuit voltages. Raises EdgebatError when the
    board does not start."""
    return _Front(bench, config_for(bench.graph, life, cell), ocv).lead(steps)


def config_for(graph: IntGraph, life: Life, cell: LivingCell) -> Config:
    """The configuration an integrator would write for the cell."""
    first = cell.at(cell.first_age).capacity_ah
    nominal = health_model(graph).soh_reference == "nominal"
    return Config(
        nominal_mah=round(1000 * cell.nominal_ah),
        reference_mah=0 if nominal else round(1000 * first),
        full_mv=round(1000 * cell.highest_v) - FULL_BELOW_MV if life.counting else 0,
        empty_mv=round(1000 * cell.lowest_v) + EMPTY_ABOVE_MV if life.counting else 0,
        rated_cycles=life.rated_cycles,
    )


class _Front:
    def __init__(self, bench: Bench, config: Config, ocv: OcvTable | None = None) -> None:
        self._bench, self._config, self._ocv = bench, config, ocv
        self._graph = bench.graph
        self.record = LifeRecord()
        self._charges: Counter[str] = Counter()
        self._last: Array = np.zeros(0, dtype=PUBLISHED)
        """The burst before, if any."""
        self._charged_at_s: float | None = None
        """End of a charge of which no frame has told yet."""
        self._moved_s = 0.0
        """Clock of the last burst before the published SOH moved."""
        self._expected = False
        """Whether the next change may be of any size: another cell, another capacity."""
        self._firmware = self._build()
        self._twin: Twin | None = None
        self._twin_until_s = -1.0
        self._power_up(0.0, join=True)

    def lead(self, steps: Iterable[Step]) -> LifeRecord:
        for step in steps:
            match step:
                case Samplings(kind, begins_s, samples):
                    self._run(samples, begins_s)
                    if kind == "charge" and len(samples):
                        self._charged_at_s = begins_s + float(samples["dt_ms"].sum()) / 1000
                case Idle(_, seconds):
                    self._sleep(seconds)
                case PowerOn(begins_s, seconds, known):
                    self._power_up(begins_s)
                    if known and seconds:
                        self._sleep(seconds)
                case Happened():
                    self._happen(step)
                case DayOver():
                    self._note(step)
        self.record.charges = dict(sorted(self._charges.items()))
        return self.record

    def _build(self) -> Firmware:
        firmware = built(self._graph, self._bench.target, self._ocv)
        firmware.configure(self._config)
        firmware.erase()
        return firmware

    def _run(self, samples: Samples, begins_s: float) -> None:
        firmware, clock_ms = self._firmware, self._firmware.clock_ms
        if begins_s > self._twin_until_s:
            self._twin = None
        frames = firmware.run(samples)
        self.record.samples += len(samples)
        if self._twin is not None:
            self._twin.run(samples)
            self.record.compared += len(frames)
            self.record.mismatches += differences(firmware, self._twin, frames)
        self._observe(said_in(frames, clock_ms, begins_s))

    def _sleep(self, seconds: float) -> None:
        left_ms = round(seconds * 1000)
        while left_ms > 0:
            part = min(left_ms, MOST_SLEEP_MS)
            self._firmware.sleep(part)
            if self._twin is not None:
                self._twin.sleep(part)
            left_ms -= part

    def _power_up(self, at_s: float, join: bool = False) -> None:
        """RAM is lost, the saved state is not; the twin may join now, because both begin from the same bytes."""
        firmware = self._firmware
        if isinstance(firmware, BoardFirmware):
            firmware.cut()
        if (code := firmware.power_on()) != 0:
            raise EdgebatError(f"the virtual BMS does not start on day {at_s / 86400:.1f} of a life: {code}")
        self.record.power_ups += 1
        days_s = 86400.0 * self._bench.twin_days
        if days_s and (join or at_s > self._twin_until_s + 86400.0 * AGAIN_DAYS):
            self._twin, self._twin_until_s = Twin(self._graph, self._config, ocv=self._ocv), at_s + days_s
        if self._twin is not None:
            self._twin.power_on(newest_state(firmware.fram))

    def _happen(self, happened: Happened) -> None:
        event = happened.event
        self._expected = True
        if event.what == "swap" and event.told:
            soh = self._swapped_cpct(happened)
            self._firmware.seed(soh, SEED_SIGMA_CPCT)
            if self._twin is not None:
                self._twin.seed(soh, SEED_SIGMA_CPCT)
        elif event.what == "update":
            before = self._firmware
            self._graph = self._bench.update or retrained(self._graph)
            self._firmware = self._build()
            self._firmware.take_fram(before)
            self._power_up(happened.begins_s, join=True)
        elif event.what == "capacity":
            nominal, reference = (
                round(event.factor * mah) for mah in (self._config.nominal_mah, self._config.reference_mah)
            )
            self._config = replace(
                self._config, nominal_mah=nominal, reference_mah=reference, cutoff_ma=-1, max_current_ma=0
            )
            self._firmware.configure(self._config)
            self._power_up(happened.begins_s, join=True)

    def _swapped_cpct(self, happened: Happened) -> int:
        return round(1e7 * happened.capacity_ah / self._config.reference_mah)

    def _observe(self, published: Array) -> None:
        if self._charged_at_s is not None:
            after = published[published["at_s"] > self._charged_at_s]
            if after.size:
                self._charges[_outcome(int(after["charge"][0]), newest_state(self._firmware.fram))] += 1
                self._charged_at_s = None
        if not published.size:
            return
        row = np.empty(self._last.size + published.size, dtype=PUBLISHED)
        row[: self._last.size], row[self._last.size :] = self._last, published
        known, guess = row["soh"] != UNKNOWN, row["status"] >> 4 == Source.DATASHEET
        moved = np.abs(np.diff(row["soh"].astype(np.int64)))
        rate = self._config.slew_cpct_h / 3600
        most = rate * np.diff(row["at_s"]) + 1
        for i in np.flatnonzero(moved):
            # It moves in steps: one of them may have become ready since the last time.
            at_s = float(row["at_s"][i])
            most[i] += min(MOVE_CPCT, rate * (at_s - self._moved_s))
            self._moved_s = at_s
        # The first measured value takes the place of a guess at once.
        jumps = np.flatnonzero((moved > most) & known[1:] & known[:-1] & ~guess[:-1])
        if self._expected and row.size > 1:
            jumps, self._expected = jumps[1:], False
        self.record.jumps += (row["at_s"][1:][jumps] / 86400).tolist()
        self._last = row[-1:]

    def _note(self, over: DayOver) -> None:
        record, last = self.record, self._last
        record.day.append(over.day)
        record.true.append(1e5 * over.capacity_ah / self._config.reference_mah)
        known = bool(last.size) and int(last["soh"][0]) != UNKNOWN
        sigma = int(last["sigma"][0]) if known else UNKNOWN
        record.published.append(int(last["soh"][0]) / 100 if known else float("nan"))
        record.bound.append(bound_of(sigma))
        record.status.append(Status(int(last["status"][0]) & 15).name if last.size else Status.WARMUP.name)
        record.efc = over.efc


_BUILT: dict[tuple[str, str, OcvTable | None], Firmware] = {}
"""A firmware is compiled once in a process, whatever the cell: the configuration is not compiled in."""


def built(graph: IntGraph, target: str, ocv: OcvTable | None = None) -> Firmware:
    """The firmware with a model, on a new board or on one that somebody has left."""
    key = (graph.fingerprint, target, ocv)
    if key not in _BUILT:
        kind = BoardFirmware if target == "board" else HostFirmware
        with tempfile.TemporaryDirectory(prefix="edgebat-life-") as folder:  # what is loaded stays without its file
            some = Config(1000)
            _BUILT[key] = kind(graph, some, Path(folder), ocv=ocv, frame_ms=FRAME_MS, steps_per_tick=1)
    return _BUILT[key]


def retrained(graph: IntGraph) -> IntGraph:
    """Another model to the firmware, and hardly another one to the cell: the first bias is a step larger."""
    index, node = next((i, each) for i, each in enumerate(graph.nodes) if isinstance(each, Weighted | Lstm))
    bias = node.bias.copy()
    bias.flat[0] += 1
    return replace(graph, nodes=(*graph.nodes[:index], replace(node, bias=bias), *graph.nodes[index + 1 :]))


def _outcome(charge: int, saved: bytes | None) -> str:
    """What became of a charge: a name of ``ChargeEnd``, or OUT_OF_DOMAIN for an input that the model does not know."""
    unknown = charge == ChargeEnd.OK and saved is not None and saved[OUTSIDE] != 0
    return Status.OUT_OF_DOMAIN.name if unknown else ChargeEnd(charge).name


def bound_of(sigma_cpct: int) -> float:
    """Half-width of the published 90 % bound in points; NaN where the deviation is not known."""
    return BOUND_SIGMAS * sigma_cpct / 100 if sigma_cpct != UNKNOWN else float("nan")


def said_in(frames: list[Frame], clock_ms: int, begins_s: float) -> Array:
    """[N] ``PUBLISHED``: the bursts among frames. ``clock_ms``: the board's clock when the life's was ``begins_s``."""
    health = [frame for frame in frames if frame.id == FIRST_ID + HEALTH]
    about = [frame.data[6] for frame in frames if frame.id == FIRST_ID + MODEL]
    published = np.zeros(len(health), dtype=PUBLISHED)
    content = np.frombuffer(b"".join(frame.data for frame in health), dtype=FRAME)
    for name in FRAME.names or ():
        published[name] = content[name]
    since_ms: Float64 = np.array([(frame.time_ms - clock_ms) % 2**32 for frame in health], dtype=np.float64)
    published["at_s"], published["charge"] = begins_s + since_ms / 1000, about
    return published
