"""The LSTM over cycles: one cycle's increments per step, so a BMS can feed it cycle by cycle and keep the state."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from edgebat.students.base import Student, dense, to_numpy
from edgebat.students.space import Space, Whole
from edgebat.students.spec import LastStepLayer, Layer, LstmLayer


class LstmStudent(Student):
    """``units``: hidden size of each layer; ``stacked``: number of layers. The last hidden state feeds the head."""

    kind = "lstm"
    space: ClassVar[Space] = {"units": Whole(4, 32, 2), "stacked": Whole(1, 2)}

    def __init__(self, *, units: int = 24, stacked: int = 1, **common: Any) -> None:
        super().__init__({"units": units, "stacked": stacked}, **common)
        self.lstm = nn.LSTM(self.shape[1], units, num_layers=stacked, batch_first=True)
        self.head = nn.Linear(units, self.outputs)

    def body(self, z: Tensor) -> Tensor:
        sequence, _ = self.lstm(z)
        return self.head(sequence[:, -1])  # type: ignore[no-any-return]

    def layers(self) -> list[Layer]:
        # torch's gate order is the one of LstmLayer: i, f, g, o.
        stacked: list[Layer] = [
            LstmLayer(
                to_numpy(getattr(self.lstm, f"weight_ih_l{k}")),
                to_numpy(getattr(self.lstm, f"weight_hh_l{k}")),
                to_numpy(getattr(self.lstm, f"bias_ih_l{k}") + getattr(self.lstm, f"bias_hh_l{k}")),
            )
            for k in range(self.lstm.num_layers)
        ]
        return [*stacked, LastStepLayer(), dense(self.head)]


STUDENT = LstmStudent
