"""One cell's life through the firmware of a virtual board and through its twin, compared frame by frame.

After a power cut the board must come up with the state it saved before, or the one it was saving, whole.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from edgebat.bms.can import DETAILS, FIRST_ID, HEALTH, OUTLOOK, TRAJECTORY, outlook_names
from edgebat.bms.drive import Cycle
from edgebat.bms.results import Status
from edgebat.bms.samples import Samples
from edgebat.bms.twin import Twin, newest_state
from edgebat.bms.virtual import SAMPLES, BoardFirmware, Firmware, Frame
from edgebat.cells import CellHistory, CellKey, Condition
from edgebat.errors import EdgebatError
from edgebat.formats.c.bms_models import UNKNOWN

INSTRUCTIONS_PER_SAMPLE = 500
"""Of the virtual BMS, about: power cuts fall anywhere in a cycle."""
NAN = float("nan")


@dataclass(frozen=True)
class Signals:
    """What a CAN message holds, by the names of its signals."""

    numbers: dict[str, float] = field(default_factory=dict)
    """Physical values, NaN where unknown."""
    words: dict[str, str] = field(default_factory=dict)
    """The same in the words of the database: a status of 0 is "OK"."""

    def __or__(self, other: Signals) -> Signals:
        return Signals(self.numbers | other.numbers, self.words | other.words)


Decode = Callable[[Frame], Signals]


@dataclass
class Outlook:
    """A forecast as CAN gives it: the cycle it begins at, SOH in % at the points, cycles to end of life from now."""

    status: str
    begin: int
    points: tuple[float, ...]
    eol_cycles: int | None


@dataclass
class CycleRow:
    """What is known at the end of a cycle; SOH in %, NaN where unknown."""

    cycle: int
    capacity_ah: float
    device_model: float
    """What the model on the device has estimated last."""
    device_published: float
    numpy_model: float
    """The NumPy estimator's on the same samples."""
    status: str
    fresh: bool
    """The estimate is of this cycle."""
    outlook: Outlook | None = None
    """The device's forecast; None without a forecaster."""
    measured: float = NAN
    ideal: float = NAN
    """The same graph's on the corpus' own increments."""


@dataclass
class CellReplay:
    """What happened to one cell."""

    cell: CellKey
    condition: Condition
    rows: list[CycleRow] = field(default_factory=list)
    samples: int = 0
    cuts: int = 0
    cut_cycles: list[int] = field(default_factory=list)
    cuts_while_saving: int = 0
    mismatches: int = 0
    frames: list[Frame] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        """Cycles that were replayed, those that ended in a power cut included."""
        return len(self.rows) + self.cuts


def replay_cell(
    firmware: Firmware,
    twin: Twin,
    history: CellHistory,
    cycles: Iterable[Cycle],
    decode: Decode,
    *,
    cut_every: int = 0,
    seed: int = 1,
) -> CellReplay:
    """One cell's life through ``firmware`` and through ``twin``; about one cycle in ``cut_every`` ends in a power cut.

    Raises EdgebatError when the board comes up with a state that was never saved.
    """
    rng = np.random.default_rng(seed)
    out = CellReplay(history.key, history.condition)
    capacity_ah = dict(zip(history.cycle.tolist(), history.capacity_ah.tolist(), strict=True))
    for cycle in cycles:
        out.samples += len(cycle.samples)
        if cut_every and isinstance(firmware, BoardFirmware) and rng.integers(cut_every) == 0:
            if _cut(firmware, twin, cycle, rng, out):
                continue
        else:
            _live(firmware, twin, cycle.samples, out)
        last = out.frames[-firmware.burst :]
        out.rows.append(_row(cycle.number, capacity_ah.get(cycle.number, NAN), firmware, twin, last, decode))
    return out


def _live(firmware: Firmware, twin: Twin, samples: Samples, out: CellReplay) -> None:
    """Samples through both, and the comparison."""
    frames = firmware.run(samples)
    twin.run(samples)
    out.frames += frames
    out.mismatches += differences(firmware, twin, frames)


