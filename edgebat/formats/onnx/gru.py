"""The GRU as ONNX operators: input products of all steps, then a Scan whose state is the layer's int16 one."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Array
from edgebat.formats.onnx.integer import (
    emit_halving_shift,
    emit_saturate16,
    emit_shift,
    emit_sigmoid,
    emit_split,
    emit_tanh,
    scalar,
)
from edgebat.formats.onnx.model import ELEMENT_TYPE, OnnxGraph, OnnxValue
from edgebat.graph.model import Gru, Requant, Tensor


def emit_gru(graph: OnnxGraph, node: Gru, source: Tensor, target: Tensor, stateful: bool) -> str:
    """The GRU layer ``node`` from int8 [N, T, I] to int8 [N, T, H].

    stateful: the state comes and goes as a further input and output of ``graph``; else it is zero in the beginning.
    """
    name, units = node.name, node.bias.shape[1]
    weight = graph.constant(f"{name}/input_weight", _matrix(node.input_weight), "int8")
    zero_point = graph.constant(f"{name}/input_zero_point", source.zero_point, "int8")
    acc = graph.emit("MatMulInteger", [source.name, weight, zero_point], f"{name}/input_sums")
    bias = graph.constant(f"{name}/bias", node.bias.reshape(-1), "int32")
    acc = graph.emit("Add", [acc, bias], f"{name}/input_biased")
    largest = source.shape[-1] * 255 * 128 + np.abs(node.bias.astype(np.int64)).reshape(-1)
    products = _products(graph, acc, (node.input_factor, node.input_shift), largest, f"{name}/input")
    state: list[int | str] = ["N", units]
    if stateful:
        graph.inputs.append(OnnxValue(f"{name}/hidden_in", "int16", state))
        first = graph.emit("Cast", [f"{name}/hidden_in"], f"{name}/first", to=ELEMENT_TYPE["int32"])
    else:
        shape = graph.emit("Shape", [source.name], f"{name}/shape")
        batch = graph.emit("Gather", [shape, graph.constant("int64[0]", [0], "int64")], f"{name}/batch")
        size = graph.constant(f"int64[{units}]", [units], "int64")
        state_shape = graph.emit("Concat", [batch, size], f"{name}/state_shape", axis=0)
        first = graph.emit("ConstantOfShape", [state_shape], f"{name}/first", value=np.array([0], np.int32))
    sequence = f"{name}/states"
    graph.emit(
        "Scan", [first, products], sequence, body=_step(graph, node), num_scan_inputs=1, scan_input_axes=[1],
        scan_output_axes=[1],
    )  # fmt: skip
    graph.nodes[-1].outputs = [f"{name}/last", sequence]
    if stateful:
        last = graph.emit("Cast", [f"{name}/last"], f"{name}/hidden_out", to=ELEMENT_TYPE["int16"])
        graph.outputs.append(OnnxValue(last, "int16", state))
    return _upper_byte(graph, sequence, target.name)


def _matrix(weight: Array) -> Array:
    """Gate weights [G, H, C] as [C, G * H]."""
    return np.ascontiguousarray(weight.reshape(-1, weight.shape[-1]).T)


def _products(graph: OnnxGraph, acc: str, factors: tuple[Array, Array], largest: Array, name: str) -> str:
    """int32 sums [..., G * H] of magnitude ``largest`` [G * H] as int16 values with scale 2**-12, still int32."""
    wide = graph.emit("Cast", [acc], f"{name}_wide", to=ELEMENT_TYPE["int64"])
    k, n = (np.repeat(values, len(largest) // len(values)) for values in factors)
    requant = Requant("shift", 0, -32768, 32767, k, n, np.zeros_like(k), np.ones(len(k), np.float32))
    return emit_shift(graph, wide, requant, largest, "int32", f"{name}_products")


def _upper_byte(graph: OnnxGraph, x: str, output: str) -> str:
    """int16 values in int32 as the int8 of their upper byte, rounded."""
    rounded = emit_halving_shift(graph, x, 7, f"{output}/byte")
    limited = graph.emit("Min", [rounded, scalar(graph, 127, "int32")], f"{output}/limited")
    return graph.emit("Cast", [limited], output, to=ELEMENT_TYPE["int8"])


def _times(graph: OnnxGraph, gate: str, x: str, output: str) -> str:
    """``x`` times a gate, rounded."""
    return emit_halving_shift(graph, graph.emit("Mul", [gate, x], f"{output}_product"), 14, output)


def _step(outer: OnnxGraph, node: Gru) -> OnnxGraph:
    """The Scan body: (state int32 [N, H], input products [N, 3H]) -> the state after one step, twice.

    Its constants stand in the outer graph, where the layers share them. Names inside may not repeat names outside.
    """
    units, p = node.bias.shape[1], f"{node.name}/step_"
    body = OnnxGraph(f"{p}body", initializers=outer.initializers)
    h, products, state = f"{p}hidden", f"{p}products", ["N", units]
    body.inputs = [OnnxValue(h, "int32", [*state]), OnnxValue(products, "int32", ["N", 3 * units])]
    factors = (node.recurrent_factor, node.recurrent_shift)
    before = _upper_byte(body, h, f"{p}before")
    x_gates, x_new = emit_split(body, products, [2 * units, units], [f"{p}x_gates", f"{p}x_new"])
    count = 3 if node.reset_after else 2
    reach = np.full(count * units, units * 128 * 128, np.int64)
    weight = body.constant(f"{node.name}/recurrent_weight", _matrix(node.recurrent_weight[:count]), "int8")
    acc = body.emit("MatMulInteger", [before, weight], f"{p}sums")
    if node.reset_after:
        bias = np.concatenate([np.zeros(2 * units, np.int32), node.recurrent_bias])
        reach = reach + np.abs(bias.astype(np.int64))
        acc = body.emit("Add", [acc, body.constant(f"{node.name}/recurrent_bias", bias, "int32")], f"{p}biased")
    own = _products(body, acc, (factors[0][:count], factors[1][:count]), reach, f"{p}recurrent")
    if node.reset_after:
        own, h_new = emit_split(body, own, [2 * units, units], [f"{p}h_gates", f"{p}h_new"])
    z = emit_saturate16(body, body.emit("Add", [x_gates, own], f"{p}gate_sums"), f"{p}gates")
    reset, update = emit_split(body, emit_sigmoid(body, z, f"{p}sigmoids"), [units] * 2, [f"{p}reset", f"{p}update"])
    if node.reset_after:
        part = _times(body, reset, h_new, f"{p}part")
    else:
        kept = _upper_byte(body, _times(body, reset, h, f"{p}reset_state"), f"{p}kept")
        weight = body.constant(f"{node.name}/new_weight", _matrix(node.recurrent_weight[2:]), "int8")
        acc = body.emit("MatMulInteger", [kept, weight], f"{p}new_sums")
        part = _products(body, acc, (factors[0][2:], factors[1][2:]), reach[:units], f"{p}new")
    sums = emit_saturate16(body, body.emit("Add", [x_new, part], f"{p}candidate_sum"), f"{p}candidate_in")
    candidate = emit_tanh(body, sums, 0, f"{p}candidate")
    left = body.emit("Sub", [candidate, _times(body, update, candidate, f"{p}replaced")], f"{p}left")
    sums = body.emit("Add", [left, _times(body, update, h, f"{p}stays")], f"{p}after_sum")
    after = emit_saturate16(body, sums, f"{p}after")
    out = body.emit("Identity", [after], f"{p}out")
    body.outputs = [OnnxValue(after, "int32", [*state]), OnnxValue(out, "int32", [*state])]
    body.initializers = {}
    for inner in body.nodes:
        inner.name = ""
    return body
