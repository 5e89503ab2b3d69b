"""Models of other tools as C: the kernels of firmware_stubs/exact give NumPy's integers, which are those of the engines."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgebat.formats.c.exact import float_parts
from edgebat.formats.c.write import write_c
from edgebat.formats.tflite.read import read_tflite, tflite_graph
from edgebat.graph.arithmetic import requantize_float
from edgebat.runtime import Engine
from edgebat.verify.inputs import random_inputs
from tests.c_host import UNDEFINED, Kernels, load
from tests.foreign_files import OPERATORS, FileOfOthers

FILES = 100 if os.environ.get("EDGEBAT_TEST_SCALE") == "full" else 3
KERAS = Path(__file__).parents[2] / "files"


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    return Kernels(tmp_path_factory.mktemp("kernels"))


@pytest.mark.parametrize("engine", ["xnnpack", "tflm"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_an_operator_of_others(operator: str, engine: str, kernels: Kernels, tmp_path: Path) -> None:
    for seed in range(FILES):
        graph = tflite_graph(OPERATORS[operator](np.random.default_rng([seed, len(operator)])), "drawn", engine)
        x = random_inputs(graph, 24)
        model = load(graph, tmp_path / str(seed), kernels, tuple(UNDEFINED))
        np.testing.assert_array_equal(model.run(x), Engine(graph).run(x).reshape(len(x), -1), f"{seed}")


def test_tables_that_are_equal_are_written_once(kernels: Kernels, tmp_path: Path) -> None:
    """As the weights of a recurrent layer that a converter has unrolled are, in every step."""
    rng, file = np.random.default_rng(0), FileOfOthers()
    x = current = file.tensor("x", (1, 8), "int8", scale=0.1)
    w = file.tensor("w", (8, 8), "int8", data=rng.integers(-127, 128, (8, 8)).astype(np.int8), scale=0.01)
    for step in range(3):
        y = file.tensor(f"y{step}", (1, 8), "int8", scale=0.1)
        file.operator("FULLY_CONNECTED", 4, [current, w, -1], y, "FullyConnectedOptions", {"activation": 0})
        current = y
    graph = tflite_graph(file.bytes([x], current), "steps")
    windows = random_inputs(graph, 100)
    model = load(graph, tmp_path, kernels, tuple(UNDEFINED))
    np.testing.assert_array_equal(model.run(windows), Engine(graph).run(windows))
    write_c(graph, tmp_path / "c", "net")
    text = (tmp_path / "c" / "net.c").read_text()
    assert [text.count(f"_{table}[") for table in ("weights", "bias", "multiplier", "exponent")] == [1, 1, 1, 1]


@pytest.mark.parametrize("mode", ["balanced", "flash", "ram", "fast"])
@pytest.mark.parametrize("engine", ["xnnpack", "tflm"])
@pytest.mark.parametrize("name", ["mlp", "cnn", "residual", "pooled"])
def test_a_keras_model(name: str, engine: str, mode: str, kernels: Kernels, tmp_path: Path) -> None:
    graph = read_tflite(KERAS / f"keras_{name}.tflite", engine)
    x = random_inputs(graph, 100)
    model = load(graph, tmp_path, kernels, tuple(UNDEFINED), mode=mode)
    np.testing.assert_array_equal(model.run(x), Engine(graph).run(x).reshape(len(x), -1))


def test_the_banner_names_the_rounding(tmp_path: Path) -> None:
    write_c(read_tflite(KERAS / "keras_mlp.tflite", "tflm"), tmp_path, "net")
    banner = (tmp_path / "net.h").read_text().partition("*/")[0]
    assert "rounding    tflm: the integers of TFLite Micro" in banner
    assert (tmp_path / "edgebat_exact.h").is_file()


def test_float32_in_integers_rounds_as_float32() -> None:
    """The kernel's arithmetic once more in Python integers, at accumulators around halves."""
    rng = np.random.default_rng(0)
    scale = (10.0 ** rng.uniform(-7, 0, 300)).astype(np.float32)
    steps = rng.integers(-127, 127, 300) + 0.5
    acc = np.clip(np.rint(steps / scale), -(2**31) + 4, 2**31 - 4).astype(np.int64) + rng.integers(-2, 3, 300)
    mantissa, exponent = float_parts(scale)

    def even(value: int, shift: int) -> int:
        half = (1 << shift) >> 1
        return value if shift == 0 else (value + half - 1 + ((value >> shift) & 1)) >> shift

    def to_float(value: int) -> int:
        excess = max(value.bit_length() - 24, 0)
        return even(value, excess) << excess

    for a, m, e, s in zip(acc.tolist(), mantissa.tolist(), exponent.tolist(), scale, strict=True):
        product = to_float(to_float(abs(a)) * m)
        scaled = even(product, -e) * (1 if a >= 0 else -1)
        assert scaled == int(requantize_float(np.array([a]), np.array([s]))[0])