def _cut(firmware: BoardFirmware, twin: Twin, cycle: Cycle, rng: np.random.Generator, out: CellReplay) -> bool:
    """The power goes somewhere in this cycle, and what is left of it passes a dark board; false when the cycle was over
    before."""
    start = int(rng.integers(max(len(cycle.samples) - SAMPLES, 0) + 1))
    _live(firmware, twin, cycle.samples[:start], out)
    part = cycle.samples[start : start + SAMPLES]
    cut = firmware.run_until_cut(part, int(rng.integers(1, INSTRUCTIONS_PER_SAMPLE * len(part))))
    branch = copy.deepcopy(twin)
    branch.run(part)
    if not cut:
        twin.take(branch)
        frames = firmware.taken_frames()
        out.frames += frames
        out.mismatches += differences(firmware, twin, frames)
        _live(firmware, twin, cycle.samples[start + SAMPLES :], out)
        return False
    out.cuts += 1
    out.cut_cycles.append(cycle.number)
    state = _survivor(firmware.fram, twin.saved, branch.saved, cycle.number, out)
    history = None
    if firmware.forecast_fram is not None:
        history = _survivor(firmware.forecast_fram, twin.forecast_saved, branch.forecast_saved, cycle.number, out)
    code = firmware.power_on()
    if code != 0:
        raise EdgebatError(f"after a power cut in cycle {cycle.number} the board says {code} instead of 0")
    twin.power_on(state, history)
    return True


def _survivor(
    slots: tuple[bytes, bytes], before: list[bytes], after: list[bytes], number: int, out: CellReplay
) -> bytes | None:
    """The saved state that a cut has left: the last one ``before`` it, or one of those written until ``after``."""
    allowed = before[-1:] + after[len(before) :]
    state = newest_state(slots)
    if state is not None and state not in allowed:
        raise EdgebatError(f"after a power cut in cycle {number} the board holds a state that was never saved")
    if state is None and before:
        raise EdgebatError(f"after a power cut in cycle {number} the board has lost its state")
    out.cuts_while_saving += any(any(slot) and newest_state([slot]) is None for slot in slots)
    return state


def differences(firmware: Firmware, twin: Twin, frames: list[Frame]) -> int:
    """Frames, bit for bit, and saved states that are not the twin's; empties the twin's list of frames."""
    wanted, twin.frames = twin.frames, []
    found = [(frame.id, frame.data) for frame in frames]
    wrong = sum(a != b for a, b in zip(found, wanted, strict=False)) + abs(len(found) - len(wanted))
    wrong += newest_state(firmware.fram) != (twin.saved[-1] if twin.saved else None)
    if firmware.forecast_fram is not None:
        history = twin.forecast_saved[-1] if twin.forecast_saved else None
        wrong += newest_state(firmware.forecast_fram) != history
    return wrong


def _row(
    number: int, capacity_ah: float, firmware: Firmware, twin: Twin, last: list[Frame], decode: Decode
) -> CycleRow:
    """``last``: the last burst of frames."""
    frames: defaultdict[int, Signals] = defaultdict(Signals)
    for frame in last:
        frames[frame.id - FIRST_ID] |= decode(frame)
    result = twin.estimator.result()
    row = CycleRow(
        cycle=number,
        capacity_ah=capacity_ah,
        device_model=frames[DETAILS].numbers.get("SOH_Model", NAN),
        device_published=frames[HEALTH].numbers.get("SOH", NAN),
        numpy_model=NAN if result.model_cpct == UNKNOWN else result.model_cpct / 100,
        status=frames[HEALTH].words.get("Status", Status.WARMUP.name),
        fresh=result.age_cycles == 0,
    )
    if firmware.forecast is not None and OUTLOOK in frames:
        outlook, points = frames[OUTLOOK], frames[TRAJECTORY].numbers
        age, eol = outlook.numbers["Outlook_Age"], outlook.numbers["Cycles_to_EOL"]
        row.outlook = Outlook(
            outlook.words["Outlook_Status"],
            begin=0 if np.isnan(age) else number - round(age),
            points=tuple(round(100 * points[name]) / 100 for name in outlook_names(firmware.forecast))
            if points["Points"]
            else (),
            eol_cycles=None if np.isnan(eol) else round(eol),
        )
    return row
