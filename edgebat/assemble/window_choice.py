"""Which voltage window to propose for the task ``health``: the one that tells most of a cell that nobody has learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from edgebat.arrays import Float64, Int64
from edgebat.assemble.coverage import WIDTH_V, Window, windows_of
from edgebat.assemble.findings import plural
from edgebat.cells import CellHistory, CellKey, Condition
from edgebat.data.fleet import Fleet
from edgebat.data.splits import Split, split_windows, spread_folds
from edgebat.errors import DataError
from edgebat.tasks.base import AnyTask, task
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import health_windows
from edgebat.tasks.windows import Windows

ENOUGH = 0.85
"""Windows that cover at least this part of what the best covers are ranked by their error."""
NEARLY = 0.95
"""Where too few cells are there to hold any out: windows that cover at least this part of what the best covers are as good;
among them the one that takes most charge."""
TEST, VAL, SEED = 0.25, 0.15, 1
"""Of the split that a recipe proposes."""
DEVICE_MV = 0.5
"""Noise of a device's voltage."""
SAME_RATE = 1.1
"""Rates that differ by less are one: the gate of a model takes them for one another."""
FOLDS, FEWEST = 5, 4
"""Folds of cells, one a cell where there are fewer; below so many cells none is held out."""
SHOWN = 3
"""Windows in the words about a choice."""
PENALTY = 0.01
"""Of the ridge, relative to the rows."""
CYCLE_BITS = 32
"""Of a row's number; the cell stands above them."""
LARGEST = 3.0
"""Deviations up to which increments are squared, so that an odd charge of a held-out cell is not blown up."""


@dataclass(frozen=True)
class Choice:
    """The window to propose; ``why``, lines on it; ``ranked``, windows with the RMSE of SOH on held-out cells (percentage
    points), the least first, none where there are too few cells."""

    window: Window
    why: tuple[str, ...]
    ranked: tuple[tuple[Window, float], ...] = ()


def choose_window(fleet: Fleet) -> Choice:
    """Of the windows that enough charges cover, the one with the least error of SOH on held-out cells, seen through a
    device's noise. No cell takes part that a recipe with any of these windows would test on.

    With too few cells to hold any out: of the windows that nearly all charges of all cells cover, the one in which they take
    most charge. Raises DataError when no charge covers any window.
    """
    found = windows_of(fleet)
    if not found:
        raise DataError(
            f"{fleet.source}: no charge covers a window of {WIDTH_V:g} V at constant current; the task health needs some"
        )
    seen = [one for window in _covering(found, ENOUGH) if (one := _see(fleet, window)) is not None]
    # Windows that few charges reach would look good by the charges they leave out: all are scored on the same ones.
    scored = reduce(np.intersect1d, [one.row for one in seen]) if seen else np.zeros(0, dtype=np.int64)
    # Those that do not cover a window are in no split of it, so that which cells are tested may differ a little.
    tested = {key for one in seen for key in one.tested}
    known = [n for n in np.unique(scored >> CYCLE_BITS).tolist() if fleet.keys[n] not in tested]
    if len(known) < FEWEST:
        window = max(_covering(found, NEARLY), key=lambda w: w.taken)
        return Choice(window, (
            f"Window {_volts(window)}: the one, of those that nearly all charges cover, in which cells take most charge "
            f"({window.taken:.1%} of nominal).",
            f"Windows are not compared by their error on held-out cells: {plural(len(known), 'cell')} to learn from and "
            f"tune on, {FEWEST} are needed.",
        ))  # fmt: skip
    cells = _Cells(tuple(fleet.keys[n] for n in known), tuple(fleet.conditions[n] for n in known))
    folds = min(FOLDS, len(known))
    of = spread_folds(cells, folds, SEED)
    fold = np.array([of.get(key, -1) for key in fleet.keys])
    errors = [(one.window, _error(one, fold, scored)) for one in seen]
    ranked = tuple(sorted(errors, key=lambda pair: pair[1]))
    # Beside the best the one that most charges cover: what its coverage costs.
    widest = max(ranked, key=lambda pair: _worth(pair[0]))
    shown = (*ranked[:SHOWN], *([widest] if widest not in ranked[:SHOWN] else []))
    return Choice(ranked[0][0], (
        f"Window {_volts(ranked[0][0])}: of the {len(ranked)} that enough charges cover, the one with the least error of "
        f"SOH on held-out cells (RMSE of a ridge, {folds} folds of {len(known)} training and validation cells, through "
        f"{DEVICE_MV:g} mV of noise, on charges that cover all of them):",
        *(
            f"  {_volts(w)}: {rmse:.2f} points; covered by {w.covered:.0%} of the charges, {w.least_covered:.0%} of "
            "the cell that covers it least"
            for w, rmse in shown
        ),
        "A charge that does not cover the window gives no estimate; where that matters more, write another window below.",
    ), ranked)  # fmt: skip


