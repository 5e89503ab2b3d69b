"""``edgebat init``: a recipe for a corpus, as commented YAML, from what the corpus holds."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.assemble.findings import plural
from edgebat.assemble.window_choice import (
    DEVICE_MV,
    SEED,
    TEST,
    VAL,
    choose_window,
    proposed_gap,
    proposed_split,
    tells_rate,
)
from edgebat.data.corpus import read_corpus
from edgebat.data.fleet import Fleet
from edgebat.data.qv import life_cells
from edgebat.data.splits import MIN_GROUP, Split
from edgebat.errors import DataError
from edgebat.interval import needed_cells
from edgebat.paths import shipped
from edgebat.tasks.base import AnyTask, task
from edgebat.tasks.forecast.windows import ForecastSpec, capacity_histories
from edgebat.tasks.life.windows import LifeSpec, life_windows
from edgebat.tasks.windows import Windows

SHORTEST_HORIZON, HORIZON = 10, 50
NOISE = 0.3
"""Deviations of an increment that students learn through, chosen where the noise of a device's voltage moves increments by
half of their deviation (docs/charge-rate.md, A ready student with both)."""
COVERAGE, FOLDS = 0.9, 5
SHORTEST_AHEAD, LONGEST_AHEAD = 16, 96
"""Cycles of a forecast; the trained teacher looks as far ahead as the longest."""
FEWEST_EARLY, EARLY = 20, 100
"""Early cycles for a cycle life."""
FEWEST_ENDED = 8
"""Cells that must have reached their end of life."""
FORECAST_STUDENTS = """students:
  - {kind: mlp, settings: {hidden: [28, 16]}}
  - {kind: cnn, settings: {channels: [12, 12], kernel: 3, pool: 2, hidden: 16}}
  - {kind: lstm, settings: {units: 22}}

distill:
  blends: 0
  share: {trajectory: 0.8}
  fit: {epochs: 20, learning_rate: 0.003, samples_per_epoch: 16384, batch_size: 256, noise: 0.0, patience: 20}

