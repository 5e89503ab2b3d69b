"""Integer arithmetic as ONNX operators: requantization by shift, and the LSTM as a Scan.

ONNX has no arithmetic shift; its integer Div truncates towards zero. A floor division by ``2**n`` therefore adds a
multiple of ``2**n`` that makes the dividend non-negative, divides and takes the multiple off again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgebat.formats.onnx.model import ELEMENT_TYPE, OnnxGraph, OnnxNode, OnnxValue
from edgebat.graph.arithmetic import SIGMOID_TABLE
from edgebat.graph.model import ClippedLstm, Lstm, Requant, Tensor

# The body computes sigmoids of three gates at once, so they lie side by side: input, forget, output, cell.
GATE_ORDER = (0, 1, 3, 2)


def emit_shift(graph: OnnxGraph, acc: str, requant: Requant, reach: Any, dtype: str, output: str) -> str:
    """``clip(((clip(acc, -L, L) * k + 2**(n-1)) >> n) + zp, minimum, maximum)`` as ``dtype``; acc is int64 [..., C].

    reach: largest magnitude of acc, int64 [C] or a number; it bounds all products to int64.
    """
    k, n, clamp = (a.astype(np.int64) for a in (requant.multiplier, requant.shift, requant.clamp))

    def constant(label: str, value: Any) -> str:
        return graph.constant(f"{output}/{label}", value, "int64")

    if (clamp > 0).any():
        limit = np.where(clamp > 0, clamp, reach)
        acc = graph.emit("Max", [acc, constant("lowest", -limit)], f"{output}/above")
        acc = graph.emit("Min", [acc, constant("highest", limit)], f"{output}/clamped")
        reach = np.minimum(limit, reach)
    # |acc| * k / 2**n rounded up, so that the sum below is never negative.
    lift = (reach * k + (np.int64(1) << n) - 1) >> n
    scaled = graph.emit("Mul", [acc, constant("multiplier", k)], f"{output}/scaled")
    half = (lift << n) + (np.int64(1) << (n - 1))
    lifted = graph.emit("Add", [scaled, constant("half", half)], f"{output}/lifted")
    divided = graph.emit("Div", [lifted, constant("divisor", np.int64(1) << n)], f"{output}/divided")
    shifted = graph.emit("Sub", [divided, constant("lift", lift - requant.zero_point)], f"{output}/shifted")
    return emit_clip(graph, shifted, requant.minimum, requant.maximum, "int64", dtype, output)


def emit_clip(graph: OnnxGraph, x: str, low: int, high: int, dtype: str, to: str, output: str) -> str:
    """Clip ``x`` of ``dtype`` to [low, high] and convert it ``to`` another dtype."""
    bounds = [graph.constant(f"{dtype}({value})", value, dtype) for value in (low, high)]
    clipped = graph.emit("Clip", [x, *bounds], f"{output}/clipped")
    return graph.emit("Cast", [clipped], output, to=ELEMENT_TYPE[to])


def emit_lstm(graph: OnnxGraph, node: Lstm, source: Tensor, target: Tensor, stateful: bool) -> str:
    """The LSTM layer ``node`` from int8 [N, T, I] to int8 [N, T, H]: input products for all steps, then a Scan.

    stateful: the state comes and goes as further inputs and outputs of ``graph``; else it is empty in the beginning.
    """
    name, hidden = node.name, node.recurrent_weight.shape[-1]
    order = list(GATE_ORDER)
    gates = np.ascontiguousarray(node.input_weight[order].reshape(4 * hidden, -1).T)
    weight = graph.constant(f"{name}/input_weight", gates, "int8")
    zero_point = graph.constant(f"{name}/input_zero_point", source.zero_point, "int8")
    acc = graph.emit("MatMulInteger", [source.name, weight, zero_point], f"{name}/input_sums")
    bias = graph.constant(f"{name}/bias", node.bias[order].reshape(-1), "int32")
    acc = graph.emit("Add", [acc, bias], f"{name}/input_biased")
    gates_shape = graph.constant(f"{name}/gates_shape", [0, 0, 4, hidden], "int64")
    acc = graph.emit("Reshape", [acc, gates_shape], f"{name}/input_gates")
    multiplier, exponent = node.input_multiplier[order], node.input_exponent[order]
    products = _emit_gate_scale(graph, acc, multiplier, exponent, f"{name}/input")

    h, c = _given_state(graph, name, hidden) if stateful else _empty_state(graph, name, hidden, source, target)
    body = _step(graph, node, target)
    outputs = [f"{name}/last_hidden", f"{name}/last_cell", target.name]
    graph.emit(
        "Scan", [h, c, products], target.name, body=body, num_scan_inputs=1, scan_input_axes=[1], scan_output_axes=[1]
    )
    graph.nodes[-1].outputs = outputs
    if stateful:
        cell = graph.emit("Cast", [outputs[1]], f"{name}/cell_out", to=ELEMENT_TYPE["int16"])
        state: list[int | str] = ["N", hidden]
        graph.outputs += [OnnxValue(outputs[0], "int8", state), OnnxValue(cell, "int16", state)]
    return target.name


def _empty_state(graph: OnnxGraph, name: str, units: int, source: Tensor, target: Tensor) -> tuple[str, str]:
    """Hidden state of real value 0 and cell 0, [N, units], for the batch at hand."""
    shape = graph.emit("Shape", [source.name], f"{name}/shape")
    batch = graph.emit("Gather", [shape, graph.constant("int64[0]", [0], "int64")], f"{name}/batch")
    state_shape = graph.emit(
        "Concat", [batch, graph.constant(f"int64[{units}]", [units], "int64")], f"{name}/state_shape", axis=0
    )
    first = np.array([target.zero_point], np.int8)
    h = graph.emit("ConstantOfShape", [state_shape], f"{name}/first_hidden", value=first)
    return h, graph.emit("ConstantOfShape", [state_shape], f"{name}/first_cell", value=np.array([0], np.int32))


def _given_state(graph: OnnxGraph, name: str, units: int) -> tuple[str, str]:
    """The state as inputs of the model: hidden int8 and cell int16, [N, units]."""
    state: list[int | str] = ["N", units]
    graph.inputs += [OnnxValue(f"{name}/hidden_in", "int8", state), OnnxValue(f"{name}/cell_in", "int16", state)]
    return f"{name}/hidden_in", graph.emit("Cast", [f"{name}/cell_in"], f"{name}/first_cell", to=ELEMENT_TYPE["int32"])


def _emit_gate_scale(graph: OnnxGraph, acc: str, multiplier: Any, exponent: Any, name: str) -> str:
    """int32 sums [..., 4, H] as int16 values with scale 2**-12 (rounding D), still int32."""
    wide = graph.emit("Cast", [acc], f"{name}_wide", to=ELEMENT_TYPE["int64"])
    scaled = _emit_double(graph, wide, multiplier[:, None], exponent[:, None], f"{name}_scaled")
    return emit_clip(graph, scaled, -32768, 32767, "int64", "int32", f"{name}_products")


def _emit_double(graph: OnnxGraph, x: str, multiplier: Any, exponent: Any, name: str) -> str:
    """Rounding D of int64 ``x``: ``multiplier`` is Q31, |x| * 2**max(exponent, 0) < 2**31 (checked by the graph)."""
    exponent = np.asarray(exponent, np.int64)
    factor = np.asarray(multiplier, np.int64) << np.maximum(exponent, 0)
    product = graph.emit("Mul", [x, graph.constant(f"{name}/multiplier", factor, "int64")], f"{name}/product")
    # The doubling high multiply rounds halves up: floor((x * m + 2**30) / 2**31), lifted by 2**31 * 2**31.
    lifted = graph.emit("Add", [product, scalar(graph, (1 << 62) + (1 << 30), "int64")], f"{name}/lifted")
    divided = graph.emit("Div", [lifted, scalar(graph, 1 << 31, "int64")], f"{name}/divided")
    high = graph.emit("Sub", [divided, scalar(graph, 1 << 31, "int64")], f"{name}/high")
    return _emit_rounding_shift(graph, high, np.maximum(-exponent, 0), "int64", name)


def _emit_rounding_shift(graph: OnnxGraph, x: str, shift: Any, dtype: str, name: str) -> str:
    """``x / 2**shift`` rounded to nearest, halves away from zero: truncation after adding half with x's sign."""
    step = np.int64(1) << np.asarray(shift, np.int64)
    sign = graph.emit("Sign", [x], f"{name}/sign")
    half = graph.emit("Mul", [sign, graph.constant(f"{name}/half", step >> 1, dtype)], f"{name}/signed_half")
    rounded = graph.emit("Add", [x, half], f"{name}/rounded")
    return graph.emit("Div", [rounded, graph.constant(f"{name}/step", step, dtype)], name)


