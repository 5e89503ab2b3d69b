"""Moved values, in files whose shapes are computed while they run, and in ONNX files of every order of axes."""

from __future__ import annotations

import os

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgebat.errors import ModelFileError
from edgebat.foreign import border_of
from edgebat.formats.onnx.read import onnx_graph
from edgebat.formats.tflite.read import tflite_graph
from edgebat.formats.tflite.schema import TENSOR_TYPE
from edgebat.graph import Take
from edgebat.runtime import Engine
from tests.foreign_files import FileOfOthers
from tests.formats.test_roundings import litert

FILES = 1000 if os.environ.get("EDGEBAT_TEST_SCALE") == "full" else 60
SCALE, ZERO = np.float32(0.5), np.int8(3)


def free_batch(axis: int) -> bytes:
    """A sequence flattened as Keras 3 leaves it where the batch is free: SHAPE, its first value, PACK, RESHAPE."""
    file = FileOfOthers()
    x = file.tensor("x", (1, 3, 2), "int8", scale=0.1, zero_point=-5)
    file.tensors[x]["shape_signature"] = (-1, 3, 2)
    sizes = file.tensor("sizes", (3,), "int32")
    file.operator("SHAPE", 1, [x], sizes, "ShapeOptions", {"out_type": TENSOR_TYPE["int32"]})
    bounds = [
        file.tensor(n, (1,), "int32", data=np.array([v], np.int32))
        for n, v in zip("bes", (axis, axis + 1, 1), strict=True)
    ]
    batch = file.tensor("batch", (), "int32")
    file.operator("STRIDED_SLICE", 1, [sizes, *bounds], batch, "StridedSliceOptions", {"shrink_axis_mask": 1})
    rest = file.tensor("rest", (), "int32", data=np.array(6 if axis == 0 else 2, np.int32))
    shape = file.tensor("shape", (2,), "int32")
    file.operator("PACK", 2, [batch, rest], shape, "PackOptions", {"values_count": 2, "axis": 0})
    y = file.tensor("y", (1, 6), "int8", scale=0.1, zero_point=-5)
    file.tensors[y]["shape_signature"] = (-1, 6)
    file.operator("RESHAPE", 1, [x, shape], y, "ReshapeOptions")
    return file.bytes([x], y)


def test_a_shape_that_the_file_computes_is_that_of_a_batch_of_one() -> None:
    content = free_batch(0)
    graph = tflite_graph(content)
    assert [node.op for node in graph.nodes] == ["flatten"]
    x = np.arange(6, dtype=np.int8).reshape(1, 3, 2)
    np.testing.assert_array_equal(Engine(graph).run(x), litert(content, x))


def test_a_computed_shape_that_is_not_the_stated_one_is_refused() -> None:
    with pytest.raises(ModelFileError, match=r"RESHAPE 'y' gives \[3, 2\]; the file states"):
        tflite_graph(free_batch(1))


def test_a_shape_without_end_is_refused_before_memory_is_asked_for() -> None:
    file = FileOfOthers()
    x = file.tensor("x", (1, 1 << 20, 1 << 10), "int8", scale=0.1)
    y = file.tensor("y", (1, 1 << 10, 1 << 20), "int8", scale=0.1)
    order = file.tensor("order", (3,), "int32", data=np.array([0, 2, 1], np.int32))
    file.operator("TRANSPOSE", 2, [x, order], y)
    with pytest.raises(ModelFileError, match=r"TRANSPOSE 'y': a shape of .* more than the 1048576 allowed"):
        tflite_graph(file.bytes([x], y))


@pytest.mark.parametrize(("kind", "inputs", "outputs"), [("SHAPE", 1, 0), ("PACK", 0, 1), ("CONCATENATION", 0, 1)])
def test_an_operator_without_what_it_needs_is_refused(kind: str, inputs: int, outputs: int) -> None:
    file = FileOfOthers()
    x = file.tensor("x", (1, 3, 2), "int8", scale=0.1)
    y = file.tensor("y", (1, 3, 2), "int8", scale=0.1)
    file.operator(kind, 1, [x] * inputs, [y] * outputs)
    with pytest.raises(ModelFileError, match=f"{kind}.* (does not run|at least 1 are expected)"):
        tflite_graph(file.bytes([x], y))


# -- ONNX: drawn chains between QuantizeLinear and DequantizeLinear


def onnx_moves(rng: np.random.Generator) -> bytes:
    """One to four operators that only move values of a sequence; a vector in the end."""
    shape: tuple[int, ...] = (1, int(rng.integers(2, 8)), int(rng.integers(2, 8)))
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    constants = {"scale": SCALE, "zero": ZERO}
    nodes = [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"])]
    current = "q"

    def add(op: str, *values: np.ndarray, **attributes: object) -> None:
        nonlocal current
        name = f"v{len(nodes)}"
        names = [f"{name}_{place}" for place in range(len(values))]
        constants.update(zip(names, values, strict=True))
        nodes.append(helper.make_node(op, [current, *names], [name], **attributes))
        current = name

    numbers = np.arange(np.prod(shape)).reshape(shape)
    for _ in range(int(rng.integers(1, 5))):
        _, first, second = numbers.shape
        axis = int(rng.integers(1, 3))
        match int(rng.integers(5)):
            case 0:
                add("Transpose", perm=[0, 2, 1])
                numbers = numbers.transpose(0, 2, 1)
            case 1:
                divisor = int(rng.choice([d for d in range(1, first * second + 1) if first * second % d == 0]))
                numbers = numbers.reshape(1, divisor, -1)
                add("Reshape", np.array(numbers.shape, np.int64))
            case 2:
                start, step = int(rng.integers(0, numbers.shape[axis])), int(rng.integers(1, 3))
                arrays = [np.array([value], np.int64) for value in (start, 1 << 40, axis, step)]
                add("Slice", *arrays)
                numbers = numbers[:, start::step] if axis == 1 else numbers[:, :, start::step]
            case 3:
                index = rng.integers(0, numbers.shape[axis], int(rng.integers(1, 6)))
                add("Gather", index, axis=axis)
                numbers = np.take(numbers, index, axis)
            case _:
                name = f"v{len(nodes)}"
                nodes.append(helper.make_node("Concat", [current, current], [name], axis=axis))
                current, numbers = name, np.concatenate([numbers, numbers], axis)
    add("Flatten")
    nodes.append(helper.make_node("DequantizeLinear", [current, "scale", "zero"], ["y"]))
    target = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, numbers.size))
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "moves", [source], [target], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_moved_values_of_an_onnx_file_are_those_of_onnx_runtime() -> None:
    taken = 0
    for seed in range(FILES):
        rng = np.random.default_rng([97, seed])
        content = onnx_moves(rng)
        graph = onnx_graph(content)
        border = border_of(graph)
        assert border is not None
        taken += any(isinstance(node, Take) for node in graph.nodes)
        x = rng.integers(-128, 128, (4, *graph.input_tensor.shape)).astype(np.int8)
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        expected = np.concatenate([session.run(None, {"x": one[None]})[0] for one in border.to_file(x)])
        np.testing.assert_array_equal(Engine(graph).run(x), border.from_file(expected), f"{seed}")
    assert taken > FILES // 3
