"""Averages of windows that reach beyond the sequence, as ONNX operators."""

from __future__ import annotations

import numpy as np

from edgebat.formats.onnx.model import ELEMENT_TYPE, OnnxGraph
from edgebat.graph.model import MeanPool1D, Tensor
from edgebat.runtime.padded_pool import counts


def emit_mean_pool(graph: OnnxGraph, node: MeanPool1D, source: Tensor, x: str, output: str) -> str:
    """int8 [N, C, T] to int8 [N, C, T']: sums by a convolution of ones, exact in float32, and an integer division."""
    name, channels = node.name, source.shape[1]
    real = graph.emit("Cast", [x], f"{name}/real", to=ELEMENT_TYPE["float32"])
    ones = graph.constant(f"{name}/ones", np.ones((channels, 1, node.size)), "float32")
    sums = graph.emit(
        "Conv", [real, ones], f"{name}/real_sums", kernel_shape=[node.size], strides=[node.stride],
        pads=list(node.padding), group=channels,
    )  # fmt: skip
    sums = graph.emit("Cast", [sums], f"{name}/sums", to=ELEMENT_TYPE["int32"])
    count = counts(node, source.shape[0])
    sign = graph.emit("Sign", [sums], f"{name}/sign")
    half = graph.emit("Mul", [sign, graph.constant(f"{name}/half", count // 2, "int32")], f"{name}/signed_half")
    rounded = graph.emit("Add", [sums, half], f"{name}/rounded")
    mean = graph.emit("Div", [rounded, graph.constant(f"{name}/count", count, "int32")], f"{name}/mean")
    return graph.emit("Cast", [mean], output, to=ELEMENT_TYPE["int8"])
