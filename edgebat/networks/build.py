"""What every reader of float networks builds with: operators of a file in, layers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from edgebat.arrays import Array, Float64
from edgebat.formats.tflite.rules import grouped, same_padding
from edgebat.networks import layers as kinds
from edgebat.networks.axes import BATCH, CHANNELS, FREE, ONE, TIME, VECTOR, Value
from edgebat.networks.gates import Gates
from edgebat.networks.layers import INPUT, FloatNetwork, Function

Pooling = kinds.MaxPool | kinds.AveragePool | kinds.MeanPool


def _composed(after: Function, before: Function, x: Float64) -> Float64:
    return after(before(x))


class Builder(Gates):
    """One method for each kind of operator; all raise ModelFileError naming it."""

    # -- elementwise

    def function(self, value: Value, called: str, compute: Function) -> Value:
        """``compute`` of every value."""
        if value.pad != (0, 0):
            self.fail("it reads a padded sequence; put the padding directly before the convolution")
        before = value.function
        whole: Function = compute if before is None else partial(_composed, compute, before)
        # Only a function as it is has its own name, which says how it is fused and scaled.
        name = called if before is None else f"{value.called} {called}"
        parts = None if value.affine is None else (value.affine, called, compute)
        return replace(value, function=whole, called=name, affine=None, parts=parts, source=self.source)

    def scalar(self, value: Value, factor: float, offset: float) -> Value:
        """``factor`` x + ``offset``."""
        self.require_finite(factor, offset)
        if offset and value.pad != (0, 0):
            self.fail("it adds to a padded sequence; put the padding directly before the convolution")
        if value.function is not None and value.affine is None:
            return self.function(value, "scale", lambda x: x * factor + offset)
        a, b = value.affine or (1.0, 0.0)
        a, b = a * factor, b * factor + offset
        return replace(
            value, function=lambda x: x * a + b, called="scale", affine=(a, b), parts=None, source=self.source
        )

    def affine(self, value: Value, factor: Array, offset: Array) -> Value:
        """x * factor + offset with constants that broadcast against the file's axes."""
        factor, offset = np.broadcast_arrays(np.asarray(factor, np.float64), np.asarray(offset, np.float64))
        if factor.size == 1:
            return self.scalar(value, float(factor.ravel()[0]), float(offset.ravel()[0]))
        rank = len(value.axes)
        if factor.ndim > rank:
            self.fail(f"it works with a constant of shape {list(factor.shape)} on {list(self.shape(value))}")
        wide = (1,) * (rank - factor.ndim) + factor.shape
        varying = [place for place, size in enumerate(wide) if size > 1]
        shape = self.shape(value)
        labels = self.labels(value)
        if len(varying) != 1 or shape[varying[0]] != wide[varying[0]] or labels[varying[0]] == TIME:
            self.fail(
                f"it works with a constant of shape {list(factor.shape)} on {list(shape)}; allowed: one value, or one for "
                "each channel. Scale each channel by one constant for all time steps"
            )
        value = self.settled(self.along_channels(value, varying[0]))
        arrays = [self.reordered(value, array.reshape(-1)) for array in (factor, offset)]
        own = self.own_shape(value)
        name = self.add_step(kinds.Scale(*arrays), [value], own)
        return replace(value, step=name, axes=self.labels(value))

    def reordered(self, value: Value, array: Array) -> Array:
        """Features on the last axis of ``array``, in the order of the file, in that of the layers."""
        if value.order is None:
            return array
        c, t = value.order
        return np.ascontiguousarray(array.reshape(*array.shape[:-1], c, t).swapaxes(-1, -2).reshape(array.shape))

    def combine(self, a: Value, b: Value, what: str) -> Value:
        """ "add", "sub", "mul" or "div" of two values of the file."""
        if a.step == b.step and a.axes == b.axes and a.pad == b.pad == (0, 0):
            f, g = ((lambda x: x) if v.function is None else v.function for v in (a, b))
            operation = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}[what]
            names = "_".join(dict.fromkeys(v.called for v in (a, b) if v.called))
            return replace(
                a,
                function=lambda x: np.asarray(operation(f(x), g(x))),
                called=f"{what} {names}".strip(),
                affine=None,
                parts=None,
                source=self.source,
            )
        if what == "mul":
            return self.product(a, b)
        if what == "div":
            self.fail(
                "it divides two layers by each other; allowed: by constants. The integer graph multiplies layers only"
            )
        b = self.scalar(b, -1.0, 0.0) if what == "sub" else b
        a, b = (self.settled(self.by_default(v)) for v in (a, b))
        if self.own_shape(a) != self.own_shape(b) or not self.alike(a, b) or a.order != b.order:
            self.fail(
                f"it adds {list(self.shape(a))} and {list(self.shape(b))}; sums of layers are of equal shape. Bring both to "
                "the same time steps and channels, e.g. by a convolution of size 1"
            )
        axes = max(a.axes, b.axes, key=len)
        return replace(a, step=self.add_step(kinds.Add(), [a, b], self.own_shape(a)), axes=axes)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Values beside each other along ``axis``, which holds channels."""
        values = [self.settled(self.by_default(value)) for value in values]
        first = values[0]
        axis %= len(first.axes)
        own = [self.own_shape(value) for value in values]
        same = all(value.axes == first.axes and value.order is None for value in values)
        if not same or first.axes[axis] not in (CHANNELS, VECTOR) or len({shape[:-1] for shape in own}) != 1:
            self.fail(
                f"it joins {[list(self.shape(value)) for value in values]} along axis {axis}; allowed: along channels, with "
                "equal time steps"
            )
        shape = (*own[0][:-1], sum(one[-1] for one in own))
        return replace(first, step=self.add_step(kinds.Concat(), values, shape))

    # -- linear layers

    def dense(self, value: Value, weight: Array, bias: Array | None) -> Value:
        """Weights [O, I] on the last axis."""
        labels = self.labels(value)
        if BATCH not in labels or labels[-1] == BATCH:
            self.fail("it works along the batch")
        if labels[-1] == ONE and VECTOR in labels:
            value = self.oriented(value, labels.index(VECTOR), len(labels) - 1)
        value = self.along_channels(value, -1)
        labels = self.labels(value)
        if labels[-1] not in (CHANNELS, VECTOR):
            self.fail(
                f"it is a dense layer along axis {len(labels) - 1} of {list(self.shape(value))}, which is time; they "
                "here mix channels, or all of a window behind a flatten. Transpose back before it"
            )
        value = self.settled(value)
        own = self.own_shape(value)
        if weight.ndim != 2 or weight.shape[1] != own[-1]:
            self.fail(f"weights have the shape {list(weight.shape)} for {own[-1]} inputs")
        weight = self.reordered(value, weight.astype(np.float64))
        outs = len(weight)
        offset = np.zeros(outs) if bias is None else np.broadcast_to(np.asarray(bias, np.float64).reshape(-1), outs)
        name = self.add_step(kinds.Dense(weight, offset.copy()), [value], (*own[:-1], outs))
        return replace(value, step=name, axes=self.labels(value), order=None)

    def conv(self, value: Value, layer: kinds.Conv, time: int, channels: int, groups: int = 1) -> Value:
        """A convolution; weight [O, K, C / groups] along axis ``time``. Its padding is added to zeros before it."""
        value = self.settled(self.oriented(value, time, channels))
        t, c = self.own_shape(value)
        outs, kernel, width = layer.weight.shape
        if width * groups != c or outs % groups:
            self.fail(f"weights have the shape {list(layer.weight.shape)} in {groups} groups for {c} channels")
        weight, depthwise = layer.weight.astype(np.float64), groups == c == outs and c > 1
        # Grouped convolutions and depth multipliers as a full one: the same sums, with zeros among the weights.
        weight = weight[:, :, 0] if depthwise else grouped(weight, groups)
        padding = (layer.padding[0] + value.pad[0], layer.padding[1] + value.pad[1])
        if min(padding) < 0:
            self.fail(f"padding {padding}; allowed: 0 or more")
        layer = replace(layer, weight=weight, padding=padding, depthwise=depthwise)
        length = (t + sum(padding) - (kernel - 1) * layer.dilation - 1) // layer.stride + 1
        return replace(value, step=self.add_step(layer, [value], (length, outs)), pad=(0, 0))

    def pad(self, value: Value, axis: int, left: int, right: int) -> Value:
        """Zeros before and behind the sequence, for the convolution that follows."""
        value = self.along_time(value, axis)
        if self.labels(value)[axis] != TIME or min(left, right) < 0:
            self.fail(
                f"it pads axis {axis} of {list(self.shape(value))} by {left} and {right}; allowed: zeros along time"
            )
        value = self.settled(value)
        return replace(value, pad=(value.pad[0] + left, value.pad[1] + right))

    def recurrent(self, value: Value, layer: kinds.Recurrent, time: int) -> Value:
        """An LSTM or GRU along axis ``time``; the value is its whole sequence, on the same axes."""
        labels = self.labels(value)
        channels = len(labels) - 1
        if labels[time] == ONE and labels[channels] not in (*FREE, VECTOR):
            self.fail(
                f"it runs over axis {time} of {list(self.shape(value))}, which is no time axis: a vector within the network "
                "cannot become a sequence. Feed the recurrent layer from the input or from layers of sequences"
            )
        value = self.settled(self.oriented(value, time, channels))
        t, c = self.own_shape(value)
        if layer.weight_input.shape[1] != c:
            self.fail(f"weights {list(layer.weight_input.shape)} do not fit {c} inputs")
        return replace(value, step=self.add_step(layer, [value], (t, layer.weight_hidden.shape[1])))

    # -- pooling and the last step

    def pool(self, value: Value, layer: Pooling, time: int, channels: int) -> Value:
        """Pooling along axis ``time``."""
        value = self.settled(self.oriented(value, time, channels))
        t, c = self.own_shape(value)
        padding = (0, 0) if isinstance(layer, kinds.AveragePool) else layer.padding
        if max(padding) >= layer.size and max(padding) > 0:
            self.fail(
                f"it pads {padding} steps around windows of {layer.size}; each window needs a step of the sequence"
            )
        return replace(
            value, step=self.add_step(layer, [value], ((t + sum(padding) - layer.size) // layer.stride + 1, c))
        )

    def average(
        self, value: Value, window: tuple[int, int, tuple[int, int]], places: tuple[int, int], *, zeros: bool
    ) -> Value:
        """Mean over windows (size, stride, padding) along ``places`` (time, channels); zeros: the padding counts as such."""
        size, stride, padding = window
        if padding == (0, 0):
            return self.pool(value, kinds.AveragePool(size, stride), *places)
        if not zeros:
            length = self.shape(value)[places[0]]
            if padding != same_padding(length, size, stride, 1):
                self.fail(
                    f"it averages what lies within {padding} steps of padding around {length}, which TFLite does for "
                    f"{same_padding(length, size, stride, 1)} only (same). Count the padding (count_include_pad=True)"
                )
            return self.pool(value, kinds.MeanPool(size, stride, padding), *places)
        value = self.settled(self.oriented(value, *places))
        channels = self.own_shape(value)[1]
        ones = np.full((channels, 1, size), 1.0 / size).swapaxes(1, 2)
        layer = kinds.Conv(ones, np.zeros(channels), stride, 1, padding)
        return self.conv(value, layer, *places, channels)

    def softmax(self, value: Value, axis: int) -> Value:
        """Over channels, or over a vector."""
        value = self.settled(self.by_default(value))
        labels = self.labels(value)
        if labels[axis] not in (CHANNELS, VECTOR):
            self.fail(
                f"it is a softmax along axis {axis} of {list(self.shape(value))}; allowed: along channels or a vector. Over "
                "time it is attention: pool over time instead"
            )
        return replace(value, step=self.add_step(kinds.Softmax(), [value], self.own_shape(value)))

    def over_time(self, value: Value, kind: str, axes: Sequence[int], keep: bool) -> Value:
        """ "mean" or "max" over the axes ``axes``, all of time."""
        places = sorted(axis % len(value.axes) for axis in axes)
        labels = self.labels(value)
        free = [place for place in places if labels[place] in FREE]
        if len(free) == 1:
            value = self.along_time(value, free[0])
        labels = self.labels(value)
        reduced = {labels[place] for place in places}
        if not reduced <= {TIME, ONE}:
            self.fail(f"it takes the {kind} over axes {places} of {list(self.shape(value))}; allowed: over time only")
        if TIME in reduced:
            value = self.settled(value)
            t, c = self.own_shape(value)
            layer = kinds.MaxPool(t, 1) if kind == "max" else kinds.AveragePool(t, 1)
            pooled = replace(value, step=self.add_step(layer, [value], (1, c)))
            value = replace(pooled, step=self.add_step(kinds.Flatten(), [pooled], (c,)))
            labels = tuple(ONE if axis == TIME else VECTOR if axis == CHANNELS else axis for axis in self.labels(value))
        kept = [axis for place, axis in enumerate(labels) if keep or place not in places]
        return replace(value, axes=tuple(kept))

    def select(self, value: Value, axis: int, index: int) -> Value:
        """One position of an axis, which leaves: the last time step."""
        axis %= len(value.axes)
        size = self.shape(value)[axis]
        value = self.along_time(value, axis)
        labels = self.labels(value)
        axes = tuple(label for place, label in enumerate(labels) if place != axis)
        if labels[axis] == ONE:
            return replace(value, axes=axes)
        if labels[axis] != TIME or index not in (-1, size - 1):
            self.fail(
                f"it takes position {index} of axis {axis} of {list(self.shape(value))}; allowed: the last time step. "
                "Leave unused inputs out of the windows; for a loop over time steps: use the recurrent layer"
            )
        value = self.settled(value)
        c = self.own_shape(value)[1]
        name = self.add_step(kinds.LastStep(), [value], (c,))
        return replace(value, step=name, axes=tuple(VECTOR if label == CHANNELS else label for label in axes))

    def cut(self, value: Value, axis: int, start: int, stop: int) -> Value:
        """Positions [start, stop) of an axis: all of them, the last one, or a convolution without its padded end."""
        axis %= len(value.axes)
        size = self.shape(value)[axis]
        start, stop = (max(0, v + size) if v < 0 else min(v, size) for v in (start, stop))
        if (start, stop) == (0, size) or size == -1:
            return value
        if value.pad != (0, 0):
            self.fail("it takes a part of a padded sequence; leave the padding or the part out")
        if start == size - 1 and stop == size:
            chosen = self.select(value, axis, -1)
            return replace(chosen, axes=(*chosen.axes[:axis], ONE, *chosen.axes[axis:]))
        labels = self.labels(value)
        layer = None if value.step == INPUT else self.step(value.step).layer
        if labels[axis] in (CHANNELS, VECTOR) and (rows := self.rows_of(value, layer, start, stop)) is not None:
            return rows
        drop = size - stop
        if (
            not isinstance(layer, kinds.Conv)
            or labels[axis] != TIME
            or start
            or layer.stride != 1
            or drop > layer.padding[1]
        ):
            self.fail(
                f"it takes positions {start} to {stop} of axis {axis} of {list(self.shape(value))}; allowed: the last time "
                "step, or a convolution without the end that its padding added. Cut the windows before the network instead"
            )
        whole = self.step(value.step)
        shorter = replace(layer, padding=(layer.padding[0], layer.padding[1] - drop))
        name = self.add_step(shorter, [Value(whole.inputs[0], value.axes)], (whole.shape[0] - drop, whole.shape[1]))
        return replace(value, step=name)

    # -- shapes

    def flatten(self, value: Value) -> Value:
        """[N, ...] to [N, F]."""
        value = self.by_default(self.settled(value))
        labels = [label for label in self.labels(value) if label != ONE]
        if labels[:1] != [BATCH]:
            self.fail("it flattens the batch")
        if VECTOR in labels:
            return replace(value, axes=(BATCH, VECTOR))
        t, c = self.own_shape(value)
        order = (c, t) if labels.index(CHANNELS) < labels.index(TIME) and min(t, c) > 1 else None
        name = self.add_step(kinds.Flatten(), [value], (t * c,))
        return replace(value, step=name, axes=(BATCH, VECTOR), order=order)

    def reshape(self, value: Value, target: Sequence[int]) -> Value:
        """Other axes for the same numbers; target: sizes, with the batch in front, one of them may be -1."""
        sizes, wanted = list(self.shape(value)), [int(size) for size in target]
        if not wanted or value.axes[:1] != (BATCH,):
            self.fail(f"it makes {wanted} of {sizes}; the batch stays in front")
        inside, total = wanted[1:], math.prod(sizes[1:])
        known = math.prod(size for size in inside if size != -1)
        if inside.count(-1) == 1 and known:
            inside = [total // known if size == -1 else size for size in inside]
        if math.prod(inside) != total or min(inside, default=1) < 1:
            self.fail(f"it makes {wanted} of {sizes}, which are other numbers of values")
        if inside == sizes[1:]:
            return value
        if len(inside) == 1:
            return self.flatten(value)
        real = [(axis, size) for axis, size in zip(value.axes[1:], sizes[1:], strict=True) if axis != ONE]
        if [size for size in inside if size != 1] == [size for _, size in real if size != 1]:
            return self._with_ones(value, inside, real)
        if (
            value.step == INPUT
            and not self.roles
            and not self.read_as
            and value.function is None
            and len([s for s in inside if s != 1]) <= 2
        ):
            # The input itself in another shape: its numbers are read in the file's order.
            places = [place for place, size in enumerate(inside) if size != 1]
            places += [place for place, size in enumerate(inside) if size == 1][: 2 - len(places)]
            names = dict(zip(sorted(places), FREE, strict=False))
            self.sizes = {name: inside[place] for place, name in names.items()}
            return replace(value, axes=(BATCH, *(names.get(place, ONE) for place in range(len(inside)))))
        return self.fail(
            f"it makes {wanted} of {sizes}; allowed: flattening, axes of size 1, and the input itself in another shape. A "
            "vector within the network cannot become a sequence again"
        )

    def _with_ones(self, value: Value, inside: list[int], real: list[tuple[str, int]]) -> Value:
        left = list(real)
        axes: list[str] = []
        for size in inside:
            if left and left[0][1] == size:
                axes.append(left.pop(0)[0])
            elif size == 1:
                axes.append(ONE)
            else:  # an axis of size 1 that goes
                while left and left[0][1] == 1:
                    left.pop(0)
                axes.append(left.pop(0)[0])
        if len([axis for axis in axes if axis != ONE]) < len(real):
            flat = self.flatten(value)
            return replace(flat, axes=(BATCH, *(VECTOR if size != 1 else ONE for size in inside)))
        return replace(value, axes=(BATCH, *axes))

    def transpose(self, value: Value, order: Sequence[int]) -> Value:
        """Axes in another order."""
        if sorted(order) != list(range(len(value.axes))):
            self.fail(f"it orders the axes {list(order)} of {list(self.shape(value))}")
        if value.order is not None and len(value.axes) > 2:
            self.fail("it transposes a vector that was flattened channels first")
        return replace(value, axes=tuple(value.axes[place] for place in order))

    def squeeze(self, value: Value, axes: Sequence[int] | None = None) -> Value:
        """Without axes of size 1: those given, or all."""
        sizes = self.shape(value)
        chosen = range(len(sizes)) if axes is None else [axis % len(sizes) for axis in axes]
        going = {place for place in chosen if sizes[place] == 1}
        if axes is not None and len(going) != len(set(chosen)):
            return value  # torch squeezes nothing then
        if all(value.axes[place] == ONE for place in going):
            return replace(value, axes=tuple(axis for place, axis in enumerate(value.axes) if place not in going))
        kept = [size for place, size in enumerate(sizes) if place not in going]
        return value if len(kept) < 2 else self.reshape(value, kept)

    def unsqueeze(self, value: Value, axes: Sequence[int]) -> Value:
        """With axes of size 1 at these places of the result."""
        rank = len(value.axes) + len(axes)
        places = {axis % rank for axis in axes}
        left = iter(value.axes)
        return replace(value, axes=tuple(ONE if place in places else next(left) for place in range(rank)))

    # -- the end

    def finish(self, value: Value, name: str) -> FloatNetwork:
        """The network whose output is ``value``. Raises ModelFileError."""
        self.where = f"{self.what}: its output"
        value = self.by_default(self.settled(value))
        labels = [label for label in value.axes if label != ONE]
        if value.step == INPUT:
            self.fail("no layer stands between input and output")
        if labels not in ([BATCH, VECTOR], [BATCH, TIME, CHANNELS]) or value.pad != (0, 0) or value.order is not None:
            self.fail(f"it has the shape {list(self.shape(value))}, channels first; end with [N, F] or [N, T, C]")
        if len(self.read_as) > 1:
            self.fail(
                f"its layers read the input as {' and '.join(map(str, map(list, sorted(self.read_as))))}; use one shape"
            )
        source = self.by_default(self.input)
        transposed = [label for label in source.axes if label in (TIME, CHANNELS)] == [CHANNELS, TIME]
        needed: set[str] = {value.step}
        for step in reversed(self.steps):
            needed |= set(step.inputs) if step.name in needed else set()
        steps = tuple(step for step in self.steps if step.name in needed)
        return FloatNetwork(name, self.kind, steps, value.step, self.own_shape(source), self.file_shape, transposed)
