"""``edgebat init``: a recipe for a corpus, as commented YAML, from what the corpus holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.assemble.coverage import proposed_window
from edgebat.data.corpus import read_corpus
from edgebat.data.fleet import Fleet
from edgebat.data.splits import MIN_GROUP, Split, split_windows
from edgebat.errors import DataError
from edgebat.tasks.base import task

TEST, VAL, SEED = 0.25, 0.15, 1
SHORTEST_HORIZON, HORIZON = 10, 50


@dataclass(frozen=True)
class Proposal:
    """What differs between tasks: the sections ``task``, and ``teacher`` to ``quantize``."""

    task: str
    learn: str
    why: tuple[str, ...]
    """Sentences for the head of the file."""


def propose_recipe(corpus: Path, name: str, task_name: str, datasets: Sequence[str] = ()) -> str:
    """The text of a recipe for the task on the corpus, or on some of its data sets. Raises DataError when it cannot."""
    if task_name not in PROPOSERS:
        raise DataError(f"there is no proposal for task {task_name!r}; there is one for {', '.join(PROPOSERS)}")
    fleet = read_corpus(corpus, datasets or None)
    if len(fleet.keys) < MIN_GROUP:
        raise DataError(
            f"{corpus} has {len(fleet.keys)} cells; at least {MIN_GROUP} are needed: one to learn from, one to tune on and "
            "one that is held out. Add more with edgebat data add"
        )
    found = PROPOSERS[task_name](fleet)
    split = _split(corpus, fleet, task_name, found)
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
        f"#   edgebat run {name}.yaml --corpus {corpus}",
        f"name: {recipe_name(name)}",
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
    names = [cell for _, cell in cells]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _split(corpus: Path, fleet: Fleet, task_name: str, found: Proposal) -> Split:
    """The split that the recipe will make; raises DataError when a part would be empty."""
    import yaml

    of: Any = task(task_name)
    loaded = of.load(
        corpus, of.spec(yaml.safe_load(found.task)["task"]), sorted({dataset for dataset, _ in fleet.keys})
    )
    if len(loaded.windows.cells) < MIN_GROUP:
        raise DataError(
            f"{len(loaded.windows.cells)} of {len(fleet.keys)} cells give windows for {task_name}, at least {MIN_GROUP} are "
            f"needed; left out: {loaded.windows.left_out}"
        )
    return split_windows(loaded.windows, by="condition", test=TEST, val=VAL, seed=SEED)


def _health(fleet: Fleet) -> Proposal:
    window = proposed_window(fleet)
    histories = [h for h in fleet.histories() if h.charge_cycle.size]
    shortest = min(int(h.cycle[-1] - h.cycle[0]) for h in histories)
    horizon = int(np.clip(shortest // 3, SHORTEST_HORIZON, HORIZON))
    gap = max(
        4, int(np.median([np.median(np.diff(h.charge_cycle)) for h in histories if h.charge_cycle.size > 1] or [1]))
    )
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
    learn = """teacher:
  name: ic2ml
  attention: tokens
  fit: {epochs: 24, samples_per_epoch: 2048} # some minutes; 50 epochs of 4096 for the last percent

students: # one of each family; take the one that is best on the held-out cells and fits your board
  - {kind: mlp}
  - {kind: cnn}
  - {kind: lstm}

distill:
  blends: 1
  fit: {epochs: 16, samples_per_epoch: 16384}

quantize: {qat_epochs: 3}"""
    why = (
        f"Window {window.start_v:.2f}-{window.end_v:.2f} V: the one, of those that nearly all charges cover, in which "
        f"cells take most charge ({window.taken:.1%} of nominal).",
        f"Chemistry: {', '.join(f'{name} ({count})' for name, count in chemistries.most_common())}.",
    )
    return Proposal("\n".join(task_lines), learn, why)


def _forecast(fleet: Fleet) -> Proposal:
    longest = max(int(h.cycle[-1] - h.cycle[0]) + 1 for h in fleet.histories() if h.cycle.size)
    horizon = 96 if longest >= 240 else max(8, longest // 4 // 4 * 4)
    task_lines = [
        "task:",
        "  name: forecast # the capacities to come, from those of the last cycles",
        f"  context: {2 * horizon} # cycles a teacher sees",
        f"  horizon: {horizon} # cycles ahead; the longest cell has {longest}",
        f"  seen_cycles: {horizon} # cycles a student sees: what a device keeps of its own SOH",
        *([f"  min_history: {horizon // 2}"] if horizon < 96 else []),
    ]
    learn = """teacher: # trained on made-up capacity curves of many shapes; {name: universal} trains on your cells
  - file: export/zoo/teachers/battery_timer/synthetic.safetensors

students:
  - {kind: mlp, settings: {hidden: [28, 16]}}
  - {kind: cnn, settings: {channels: [12, 12], kernel: 3, pool: 2, hidden: 16}}
  - {kind: lstm, settings: {units: 22}}

distill:
  blends: 0
  share: {trajectory: 0.8}
  fit: {epochs: 20, learning_rate: 0.003, samples_per_epoch: 16384, batch_size: 256, noise: 0.0, patience: 20}

quantize: {method: minmax, qat_epochs: 3}"""
    return Proposal("\n".join(task_lines), learn, (f"The longest cell has {longest} cycles.",))


def _life(fleet: Fleet) -> Proposal:
    task_lines = ["task:", "  name: life # cycle life and the SOH curve from the discharge curves of the first cycles",
                  "  cycles: 100"]  # fmt: skip
    learn = """teacher: {name: batlinet}

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
    return Proposal("\n".join(task_lines), learn, ("A cell is one example here: some dozens are needed.",))


PROPOSERS: dict[str, Callable[[Fleet], Proposal]] = {"health": _health, "forecast": _forecast, "life": _life}
"""Task -> what is proposed for it."""