def tells_rate(learnt: Windows) -> bool:
    """Whether students are to read the rate: every cell they learn from states its own, and not all the same."""
    rates = [condition.charge_rate_c for condition in learnt.conditions]
    known = [rate for rate in rates if rate is not None]
    return len(known) == len(rates) and max(known) >= min(known) * SAME_RATE


def proposed_gap(histories: Sequence[CellHistory]) -> int:
    """``max_gap`` of a recipe: the cycles between charges of half of the cells, at least the usual."""
    steps = [np.median(np.diff(h.charge_cycle)) for h in histories if h.charge_cycle.size > 1]
    return max(HealthSpec.max_gap, int(np.median(steps or [1])))


def proposed_split(windows: Windows) -> Split:
    """The one that a recipe makes. Raises DataError when a part would be empty."""
    return split_windows(windows, by="condition", test=TEST, val=VAL, seed=SEED)


@dataclass(frozen=True)
class _Cells:
    """What ``spread_folds`` asks for."""

    cells: tuple[CellKey, ...]
    conditions: tuple[Condition, ...]
    published: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Seen:
    """What a ridge reads of the charges in a window: ``x`` float64 [N, columns], ``soh`` [N], and ``row`` [N], the place of
    the cell in the fleet and the cycle as one number; the cells that a recipe would test on."""

    window: Window
    x: Float64
    soh: Float64
    row: Int64
    tested: frozenset[CellKey]


def _see(fleet: Fleet, window: Window) -> _Seen | None:
    """None where the cells that cover the window cannot be split."""
    histories = [h for h in fleet.histories() if h.charge_cycle.size]
    # The shortest horizon: only SOH is asked for.
    spec = HealthSpec(window_start_v=window.start_v, window_end_v=window.end_v, max_gap=proposed_gap(histories), horizon=1,
                      charge_rate=True)  # fmt: skip
    try:
        cut = health_windows(histories, spec)
        split = proposed_split(cut)
    except DataError:
        return None
    learnt = cut.select(cells={*split.train, *split.val})
    of: AnyTask = task("health")
    x = of.noisy_inputs(learnt, DEVICE_MV, np.random.default_rng(SEED)).mean(axis=1, dtype=np.float64)
    columns = spec.columns if tells_rate(cut.select(cells=set(split.train))) else spec.increments
    place = {key: n for n, key in enumerate(fleet.keys)}
    cell = np.array([place[key] for key in learnt.cells], dtype=np.int64)[learnt.cell]
    row = (cell << CYCLE_BITS) + learnt.cycle
    return _Seen(window, x[:, :columns], learnt.soh.astype(np.float64), row, frozenset(split.test))


def _error(seen: _Seen, fold: Int64, scored: Int64) -> float:
    """RMSE of SOH in percentage points on the rows ``scored`` of each fold's cells, learnt from the other folds'; ``fold``:
    of each cell of the fleet, -1 for those in none."""
    own, asked = fold[seen.row >> CYCLE_BITS], np.isin(seen.row, scored)
    off = []
    for held in range(fold.max() + 1):
        train, ask = (own >= 0) & (own != held), (own == held) & asked
        off.append(_ridge(seen.x[train], seen.soh[train], seen.x[ask]) - seen.soh[ask])
    return float(100.0 * np.sqrt(np.square(np.concatenate(off)).mean()))


def _ridge(x: Float64, y: Float64, ask: Float64) -> Float64:
    """Answers [M] to ``ask`` [M, columns], of a ridge on standardized columns and their squares."""
    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-9

    def features(rows: Float64) -> Float64:
        z = (rows - centre) / scale
        return np.hstack([z, np.square(np.clip(z, -LARGEST, LARGEST))])

    learnt = features(x)
    middle, offset = learnt.mean(axis=0), y.mean()
    z = learnt - middle
    weights = np.linalg.solve(z.T @ z + PENALTY * len(z) * np.eye(z.shape[1]), z.T @ (y - offset))
    answers: Float64 = (features(ask) - middle) @ weights + offset
    return answers


def _worth(window: Window) -> float:
    return (window.least_covered + window.covered) / 2.0


def _covering(windows: Sequence[Window], part: float) -> list[Window]:
    """Those that cover at least ``part`` of what the best covers."""
    best = max(map(_worth, windows))
    return [window for window in windows if _worth(window) >= part * best]


def _volts(window: Window) -> str:
    return f"{window.start_v:.2f}-{window.end_v:.2f} V"