quantize: {method: minmax, qat_epochs: 3}"""
FORECASTER = "export/zoo/teachers/battery_timer/synthetic.safetensors"


@dataclass(frozen=True)
class Proposal:
    """What differs between tasks: the sections ``task``, and ``teacher`` to ``quantize``."""

    task: str
    learn: str
    why: tuple[str, ...]
    """Sentences for the head of the file."""
    split: Split
    """The one that the recipe will make."""


def propose_recipe(corpus: Path, recipe: Path, task_name: str, datasets: Sequence[str] = ()) -> str:
    """The text of ``recipe`` for the task on the corpus, or on some of its data sets. Raises DataError when it cannot."""
    if task_name not in PROPOSERS:
        raise DataError(f"there is no proposal for task {task_name!r}; there is one for {', '.join(PROPOSERS)}")
    fleet = read_corpus(corpus, datasets or None)
    if len(fleet.keys) < MIN_GROUP:
        raise DataError(
            f"{corpus} has {len(fleet.keys)} cells; at least {MIN_GROUP} are needed: one to learn from, one to tune on and "
            "one that is held out. Add more with edgebat data add"
        )
    found = PROPOSERS[task_name](fleet, corpus)
    split = found.split
    names = sorted({dataset for dataset, _ in fleet.keys})
    head = [
        f"Proposed by edgebat init for the corpus {corpus}: {len(fleet.keys)} cells of {', '.join(names)}.",
        *found.why,
        f"Held out, never seen in training: {_names(split.test)}. Tuned on: {_names(split.val)}.",
        *(note.capitalize() if note[:1].islower() else note for note in fleet.notes),
        "Change what you know better; edgebat settings explains every key.",
    ]
    lines = [
        *(f"# {line}" for line in head),
        "#",
        f"#   {shlex.join(['edgebat', 'run', str(recipe), '--corpus', str(corpus)])}",
        f"name: {recipe_name(recipe.stem)}",
        f"title: {task_name.capitalize()} of the cells of {', '.join(names)}",
        "",
        found.task,
        "",
        "data:",
        "  source: corpus",
        f"  datasets: [{', '.join(names)}]",
        f"  split: {{test: {TEST}, val: {VAL}, seed: {SEED}}} # by cell, in every condition; another seed draws other cells",
        "",
        found.learn,
        "",
        "targets: [cortex-m0plus, cortex-m4f, cortex-m33, rv32imc, host] # edgebat targets lists them all",
        "",
        "verify: {windows: 1000}",
    ]
    return "\n".join(lines) + "\n"


def recipe_name(stem: str) -> str:
    """A recipe's ``name`` out of a file's: small letters, digits, hyphens, underscores."""
    name = re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_")
    return name or "own"


def _names(cells: tuple[tuple[str, str], ...], most: int = 8) -> str:
    one = len({dataset for dataset, _ in cells}) == 1
    names = [cell if one else f"{dataset}/{cell}" for dataset, cell in cells]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _split(corpus: Path, fleet: Fleet, task_text: str) -> tuple[AnyTask, Windows, Split]:
    """The task of a proposed section, its windows, and the split that the recipe will make of them; raises DataError when a
    part would be empty."""
    import yaml

    section = yaml.safe_load(task_text)["task"]
    of: Any = task(section["name"])
    loaded = of.load(corpus, of.spec(section), sorted({dataset for dataset, _ in fleet.keys}))
    if len(loaded.windows.cells) < MIN_GROUP:
        raise DataError(
            f"{len(loaded.windows.cells)} of {len(fleet.keys)} cells give windows for {of.name}, at least {MIN_GROUP} are "
            f"needed; left out: {loaded.windows.left_out}"
        )
    return of, loaded.windows, proposed_split(loaded.windows)


def _health(fleet: Fleet, corpus: Path) -> Proposal:
    choice = choose_window(fleet)
    window = choice.window
    histories = [h for h in fleet.histories() if h.charge_cycle.size]
    # Not the shortest cell: one that broke off early must not make the horizon of all others short.
    most_have = np.quantile([h.cycle[-1] - h.cycle[0] for h in histories], 0.25)
    horizon = int(np.clip(most_have // 3, SHORTEST_HORIZON, HORIZON))
    gap = proposed_gap(histories)
    chemistries = Counter(fleet.cells["chemistry"])
    task_lines = [
        "task:",
        "  name: health # SOH now, the capacities to come, cycles to the end of life, from pieces of ten charges",
        f"  window_start_v: {window.start_v:.2f} # V; {window.covered:.0%} of the charges cover the window, "
        f"{window.least_covered:.0%} of the cell that covers it least",
        f"  window_end_v: {window.end_v:.2f}",
        f"  horizon: {horizon} # cycles ahead",
        *([f"  max_gap: {gap} # cycle numbers may be so far apart"] if gap > 4 else []),
        "  soh_reference: nominal # 100 % is the nominal capacity",
        "  eol: 0.8",
    ]
    of, windows, split = _split(corpus, fleet, "\n".join(task_lines))
    learnt = windows.select(cells=set(split.train))
    rate, why_rate = _rate(learnt)
    noise, why_noise = _noise(of, learnt)
    interval, why_interval = _interval(len(split.train))
    learn = f"""teacher:
  name: ic2ml
  attention: tokens
  fit: {{epochs: 24, samples_per_epoch: 2048}} # some minutes; 50 epochs of 4096 for the last percent

students: # one of each family; take the one that is best on the held-out cells and fits your board
  - {{kind: mlp}}
  - {{kind: cnn}}
  - {{kind: lstm}}

