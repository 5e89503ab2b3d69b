"""Structural checks: a graph that passes can be executed without an index error, an overflow or a huge allocation.

Files are untrusted input, so every reader calls ``check_graph`` before a graph leaves it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgebat.errors import GraphError
from edgebat.graph import model as ops
from edgebat.graph.arithmetic import INT32_MAX
from edgebat.graph.model import GRU_SCALE, OPERATORS, IntGraph, Node, Requant, Tensor

MAX_ELEMENTS = 1 << 20  # of one activation: far above any BMS model, far below what could hurt a host
MAX_NAME = 200
MAX_NODES = 1024
MAX_PADDING = 4096
MAX_SOFTMAX = 1024
SOFTMAX_FORMS = ("tflm", "litert", "onnxruntime")
DTYPES = {"int8": (-128, 127), "int16": (-32768, 32767)}


def check_name(name: str) -> None:
    """Refuse a model name that is no name of a file: files are written under it, and it may come from outside."""
    if not name.strip(". ") or not name.isprintable() or set(name) & set("/\\") or len(name.encode()) > MAX_NAME:
        raise GraphError(
            f"model name {name[:60]!r} cannot be the name of a file; allowed: 1 to {MAX_NAME} bytes that can be printed, "
            "without / and \\, and not dots alone"
        )


def check_graph(graph: IntGraph) -> IntGraph:
    """Return ``graph`` unchanged or raise GraphError naming the node, the value seen and the value allowed."""
    check_name(graph.name)
    if len(graph.nodes) > MAX_NODES:
        raise GraphError(f"graph {graph.name!r} has {len(graph.nodes)} nodes; at most {MAX_NODES} are allowed")
    for name, tensor in graph.tensors.items():
        _check_tensor(name, tensor)
    for end in (graph.input, graph.output):
        if end not in graph.tensors:
            raise GraphError(f"graph {graph.name!r}: tensor {end!r} is named as input or output but not described")
    known = {graph.input}
    for node in graph.nodes:
        if type(node) not in OPERATORS.values():
            raise GraphError(
                f"node {node.name!r}: operator {type(node).__name__!r} is unknown; allowed: {sorted(OPERATORS)}"
            )
        for name in node.inputs:
            if name not in known:
                raise GraphError(f"node {node.name!r} ({node.op}) reads {name!r}, which no earlier node writes")
        if node.output in known or node.output not in graph.tensors:
            raise GraphError(f"node {node.name!r} ({node.op}) writes {node.output!r}: undescribed or written twice")
        expected = 2 if isinstance(node, ops.Add | ops.Mul) else None if isinstance(node, ops.Concat) else 1
        if (expected is not None and len(node.inputs) != expected) or not node.inputs:
            raise GraphError(
                f"node {node.name!r} ({node.op}) has {len(node.inputs)} inputs; allowed: {expected or '1 or more'}"
            )
        _check_node(node, graph.tensors)
        known.add(node.output)
    if graph.output not in known:
        raise GraphError(f"graph {graph.name!r}: output {graph.output!r} is written by no node")
    return graph


def _check_tensor(name: str, tensor: Tensor) -> None:
    if tensor.name != name:
        raise GraphError(f"tensor {name!r} is stored under another name, {tensor.name!r}")
    if tensor.dtype not in DTYPES:
        raise GraphError(f"tensor {name!r} has dtype {tensor.dtype!r}; allowed: {sorted(DTYPES)}")
    if (
        not 1 <= len(tensor.shape) <= 2
        or min(tensor.shape) < 1
        or int(np.prod(tensor.shape, dtype=object)) > MAX_ELEMENTS
    ):
        raise GraphError(
            f"tensor {name!r} has shape {tensor.shape}; allowed: 1 or 2 sizes >= 1, at most {MAX_ELEMENTS} values"
        )
    if not (np.isfinite(tensor.scale) and tensor.scale > 0):
        raise GraphError(f"tensor {name!r} has scale {tensor.scale!r}; allowed: a finite number > 0")
    low, high = DTYPES[tensor.dtype]
    if not low <= tensor.zero_point <= high:
        raise GraphError(
            f"tensor {name!r} has zero point {tensor.zero_point}; allowed for {tensor.dtype}: {low} to {high}"
        )


def _fail(node: Node, what: str) -> GraphError:
    return GraphError(f"node {node.name!r} ({node.op}): {what}")


def _expect_shape(node: Node, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise _fail(node, f"tensor {tensor.name!r} has shape {tensor.shape}; the operator gives {shape}")


def _expect_array(node: Node, label: str, array: np.ndarray, dtype: str, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise _fail(node, f"{label} is {array.dtype}{list(array.shape)}; allowed: {dtype}{list(shape)}")


def _check_requant(node: Node, requant: Requant, channels: int, output: Tensor) -> None:
    low, high = DTYPES[output.dtype]
    if not low <= requant.minimum <= requant.maximum <= high:
        raise _fail(node, f"output range {requant.minimum}..{requant.maximum} does not lie in {output.dtype}")
    if requant.zero_point != output.zero_point:
        raise _fail(node, f"zero point {requant.zero_point} differs from that of its output, {output.zero_point}")
    if requant.kind == "steps":
        return _check_steps(node, requant)
    for label in ("multiplier", "shift", "clamp"):
        _expect_array(node, label, getattr(requant, label), "int32", (channels,))
    _expect_array(node, "requantization scale", requant.scale, "float32", (channels,))
    if not (np.isfinite(requant.scale).all() and (requant.scale > 0).all()):
        raise _fail(node, "a requantization scale is not a finite number > 0")
    limit, shift = requant.clamp.astype(np.int64), requant.shift.astype(np.int64)
    match requant.kind:
        case "shift":
            if (shift < 1).any() or (shift > 46).any() or (requant.multiplier < 0).any() or (limit < 0).any():
                raise _fail(node, "a shift outside 1..46, or a negative multiplier or clamp")
            half = np.int64(1) << (shift - 1)
            largest = np.where(limit > 0, limit, INT32_MAX) * requant.multiplier.astype(np.int64)
            if not requant.wide and (limit > 0).all() and (largest + half > INT32_MAX).any():
                raise _fail(node, "clamp * multiplier leaves int32 although the requantization is not marked wide")
        case "float":
            pass
        case "double":
            if (requant.multiplier < 0).any() or (shift < -31).any() or (shift > 30).any():
                raise _fail(node, "a Q31 multiplier below 0, or an exponent outside -31..30")
        case other:
            raise _fail(node, f"requantization kind {other!r} is unknown; allowed: shift, float, double, steps")
    return None


def _check_steps(node: Node, requant: Requant) -> None:
    if not isinstance(node, ops.AveragePool1D | ops.Add | ops.Mul):
        raise _fail(node, "requantization by steps is for averages, sums and products only")
    wide = isinstance(node, ops.Add) and node.multiplier.dtype == np.int64
    kind = "int64" if wide else "int32"
    _expect_array(node, "thresholds", requant.multiplier, kind, (requant.maximum - requant.minimum,))
    _expect_array(node, "requantization scale", requant.scale, "float32", (1,))
    if requant.shift.size or requant.clamp.size or (requant.multiplier[1:] < requant.multiplier[:-1]).any():
        raise _fail(node, "thresholds that decrease, or a shift or clamp beside them")


def _conv_length(node: ops.Convolution, length: int, kernel: int) -> int:
    left, right = node.padding
    if min(left, right) < 0 or max(left, right) > MAX_ELEMENTS or not 1 <= node.stride <= MAX_ELEMENTS:
        raise _fail(node, f"padding {node.padding} or stride {node.stride} is out of range")
    if not 1 <= node.dilation <= MAX_ELEMENTS:
        raise _fail(node, f"dilation {node.dilation} is out of range")
    reach = (kernel - 1) * node.dilation + 1
    if length + left + right < reach:
        raise _fail(node, f"the kernel reaches over {reach} positions, the padded input has {length + left + right}")
    return (length + left + right - reach) // node.stride + 1


def _check_node(node: Node, tensors: Mapping[str, Tensor]) -> None:
    source, target = tensors[node.inputs[0]], tensors[node.output]
    if not isinstance(node, ops.Dense) and target.dtype != "int8":
        raise _fail(node, f"output dtype {target.dtype}; only a dense head may be int16")
    for name in node.inputs:
        if tensors[name].dtype != "int8":
            raise _fail(node, f"input {name!r} is {tensors[name].dtype}; activations inside a graph are int8")
    match node:
        case ops.Weighted():
            _check_weighted(node, source, target)
        case ops.MaxPool1D() | ops.AveragePool1D():
            if len(source.shape) != 2 or not 1 <= node.size <= source.shape[0] or not 1 <= node.stride <= MAX_ELEMENTS:
                raise _fail(
                    node, f"window {node.size}, stride {node.stride} do not fit an input of shape {source.shape}"
                )
            _expect_shape(node, target, ((source.shape[0] - node.size) // node.stride + 1, source.shape[1]))
            if isinstance(node, ops.AveragePool1D):
                _check_requant(node, node.requant, 1, target)
            else:
                _expect_same_scale(node, source, target)
        case ops.Flatten():
            _expect_shape(node, target, (int(np.prod(source.shape)),))
            _expect_same_scale(node, source, target)
        case ops.LastStep() | ops.Reverse():
            if len(source.shape) != 2:
                raise _fail(node, f"input has shape {source.shape}; allowed: [T, C]")
            _expect_shape(node, target, source.shape if isinstance(node, ops.Reverse) else (source.shape[1],))
            _expect_same_scale(node, source, target)
        case ops.Concat():
            for name in node.inputs:
                _expect_same_scale(node, tensors[name], target)
                if tensors[name].shape[:-1] != source.shape[:-1]:
                    raise _fail(node, f"input {name!r} has shape {tensors[name].shape}, the first one {source.shape}")
            _expect_shape(node, target, (*source.shape[:-1], sum(tensors[n].shape[-1] for n in node.inputs)))
        case ops.Add():
            _expect_shape(node, tensors[node.inputs[1]], source.shape)
            _expect_shape(node, target, source.shape)
            steps = node.requant.kind == "steps"
            wide = steps and node.multiplier.dtype == np.int64
            _expect_array(node, "multiplier", node.multiplier, "int64" if wide else "int32", (512 if steps else 2,))
            bits = 62 if wide else 30 if steps else 22
            if max(int(node.multiplier.max()), -int(node.multiplier.min())) >= 1 << bits:
                raise _fail(node, f"a multiplier of 2**{bits} or more could leave {'int64' if wide else 'int32'}")
            _check_requant(node, node.requant, 1, target)
        case ops.Take():
            count = int(np.prod(source.shape))
            _expect_array(node, "index", node.index, "int32", (int(np.prod(target.shape)),))
            if node.index.min() < 0 or node.index.max() >= count:
                raise _fail(node, f"it takes values {node.index.min()} to {node.index.max()} of {count}")
            _expect_same_scale(node, source, target)
        case ops.Mul():
            _check_product(node, source, tensors[node.inputs[1]], target)
        case ops.Pad1D():
            _check_pad(node, source, target)
        case ops.MeanPool1D() | ops.FloatPool1D():
            _check_padded_pool(node, source, target)
        case ops.Softmax():
            _check_softmax(node, source, target)
        case ops.Lut():
            by_channel = node.table.ndim == 2
            _expect_array(node, "table", node.table, "int8", (source.shape[-1], 256) if by_channel else (256,))
            _expect_shape(node, target, source.shape)
        case ops.Lstm():
            _check_lstm(node, source, target)
            if isinstance(node, ops.ClippedLstm) and not 1 <= node.cell_clip <= 32767:
                raise _fail(node, f"it clips its cell at {node.cell_clip}; allowed: 1 to 32767 steps")
        case ops.Gru():
            _check_gru(node, source, target)


def _check_product(node: ops.Mul, source: Tensor, gate: Tensor, target: Tensor) -> None:
    shape = source.shape
    if gate.shape != shape and (len(shape) == 1 or gate.shape not in (shape[1:], (shape[0], 1))):
        raise _fail(
            node,
            f"it multiplies {shape} and {gate.shape}; allowed: equal shapes, or [T, C] with [C] or [T, 1] as second",
        )
    _expect_shape(node, target, shape)
    if node.requant.kind not in ("shift", "steps"):
        raise _fail(node, f"a product is requantized by {node.requant.kind!r}; allowed: shift, steps")
    _check_requant(node, node.requant, 1, target)


def _check_pad(node: ops.Pad1D, source: Tensor, target: Tensor) -> None:
    left, right = node.padding
    if (
        len(source.shape) != 2
        or source.shape[0] + min(left, 0) + min(right, 0) < 1
        or max(node.padding) > MAX_PADDING
        or not -128 <= node.value <= 127
    ):
        raise _fail(node, f"padding {node.padding} with {node.value} of shape {source.shape} is out of range")
    _expect_shape(node, target, (source.shape[0] + left + right, source.shape[1]))
    _expect_same_scale(node, source, target)


def _check_padded_pool(node: ops.MeanPool1D | ops.FloatPool1D, source: Tensor, target: Tensor) -> None:
    left, right = node.padding
    inside = len(source.shape) == 2 and 1 <= node.size <= MAX_PADDING and 1 <= node.stride <= MAX_ELEMENTS
    if not inside or not 0 <= left < node.size or not 0 <= right < node.size:
        raise _fail(
            node, f"window {node.size}, stride {node.stride}, padding {node.padding} on shape {source.shape}; windows "
            f"have 1 to {MAX_PADDING} positions, at least one of them within the sequence"
        )  # fmt: skip
    length = source.shape[0] + left + right - node.size
    if length < 0:
        raise _fail(node, f"window {node.size} does not fit the padded input of {source.shape[0] + left + right}")
    _expect_shape(node, target, (length // node.stride + 1, source.shape[1]))
    if isinstance(node, ops.MeanPool1D):
        _expect_same_scale(node, source, target)
    elif not source.scale < min(2.0**16 * target.scale, 2.0**64):
        raise _fail(
            node, f"it goes from steps of {source.scale:g} to steps of {target.scale:g} and would overflow float32; "
            "allowed: up to 65536 times as fine"
        )  # fmt: skip


def _check_softmax(node: ops.Softmax, source: Tensor, target: Tensor) -> None:
    if node.form not in SOFTMAX_FORMS:
        raise _fail(node, f"form {node.form!r} is unknown; allowed: {', '.join(SOFTMAX_FORMS)}")
    if source.shape[-1] > MAX_SOFTMAX:
        raise _fail(node, f"{source.shape[-1]} values; allowed: {MAX_SOFTMAX}")
    _expect_array(node, "table", node.table, "int32", (256,))
    _expect_shape(node, target, source.shape)
    table, most = node.table.astype(np.int64), INT32_MAX if node.form == "tflm" else 0x7F7FFFFF
    if (table < 0).any() or (table > most).any() or (np.diff(table) > 0).any() or table[0] == 0:
        raise _fail(node, "its table is not that of a decreasing exponential")
    if node.form == "tflm" and ((target.scale, target.zero_point) != (2.0**-8, -128) or table[0] != INT32_MAX):
        raise _fail(
            node, "its table begins with 1 and its output has the scale 2**-8 and zero point -128, or else no form"
        )


def _expect_same_scale(node: Node, source: Tensor, target: Tensor) -> None:
    if (source.scale, source.zero_point) != (target.scale, target.zero_point):
        raise _fail(
            node, f"scale or zero point change from {source.name!r} to {target.name!r}; this operator keeps both"
        )


def _check_weighted(node: ops.Weighted, source: Tensor, target: Tensor) -> None:
    weight, kernel, rows = node.weight, 1, source.shape[:-1]
    if isinstance(node, ops.Convolution):
        rank = 3 if isinstance(node, ops.Conv1D) else 2
        if weight.ndim != rank or len(source.shape) != 2:
            raise _fail(
                node, f"weight has {weight.ndim} and input {len(source.shape)} dimensions; allowed: {rank} and 2"
            )
        kernel = weight.shape[-2]
        outs, allowed = weight.shape[0 if rank == 3 else 1], (*weight.shape[:-1], source.shape[1])
    else:
        outs = len(weight) if weight.ndim == 2 else 0
        allowed = (outs, source.shape[-1])
    _expect_array(node, "weight", weight, "int8", allowed)
    _expect_array(node, "bias", node.bias, "int32", (outs,))
    _expect_array(node, "weight scale", node.weight_scale, "float32", (outs,))
    if isinstance(node, ops.Convolution):
        rows = (_conv_length(node, source.shape[0], kernel),)
    _expect_shape(node, target, (*rows, outs))
    _check_requant(node, node.requant, outs, target)
    largest = weight.size // outs * 255 * 128 + int(np.abs(node.bias.astype(np.int64)).max(initial=0))
    if largest > INT32_MAX:
        raise _fail(
            node, f"the accumulator can reach {largest}; allowed: {INT32_MAX}. Use fewer inputs or a smaller bias"
        )


def _check_recurrent(node: ops.Recurrent, source: Tensor, target: Tensor, gates: int) -> int:
    """Shapes of what recurrent layers share; returns the units."""
    if len(source.shape) != 2 or node.recurrent_weight.ndim != 3:
        seen = f"input {source.shape}, recurrent weights {node.recurrent_weight.shape}"
        raise _fail(node, f"{seen}; allowed: [T, I], [{gates}, H, H]")
    hidden = int(node.recurrent_weight.shape[-1])
    _expect_array(node, "input weight", node.input_weight, "int8", (gates, hidden, source.shape[1]))
    _expect_array(node, "recurrent weight", node.recurrent_weight, "int8", (gates, hidden, hidden))
    _expect_array(node, "bias", node.bias, "int32", (gates, hidden))
    for label in ("input_scale", "recurrent_scale"):
        _expect_array(node, label, getattr(node, label), "float32", (gates,))
    _expect_shape(node, target, (source.shape[0], hidden))
    return hidden


def _check_gru(node: ops.Gru, source: Tensor, target: Tensor) -> None:
    hidden = _check_recurrent(node, source, target, 3)
    if (target.scale, target.zero_point) != (GRU_SCALE, 0):
        raise _fail(node, f"output scale {target.scale!r}, zero point {target.zero_point}; allowed: {GRU_SCALE} and 0")
    _expect_array(node, "recurrent bias", node.recurrent_bias, "int32", (hidden,))
    if not node.reset_after and node.recurrent_bias.any():
        raise _fail(node, "it has a recurrent bias although its reset gate acts before the recurrent product")
    for part, inputs, bias in (("input", source.shape[1], node.bias), ("recurrent", hidden, node.recurrent_bias)):
        factor, shift = getattr(node, f"{part}_factor"), getattr(node, f"{part}_shift")
        _expect_array(node, f"{part}_factor", factor, "int32", (3,))
        _expect_array(node, f"{part}_shift", shift, "int32", (3,))
        if (factor < 1).any() or (factor >= 1 << 15).any() or (shift < 1).any() or (shift > 30).any():
            raise _fail(node, f"a {part} factor outside 1..32767, or a {part} shift outside 1..30")
        summed = inputs * 255 * 128 + int(np.abs(bias.astype(np.int64)).max(initial=0))
        largest = int((summed * factor.astype(np.int64) + (np.int64(1) << (shift.astype(np.int64) - 1))).max())
        if largest > INT32_MAX:
            raise _fail(
                node, f"a scaled {part} sum can reach {largest}; allowed: {INT32_MAX}. Use fewer inputs or units"
            )


def _check_lstm(node: ops.Lstm, source: Tensor, target: Tensor) -> None:
    hidden = _check_recurrent(node, source, target, 4)
    for label in ("input_multiplier", "input_exponent", "recurrent_multiplier", "recurrent_exponent"):
        _expect_array(node, label, getattr(node, label), "int32", (4,))
    if min(node.input_multiplier.min(), node.recurrent_multiplier.min()) < 0:
        raise _fail(node, "a gate multiplier is below 0")
    if not -31 <= node.hidden_exponent <= 0:
        raise _fail(node, f"hidden exponent {node.hidden_exponent}; allowed: -31 to 0")
    if not -16 <= node.cell_exponent <= -8 or not 0 <= node.hidden_multiplier <= INT32_MAX:
        raise _fail(node, f"cell exponent {node.cell_exponent}; allowed: -16 to -8")
    for inputs, exponent, bias in (
        (source.shape[1], node.input_exponent, node.bias),
        (hidden, node.recurrent_exponent, np.zeros(1, np.int32)),
    ):
        # A positive exponent shifts the accumulator left before the multiplication: it must stay in int32.
        shift = int(exponent.max(initial=0))
        largest = (inputs * 255 * 128 + int(np.abs(bias.astype(np.int64)).max(initial=0))) << max(min(shift, 31), 0)
        if exponent.min() < -31 or largest > INT32_MAX:
            raise _fail(node, f"a gate accumulator can reach {largest} before scaling; allowed: {INT32_MAX}")
