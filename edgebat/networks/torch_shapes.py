"""Operators of ATen that move numbers and compute nothing: parts, shapes, orders of axes, sequences beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgebat.networks.axes import Value
from edgebat.networks.build import Builder
from edgebat.networks.directions import Stacked, reversed_time


class ShapeOperators:
    """The methods of the reader for them."""

    build: Builder

    def on_select(self, x: Any, dim: int, index: int) -> Value:
        value: Value = x.select(self.build, dim, index) if isinstance(x, Stacked) else self.build.select(x, dim, index)
        return value

    def on_slice(self, x: Any, dim: int = 0, start: Any = 0, end: Any = 1 << 62, step: int = 1) -> Any:
        if step != 1:
            self.build.fail(f"it takes every {step}th position; use a convolution or pooling with that stride")
        if isinstance(x, Stacked):
            return x.cut(self.build, dim, start or 0, 1 << 30 if end is None else end)
        return self.build.cut(x, dim, start or 0, 1 << 62 if end is None else end)

    def on_view(self, x: Any, size: Sequence[int]) -> Value:
        value: Value = x.joined(self.build, size) if isinstance(x, Stacked) else self.build.reshape(x, size)
        return value

    on_reshape = on__unsafe_view = on_view

    def on_flip(self, x: Value, dims: Sequence[int]) -> Value:
        if len(dims) != 1:
            self.build.fail(f"it turns the axes {list(dims)} round; allowed: time")
        return reversed_time(self.build, x, dims[0] % len(x.axes))

    def on_flatten(self, x: Any, start: int = 0, end: int = -1) -> Value:
        if isinstance(x, Stacked):
            return x.joined(self.build, [-1] * (x.rank - 1 if start % x.rank == x.rank - 2 else 1))
        sizes = list(self.build.shape(x))
        start, end = start % len(sizes), end % len(sizes)
        return self.build.reshape(x, [*sizes[:start], -1, *sizes[end + 1 :]]) if start < end else x

    def on_permute(self, x: Any, order: Sequence[int]) -> Any:
        if isinstance(x, Stacked):
            return x.transpose(self.build, [place % x.rank for place in order])
        return self.build.transpose(x, [place % len(x.axes) for place in order])

    def on_transpose(self, x: Any, first: int, second: int) -> Any:
        order = list(range(x.rank if isinstance(x, Stacked) else len(x.axes)))
        order[first], order[second] = order[second], order[first]
        return self.on_permute(x, order)

    on_swapaxes = on_swapdims = on_transpose

    def on_mT(self, x: Value) -> Any:
        return self.on_transpose(x, -1, -2)

    def on_movedim(self, x: Value, source: Any, target: Any) -> Value:
        if not isinstance(source, int) and len(source) != 1:
            self.build.fail("it moves several axes; use permute")
        first, last = (one if isinstance(one, int) else one[0] for one in (source, target))
        order = [place for place in range(len(x.axes)) if place != first % len(x.axes)]
        order.insert(last % len(x.axes), first % len(x.axes))
        return self.build.transpose(x, order)

    def on_squeeze(self, x: Any, dim: Any = None) -> Any:
        if isinstance(x, Stacked):
            return x.select(self.build, 0 if dim is None else dim, 0) if len(x.values) == 1 else x
        return self.build.squeeze(x, None if dim is None else [dim] if isinstance(dim, int) else dim)

    def on_unsqueeze(self, x: Value, dim: int) -> Value:
        return self.build.unsqueeze(x, [dim])

    def on_cat(self, values: list[Any], dim: int = 0) -> Value:
        if not all(isinstance(value, Value) for value in values):
            self.build.fail("it joins layers with constants; leave those out")
        return self.build.concat(values, dim)

    def on_pad(self, x: Value, ends: Sequence[int], mode: str = "constant", value: float | None = None) -> Value:
        if mode != "constant" or value or any(ends[2:]):
            self.build.fail(f"it pads by {list(ends)}, {mode} {value or 0}; allowed: zeros on the last axis")
        return self.build.pad(x, len(x.axes) - 1, ends[0], ends[1])

    on_constant_pad_nd = on_pad
