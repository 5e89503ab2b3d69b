"""Several outputs of a network as one: SOC beside SOH, a value beside its deviation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats.c.border import RESERVED, is_output_name
from edgebat.networks import layers as kinds
from edgebat.networks.axes import BATCH, VECTOR, Value
from edgebat.networks.build import Builder
from edgebat.networks.layers import FloatNetwork


def finished(build: Builder, outputs: Sequence[Any], name: str, output_names: Sequence[str] = ()) -> FloatNetwork:
    """The network that gives ``outputs`` beside each other, in the file's order, called ``output_names`` if they are names.

    Raises ModelFileError for an output that does not depend on the input, and for several that are no vectors.
    """
    if not outputs or not all(isinstance(value, Value) for value in outputs):
        raise ModelFileError(f"{build.what}: its output does not depend on its input")
    if len(outputs) == 1:
        return build.finish(outputs[0], name)
    build.where, build.source = f"{build.what}: its outputs", "outputs"
    values = [build.settled(build.by_default(value)) for value in outputs]
    values = [build.unsqueeze(value, [1]) if len(value.axes) == 1 else value for value in values]
    flat = [build.squeeze(value, range(2, len(value.axes))) if len(value.axes) > 2 else value for value in values]
    if any(value.axes != (BATCH, VECTOR) or value.order is not None for value in flat):
        build.fail(
            f"they have the shapes {[list(build.shape(value)) for value in values]}; allowed: several vectors [N, F]. "
            "Export one of them"
        )
    sizes = [build.own_shape(value)[0] for value in flat]
    network = build.finish(_one_dense(build, flat) or build.concat(flat, -1), name)
    return replace(network, output_names=_names(output_names, sizes))


def _one_dense(build: Builder, values: Sequence[Value]) -> Value | None:
    """All outputs as one dense layer, where each is one: it becomes an int16 head, which layers beside each other cannot."""
    steps = [build.step(value.step) for value in values]
    layers = [step.layer for step in steps if isinstance(step.layer, kinds.Dense)]
    read = list(dict.fromkeys(step.inputs[0] for step in steps))
    if len(layers) != len(steps) or kinds.INPUT in read:
        return None
    widths = [build.step(name).shape[-1] for name in read]
    starts = dict(zip(read, np.cumsum([0, *widths]).tolist(), strict=False))
    weight = np.zeros((sum(len(layer.weight) for layer in layers), sum(widths)))
    row = 0
    for step, layer in zip(steps, layers, strict=True):
        start = starts[step.inputs[0]]
        weight[row : row + len(layer.weight), start : start + layer.weight.shape[1]] = layer.weight
        row += len(layer.weight)
    sources = [replace(values[0].plain, step=name, axes=(BATCH, VECTOR)) for name in read]
    joined = sources[0] if len(sources) == 1 else build.concat(sources, -1)
    return build.dense(joined, weight, np.concatenate([layer.bias for layer in layers]))


def _names(names: Sequence[str], sizes: Sequence[int]) -> tuple[str, ...]:
    """A name for each number: ``soc``, or ``soc0``, ``soc1`` of an output of two; none if the file's are none, or equal."""
    words = [re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") for name in names]
    words = [f"{word}_out" if word in RESERVED else word for word in words]
    found = [f"{word}{i}" if size > 1 else word for word, size in zip(words, sizes, strict=False) for i in range(size)]
    usable = len(words) == len(sizes) and all(is_output_name(name) for name in found)
    return tuple(found) if usable and len(set(found)) == len(found) else ()
