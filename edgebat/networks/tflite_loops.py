"""LSTM and GRU of Keras that a TFLite file holds as a loop (WHILE), or step by step (``unroll=True``), as layers again.

Converters write a layer in many forms; none of them is looked at here. What counts is what the operators compute: the
weights of a layer are constants of the file, and a choice of them is the layer when it gives the file's numbers, at all time
steps, for random sequences. No other network of these sizes does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edgebat.arrays import Array, Float64
from edgebat.formats.tflite.model import FileModel
from edgebat.networks import layers as kinds
from edgebat.networks.tflite_values import Values
from edgebat.students.gru_weights import gru_from_keras
from edgebat.students.spec import gru_states, lstm_states

MAX_CHOICES = 4000
"""Of weights for one layer."""
MAX_SOURCES = 16
"""Sequences that layers are looked for on."""
TOLERANCE = 1e-5
"""Of float64 sums in another order, over the steps of a window."""
_SIZES = (0.5, 1.0, 3.0)
"""Standard deviations of the random sequences: small ones, and such that saturate gates."""


@dataclass(frozen=True, eq=False)
class Run:
    """A layer over the file's sequence, or over those of ``below``, joined along features.

    backwards: it begins at the last step.
    """

    layer: kinds.Recurrent
    backwards: bool
    below: tuple[Run, ...] = ()


@dataclass(frozen=True, eq=False)
class Part:
    """What a tensor of the file is: the sequence of ``run`` in the order of time (whole), or its last state.

    turned: a sequence in the order in which a layer that goes backwards computed it.
    """

    run: Run
    whole: bool
    turned: bool = False


def recurrent_parts(model: FileModel, source: int, time: int, known: Mapping[int, Array]) -> dict[int, Part]:
    """Tensors of the file that are results of LSTM or GRU layers which read the tensor ``source`` [..., T, ..., I].

    Layers on top of those are found too: unrolled, they read steps, and there is no tensor of a whole sequence between.
    time: the axis of time. known: constants that the file computes.
    """
    shape = [max(size, 1) for size in model.tensors[source].shape]
    rng = np.random.default_rng(19)
    draws = [rng.normal(size=shape) * size for size in _SIZES]
    values = Values(model)
    traces = [values.of({**known, source: draw}) for draw in draws]
    start = next(place for place, operator in enumerate(model.operators) if source in operator.inputs)
    written = [index for operator in model.operators[start:] for index in operator.outputs]
    tensors = {index: np.stack([trace[index].ravel() for trace in traces])
               for index in written if all(index in trace for trace in traces)}  # fmt: skip
    x = np.stack([np.moveaxis(draw, time, 0).reshape(shape[time], -1) for draw in draws])  # [N, T, I]
    found: dict[int, Part] = {}
    waiting: list[tuple[tuple[Run, ...], Float64]] = [((), x)]
    for _ in range(MAX_SOURCES):
        if not waiting:
            break
        below, sequence = waiting.pop(0)
        new: list[tuple[Run, Float64]] = []
        for layer in itertools.islice(_choices(model, sequence.shape[2]), MAX_CHOICES):
            for backwards in (False, True):
                run = Run(layer, backwards, below)
                states = _states(run, sequence)
                if parts := _matches(run, states, tensors, found):
                    found |= parts
                    new.append((run, states))
        waiting += [((run,), states) for run, states in new]
        both = [one for backwards in (False, True) for one in new if one[0].backwards == backwards]
        if len(both) == 2 and both[1][0].backwards:
            waiting.append((tuple(run for run, _ in both), np.concatenate([states for _, states in both], axis=2)))
    return found


def _states(run: Run, x: Float64) -> Float64:
    """[N, T, H] of ``run`` for sequences x [N, T, I], in the order of time."""
    order = -1 if run.backwards else 1
    layer, x = run.layer, x[:, ::order]
    states = lstm_states(layer, x)[0] if isinstance(layer, kinds.LstmLayer) else gru_states(layer, x)
    return np.asarray(states[:, ::order], np.float64)


def _matches(run: Run, states: Float64, tensors: Mapping[int, Array], known: Mapping[int, Part]) -> dict[int, Part]:
    """Which of ``tensors`` [N, values] are results of ``run``, whose hidden states are ``states`` [N, T, H]."""
    forms = {Part(run, False): states[:, 0 if run.backwards else -1], Part(run, True): states}
    if run.backwards:
        forms[Part(run, True, True)] = states[:, ::-1]
    found = {}
    for part, expected in forms.items():
        flat = expected.reshape(len(expected), -1)
        for index, value in tensors.items():
            if index not in known and value.shape == flat.shape and np.abs(value - flat).max() < TOLERANCE:
                found[index] = part
    return found


def _choices(model: FileModel, inputs: int) -> Iterator[kinds.Recurrent]:
    """Layers of ``inputs`` inputs that the file's constants can be."""
    arrays = [
        tensor.data.astype(np.float64)
        for graph in model.graphs for tensor in graph.tensors if tensor.data is not None and tensor.dtype == "float32"
    ]  # fmt: skip
    matrices = _unique(form for array in arrays if min(array.shape, default=0) >= 1 for form in _as_matrices(array))
    vectors = _unique(array.ravel() for array in arrays)
    by_shape: dict[tuple[int, ...], list[Array]] = {}
    for array in (*matrices, *vectors):
        by_shape.setdefault(array.shape, []).append(array)

    def of(*shape: int) -> Sequence[Array]:
        return by_shape.get(shape, ())

    for kernel in [matrix for matrix in matrices if matrix.shape[1] == inputs]:
        rows = len(kernel)
        biases = [np.zeros(rows), *of(rows)]
        if rows % 4 == 0:
            for recurrent, bias in itertools.product(of(rows, rows // 4), biases):
                yield kinds.LstmLayer(kernel, recurrent, bias)
        if rows % 3 == 0:
            units = rows // 3
            for recurrent, bias, own in itertools.product(of(rows, units), biases, biases):
                yield gru_from_keras(kernel.T, recurrent.T, np.stack([bias, own]), reset_after=True)
            for gates, new, bias in itertools.product(of(2 * units, units), of(units, units), biases):
                yield gru_from_keras(kernel.T, np.concatenate([gates, new]).T, bias, reset_after=False)


def _as_matrices(array: Array) -> Iterator[Array]:
    """A constant as the matrix [outputs, inputs] it may be, either way round."""
    sizes = [size for size in array.shape if size > 1]
    if array.ndim >= 2 and len(sizes) <= 2:
        matrix = array.reshape(-1, array.shape[-1])
        yield matrix
        yield matrix.T


def _unique(arrays: Iterator[Array]) -> list[Array]:
    return list({(array.shape, array.tobytes()): array for array in arrays}.values())
