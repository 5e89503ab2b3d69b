"""TFLite Micro's softmax as integer ONNX operators: docs/quantization-spec.md, section Softmax."""

from __future__ import annotations

import numpy as np

from edgebat.formats.onnx.integer import emit_clip, scalar
from edgebat.formats.onnx.model import ELEMENT_TYPE, OnnxGraph
from edgebat.graph.arithmetic import INT32_MAX
from edgebat.graph.model import Softmax

_WIDE = 1 << 62


def emit_softmax(graph: OnnxGraph, node: Softmax, x: str, output: str) -> str:
    """int8 [N, ..., C] to int8 of the same shape."""
    name = node.name

    def emit(op: str, inputs: list[str | int], label: str) -> str:
        names = [scalar(graph, v, "int64") if isinstance(v, int) else v for v in inputs]
        return graph.emit(op, names, f"{name}/{label}")

    def high(a: str, b: str | int, label: str) -> str:
        """a * b / 2**31, halves up, lifted above zero for the division."""
        product = emit("Add", [emit("Mul", [a, b], f"{label}_product"), _WIDE + (1 << 30)], f"{label}_lifted")
        return emit("Sub", [emit("Div", [product, 1 << 31], f"{label}_divided"), 1 << 31], label)

    wide = graph.emit("Cast", [x], f"{name}/wide", to=ELEMENT_TYPE["int64"])
    largest = graph.emit("ReduceMax", [wide], f"{name}/largest", axes=[-1], keepdims=1)
    distance = emit("Sub", [largest, wide], "distance")
    table = graph.constant(f"{name}/table", node.table, "int32")
    taken = graph.emit("Gather", [table, distance], f"{name}/taken", axis=0)
    exponentials = graph.emit("Cast", [taken], f"{name}/exponentials", to=ELEMENT_TYPE["int64"])
    short = emit("Div", [emit("Add", [exponentials, 1 << 11], "short_half"), 1 << 12], "short")
    axes = graph.constant("int64[-1]", [-1], "int64")
    total = graph.emit("ReduceSum", [short, axes], f"{name}/sum", keepdims=1)
    # The sum lies in [2**19, 2**31]: as 2**31 (1 + a) after a multiplication by a power of two.
    powers = graph.constant(f"{name}/powers", 2 ** np.arange(20, 32), "int64")
    below = graph.emit("Less", [total, powers], f"{name}/below")
    leading = graph.emit("Cast", [below], f"{name}/below_count", to=ELEMENT_TYPE["int64"])
    leading = graph.emit("ReduceSum", [leading, axes], f"{name}/leading", keepdims=1)
    factors = graph.constant(f"{name}/factors", 2 ** np.arange(13), "int64")
    scaled = emit("Mul", [total, graph.emit("Gather", [factors, leading], f"{name}/factor", axis=0)], "scaled")
    half = emit("Div", [scaled, 2], "half")
    x1 = emit("Add", [high(half, -1010580540, "start_slope"), 1515870810], "start")
    for step in range(3):
        error = emit("Sub", [1 << 29, high(half, x1, f"newton{step}_unit")], f"newton{step}_error")
        change = emit("Mul", [high(x1, error, f"newton{step}_part"), 4], f"newton{step}_change")
        x1 = emit("Add", [x1, change], f"newton{step}")
    reciprocal = emit("Min", [emit("Mul", [x1, 2], "reciprocal_wide"), INT32_MAX], "reciprocal")
    product = high(exponentials, reciprocal, "product")
    divisors = graph.constant(f"{name}/divisors", 2 ** (35 - np.arange(13)), "int64")
    divisor = graph.emit("Gather", [divisors, leading], f"{name}/divisor", axis=0)
    rounded = emit("Add", [product, emit("Div", [divisor, 2], "divisor_half")], "rounded")
    y = emit("Sub", [emit("Div", [rounded, divisor], "steps"), 128], "shifted")
    return emit_clip(graph, y, -128, 127, "int64", "int8", output)
