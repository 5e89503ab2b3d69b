"""Recurrent layers that read a window from its end, or from both, and values that a file keeps in one tensor.

The layer itself knows one direction: the other one is the same layer between two reversals of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgebat.networks import layers as kinds
from edgebat.networks.axes import Value
from edgebat.networks.build import Builder


def reversed_time(build: Builder, value: Value, time: int) -> Value:
    """``value`` with the last step of axis ``time`` first."""
    value = build.settled(build.oriented(value, time, len(value.axes) - 1))
    return replace(value, step=build.add_step(kinds.Reverse(), [value], build.own_shape(value)))


def recurrent_layers(
    build: Builder, value: Value, layers: Sequence[kinds.Recurrent], time: int, backwards: Sequence[bool]
) -> list[Value]:
    """The sequence of each of ``layers`` in the order in which it ran: a backward one ends at the first step."""
    return [
        build.recurrent(reversed_time(build, value, time) if turned else value, layer, time)
        for layer, turned in zip(layers, backwards, strict=True)
    ]


@dataclass(frozen=True)
class Stacked:
    """Values of the same axes in one tensor of the file, along its axis ``axis``: directions, or the states of layers.

    time: the values are sequences, and each stands for its last step along this axis; None: for itself.
    """

    values: tuple[Value, ...]
    axis: int
    time: int | None = None

    @property
    def rank(self) -> int:
        """Axes of the tensor."""
        return len(self.values[0].axes) + (self.time is None)

    def select(self, build: Builder, axis: int, index: int) -> Value:
        """One of the values."""
        if axis % self.rank != self.axis or not -len(self.values) <= index < len(self.values):
            build.fail("it takes a part of several directions or layers at once; take one of them as a whole")
        value = self.values[index]
        return value if self.time is None else build.select(value, self.time, -1)

    def cut(self, build: Builder, axis: int, start: int, stop: int) -> Stacked:
        """Some of the values."""
        if axis % self.rank != self.axis:
            build.fail("it takes a part of several directions or layers at once; take one of them as a whole")
        return replace(self, values=self.values[start:stop])

    def transpose(self, build: Builder, order: Sequence[int]) -> Stacked:
        """The tensor's axes in another order."""
        whole = [self.select(build, self.axis, index) for index in range(len(self.values))]
        inner = [place - (place > self.axis) for place in order if place != self.axis]
        turned = tuple(build.transpose(value, inner) for value in whole)
        return Stacked(turned, list(order).index(self.axis))

    def joined(self, build: Builder, target: Sequence[int]) -> Value:
        """The values beside each other along features, which is what a reshape to ``target`` does with them."""
        whole = [self.select(build, self.axis, index) for index in range(len(self.values))]
        size = build.shape(whole[0])[-1] * len(whole)
        if self.axis != self.rank - 2 or len(target) != self.rank - 1 or target[-1] not in (-1, size):
            build.fail(
                f"it makes {list(target)} of several directions or layers; join them along features: torch.cat of the last "
                "two states, or the sequence as it is"
            )
        return build.concat(whole, len(whole[0].axes) - 1)
