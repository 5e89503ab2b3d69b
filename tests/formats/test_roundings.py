"""Every operator of a TFLite file, with drawn parameters, in its own engine and in edgebat: no integer differs.

The everyday run takes 50 files a pair of engine and operator; EDGEBAT_TEST_SCALE=full takes 1,000.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from tflite_micro.python.tflite_micro import runtime as tflite_micro

from edgebat.errors import ModelFileError
from edgebat.formats.roundings import ROUNDINGS
from edgebat.formats.tflite.read import tflite_graph
from edgebat.graph import Add, IntGraph, Mul, Tensor
from edgebat.runtime import Engine
from edgebat.runtime.kernels import build_kernel
from tests.foreign_files import LITERT_ONLY, OPERATORS, FileOfOthers, addition, product, softmax

FILES = 1000 if os.environ.get("EDGEBAT_TEST_SCALE") == "full" else 50
WINDOWS = 20
PAIRS = np.arange(-128, 128).astype(np.int8)


def litert(content: bytes, *inputs: np.ndarray) -> np.ndarray:
    """LiteRT with XNNPACK, a window at a time."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    sources, target = interpreter.get_input_details(), interpreter.get_output_details()[0]
    outputs = []
    for windows in zip(*inputs, strict=True):
        for source, window in zip(sources, windows, strict=True):
            interpreter.set_tensor(source["index"], window.reshape(source["shape"]))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"])[0].copy())
    return np.stack(outputs)


def micro(content: bytes, *inputs: np.ndarray) -> np.ndarray:
    """TFLite Micro, a window at a time."""
    interpreter = tflite_micro.Interpreter.from_bytes(content, arena_size=1 << 20)
    outputs = []
    for windows in zip(*inputs, strict=True):
        for index, window in enumerate(windows):
            shape = tuple(interpreter.get_input_details(index)["shape"])
            interpreter.set_input(np.ascontiguousarray(window.reshape(shape)), index)
        interpreter.invoke()
        outputs.append(np.array(interpreter.get_output(0)[0]))
    return np.stack(outputs)


ENGINES: dict[str, Callable[..., np.ndarray]] = {"xnnpack": litert, "tflm": micro}


def drawn(operator: str) -> Sequence[tuple[np.random.Generator, bytes]]:
    seeds = range(FILES)
    generators = [np.random.default_rng([sorted(OPERATORS).index(operator), seed]) for seed in seeds]
    return [(rng, OPERATORS[operator](rng)) for rng in generators]


def windows(rng: np.random.Generator, graph: IntGraph) -> np.ndarray:
    """Random windows, the ends, and every value once where an operator works value by value."""
    shape = graph.input_tensor.shape
    ends = [np.full((1, *shape), value, np.int8) for value in (-128, 0, 127)]
    each = [np.broadcast_to(PAIRS.reshape(256, *[1] * (len(shape) - 1)), shape)[None]] if shape[0] == 256 else []
    return np.concatenate([rng.integers(-128, 128, (WINDOWS, *shape)).astype(np.int8), *ends, *each])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_gives_the_integers_of_its_engine(operator: str, engine: str) -> None:
    for index, (rng, content) in enumerate(drawn(operator)):
        graph = tflite_graph(content, "drawn", engine)
        x = windows(rng, graph)
        expected = ENGINES[engine](content, x)
        np.testing.assert_array_equal(
            Engine(graph).run(x), expected.reshape(len(x), *graph.output_tensor.shape), f"{index}"
        )


def understood(content: bytes) -> IntGraph | None:
    """The graph of a file; None of one with a value between two steps, where float32 is rounded either way."""
    try:
        return tflite_graph(content)
    except ModelFileError as refusal:
        if "lies in the middle of two steps" in str(refusal):
            return None
        raise


