"""Windows of any task: selecting, joining, blending and storing them, written once. NumPy only.

A task's own windows class adds its arrays as dataclass fields, each marked ``PER_WINDOW`` or ``PER_CELL``, and says with
``inputs`` and ``targets`` what a student reads and learns from them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Array, Bool, Float32, Float64, Int32, Int64
from edgebat.cells import CellKey, Condition
from edgebat.errors import DataError
from edgebat.files import Json, atomic_write

PER_WINDOW: Mapping[str, str] = {"per": "window"}
LABEL: Mapping[str, str] = {"per": "window", "label": "yes"}
"""Per window as well: what was measured of the future, a label or what a label is made of."""
PER_CELL: Mapping[str, str] = {"per": "cell"}
RATE_UNIT = 1e-3
"""A rate of 1C as an input: inputs become integers of a millionth, and a device counts in 0.001 C."""
SMALLEST_RATE_STD = 0.05 * RATE_UNIT
"""Of a rate, as an input, for ``smallest_std``: a charger's current is no closer to its protocol's."""


class Definition(Protocol):
    """Definition of a task, a frozen dataclass with ``from_dict``: what is seen and what is asked. Stands in a model's
    metadata, its card and its C header."""

    def to_dict(self) -> Json:
        """Plain JSON-able dictionary."""
        ...


@dataclass(frozen=True)
class Blend:
    """Which windows are blended: rows ``first`` and ``second`` [M] and the share ``t`` [M] of the second."""

    first: Int64
    second: Int64
    t: Float32

    def __call__(self, values: Array) -> Float32:
        """Blend rows of ``values`` [N, ...] into float32 [M, ...]; NaN where either partner is NaN."""
        weight = self.t.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray((1 - weight) * values[self.first] + weight * values[self.second], dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Windows:
    """N windows out of the cells in ``cells``."""

    Spec: ClassVar[Any]
    """Class of ``spec``, with ``from_dict``."""
    one_per_cell: ClassVar[bool] = False
    """Whether every cell gives one window, so that both are numbered alike."""

    spec: Definition
    cell: Int32 = field(metadata=PER_WINDOW)
    """[N] index into ``cells``."""
    cycle: Int32 = field(metadata=PER_WINDOW)
    """[N] number of the window's last cycle."""
    cells: tuple[CellKey, ...] = field(metadata=PER_CELL)
    conditions: tuple[Condition, ...] = field(metadata=PER_CELL)
    """Per cell."""
    nominal_ah: Float64 = field(metadata=PER_CELL)
    """Per cell, Ah."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Reason -> number of cells or cycles that gave no window."""

    def __len__(self) -> int:
        return len(self.cell)

    @abstractmethod
    def inputs(self) -> Float32:
        """What a student reads, float32 [N, T, C], fractions of nominal capacity, oldest time step first."""

    @property
    def like_columns(self) -> int:
        """So many columns of the inputs, the first ones, say by their values whether a window is like those of training."""
        return int(self.inputs().shape[-1])

    def smallest_std(self) -> Float32 | float:
        """Of the inputs, one or [C]: a column that varies less is not blown up. One ppm of nominal capacity, what a BMS can
        tell apart."""
        return 1e-6

    def seen_rows(self, x: Float32) -> Float32:
        """Of inputs x [N, T, C] what normalization and limits of a row are measured on: all, as they are."""
        return x

    @property
    def start_column(self) -> int | None:
        """Of rows that are of different voltages, and have no mean: the column that says of which, the one behind
        ``like_columns``; 0 in a row that is none. None: all rows are of the same."""
        return None

    @abstractmethod
    def targets(self) -> dict[str, Float32]:
        """Measured labels by head, float32 [N, values]; NaN where not measured."""

    def end_labels(self) -> list[Float32]:
        """[N] cycles to the end of life as measured, where the task knows them; NaN where not observed."""
        return []

    @property
    def published(self) -> tuple[str, ...]:
        """Per cell: the part of a published split it belongs to, or empty."""
        return ("",) * len(self.cells)

    @property
    def dataset(self) -> npt.NDArray[np.str_]:
        """[N] dataset of each window."""
        return np.array([dataset for dataset, _ in self.cells], dtype=np.str_)[self.cell]

    @property
    def made_up(self) -> Bool:
        """[N] whether a window is of a cell that edgebat made up or simulated: its data set begins with ``syn`` or
        ``SIM_``."""
        return np.array([name.lower().startswith(("syn", "sim_")) for name, _ in self.cells], dtype=np.bool_)[self.cell]

    def take(self, rows: npt.ArrayLike) -> Self:
        """The windows at ``rows`` [M], in that order, repeats allowed; cells without a window disappear."""
        chosen = np.asarray(rows, dtype=np.int64)
        if self.one_per_cell:
            used, cell = chosen, np.arange(len(chosen))
        else:
            used, cell = np.unique(self.cell[chosen], return_inverse=True)
        parts = {name: _at(getattr(self, name), chosen) for name in self.names("window")}
        parts |= {name: _at(getattr(self, name), used) for name in self.names("cell")}
        return replace(self, **(parts | {"cell": cell.astype(np.int32)}))

    def select(
        self,
        mask: npt.ArrayLike | None = None,
        cells: Iterable[CellKey] | None = None,
        datasets: Iterable[str] | None = None,
    ) -> Self:
        """The windows where ``mask`` [N] is true, whose cell is in ``cells`` and of one of ``datasets``.

        Raises DataError when ``cells`` names a cell that has no windows, or for a mask of another shape.
        """
        keep = np.ones(len(self), dtype=np.bool_) if mask is None else np.array(mask, dtype=np.bool_)
        if keep.shape != (len(self),):
            raise DataError(f"the mask has shape {keep.shape}; there are {len(self)} windows")
        if cells is not None:
            wanted = set(cells)
            unknown = sorted(wanted - set(self.cells))
            if unknown:
                raise DataError(f"{len(unknown)} cells have no windows here: {unknown[:5]}")
            keep &= np.array([key in wanted for key in self.cells], dtype=np.bool_)[self.cell]
        if datasets is not None:
            allowed = set(datasets)
            keep &= np.array([key[0] in allowed for key in self.cells], dtype=np.bool_)[self.cell]
        return self.take(np.flatnonzero(keep))

    def select_every(self, step: int) -> Self:
        """One window of every ``step``."""
        return self.take(np.arange(0, len(self), step))

    def evenly(self, count: int) -> Self:
        """``count`` windows spread evenly over all of them; all, when there are fewer."""
        return self.take(np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64))

    def join(self, other: Self) -> Self:
        """These windows and then the ``other`` ones, of other cells. Raises DataError when their shapes differ or a cell
        is in both."""
        both = sorted(set(self.cells) & set(other.cells))
        if both:
            raise DataError(f"windows cannot be joined: {len(both)} cells are in both, such as {both[:5]}")
        if not self.joinable(other):
            raise DataError(f"windows cannot be joined: they are cut by {self.spec} and by {other.spec}")
        parts: dict[str, Any] = {}
        for name in (*self.names("window"), *self.names("cell")):
            own, more = getattr(self, name), getattr(other, name)
            if isinstance(own, tuple):
                parts[name] = own + more
            elif own.shape[1:] != more.shape[1:]:
                raise DataError(f"windows cannot be joined: {name} has shape {own.shape} and {more.shape}")
            else:
                parts[name] = np.concatenate([own, more])
        parts["cell"] = np.concatenate([self.cell, other.cell + np.int32(len(self.cells))])
        return replace(self, **parts, left_out=dict(Counter(self.left_out) + Counter(other.left_out)))

    def inputs_with(self, other: Self) -> Float32:
        """The inputs of these windows and then of ``other`` ones, of whatever cells."""
        return np.concatenate([self.inputs(), other.inputs()])

    def joinable(self, other: Self) -> bool:
        """Whether ``other`` windows are cut alike."""
        return bool(self.spec == other.spec)

    def cut_for(self, spec: Any, who: str) -> Self:
        """These windows as a model that was trained on ``spec``, perhaps another task's, reads them. Raises DataError when
        they were made otherwise; ``who`` asks for them."""
        if self.spec != spec:
            raise DataError(f"windows were made with {self.spec}; {who} was trained on {spec}")
        return self

    def blended(self, blend: Blend) -> Self:
        """Windows between pairs of these, float arrays mixed, the rest as each first partner has it."""
        taken = self.take(blend.first)
        mixed: dict[str, Any] = {name: blend(getattr(self, name)) for name in self.names("window")
                 if getattr(self, name).dtype.kind == "f"}  # fmt: skip
        return replace(taken, **mixed)

    def without_labels(self) -> Self:
        """The same windows as if nobody had measured their labels."""
        labels = [f.name for f in dataclasses.fields(self) if f.metadata.get("label")]
        return replace(self, **{name: np.full_like(getattr(self, name), np.nan) for name in labels})

    def noisy(self, level: float, generator: np.random.Generator) -> Self:
        """The same windows with white noise of the standard deviation ``level``, a fraction of nominal capacity, on what is
        measured, ``x``; labels as they are."""
        x: Float32 = getattr(self, "x")  # noqa: B009 - every task's windows have one
        shaken: dict[str, Any] = {"x": x + level * generator.standard_normal(x.shape, dtype=np.float32)}
        return replace(self, **shaken)

    def digest(self) -> str:
        """sha256 of all that is kept per window."""
        digest = hashlib.sha256()
        for name in self.names("window"):
            values = np.ascontiguousarray(getattr(self, name))
            digest.update(f"{name} {values.shape} {values.dtype}".encode())
            digest.update(values.tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write everything to ``path`` (``.safetensors``)."""
        atomic_write(Path(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """Everything; the same windows give the same bytes."""
        from safetensors.numpy import save

        names = (*self.names("window"), *self.names("cell"))
        arrays = {n: np.ascontiguousarray(v) for n in names if not isinstance(v := getattr(self, n), tuple)}
        words = {n: getattr(self, n) for n in names if n not in arrays}
        words |= {"conditions": [dataclasses.astuple(c) for c in self.conditions]}
        header = {"spec": self.spec.to_dict(), "left_out": self.left_out, "words": words}
        content: bytes = save(arrays, metadata={"windows": json.dumps(header, sort_keys=True)})
        return content

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote. Raises DataError when the file is missing, damaged or of another task."""
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}; run the step 'data' again") from None
        return cls.from_bytes(content, path)

    @classmethod
    def from_bytes(cls, content: bytes, where: str | Path) -> Self:
        """What ``to_bytes`` gave. Raises DataError, naming ``where`` they lie, when damaged or of another task."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays: dict[str, Any] = load(content)
            length = int.from_bytes(content[:8], "little")
            header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["windows"])
            words: dict[str, Any] = {name: tuple(values) for name, values in header["words"].items()}
            words["cells"] = tuple((dataset, cell) for dataset, cell in words["cells"])
            words["conditions"] = tuple(Condition(*values) for values in words["conditions"])
            return cls(spec=cls.Spec.from_dict(header["spec"]), left_out=header["left_out"], **words, **arrays)
        except (SafetensorError, ValueError, KeyError, TypeError, DataError) as error:
            raise DataError(
                f"{where} holds no windows of this task ({type(error).__name__}: {error}); run the step 'data' again"
            ) from None

    @classmethod
    def names(cls, per: str) -> tuple[str, ...]:
        """Fields that are kept per ``window`` or per ``cell``."""
        return tuple(f.name for f in dataclasses.fields(cls) if f.metadata.get("per") == per)


W = TypeVar("W", bound=Windows)


def merged(parts: Sequence[W]) -> W:
    """The windows of all ``parts``, one or more; those of one cell under one number, of which the first part that has it
    tells. Raises DataError when they are cut by different definitions."""
    first = parts[0]
    if others := [part.spec for part in parts if not first.joinable(part)]:
        raise DataError(f"windows cannot be joined: they are cut by {first.spec} and by {others[0]}")
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in first.names("window")
    }
    number: dict[CellKey, int] = {}
    fresh = []
    for part in parts:
        rows = [n for n, key in enumerate(part.cells) if part.one_per_cell or key not in number]
        number |= {part.cells[n]: len(number) + place for place, n in enumerate(rows)}
        fresh.append(np.array(rows, dtype=np.int64))
    if first.one_per_cell:
        arrays["cell"] = np.arange(len(arrays["cell"]), dtype=np.int32)
    else:
        numbers = [np.array([number[key] for key in part.cells], dtype=np.int32)[part.cell] for part in parts]
        arrays["cell"] = np.concatenate(numbers)
    for name in first.names("cell"):
        own = [_at(getattr(part, name), rows) for part, rows in zip(parts, fresh, strict=True)]
        arrays[name] = sum(own, ()) if isinstance(own[0], tuple) else np.concatenate(own)
    return replace(first, **arrays, left_out={})


def _at(values: Any, rows: Int64) -> Any:
    return tuple(values[i] for i in rows) if isinstance(values, tuple) else values[rows]
