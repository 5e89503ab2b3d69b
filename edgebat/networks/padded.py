"""Padded pooling and softmax of users' networks, as nodes of the integer graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebat.formats.roundings.softmax import micro_table
from edgebat.graph import model as ops
from edgebat.graph.model import Tensor
from edgebat.networks import layers as kinds
from edgebat.networks.layers import Step, apply
from edgebat.quantization.ptq import Builder


def add_padded_max(build: Builder, layer: kinds.MaxPool, step: Step) -> None:
    """Rows of the smallest integer, which never win, and the maximum."""
    label, source, real = f"{step.name}_padded", build.current, build.real
    left, right = layer.padding
    padded = replace(source, name=label, shape=(source.shape[0] + left + right, source.shape[1]))
    node = ops.Pad1D(label, step.inputs, label, layer.padding, -128)
    lowest = (-128 - source.zero_point) * source.scale
    edged = np.pad(real, ((0, 0), layer.padding, (0, 0)), constant_values=lowest)
    build.add(node, padded, edged, build.run(node, padded))
    pool = ops.MaxPool1D(step.name, (label,), step.name, layer.size, layer.stride)
    target = replace(source, name=step.name, shape=step.shape)
    build.add(pool, target, apply(layer, real), build.run(pool, target))


def add_softmax(build: Builder, step: Step) -> None:
    """TFLite Micro's, whose output is 1/256 a step."""
    source = build.current
    node = ops.Softmax(step.name, step.inputs, step.name, "tflm", micro_table(source.scale))
    target = Tensor(step.name, step.shape, "int8", 2.0**-8, -128)
    build.add(node, target, apply(step.layer, build.real), build.run(node, target))
