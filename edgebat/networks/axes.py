"""Which axis of a file's tensor is time, and which are channels: values in the file's layout, layers channels last.

A file may hold a sequence as [N, T, C], [N, C, T] or with axes of size 1 between; the layers know [T, C] alone. Which axis
of the input is time is decided by the first layer that asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import DataError, ModelFileError
from edgebat.networks import layers as kinds
from edgebat.networks.layers import INPUT, Function, Layer, Step

BATCH, TIME, CHANNELS, VECTOR, ONE = "N", "T", "C", "F", "1"
FREE = ("a", "b")
"""Axes of an input whose roles are not known yet."""
MAX_WEIGHT = 1e12
"""Multipliers of larger ones leave int32."""
_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)
_FLAT = "i"
"""The axis of an input vector, which may yet become a sequence."""


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the file: the step that gives it, its axes with the batch, and what is not applied to it yet.

    function: elementwise, ``called`` so, of the operator ``source``; affine: it is a x + b; parts: it is a function,
    called so, of a x + b. pad: zeros
    along time for the convolution behind it.
    order: (C, T) of a vector that was flattened channels first, where the layers flatten time first.
    """

    step: str
    axes: tuple[str, ...]
    function: Function | None = None
    called: str = ""
    affine: tuple[float, float] | None = None
    parts: tuple[tuple[float, float], str, Function] | None = None
    source: str = ""
    pad: tuple[int, int] = (0, 0)
    order: tuple[int, int] | None = None

    @property
    def plain(self) -> Value:
        """The same without a function."""
        return replace(self, function=None, called="", affine=None, parts=None)


