"""The GRU over cycles: three gates instead of the LSTM's four, and one state; fed cycle by cycle like the LSTM."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from edgebat.students.base import Student, dense, to_numpy
from edgebat.students.gru_weights import gru_from_torch
from edgebat.students.space import Space, Whole
from edgebat.students.spec import LastStepLayer, Layer

_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class GruStudent(Student):
    """``units``: hidden size of each layer; ``stacked``: number of layers. The last hidden state feeds the head."""

    kind = "gru"
    space: ClassVar[Space] = {"units": Whole(4, 40, 4), "stacked": Whole(1, 2)}

    def __init__(self, *, units: int = 24, stacked: int = 1, **common: Any) -> None:
        super().__init__({"units": units, "stacked": stacked}, **common)
        self.gru = nn.GRU(self.shape[1], units, num_layers=stacked, batch_first=True)
        self.head = nn.Linear(units, self.outputs)

    def body(self, z: Tensor) -> Tensor:
        sequence, _ = self.gru(z)
        return self.head(sequence[:, -1])  # type: ignore[no-any-return]

    def layers(self) -> list[Layer]:
        stacked: list[Layer] = [
            gru_from_torch(*(to_numpy(getattr(self.gru, f"{part}_l{layer}")) for part in _PARTS))
            for layer in range(self.gru.num_layers)
        ]
        return [*stacked, LastStepLayer(), dense(self.head)]


STUDENT = GruStudent
