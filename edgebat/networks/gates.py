"""Products of two layers, and a part of the channels of one: what gated networks are made of."""

from __future__ import annotations

import math
from dataclasses import replace

from edgebat.networks import layers as kinds
from edgebat.networks.axes import BATCH, CHANNELS, ONE, VECTOR, Axes, Value


class Gates(Axes):
    """Methods raise ModelFileError naming the operator, as those of `build.Builder`."""

    def product(self, a: Value, b: Value) -> Value:
        """Two layers of equal shape, or one that gates the channels or the time steps of the other."""
        a, b = (self.settled(self.by_default(v)) for v in (a, b))
        if math.prod(self.own_shape(a)) < math.prod(self.own_shape(b)):
            a, b = b, a
        own, gate = self.own_shape(a), self.own_shape(b)
        same = own == gate and self.alike(a, b) and a.order == b.order
        aligned = len(a.axes) == len(b.axes) and len(own) == 2 and b.order is None and all(
            other in (ONE, whole) or (other, whole) == (VECTOR, CHANNELS)
            for other, whole in zip(b.axes, a.axes, strict=True)
        )  # fmt: skip
        one_step = len(gate) == 2 and gate == (1, own[-1])
        if one_step and aligned:
            b = replace(b, step=self.add_step(kinds.Flatten(), [b], (gate[1],)))
        if not same and not (aligned and (one_step or gate in (own[1:], (own[0], 1)))):
            self.fail(
                f"it multiplies {list(self.shape(a))} and {list(self.shape(b))}; products of layers are of equal shape, or "
                "of one factor for each channel or each time step"
            )
        axes = max(a.axes, b.axes, key=len) if same else a.axes
        return replace(a, step=self.add_step(kinds.Multiply(), [a, b], own), axes=axes)

    @staticmethod
    def alike(a: Value, b: Value) -> bool:
        """Whether values of equal size meet number by number: axes of size 1 in different places would multiply out.

        The batch is one window, so that it may stand where the other one has an axis of size 1.
        """
        longest = max(len(a.axes), len(b.axes))
        first, second = (
            [ONE] * (longest - len(v.axes)) + [ONE if axis == BATCH else axis for axis in v.axes] for v in (a, b)
        )
        return first == second

    def rows_of(self, value: Value, layer: kinds.Layer | None, start: int, stop: int) -> Value | None:
        """Outputs [start, stop) of a dense layer or convolution, as a layer of those rows; None of another layer."""
        if not isinstance(layer, kinds.Dense | kinds.Conv) or (isinstance(layer, kinds.Conv) and layer.depthwise):
            return None
        if value.function is not None or value.order is not None:
            return None
        whole = self.step(value.step)
        part = replace(layer, weight=layer.weight[start:stop], bias=layer.bias[start:stop])
        name = self.add_step(part, [Value(whole.inputs[0], value.axes)], (*whole.shape[:-1], stop - start))
        return replace(value, step=name)