distill:
  blends: 1
  fit: {{epochs: 16, samples_per_epoch: 16384{noise}}}
{interval}
quantize: {{qat_epochs: 3}}"""
    why = (
        *choice.why,
        f"Chemistry: {', '.join(f'{name} ({count})' for name, count in chemistries.most_common())}.",
        why_rate,
        why_noise,
        why_interval,
    )
    return Proposal("\n".join([*task_lines, *rate]), learn, why, split)


def _rate(learnt: Windows) -> tuple[list[str], str]:
    """Lines of the section ``task``, and why: students read the rate where every cell they learn from states its own, and
    not all the same."""
    stated = [condition.charge_rate_c for condition in learnt.conditions]
    rates = sorted({rate for rate in stated if rate is not None})
    names = ", ".join(f"{rate:g}C" for rate in rates)
    if silent := stated.count(None):
        return [], (
            f"No charge_rate: {silent} of {plural(len(stated), 'training cell')} state no single current (charge_protocol "
            "of cells.csv, such as CC 0.5C to 4.2 V); charges at other rates than theirs are not refused."
        )
    if not tells_rate(learnt):
        return [], (
            f"No charge_rate: all training cells charge at {names}, which tells nothing; charges at other rates are refused."
        )
    return ["  charge_rate: true # an input is the mean current of each charge, which the device measures"], (
        f"charge_rate: training cells charge at {names}; students that read it err less (docs/charge-rate.md, The rate as "
        "an input)."
    )


def _noise(of: AnyTask, learnt: Windows) -> tuple[str, str]:
    """What ``distill.fit`` says of noise, and why: as much as is known to do students on a device good, where a device's
    noise is no less."""
    clean = learnt.inputs()
    moved = of.noisy_inputs(learnt, DEVICE_MV, np.random.default_rng(SEED)) - clean
    deviation = np.maximum(clean.std(axis=(0, 1)), learnt.smallest_std())
    part = round(float(np.median(moved.std(axis=(0, 1)) / deviation)), 2)
    seen = f"{DEVICE_MV:g} mV of noise on a device's voltage is {part:g} of the deviation of an increment here"
    if part < NOISE:
        return "", f"No more noise in training than is usual: {seen}."
    return f", noise: {NOISE:g}", f"noise {NOISE:g}: {seen} (docs/charge-rate.md, A ready student with both)."


def _interval(cells: int) -> tuple[str, str]:
    """The section ``interval``, and why, for so many cells to learn from."""
    needed = needed_cells(COVERAGE)
    if cells < needed:
        return "", (
            f"No interval: {plural(cells, 'training cell')}; below {needed} one for {COVERAGE:.0%} hangs on a single cell."
        )
    text = f"interval: {{coverage: {COVERAGE:g}, folds: {FOLDS}}} # each student is trained {FOLDS} times more for it"
    return f"\n{text}\n", (
        f"interval: {plural(cells, 'training cell')}, {needed} are enough for {COVERAGE:.0%}; by folds all of them set it "
        "and teach as well (docs/trust.md, The interval)."
    )


def _forecast(fleet: Fleet, corpus: Path) -> Proposal:
    default = ForecastSpec()
    histories = [h for h in capacity_histories(fleet, default.label_kinds) if h.cycle.size > 1]
    if len(histories) < MIN_GROUP:
        kinds = ", ".join(sorted(set(fleet.cycles["label_kind"].astype(str))))
        raise DataError(
            f"{len(histories)} of {len(fleet.keys)} cells have measured capacities, at least {MIN_GROUP} are needed; a "
            f"forecast takes {', '.join(default.label_kinds)}, the rows are {kinds} (label_kind of capacity.parquet)"
        )
    gap = float(np.median(np.concatenate([np.diff(h.cycle) for h in histories])))
    lengths = [int(h.cycle[-1] - h.cycle[0]) + 1 for h in histories]
    # As many cycles as half of the cells have: the others still give windows while they are not much shorter.
    typical = int(np.median(lengths))
    horizon = LONGEST_AHEAD if typical >= 2 * LONGEST_AHEAD else typical // 4 // 4 * 4
    if horizon < SHORTEST_AHEAD:
        raise DataError(
            f"half of the {len(histories)} cells have {typical} cycles or fewer; a forecast needs {4 * SHORTEST_AHEAD}: to "
            f"look back over {2 * SHORTEST_AHEAD} and ahead over {SHORTEST_AHEAD}, more than once. Age them further, name "
            "data sets of longer cells with --dataset, or take --task health"
        )
    if gap > min(default.max_gap, 2 * horizon / default.min_rows):
        raise DataError(
            f"capacities stand {gap:g} cycles apart; a forecast over {horizon} cycles needs {default.min_rows} of them "
            f"within the {2 * horizon} before it. Check-ups alone are too few; take --task health or life"
        )
    task_lines = [
        "task:",
        "  name: forecast # the capacities to come, from those of the last cycles",
        f"  context: {2 * horizon} # cycles a teacher sees",
        f"  horizon: {horizon} # cycles ahead; half of the cells have {typical} or more",
        f"  seen_cycles: {horizon} # cycles a student sees: what a device keeps of its own SOH",
        *([f"  min_history: {horizon // 2}"] if horizon < LONGEST_AHEAD else []),
    ]
    needed = horizon // 2 + horizon
    why = [f"Cells have {min(lengths)} to {max(lengths)} cycles, half of them {typical} or more."]
    if short := sum(length < needed for length in lengths):
        why.append(f"Cells shorter than the {needed} cycles of one window: {short}.")
    task_text = "\n".join(task_lines)
    *_, split = _split(corpus, fleet, task_text)
    return Proposal(task_text, f"{_forecaster(horizon)}\n\n{FORECAST_STUDENTS}", tuple(why), split)


def _forecaster(horizon: int) -> str:
    """The trained teacher where it is there and looks as far ahead; else one that is trained on the cells themselves."""
    if horizon == LONGEST_AHEAD and shipped(FORECASTER).is_file():
        return f"""teacher: # trained on made-up capacity curves of many shapes; {{name: battery_timer}} trains on your cells
  - file: {FORECASTER}"""
    sizes = f"{{input_token_len: {min(horizon // 4, 24)}, output_token_len: {horizon}}}"
    return f"""teacher: # trained on your cells; a trained one looks {LONGEST_AHEAD} cycles ahead
  name: battery_timer
  network: {{context: {2 * horizon}, sizes: {sizes}}}
  fit: {{epochs: 10, batch_size: 128, samples_per_epoch: 6400, learning_rate: 0.001}}"""


def _life(fleet: Fleet, corpus: Path) -> Proposal:
    cells = life_cells(corpus, {dataset for dataset, _ in fleet.keys})
    lengths = [int(cell.curve_cycle[-1]) if cell.curve_cycle.size else 0 for cell in cells]
    # Three quarters of the cells have so many; means over ten rows are what a student sees.
    cycles = min(EARLY, int(np.quantile(lengths, 0.25)) // 10 * 10)
    if cycles < FEWEST_EARLY:
        raise DataError(
            f"a quarter of the {len(cells)} cells have discharge curves up to cycle {int(np.quantile(lengths, 0.25))} or "
            f"less, {FEWEST_EARLY} are needed; name data sets with more of them with --dataset"
        )
    windows = life_windows(cells, LifeSpec(cycles=cycles))
    ended = int(np.isfinite(windows.life).sum())
    if ended < FEWEST_ENDED:
        raise DataError(
            f"{ended} of {len(windows)} cells with discharge curves reach 80 % of their nominal capacity; a cycle life is "
            f"learnt from at least {FEWEST_ENDED}, better some dozens. Age more cells to their end, or take --task forecast"
        )
    task_lines = [
        "task:",
        "  name: life # cycle life and the SOH curve from the discharge curves of the first cycles",
        f"  cycles: {cycles} # early cycles that are seen; three quarters of the cells have them",
    ]
    learn = """teacher: {name: batlinet, pool: 2, cleaning: false, fit: {steps: 500, weight_decay: 0.01, schedule: cosine}}

students:
  - {kind: mlp, settings: {hidden: [16, 16]}}
  - {kind: cnn, settings: {channels: [16, 16], kernel: 3, pool: 2, hidden: 24}}

distill:
  blends: 32
  same_cell: 0.0
  cell_balance: 0.0
  share: {life: 0.5, soh_curve: 0.5}
  fit: {epochs: 60, learning_rate: 0.003, batch_size: 64, samples_per_epoch: 4096, noise: 0.05, patience: 60, keep: last}

quantize: {method: minmax, qat_epochs: 6}"""
    why = (
        f"{ended} of {len(windows)} cells reach their end of life. A cell is one example here: some dozens are better."
    )
    task_text = "\n".join(task_lines)
    *_, split = _split(corpus, fleet, task_text)
    return Proposal(task_text, learn, (why,), split)


PROPOSERS: dict[str, Callable[[Fleet, Path], Proposal]] = {"health": _health, "forecast": _forecast, "life": _life}
"""Task -> what is proposed for it."""
