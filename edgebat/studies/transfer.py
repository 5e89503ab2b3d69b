"""From much-measured chemistries to one of which only a few cells have aged: BatLiNet's transfer study."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebat.errors import DataError
from edgebat.tasks.life.score import life_scores
from edgebat.tasks.life.windows import LifeWindows
from edgebat.teachers.batlinet.settings import BatLiNetSettings
from edgebat.teachers.batlinet.train import train_batlinet
from edgebat.training.run import Run


@dataclass(frozen=True)
class Transfer:
    """target: a piece of the chemistry's text ("NCA"). cells: how many aged cells of it are known. At least ``test``
    cells of it are kept for scoring, the same ones for every count."""

    target: str
    cells: tuple[int, ...] = (1, 2, 4, 8, 16)
    test: int = 4


def is_target(windows: LifeWindows, target: str) -> npt.NDArray[np.bool_]:
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
    windows: LifeWindows, transfer: Transfer, settings: BatLiNetSettings, folder: str | Path, seed: int
) -> list[dict[str, float]]:
    """One row per count of known target cells: MAPE in percent of ``vanilla`` (those cells alone, intra branch),
    ``fine_tuned`` (intra branch trained on the support first) and ``batlinet`` (pairs with the support)."""
    support, known, test = transfer_split(windows, transfer, seed)
    settings = dataclasses.replace(settings, fit=dataclasses.replace(settings.fit, seed=seed))
    alone = dataclasses.replace(settings, alpha=0.0, pairs=1)
    run = Run(Path(folder))
    before, _ = train_batlinet(support, alone, run.inside("support"))
    rows = []
    for count in (n for n in transfer.cells if n <= len(known)):
        few = known.take(np.arange(count))
        vanilla, _ = train_batlinet(few, alone, run.inside(f"vanilla-{count}"))
        tuned, _ = train_batlinet(few, alone, run.inside(f"tuned-{count}"), start=before)
        paired, _ = train_batlinet(few, settings, run.inside(f"batlinet-{count}"), support=support)
        row = {"cells": float(count)}
        for name, network in (("vanilla", vanilla), ("fine_tuned", tuned), ("batlinet", paired)):
            row[name] = life_scores(network.predict(test)["life"], test.life)["mape"]
        rows.append(row)
    return rows


def transfer_table(found: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]) -> str:
    """Markdown: target -> seeds -> rows of ``transfer_scores``, as the median and range of MAPE over the seeds: one cell
    unlike all that is known can make a mean say nothing."""
    names = ("vanilla", "fine_tuned", "batlinet")
    lines = [
        "MAPE in percent, median (range) over seeds",
        "",
        "| target | cells known | " + " | ".join(names) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    for target, seeds in found.items():
        for rows in zip(*seeds, strict=False):
            values = [np.array([row[name] for row in rows]) for name in names]
            said = " | ".join(f"{np.median(v):.0f} ({v.min():.0f} to {v.max():.0f})" for v in values)
            lines.append(f"| {target} | {rows[0]['cells']:.0f} | {said} |")
    return "\n".join(lines) + "\n"
