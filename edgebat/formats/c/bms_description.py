"""What every part of a BMS has to know of its model, out of what the model's file says."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from edgebat.errors import ModelFileError
from edgebat.graph.model import IntGraph

MOST_V = 10.0


@dataclass(frozen=True, kw_only=True)
class Description(ABC):
    """The numbers of a ``<header>_model_t``, and what differs between the C of one kind of model and another's.

    A kind is a subclass, entered in ``KINDS`` of ``bms_models.py``; ``bms.py`` makes C of it.
    ``low_ppm``, ``high_ppm`` [columns]: the inputs that the border does not clip.
    """

    key: ClassVar[str]
    """A number that the definition of a task has when its models are of this kind."""
    part: ClassVar[str]
    """What runs such a model."""
    reads: ClassVar[str]
    """What such a model does, in messages: "reads ..."."""
    header: ClassVar[str]
    """The C header without ``.h``. The names of the kind's C files, types and macros begin with it."""
    owner: ClassVar[str]
    """Whose the working memory is."""
    saved: ClassVar[str]
    """What is saved."""

    name: str
    fingerprint: int
    data_fingerprint: int
    multiply_accumulates: int
    low_ppm: tuple[int, ...]
    high_ppm: tuple[int, ...]
    max_gap: int
    points: int
    horizon: int
    eol_cpct: int
    note: str = ""
    """What a reader of every file made for the model must know; "" for nothing."""

    @classmethod
    @abstractmethod
    def of(cls, graph: IntGraph) -> Self:
        """The description of ``graph``; raises ModelFileError when it is not a model that the ``part`` can serve."""

    @property
    def options(self) -> dict[str, str]:
        """Macros of the headers that all C of a firmware with such a model must be compiled with, and their values."""
        return {}

    @property
    def work_macro(self) -> str:
        """The macro of the bytes of working memory."""
        return f"{self.header.upper()}_WORK_BYTES"

    @property
    @abstractmethod
    def saved_bytes(self) -> int:
        """Bytes of what is saved."""

    @abstractmethod
    def work_sizes(self) -> tuple[int, int]:
        """What ``WORK_BYTES`` takes beside scratch and output: columns of the input, and rows or values to remember."""

    @abstractmethod
    def saved_sizes(self) -> tuple[int, ...]:
        """What ``SAVED_BYTES`` takes."""

    @abstractmethod
    def about(self) -> str:
        """Lines of the header's first comment."""

    def tables(self) -> dict[str, tuple[int, ...]]:
        """The int32 tables, by their names in C, in the order of the structure."""
        return {"low_ppm": self.low_ppm, "high_ppm": self.high_ppm}

    @abstractmethod
    def checks(self) -> dict[str, str]:
        """What the compiler is to find true, the model's macros without its name in front; by the end of its message."""

    @abstractmethod
    def functions(self, name: str) -> str:
        """C of ``quantize`` and ``read_output``."""

    @abstractmethod
    def members(self, upper: str) -> str:
        """Members of the structure between tables and sizes, one to a line; ``upper``: the model's name in macros."""

    def last_members(self, name: str) -> str:
        """Members behind all others, each after a line break; ``name``: the model's in C."""
        return ""


class TaskNumbers:
    """Numbers of the task a model was trained for, as its file carries it, checked one by one.

    Raises ModelFileError where the file says nothing of its task, or where a number is missing or impossible.
    """

    def __init__(self, graph: IntGraph) -> None:
        task: Any = graph.meta.get("task")
        if not isinstance(task, dict):
            raise ModelFileError(
                f"model {graph.name!r} does not say which task it was trained for; export it with edgebat"
            )
        self.name, self.values = graph.name, task

    def whole(self, key: str) -> int:
        """A whole number of at least 1."""
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._refused(key, value, "a whole number from 1")
        return value

    def number(self, key: str, most: float) -> float:
        """A number above 0 and below ``most``."""
        value = self.values.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 < value < most:
            raise self._refused(key, value, f"a number above 0 and below {most:g}")
        return float(value)

    def word(self, key: str, allowed: Collection[str]) -> str:
        """One of the ``allowed`` words."""
        value = self.values.get(key)
        if not isinstance(value, str) or value not in allowed:
            raise self._refused(key, value, f"one of {', '.join(allowed)}")
        return value

    def _refused(self, key: str, value: Any, allowed: str) -> ModelFileError:
        return ModelFileError(f"model {self.name!r} carries an unusable task: {key} is {value!r}, not {allowed}")


def data_fingerprint(graph: IntGraph) -> int:
    """The first 32 bits of the split's hash, 0 when the model does not say on which data it was trained."""
    training: Any = graph.meta.get("training", {})
    split = str(training.get("split_hash", "")) if isinstance(training, dict) else ""
    return int(split[:8], 16) if re.fullmatch("[0-9a-f]{8,}", split) else 0
