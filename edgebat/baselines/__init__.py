"""What every table sets beside a network: lines, nearest neighbours, ridge, small learners. One module per task.

A module named like its task has ``answers``, ``stored_values``, and the names ``QUICK`` and ``SHOWN``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

from edgebat.arrays import FloatArray
from edgebat.errors import MissingExtra
from edgebat.tasks.windows import Windows

Answers = dict[str, Mapping[str, FloatArray]]
Made = TypeVar("Made")


def answers(
    task: str, train: Windows | None, val: Windows | None, test: Windows, only: Collection[str] | None = None
) -> tuple[Answers, list[str]]:
    """What the baselines of ``task`` predict for ``test``, by name, and a note for each whose package is missing.

    train: what they learn from; None asks those that learn nothing. val: what chooses their settings; None takes some
    training cells. only: names of those that are wanted, all unless given.
    """
    found: tuple[Answers, list[str]] = _module(task).answers(train, val, test, only)
    return found


def quick(task: str) -> tuple[str, ...]:
    """The baselines that a run trains beside its students, in seconds."""
    names: tuple[str, ...] = _module(task).QUICK
    return names


def shown(task: str) -> tuple[str, ...]:
    """The baselines that stand in the charts of a run."""
    names: tuple[str, ...] = _module(task).SHOWN
    return names


def _module(task: str) -> Any:
    return importlib.import_module(f"edgebat.baselines.{task}")


def stored_values(task: str, name: str, train: Windows) -> int | None:
    """How many numbers a baseline keeps to answer with, to be set beside a network's weights; None where nobody counts."""
    count: int | None = _module(task).stored_values(name, train)
    return count


def each_at_hand(names: Iterable[str], make: Callable[[str], Made]) -> tuple[dict[str, Made], list[str]]:
    """``make(name)`` for each of ``names``, and a note for each whose package is missing."""
    found, notes = {}, []
    for name in names:
        try:
            found[name] = make(name)
        except MissingExtra as error:
            notes.append(f"{name} left out: {error}")
    return found, notes