def scalar(graph: OnnxGraph, value: int, dtype: str) -> str:
    """The constant ``value``, one for all who name it."""
    return graph.constant(f"{dtype}({value})", value, dtype)


def _step(outer: OnnxGraph, node: Lstm, target: Tensor) -> OnnxGraph:
    """The Scan body: (hidden int8 [N, H], cell int32 [N, H], input products [N, 4, H]) -> the same after one step.

    Its constants stand in the outer graph, where the layers share them. Names inside may not repeat names outside.
    """
    units, p = node.recurrent_weight.shape[-1], f"{node.name}/"
    state: list[int | str] = ["N", units]
    body = OnnxGraph(f"{p}step", initializers=outer.initializers)
    h, c, products = f"{p}hidden", f"{p}cell", f"{p}products"
    body.inputs = [
        OnnxValue(h, "int8", state), OnnxValue(c, "int32", state), OnnxValue(products, "int32", ["N", 4, units])
    ]  # fmt: skip
    order = list(GATE_ORDER)
    gates = node.recurrent_weight[order].reshape(4 * units, -1).T
    weight = body.constant(f"{p}recurrent_weight", gates, "int8")
    zero_point = body.constant(f"{p}hidden_zero_point", target.zero_point, "int8")
    acc = body.emit("MatMulInteger", [h, weight, zero_point], f"{p}recurrent_sums")
    shape = body.constant(f"{p}step_shape", [0, 4, units], "int64")
    acc = body.emit("Reshape", [acc, shape], f"{p}recurrent_gates")
    multiplier, exponent = node.recurrent_multiplier[order], node.recurrent_exponent[order]
    recurrent = _emit_gate_scale(body, acc, multiplier, exponent, f"{p}recurrent")
    z = emit_saturate16(body, body.emit("Add", [products, recurrent], f"{p}gate_sums"), f"{p}gates")
    three, last = emit_split(body, z, [3, 1], [f"{p}sigmoid_gates", f"{p}cell_gate"])
    s = emit_sigmoid(body, three, f"{p}sigmoids")
    parts = [
        *emit_split(body, s, [1, 1, 1], [f"{p}input_1", f"{p}forget_1", f"{p}output_1"]),
        emit_tanh(body, last, 0, f"{p}candidate_1"),
    ]
    axis = body.constant("int64[1]", [1], "int64")
    i, f, o, g = (body.emit("Squeeze", [part, axis], part.removesuffix("_1")) for part in parts)
    kept = emit_halving_shift(body, body.emit("Mul", [f, c], f"{p}kept_product"), 14, f"{p}kept_scaled")
    added = body.emit("Mul", [i, g], f"{p}added_product")
    added = emit_halving_shift(body, added, 29 + node.cell_exponent, f"{p}added_scaled")
    terms = [emit_saturate16(body, kept, f"{p}kept"), emit_saturate16(body, added, f"{p}added")]
    clipped = isinstance(node, ClippedLstm)
    cell = emit_saturate16(body, body.emit("Add", terms, f"{p}cell_sum"), f"{p}{'whole' if clipped else 'next'}_cell")
    if isinstance(node, ClippedLstm):
        ends = [scalar(body, sign * node.cell_clip, "int32") for sign in (-1, 1)]
        cell = body.emit("Clip", [cell, *ends], f"{p}next_cell")
    squashed = emit_tanh(body, cell, node.cell_exponent + 12, f"{p}squashed")
    product = body.emit("Mul", [o, squashed], f"{p}hidden_product")
    wide = body.emit("Cast", [product], f"{p}hidden_wide", to=ELEMENT_TYPE["int64"])
    y = _emit_double(body, wide, node.hidden_multiplier, node.hidden_exponent, f"{p}hidden_scaled")
    y = body.emit("Add", [y, scalar(body, target.zero_point, "int64")], f"{p}hidden_shifted")
    y = emit_clip(body, y, -128, 127, "int64", "int8", f"{p}next_hidden")
    out = body.emit("Identity", [y], f"{p}hidden_out")
    body.outputs = [OnnxValue(y, "int8", state), OnnxValue(cell, "int32", state), OnnxValue(out, "int8", state)]
    body.initializers = {}
    for inner in body.nodes:
        inner.name = ""  # a third of the file would be names that repeat the outputs
    return body


