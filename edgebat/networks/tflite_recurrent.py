"""Recurrent layers in a float TFLite file: the LSTM operator, and loops and unrolled steps, see `tflite_loops`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.formats.tflite.model import FileModel, FileOperator
from edgebat.formats.tflite.schema import ACTIVATION
from edgebat.networks import layers as kinds
from edgebat.networks.axes import BATCH, ONE, Value
from edgebat.networks.build import Builder
from edgebat.networks.directions import recurrent_layers, reversed_time
from edgebat.networks.tflite_loops import Part, Run, recurrent_parts
from edgebat.networks.tflite_values import Values

# Inputs of UNIDIRECTIONAL_SEQUENCE_LSTM that the plain LSTM leaves out: peepholes, projection, layer norm.
_ABSENT = (*range(9, 12), 16, 17, *range(20, 24))
KERAS_CLIP = 8.0
"""Keras's converter writes a clip of the cell at 10 that Keras itself does not have; lower ones are meant."""


@dataclass(frozen=True)
class Inside:
    """A tensor within a layer of several operators; ``reason`` why nothing else can read it."""

    reason: str


class RecurrentOperators:
    """The methods of the reader for them. ``known``: constants that the file computes, e.g. from the shape of its input."""

    model: FileModel
    build: Builder
    values: dict[int, Any]
    known: dict[int, Array]

    def is_done(self, operator: FileOperator) -> bool:
        """Whether ``operator`` needs no reading: it belongs to a layer, or works on constants alone."""
        if all(index in self.values for index in operator.outputs):
            return True
        read = [self.values.get(index) for index in operator.inputs]
        if inside := [value for value in read if isinstance(value, Inside)]:
            self.within(operator, inside[0])
            return True
        if operator.inputs and not any(value is not None for value in read):
            constants = {t.index: t.data for t in self.model.tensors if t.data is not None} | self.known
            made = dict(zip(operator.outputs, Values(self.model).results(operator, constants), strict=False))
            self.known |= made
            return bool(made)
        return False

    def within(self, operator: FileOperator, inside: Inside) -> None:
        """What ``operator`` gives belongs to a layer, where it is not known as a result of one."""
        for index in operator.outputs:
            self.values.setdefault(index, inside)

    def on_shape(self, operator: FileOperator) -> None:
        """The sizes of a layer's output, with a batch of 1."""
        sizes = self.build.shape(self.values[operator.inputs[0]])
        made = Values(self.model).results(operator, {operator.inputs[0]: np.zeros([max(size, 1) for size in sizes])})
        self.known[operator.outputs[0]] = made[0]

    def on_while(self, operator: FileOperator) -> None:
        """A recurrent layer that begins here; its results become values, what is inside of it does not."""
        build = self.build
        sources = [index for index in operator.inputs if isinstance(self.values.get(index), Value)]
        value = build.settled(self.values[sources[0]])
        time = next((place for place, axis in enumerate(value.axes[:-1]) if axis != BATCH), 0)
        if len(sources) != 1 or len(value.axes) != 3:
            build.fail(f"it reads {len(sources)} layers; allowed: one, a sequence")
        parts = recurrent_parts(self.model, sources[0], time, self.known)
        if not parts:
            build.fail(
                "it is a loop over time, or time unrolled, but no LSTM or GRU of Keras with tanh and sigmoid that begins at "
                "zero. Use such a layer, or give the .keras file"
            )
        sequences: dict[int, Value] = {}
        for index, part in parts.items():
            if (result := self.part(part, self.sequence(part.run, value, time, sequences), index, time)) is not None:
                self.values[index] = result
        for index in operator.outputs:
            self.values.setdefault(
                index, Inside(f"{build.where}: it is a step of a recurrent layer; allowed: all, or the last")
            )

    on_unpack = on_while

    def sequence(self, run: Run, source: Value, time: int, made: dict[int, Value]) -> Value:
        """The sequence of ``run`` as it was computed."""
        if id(run) not in made:
            below = [self.in_time(one, self.sequence(one, source, time, made), time) for one in run.below]
            value = self.build.concat(below, -1) if len(below) > 1 else (below or [source])[0]
            (made[id(run)],) = recurrent_layers(self.build, value, [run.layer], time, [run.backwards])
        return made[id(run)]

    def in_time(self, run: Run, sequence: Value, time: int) -> Value:
        """A sequence of ``run`` in the order of time."""
        return reversed_time(self.build, sequence, time) if run.backwards else sequence

    def part(self, part: Part, sequence: Value, index: int, time: int) -> Value | None:
        """What the tensor ``index`` holds, on its own axes; None for axes that no network has."""
        build, shape = self.build, self.model.tensors[index].shape
        if not part.whole:
            last = build.select(sequence, time, -1)
            return last if len(shape) == 2 else build.unsqueeze(last, [0]) if len(shape) == 3 else None
        if len(shape) != 3:
            return None
        if not part.turned:
            sequence = self.in_time(part.run, sequence, time)
        steps = build.shape(sequence)[time]
        return sequence if shape[time] == steps else build.transpose(sequence, (1, 0, 2))

    def target_shape(self, operator: FileOperator) -> list[int]:
        """The sizes that a reshape makes, -1 for open ones."""
        computed = self.known.get(operator.inputs[1]) if len(operator.inputs) > 1 else None
        return list(self.model.tensors[operator.outputs[0]].shape if computed is None else computed.ravel().tolist())

    def has_loops(self) -> bool:
        """Whether a recurrent layer of several operators has been found."""
        return any(isinstance(value, Inside) for value in self.values.values())

    @staticmethod
    def in_front(value: Value) -> Value:
        """``value`` with the batch as its first axis: there is one window, and that orders no numbers."""
        return replace(value, axes=(BATCH, *(axis for axis in value.axes if axis != BATCH)))

    def with_batch_inside(self, value: Value, target: Sequence[int]) -> Value | None:
        """A sequence [1, T, C], also with axes of size 1, reshaped to [T, 1, C]; None for other targets."""
        real = [(axis, size) for axis, size in zip(value.axes, self.build.shape(value), strict=True) if axis != ONE]
        if len(real) != 3 or len(target) != 3 or target[1] not in (1, -1) or target[0] == 1:
            return None
        if [size for _, size in real[1:]] != [target[0], target[2]]:
            return None
        return replace(value, axes=(real[1][0], BATCH, real[2][0]))

    def on_unidirectional_sequence_lstm(self, operator: FileOperator) -> Value:
        build, options, inputs = self.build, operator.options, operator.inputs
        if len(inputs) < 20 or any(i < len(inputs) and inputs[i] != -1 for i in _ABSENT):
            build.fail("it has peepholes, a projection or layer norm; allowed: the plain LSTM")
        if options.get("activation", 0) != ACTIVATION["tanh"] or options.get("diagonal_recurrent"):
            build.fail("it has another activation than tanh, or diagonal weights")
        if 0.0 < options.get("cell_clip", 0.0) < KERAS_CLIP or options.get("projection_clip"):
            build.fail(
                f"it clips its cell at {options.get('cell_clip')}; allowed: no clip, or one above {KERAS_CLIP:g}"
            )
        wx, wh = (
            np.concatenate([self.constant(operator, i, 2).astype(np.float64) for i in range(first, first + 4)])
            for first in (1, 5)
        )
        units = wh.shape[1]
        bias = np.concatenate([self.bias(operator, i, units) for i in range(12, 16)])
        return build.recurrent(
            self.value(operator), kinds.LstmLayer(wx, wh, bias), 0 if options.get("time_major") else 1
        )

    def on_reverse_v2(self, operator: FileOperator) -> Value:
        """Time turned round."""
        value, axes = self.value(operator), self.constant(operator, 1).ravel().tolist()
        if len(axes) != 1:
            self.build.fail(f"it turns the axes {axes} round; allowed: time")
        return reversed_time(self.build, value, int(axes[0]) % len(value.axes))

    def value(self, operator: FileOperator, position: int = 0) -> Value:
        """An input of ``operator`` that a layer writes."""
        raise NotImplementedError

    def bias(self, operator: FileOperator, position: int, outs: int) -> Array:
        """An input of ``operator`` that is a constant, or zeros."""
        raise NotImplementedError

    def constant(self, operator: FileOperator, position: int, rank: int | None = None) -> Array:
        """An input of ``operator`` that is a constant."""
        raise NotImplementedError