class Axes:
    """A network that grows, and which axis of the file's tensors is which; ``where`` names the operator that is read."""

    def __init__(self, what: str, kind: str, file_shape: Sequence[int], *, channels_first: bool) -> None:
        self.what, self.kind, self.where, self.source = what, kind, what, ""
        self.file_shape = tuple(file_shape)
        self.steps: list[Step] = []
        self.roles: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.made: dict[tuple[str, Function], Value] = {}
        self.read_as: set[tuple[int, ...]] = set()
        axes = self._input_axes(channels_first)
        self.input = Value(INPUT, (BATCH, *axes))

    def _input_axes(self, channels_first: bool) -> list[str]:
        shape = self.file_shape
        if not shape or min(shape) < 1:
            raise ModelFileError(
                f"{self.what}: its input has the shape {list(shape)}; allowed: fixed sizes of 1 or more"
            )
        places = range(len(shape))
        ones: set[int] = set()
        # Of more than two axes those of size 1 go, first the spatial ones.
        for place in [*places[1:], 0] if channels_first else places:
            if len(shape) - len(ones) > 2 and shape[place] == 1:
                ones.add(place)
        left = [place for place in places if place not in ones]
        if len(left) > 2:
            raise ModelFileError(
                f"{self.what}: its input has the shape {list(shape)}; networks here read a vector [F] or a sequence of "
                "[T, C]. Images of two dimensions are not supported; flatten one of them into channels"
            )
        names = [_FLAT] if len(left) == 1 else list(FREE)
        self.sizes = {name: shape[place] for name, place in zip(names, left, strict=True)}
        found = iter(names)
        return [ONE if place in ones else next(found) for place in places]

    def fail(self, text: str) -> NoReturn:
        """Refuse the operator that is being read."""
        raise ModelFileError(f"{self.where}: {text}")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Whatever a malformed operator raises refuses it: in files from outside any attribute may be missing or wrong."""
        try:
            with np.errstate(all="ignore"):  # weights that are not finite are refused where they become a layer
                yield
        except DataError as error:  # of code that does not know the file
            self.fail(str(error))
        except _DAMAGE as error:
            self.fail(f"it is malformed ({type(error).__name__}: {error}). Export the model again")

    def require_finite(self, *constants: Array | float) -> None:
        """Refuse weights of a training that diverged, or of a damaged file; larger ones leave the scales' range as well."""
        if not all((np.abs(values) < MAX_WEIGHT).all() for values in constants):
            self.fail(
                f"its weights hold NaN, infinity or values of {MAX_WEIGHT:.0e} and more; train it without diverging"
            )

    # -- axes

    def labels(self, value: Value) -> tuple[str, ...]:
        """Roles of the value's axes as far as they are known."""
        return tuple(self.roles.get(axis, VECTOR if axis == _FLAT else axis) for axis in value.axes)

    def shape(self, value: Value) -> tuple[int, ...]:
        """Sizes of the value's axes in the file, with its padding; the batch is -1."""
        if value.step == INPUT:
            inside = {ONE: 1, BATCH: -1, **self.sizes}
            inside |= {self.roles.get(name, VECTOR): size for name, size in self.sizes.items()}
        else:
            own = self.step(value.step).shape
            inside = {
                ONE: 1,
                BATCH: -1,
                **dict(zip((TIME, CHANNELS) if len(own) == 2 else (VECTOR,), own, strict=True)),
            }
        padded = sum(value.pad)
        labels = self.labels(value) if padded else value.axes
        return tuple(
            inside[axis] + (padded if label == TIME else 0) for axis, label in zip(value.axes, labels, strict=True)
        )

    def require_shape(self, value: Value, declared: Sequence[int | str], batch: int = -1) -> None:
        """Refuse a value of another shape than the file says; sizes below 1 and names are open. batch: the file's."""
        own = [batch if axis == BATCH else size for axis, size in zip(value.axes, self.shape(value), strict=True)]
        known = [size if isinstance(size, int) and size > 0 else -1 for size in declared]
        while len(own) > len(known) and own[-1] == 1:
            own.pop()  # [N, 1] stays, where a squeeze makes [N]
        if len(own) != len(known) or any(
            -1 not in pair and pair[0] != pair[1] for pair in zip(own, known, strict=True)
        ):
            self.fail(
                f"its result would be {own}, and is {list(declared)} in the file; keep the batch as the first axis of all, "
                "and give layers that are added or multiplied equal shapes"
            )

    def step(self, name: str) -> Step:
        """The step called ``name``."""
        return next(step for step in self.steps if step.name == name)

    def own_shape(self, value: Value) -> tuple[int, ...]:
        """Shape [T, C] or [F] of what the step gives."""
        if value.step != INPUT:
            return self.step(value.step).shape
        if _FLAT in self.sizes and not self.roles:
            return (self.sizes[_FLAT],)
        if _FLAT in self.sizes:
            size = self.sizes[_FLAT]
            return (size, 1) if self.roles[_FLAT] == TIME else (1, size)
        sizes = {self.roles[name]: size for name, size in self.sizes.items()}
        return sizes[TIME], sizes[CHANNELS]

    def oriented(self, value: Value, time: int, channels: int) -> Value:
        """``value`` with its axis number ``time`` as time and ``channels`` as channels. Raises ModelFileError."""
        first, second = self.labels(value)[time], self.labels(value)[channels]
        if value.step == INPUT and {first, second} == set(FREE):
            self.roles = {first: TIME, second: CHANNELS}
        elif value.step == INPUT and {first, second} == {VECTOR, ONE} and not self.roles:
            # A vector taken as a sequence of one channel, or of one time step.
            place, role, other = (time, TIME, channels) if first == VECTOR else (channels, CHANNELS, time)
            self.roles = {_FLAT: role}
            axes = list(value.axes)
            axes[place], axes[other] = role, CHANNELS if role == TIME else TIME
            return replace(value, axes=tuple(axes))
        labels = self.labels(value)
        if (labels[time], labels[channels]) != (TIME, CHANNELS):
            shape = list(self.shape(value))
            self.fail(
                f"it works along axis {time} of {shape}, with channels on axis {channels}; that axis is not the time of "
                "this network. Sequences keep one time axis from the first layer on, [T, C] or [C, T]; use a dense layer "
                "behind a flatten instead"
            )
        return replace(value, axes=labels)

    def along_time(self, value: Value, axis: int) -> Value:
        """``value`` with its axis number ``axis`` as time, if that is not known yet."""
        other = self._other_free(value, axis)
        return value if other is None else self.oriented(value, axis, other)

    def along_channels(self, value: Value, axis: int) -> Value:
        """``value`` with its axis number ``axis`` as channels, if that is not known yet."""
        other = self._other_free(value, axis)
        return value if other is None else self.oriented(value, other, axis)

    def _other_free(self, value: Value, axis: int) -> int | None:
        labels = self.labels(value)
        others = [place for place, label in enumerate(labels) if label in FREE and place != axis % len(labels)]
        return others[0] if labels[axis] in FREE else None

    def by_default(self, value: Value) -> Value:
        """``value`` with the roles of its axes decided: time before channels unless a layer said otherwise."""
        if value.step == INPUT and not self.roles and FREE[0] in self.sizes:
            self.roles = {FREE[0]: TIME, FREE[1]: CHANNELS}
        return replace(value, axes=self.labels(value))

    # -- steps

    def add_step(self, layer: Layer, inputs: Sequence[Value], shape: tuple[int, ...], source: str = "") -> str:
        """Append a layer; returns its name."""
        for value in inputs:
            if value.pad != (0, 0) and not isinstance(layer, kinds.Conv):
                self.fail("it reads a padded sequence; zeros are for convolutions only. Put the padding before one")
            if value.step == INPUT:
                self.read_as.add(self.own_shape(value))
        if min(shape) < 1:
            self.fail(f"its output would have the shape {list(shape)}; the window is too short for this network")
        self.require_finite(*(field for field in vars(layer).values() if isinstance(field, np.ndarray)))
        name = f"{len(self.steps)}_{type(layer).__name__.removesuffix('Layer').lower()}"
        self.steps.append(Step(name, tuple(value.step for value in inputs), layer, shape, source or self.source))
        return name

    def settled(self, value: Value) -> Value:
        """``value`` with its function applied, as a layer of its own."""
        function = value.function
        if function is None:
            return value
        key = (value.step, function)
        if key not in self.made and value.parts is not None:
            # Apart, so that the scale is folded and the function fused.
            (a, b), called, compute = value.parts
            line = replace(value.plain, function=lambda x: x * a + b, called="scale", affine=(a, b))
            self.made[key] = self.settled(replace(self.settled(line), function=compute, called=called))
        if key not in self.made:
            value = self.by_default(value)
            shape = self.own_shape(value)
            layer: Layer = kinds.Table(value.called, function)
            if value.affine is not None:
                a, b = value.affine
                layer = kinds.Scale(np.full(shape[-1], a), np.full(shape[-1], b))
            self.made[key] = replace(
                value, step=self.add_step(layer, [replace(value, pad=(0, 0))], shape, value.source)
            )
        return replace(value.plain, step=self.made[key].step, axes=self.labels(value))