def emit_split(body: OnnxGraph, x: str, sizes: list[int], outputs: list[str]) -> list[str]:
    """``x`` cut along axis 1 into pieces of ``sizes``."""
    lengths = body.constant(f"int64{sizes}", sizes, "int64")
    body.nodes.append(OnnxNode("Split", [x, lengths], outputs, {"axis": 1}, "", outputs[0]))
    return outputs


def emit_saturate16(body: OnnxGraph, x: str, output: str) -> str:
    """int32 ``x`` clipped to the range of int16."""
    return body.emit("Clip", [x, scalar(body, -32768, "int32"), scalar(body, 32767, "int32")], output)


def emit_halving_shift(body: OnnxGraph, x: str, shift: int, name: str) -> str:
    """Rounding D by 2**-(shift + 1), |x| < 2**30: halve with halves up, then shift with halves away from zero."""
    lifted = body.emit("Add", [x, scalar(body, (1 << 30) + 1, "int32")], f"{name}/lifted")
    halved = body.emit("Div", [lifted, scalar(body, 2, "int32")], f"{name}/halved")
    high = body.emit("Sub", [halved, scalar(body, 1 << 29, "int32")], f"{name}/high")
    return _emit_rounding_shift(body, high, shift, "int32", name)


def _emit_table(body: OnnxGraph, magnitude: str, bits: int, largest: int, name: str) -> str:
    """``T[u] * 2**bits + t * (T[u+1] - T[u])`` for u, t = magnitude >> bits, magnitude & (2**bits - 1).

    The magnitude is clipped to ``largest``, whose interpolated value is the saturated one: 255 << bits for tanh, one
    less for sigmoid.
    """
    table = body.constant("sigmoid_table", [*SIGMOID_TABLE], "int32")
    slope = body.constant("sigmoid_slope", [*np.diff(SIGMOID_TABLE), 0], "int32")
    a = body.emit("Min", [magnitude, scalar(body, largest, "int32")], f"{name}/magnitude")
    scale = scalar(body, 1 << bits, "int32")
    u = body.emit("Div", [a, scale], f"{name}/index")
    t = body.emit("Sub", [a, body.emit("Mul", [u, scale], f"{name}/whole")], f"{name}/rest")
    value = body.emit("Mul", [body.emit("Gather", [table, u], f"{name}/value"), scale], f"{name}/value_scaled")
    rise = body.emit("Mul", [body.emit("Gather", [slope, u], f"{name}/slope"), t], f"{name}/rise")
    return body.emit("Add", [value, rise], f"{name}/interpolated")


