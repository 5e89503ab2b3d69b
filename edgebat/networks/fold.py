"""A float network made simpler without changing what it computes: activations fused, scales folded into weights.

Batch normalization and constants are `Scale` layers at first. They go backwards into a linear layer, or forwards through
what keeps channels apart into the linear layers behind; one that stays becomes a convolution of size 1 or a dense layer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.networks import layers as kinds
from edgebat.networks.layers import FloatNetwork, Layer, Step

MAX_DIAGONAL = 512
"""Values of a vector that a scale may be left over for: it costs their square in weights."""
_FUSED = kinds.Dense | kinds.Conv | kinds.AveragePool | kinds.Add | kinds.Multiply


def folded(network: FloatNetwork) -> FloatNetwork:
    """``network`` without scales, with activations fused. Raises ModelFileError for a scale that has no place."""
    network = simplified(network)
    steps = tuple(_left_over(step) if isinstance(step.layer, kinds.Scale) else step for step in network.steps)
    return simplified(replace(network, steps=steps))


def simplified(network: FloatNetwork) -> FloatNetwork:
    """``network`` with what can be fused fused; scales may be left."""
    changed = True
    while changed:
        network, changed = _once(network)
    return network


def _once(network: FloatNetwork) -> tuple[FloatNetwork, bool]:
    readers = network.consumers()
    steps = {step.name: step for step in network.steps}
    for step in network.steps:
        before = steps.get(step.inputs[0])
        alone = before is not None and len(readers[before.name]) == 1 and before.name != network.output
        match step.layer:
            case kinds.Table(function="relu" | "relu6" as name) if (
                before is not None and alone and isinstance(before.layer, _FUSED) and before.layer.activation == "none"
            ):
                return _without(network, step, replace(before, layer=replace(before.layer, activation=name))), True
            case kinds.Scale() as scale:
                if (
                    before is not None and alone and isinstance(before.layer, kinds.Linear)
                    and before.layer.activation == "none"
                ):  # fmt: skip
                    merged = kinds.scaled(before.layer, scale.factor, scale.offset)
                    return _without(network, step, replace(before, layer=merged)), True
                if step.name == network.output:
                    continue
                if forward := _forward(network, step, scale, readers[step.name]):
                    return forward, True
    return network, False


def _without(network: FloatNetwork, gone: Step, before: Step) -> FloatNetwork:
    """``network`` with ``before`` replaced by name, and ``gone`` left out behind it."""
    steps = []
    for step in network.steps:
        if step.name == before.name:
            steps.append(before)
        elif step.name != gone.name:
            inputs = tuple(gone.inputs[0] if name == gone.name else name for name in step.inputs)
            steps.append(replace(step, inputs=inputs))
    output = gone.inputs[0] if network.output == gone.name else network.output
    return replace(network, steps=tuple(steps), output=output)


def _forward(network: FloatNetwork, step: Step, scale: kinds.Scale, readers: list[Step]) -> FloatNetwork | None:
    """``network`` with the scale moved behind, or into, everything that reads it; None where that is not possible."""
    changes: dict[str, list[Step]] = {}
    for reader in readers:
        if (found := _absorbed(reader, scale)) is not None:
            changes[reader.name] = [replace(reader, layer=found, inputs=step.inputs)]
        elif (moved := _moved(reader, scale)) is not None:
            first = replace(reader, name=f"{reader.name}/", inputs=step.inputs)
            changes[reader.name] = [first, Step(reader.name, (first.name,), moved, reader.shape, step.source)]
        else:
            return None
    steps: list[Step] = []
    for one in network.steps:
        if one.name != step.name:
            steps += changes.get(one.name, [one])
    return replace(network, steps=tuple(steps))


def _absorbed(reader: Step, scale: kinds.Scale) -> Layer | None:
    """The layer of ``reader`` with the scale of its input in its weights."""
    factor, offset = scale.factor, scale.offset
    match reader.layer:
        case kinds.Dense() as layer:
            return replace(layer, weight=layer.weight * factor, bias=layer.bias + layer.weight @ offset)
        case kinds.Conv() as layer if layer.padding == (0, 0) or not offset.any():
            # Zeros of a padding stay zeros under a factor alone.
            if layer.depthwise:
                weight = layer.weight * factor[:, None]
                return replace(layer, weight=weight, bias=layer.bias + layer.weight.sum(axis=1) * offset)
            return replace(layer, weight=layer.weight * factor, bias=layer.bias + layer.weight.sum(axis=1) @ offset)
        case kinds.LstmLayer() | kinds.GruLayer() as layer:
            weight = layer.weight_input.astype(np.float64)
            bias = layer.bias + weight @ offset
            return replace(layer, weight_input=weight * factor, bias=bias)
        case kinds.Scale() as layer:
            return kinds.Scale(layer.factor * factor, layer.factor * offset + layer.offset)
    return None


def _moved(reader: Step, scale: kinds.Scale) -> kinds.Scale | None:
    """The scale behind a layer that keeps channels apart."""
    match reader.layer:
        case kinds.Flatten():
            times = reader.shape[0] // len(scale.factor)
            return kinds.Scale(np.tile(scale.factor, times), np.tile(scale.offset, times))
        case kinds.LastStep() | kinds.Reverse() | kinds.AveragePool(activation="none"):
            return scale
        case kinds.MaxPool() if (scale.factor > 0).all():
            return scale
    return None


def _left_over(step: Step) -> Step:
    """A scale that no neighbour takes as a linear layer of its own."""
    scale, channels = step.layer, step.shape[-1]
    assert isinstance(scale, kinds.Scale)
    layer: Layer
    if len(step.shape) == 2 and channels > 1:
        layer = kinds.Conv(scale.factor[:, None], scale.offset, depthwise=True)
    elif channels <= MAX_DIAGONAL:
        layer = kinds.Dense(np.diag(scale.factor), scale.offset)
    else:
        raise ModelFileError(
            f"{step.source}: it scales a vector of {channels} values between layers that are not linear; allowed: up to "
            f"{MAX_DIAGONAL}. Put the normalization beside a dense layer or convolution"
        )
    return replace(step, layer=layer)


def leading_scale(network: FloatNetwork) -> tuple[FloatNetwork, Array, Array]:
    """``network`` without the scale at its input, a normalization, and its factor and offset, for the border to do.

    A factor below 0 stays with the network: the border has positive ones.
    """
    ones = np.ones(network.shape[-1])
    readers = network.consumers()[kinds.INPUT]
    if len(readers) != 1 or not isinstance(readers[0].layer, kinds.Scale) or readers[0].name == network.output:
        return network, ones, ones * 0
    scale = readers[0].layer
    if (scale.factor <= 0).any():
        return network, ones, ones * 0
    steps = tuple(
        replace(step, inputs=tuple(kinds.INPUT if name == readers[0].name else name for name in step.inputs))
        for step in network.steps
        if step is not readers[0]
    )
    return replace(network, steps=steps), scale.factor, scale.offset


def with_input_scale(network: FloatNetwork, factor: Array, offset: Array) -> FloatNetwork:
    """``network`` that reads z instead of x = z * factor + offset."""
    name = "unscaled"
    steps = tuple(
        replace(step, inputs=tuple(name if one == kinds.INPUT else one for one in step.inputs))
        for step in network.steps
    )
    first = Step(name, (kinds.INPUT,), kinds.Scale(factor, offset), network.shape, "the border")
    return folded(replace(network, steps=(first, *steps)))


def takes_offset(network: FloatNetwork) -> tuple[bool, bool]:
    """Whether all that reads the input takes a factor for each channel, and whether an offset too."""
    readers = network.consumers()
    waiting, offset = list(readers[kinds.INPUT]), True
    while waiting:
        step = waiting.pop()
        match step.layer:
            case kinds.Dense() | kinds.LstmLayer() | kinds.GruLayer():
                continue
            case kinds.Conv(padding=padding):
                offset = offset and padding == (0, 0)
            case (
                kinds.Flatten() | kinds.LastStep() | kinds.Reverse() | kinds.MaxPool()
                | kinds.AveragePool(activation="none")
            ):  # fmt: skip
                if step.name == network.output:
                    return False, False
                waiting += readers[step.name]
            case _:
                return False, False
    return True, offset
