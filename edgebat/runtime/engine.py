"""Execute an integer graph with NumPy: whole windows in batches, or one time step at a time with saved state."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgebat.errors import GraphError
from edgebat.graph.check import check_graph
from edgebat.graph.model import ClippedLstm, Dense, Flatten, Gru, IntGraph, LastStep, Lstm, Lut, Recurrent
from edgebat.runtime.gru import GruCell, GruState
from edgebat.runtime.kernels import build_kernel
from edgebat.runtime.lstm import LstmCell, LstmState

State = list[LstmState | GruState]
_CELLS: dict[type[Recurrent], type[Any]] = {Lstm: LstmCell, ClippedLstm: LstmCell, Gru: GruCell}

# Windows executed together: enough to make NumPy's call overhead vanish, few enough to stay in the cache.
BATCH = 256


class Engine:
    """Runs ``graph``.

    >>> engine = Engine(load_graph("model.ebat"))          # doctest: +SKIP
    >>> engine.run(windows)                                 # int8 [N, 10, 10] -> int16 [N, 7]  # doctest: +SKIP

    Recurrent graphs can also be stepped: ``state = engine.initial_state(n)``, then ``y, state = engine.step(x_t, state)``
    for each time step gives exactly what ``run`` gives for the whole sequence, also from a saved state.
    """

    def __init__(self, graph: IntGraph) -> None:
        self.graph = check_graph(graph)
        self._cells = {
            node.name: _CELLS[type(node)](node, graph.tensors[node.inputs[0]], graph.tensors[node.output])
            for node in graph.nodes
            if isinstance(node, Recurrent)
        }
        self._kernels = {
            node.name: build_kernel(node, graph.tensors) for node in graph.nodes if not isinstance(node, Recurrent)
        }

    def run(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Outputs [N, ...] for a batch of inputs int8 [N, *input shape]; recurrent layers start from an empty state.

        Raises GraphError when dtype or shape differ from the graph's input.
        """
        if not len(x):
            self._check_input(x, self.graph.input_tensor.shape)
            return np.zeros((0, *self.graph.output_tensor.shape), self.graph.output_tensor.dtype)
        pieces = [self._execute(x[i : i + BATCH])[self.graph.output] for i in range(0, len(x), BATCH)]
        whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return whole.astype(self.graph.output_tensor.dtype)

    def trace(self, x: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """All activations by tensor name for a batch, for debugging and for per-layer comparison."""
        return {name: value.astype(self.graph.tensors[name].dtype) for name, value in self._execute(x).items()}

    def _execute(self, x: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """All activations as float64 arrays of integers (see kernels.py)."""
        self._check_input(x, self.graph.input_tensor.shape)
        values: dict[str, npt.NDArray[Any]] = {self.graph.input: x.astype(np.float64)}
        for node in self.graph.nodes:
            inputs = [values[name] for name in node.inputs]
            if isinstance(node, Recurrent):
                cell = self._cells[node.name]
                values[node.output] = cell.run(inputs[0], cell.initial_state(len(x)))[0]
            else:
                values[node.output] = self._kernels[node.name](*inputs)
        return values

    @property
    def stateful(self) -> bool:
        """True when the graph has recurrent layers and can be stepped."""
        return bool(self._cells)

    def initial_state(self, batch: int = 1) -> State:
        """The empty state of all recurrent layers, in executing order."""
        return [cell.initial_state(batch) for cell in self._cells.values()]

    def step(self, x_t: npt.NDArray[Any], state: State) -> tuple[npt.NDArray[Any], State]:
        """One time step: x_t int8 [N, I] -> (output [N, O] as if the sequence ended here, state after the step).

        Raises GraphError when the graph has no recurrent layer or mixes time steps in another way.
        """
        if not self._cells:
            raise GraphError(f"graph {self.graph.name!r} has no recurrent layer; use run() on whole windows")
        self._check_input(x_t, self.graph.input_tensor.shape[1:])
        value: npt.NDArray[Any] = x_t.astype(np.float64)
        after: State = []
        for node in self.graph.nodes:
            if isinstance(node, Recurrent):
                cell = self._cells[node.name]
                sequence, new = cell.run(value[:, None], state[len(after)])
                after.append(new)
                value = sequence[:, 0]
            elif isinstance(node, LastStep | Flatten):
                continue  # a single step already is the last one
            elif isinstance(node, Dense | Lut):
                value = self._kernels[node.name](value)
            else:
                raise GraphError(f"node {node.name!r} ({node.op}) needs several time steps; use run() on whole windows")
        return value.astype(self.graph.output_tensor.dtype), after

    def _check_input(self, x: npt.NDArray[Any], shape: tuple[int, ...]) -> None:
        if x.dtype != np.dtype(self.graph.input_tensor.dtype) or x.shape[1:] != shape:
            raise GraphError(
                f"graph {self.graph.name!r} takes {self.graph.input_tensor.dtype} [N, {', '.join(map(str, shape))}]; "
                f"got {x.dtype} {list(x.shape)}"
            )