def emit_sigmoid(body: OnnxGraph, x: str, name: str) -> str:
    """`arithmetic.sigmoid_q`; below zero it is 2**15 minus the value of the magnitude."""
    d = body.emit("Mul", [x, scalar(body, 3, "int32")], f"{name}/d")
    r = _emit_table(body, body.emit("Abs", [d], f"{name}/abs"), 9, (255 << 9) - 1, name)
    s = body.emit("Add", [r, scalar(body, 512, "int32")], f"{name}/plus_half")
    s = body.emit("Div", [s, scalar(body, 1024, "int32")], f"{name}/upper")
    lower = body.emit("Sub", [scalar(body, 1 << 15, "int32"), s], f"{name}/lower")
    below = body.emit("Less", [x, scalar(body, 0, "int32")], f"{name}/below")
    return body.emit("Where", [below, lower, s], name)


def emit_tanh(body: OnnxGraph, x: str, left: int, name: str) -> str:
    """`arithmetic.tanh_q`, an odd function of its rounded argument."""
    d = body.emit("Mul", [x, scalar(body, 3 << max(left, 0), "int32")], f"{name}/d")
    if left < 0:
        lift = 1 << (20 + left)
        half = (1 << 20) + (1 << (-left - 1))
        d = body.emit("Add", [d, scalar(body, half, "int32")], f"{name}/lifted")
        d = body.emit("Div", [d, scalar(body, 1 << -left, "int32")], f"{name}/divided")
        d = body.emit("Sub", [d, scalar(body, lift, "int32")], f"{name}/rounded")
    r = _emit_table(body, body.emit("Abs", [d], f"{name}/abs"), 8, 255 << 8, name)
    v = body.emit("Sub", [r, scalar(body, (1 << 23) - (1 << 7), "int32")], f"{name}/centred")
    v = body.emit("Div", [v, scalar(body, 256, "int32")], f"{name}/upper")
    return body.emit("Mul", [v, body.emit("Sign", [d], f"{name}/sign")], name)
