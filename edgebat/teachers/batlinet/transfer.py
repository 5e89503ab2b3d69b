"""From much-measured chemistries to one of which only a few cells have aged: BatLiNet's published transfer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Bool
from edgebat.errors import DataError
from edgebat.tasks.life.score import life_scores
from edgebat.tasks.life.windows import LifeWindows
from edgebat.teachers.batlinet.network import BatLiNet
from edgebat.teachers.batlinet.settings import BatLiNetSettings
from edgebat.teachers.batlinet.train import fit_teacher
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
) -> dict[str, dict[str, float]]:
    """Count of known target cells -> MAPE in percent of each of ``METHODS``."""
    support, known, test = transfer_split(windows, transfer, seed)
    settings = dataclasses.replace(settings, fit=dataclasses.replace(settings.fit, seed=seed))
    alone = dataclasses.replace(settings, alpha=0.0, pairs=1)
    before, _ = fit_teacher(BatLiNet, support, None, alone, run.inside("support"))
    found = {}
    for count in (n for n in transfer.cells if n <= len(known)):
        few = known.take(np.arange(count))
        vanilla, _ = fit_teacher(BatLiNet, few, None, alone, run.inside(f"vanilla-{count}"))
        tuned, _ = fit_teacher(BatLiNet, few, None, alone, run.inside(f"tuned-{count}"), start=before)
        paired, _ = fit_teacher(BatLiNet, few, None, settings, run.inside(f"batlinet-{count}"), support=support)
        found[str(count)] = {name: life_scores(network.predict(test)["life"], test.life)["mape"]
                             for name, network in zip(METHODS, (vanilla, tuned, paired), strict=True)}  # fmt: skip
    return found
