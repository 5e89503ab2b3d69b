"""From much-measured chemistries to one of which only a few cells have aged: BatLiNet's transfer study."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from edgebat.arrays import Bool
from edgebat.data.qv import life_cells
from edgebat.errors import DataError
from edgebat.studies.runner import Experiment, Part, Record, Result, Scored, Scores, seeded
from edgebat.studies.tables import markdown
from edgebat.tasks.life.score import life_scores
from edgebat.tasks.life.windows import LifeWindows, life_windows
from edgebat.teachers.batlinet.settings import BatLiNetSettings
from edgebat.teachers.batlinet.train import train_batlinet
from edgebat.training.run import Run

METHODS = ("vanilla", "fine_tuned", "batlinet")
"""The known cells alone, intra branch; intra branch trained on other chemistries first; pairs with those."""


@dataclass(frozen=True)
class Transfer:
    """One chemistry learnt from the others."""

    target: str
    """A piece of the chemistry's text ("NCA")."""
    cells: tuple[int, ...] = (1, 2, 4, 8, 16)
    """How many aged cells of it are known."""
    test: int = 4
    """At least so many cells of it are kept for scoring, the same ones for every count."""


class Transfers(Experiment[Any]):
    """Each transfer with each seed."""

    @cached_property
    def windows(self) -> LifeWindows:
        """Every cell of every dataset."""
        return life_windows(life_cells(self.corpus), self.recipe.study.transfer_task)

    def parts(self) -> list[Part]:
        study = self.recipe.study
        return [Part(transfer.target, study.seeds, f"transfer-{transfer.target}", on_request=not study.scores_test)
                for transfer in study.transfer]  # fmt: skip

    def measure(self, part: Part, seed: int) -> Record:
        transfer = next(t for t in self.recipe.study.transfer if t.target == part.name)
        # Twenty cycles are too few to pool, and a protocol there shows which data set a cell is of, not how it ages.
        settings = dataclasses.replace(self.recipe.teacher, pool=1, members=1, current=False)
        start = time.perf_counter()
        scores = transfer_scores(self.windows, transfer, settings, Run(self.folder / f"{part.stem}-seed{seed}"), seed)
        return Record(seed, round(time.perf_counter() - start, 1), {}, Scored(scores))

    def tables(self, results: list[Result]) -> dict[str, str]:
        found = {result.part.name: [scored.scores for scored in result.seeds.values()] for result in results}
        return {"transfer.md": transfer_table(found)}


def is_target(windows: LifeWindows, target: str) -> Bool:
    """[N] cells whose chemistry begins with ``target``: the cathode; "NMC" does not mean "NMC-LCO"."""
    names = (text.replace("/", " ").split(" ")[0] for text in windows.chemistries)
    return np.array([name == target for name in names], dtype=np.bool_)


def transfer_split(windows: LifeWindows, transfer: Transfer, seed: int) -> tuple[LifeWindows, LifeWindows, LifeWindows]:
    """(support of other chemistries, target cells in the order they become known, target cells to score on).

    Raises DataError when there are too few cells of the target chemistry, or none of another.
    """
    windows = windows.select(np.isfinite(windows.life))
    target = is_target(windows, transfer.target)
    own, other = np.flatnonzero(target), np.flatnonzero(~target)
    if len(own) <= transfer.test or not len(other):
        raise DataError(
            f"{len(own)} cells of chemistry {transfer.target!r} and {len(other)} of others have a known life; more than "
            f"{transfer.test} and at least 1 are needed; there is {sorted(set(windows.chemistries))}"
        )
    order = np.random.default_rng(seed).permutation(own)
    return windows.take(other), windows.take(order[transfer.test :]), windows.take(order[: transfer.test])


def transfer_scores(
    windows: LifeWindows, transfer: Transfer, settings: BatLiNetSettings, run: Run, seed: int
) -> dict[str, Scores]:
    """Count of known target cells -> MAPE in percent of each of ``METHODS``."""
    support, known, test = transfer_split(windows, transfer, seed)
    settings = seeded(settings, seed)
    alone = dataclasses.replace(settings, alpha=0.0, pairs=1)
    before, _ = train_batlinet(support, alone, run.inside("support"))
    found = {}
    for count in (n for n in transfer.cells if n <= len(known)):
        few = known.take(np.arange(count))
        vanilla, _ = train_batlinet(few, alone, run.inside(f"vanilla-{count}"))
        tuned, _ = train_batlinet(few, alone, run.inside(f"tuned-{count}"), start=before)
        paired, _ = train_batlinet(few, settings, run.inside(f"batlinet-{count}"), support=support)
        found[str(count)] = {name: life_scores(network.predict(test)["life"], test.life)["mape"]
                             for name, network in zip(METHODS, (vanilla, tuned, paired), strict=True)}  # fmt: skip
    return found


def transfer_table(found: Mapping[str, Sequence[Mapping[str, Scores]]]) -> str:
    """Markdown: target -> seeds -> ``transfer_scores``, as the median and range of MAPE over the seeds: one cell unlike all
    that is known can make a mean say nothing."""
    rows = []
    for target, seeds in found.items():
        for count in seeds[0]:
            values = [np.array([scores[count][name] for scores in seeds]) for name in METHODS]
            rows.append([target, count, *(f"{np.median(v):.0f} ({v.min():.0f} to {v.max():.0f})" for v in values)])
    return "MAPE in percent, median (range) over seeds\n\n" + markdown(["target", "cells known", *METHODS], rows)