@pytest.mark.parametrize("operator", LITERT_ONLY)
def test_an_operator_of_litert_alone_gives_its_integers_and_is_no_micro_controllers(operator: str) -> None:
    refused = 0
    for seed in range(FILES):
        rng = np.random.default_rng([sorted(LITERT_ONLY).index(operator), seed, 96])
        content = LITERT_ONLY[operator](rng)
        graph = understood(content)
        refused += graph is None
        if graph is None:
            continue
        # A logarithm has no value at zero and below: engines hold whatever a conversion leaves there.
        inside = PAIRS[graph.input_tensor.zero_point < PAIRS] if operator == "log" else PAIRS
        x = np.resize(inside, (1, 256)) if len(inside) else np.zeros((0, 256), np.int8)
        if len(x):
            own = Engine(graph).run(x.reshape(1, *graph.input_tensor.shape))
            np.testing.assert_array_equal(own, litert(content, x), f"{seed}")
    assert refused < FILES // 2
    if operator in ("exp", "log"):
        with pytest.raises(ModelFileError, match="TFLite Micro computes it in float32 only"):
            tflite_graph(content, rounding="tflm")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_sum_gives_the_integers_of_its_engine_for_every_pair(engine: str) -> None:
    for seed in range(max(FILES // 10, 5)):
        content, kinds = addition(np.random.default_rng([99, seed]))
        tensors = {name: Tensor(name, (256,), "int8", *kind) for name, kind in zip("aby", kinds, strict=True)}
        multipliers, requant = ROUNDINGS[engine].add((tensors["a"], tensors["b"]), tensors["y"], (-128, 127))
        kernel = build_kernel(Add("sum", ("a", "b"), "y", multipliers, requant), tensors)
        a, b = np.repeat(PAIRS[:, None], 256, axis=1), np.repeat(PAIRS[None], 256, axis=0)
        np.testing.assert_array_equal(
            kernel(a.astype(np.float64), b.astype(np.float64)), ENGINES[engine](content, a, b), f"{seed}"
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_product_gives_the_integers_of_its_engine_for_every_pair(engine: str) -> None:
    for seed in range(max(FILES // 10, 5)):
        content, kinds = product(np.random.default_rng([98, seed]))
        tensors = {name: Tensor(name, (256,), "int8", *kind) for name, kind in zip("aby", kinds, strict=True)}
        requant = ROUNDINGS[engine].gate((tensors["a"], tensors["b"]), tensors["y"], (-128, 127))
        kernel = build_kernel(Mul("product", ("a", "b"), "y", requant), tensors)
        a, b = np.repeat(PAIRS[:, None], 256, axis=1), np.repeat(PAIRS[None], 256, axis=0)
        np.testing.assert_array_equal(
            kernel(a.astype(np.float64), b.astype(np.float64)), ENGINES[engine](content, a, b), f"{seed}"
        )


def test_a_kernel_that_misses_the_axis_of_size_one_leaves_the_bias() -> None:
    """Two taps, four positions apart, beside an axis of size 1: neither meets the input."""
    file = FileOfOthers()
    x = file.tensor("x", (1, 5, 1, 2), "int8", scale=0.1, zero_point=3)
    w = file.tensor("w", (1, 1, 2, 2), "int8", data=np.full((1, 1, 2, 2), 9, np.int8), scale=0.1)
    b = file.tensor("b", (1,), "int32", data=np.array([70], np.int32), scale=0.01)
    y = file.tensor("y", (1, 5, 1, 1), "int8", scale=0.1)
    options = {"padding": 0, "stride_w": 1, "stride_h": 1, "dilation_w": 4, "dilation_h": 1, "activation": 0}
    file.operator("CONV_2D", 3, [x, w, b], y, "Conv2DOptions", options)
    graph = tflite_graph(file.bytes([x], y), "beside")
    assert Engine(graph).run(np.full((1, 5, 2), 100, np.int8)).ravel().tolist() == [7] * 5


def test_a_kernel_across_an_unpadded_axis_of_size_one_is_refused_with_what_to_do() -> None:
    file = FileOfOthers()
    x = file.tensor("x", (1, 5, 1, 2), "int8", scale=0.1)
    w = file.tensor("w", (1, 1, 3, 2), "int8", data=np.ones((1, 1, 3, 2), np.int8), scale=0.1)
    y = file.tensor("y", (1, 5, 1, 1), "int8", scale=0.1)
    file.operator("CONV_2D", 3, [x, w, -1], y, "Conv2DOptions", {"padding": 1, "stride_w": 1, "stride_h": 1})
    with pytest.raises(
        ModelFileError, match=r"CONV_2D 'y': weights \[1, 1, 3, 2\] reach over 3 .* Transpose the kernel"
    ):
        tflite_graph(file.bytes([x], y), "across")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("beta", [float("nan"), float("inf"), -1.0, 0.0])
def test_a_softmax_without_a_usable_beta_is_refused(beta: float, engine: str) -> None:
    with pytest.raises(ModelFileError, match=r"SOFTMAX 'y': its beta is .*; allowed: a finite number above 0"):
        tflite_graph(softmax(np.random.default_rng(0), beta), "beta", engine)
