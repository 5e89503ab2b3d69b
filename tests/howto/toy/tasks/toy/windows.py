"""Definition and windows of the toy task: six charges, each as the charge taken below and above a voltage."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from edgebat.arrays import Float32
from edgebat.cells import Condition
from edgebat.errors import DataError
from edgebat.tasks.windows import PER_WINDOW, Windows


@dataclass(frozen=True)
class ToySpec:
    """Definition of the toy task."""

    charges: int = 6
    """Charges a model sees."""
    eol: float = 0.8
    """End of life as a fraction of nominal capacity."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ToySpec:
        try:
            return cls(**values)
        except TypeError as error:
            raise DataError(f"ToySpec cannot be made of {values}: {error}") from None


@dataclass(frozen=True, kw_only=True)
class ToyWindows(Windows):
    """Inputs and targets of N windows; select, take, join, blend, save and load come with ``Windows``."""

    Spec: ClassVar[type[ToySpec]] = ToySpec
    spec: ToySpec
    x: Float32 = field(metadata=PER_WINDOW)
    """[N, charges, 2] charge below and above the voltage / nominal capacity."""
    soh: Float32 = field(metadata=PER_WINDOW)
    left: Float32 = field(metadata=PER_WINDOW)
    """[N] cycles to EOL."""

    def inputs(self) -> Float32:
        return self.x

    def targets(self) -> dict[str, Float32]:
        return {"soh": self.soh[:, None], "left": self.left[:, None]}

    def end_labels(self) -> list[Float32]:
        return [self.left]


def made_up(spec: ToySpec, cells: int, seed: int) -> ToyWindows:
    """``cells`` cells that fade along straight lines, every second cycle a window."""
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(cells):
        fade = rng.uniform(0.001, 0.003)
        cycle = np.arange(spec.charges, int(0.25 / fade), 2)
        soh = 1.0 - fade * cycle
        seen = 1.0 - fade * (cycle[:, None] - np.arange(spec.charges)[::-1])
        x = np.stack([0.3 * seen, 0.7 * seen**2], axis=2) + rng.normal(0.0, 1e-3, (len(cycle), spec.charges, 2))
        parts.append((np.full(len(cycle), number), cycle, soh, np.maximum((soh - spec.eol) / fade, 0.0), x))
    cell, cycle, soh, left, x = (np.concatenate(values) for values in zip(*parts, strict=True))
    return ToyWindows(
        spec=spec,
        cell=cell.astype(np.int32),
        cycle=cycle.astype(np.int32),
        cells=tuple(("TOY", f"t{n}") for n in range(cells)),
        conditions=(Condition("TOY", 25.0),) * cells,
        nominal_ah=np.full(cells, 2.0),
        x=x.astype(np.float32),
        soh=soh.astype(np.float32),
        left=left.astype(np.float32),
    )
