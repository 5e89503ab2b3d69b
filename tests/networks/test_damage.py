"""Float networks are untrusted input as int8 files are: a damaged one is read, or refused by one ModelFileError.

The everyday run takes some damaged files of each network, EDGEBAT_TEST_SCALE=full takes 100,000.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.gallery_files import onnx_entries
from edgebat.errors import EdgebatError, ModelFileError
from edgebat.networks.layers import FloatNetwork
from edgebat.networks.onnx import float_onnx
from edgebat.networks.ptq import quantize_network
from edgebat.networks.tflite import float_tflite
from tests.damage import damaged

COUNT = 100_000 if os.environ.get("EDGEBAT_TEST_SCALE") == "full" else 130
LOOPS = Path(__file__).parents[1] / "files" / "recurrent"
Source = tuple[bytes, Callable[[bytes], FloatNetwork]]


def onnx_files(folder: Path) -> list[Source]:
    """Files of the gallery, and how each is read."""

    def reader(x: np.ndarray) -> Callable[[bytes], FloatNetwork]:
        return lambda content: float_onnx(content, x, "damaged", "damaged")

    found = []
    for entry in onnx_entries():
        path, _ = entry.make(folder)
        found.append((path.read_bytes(), reader(entry.windows()[:2])))
    return found


def tflite_files(folder: Path) -> list[Source]:
    """Loops and unrolled layers, the forms of which most is guessed."""
    paths = sorted(LOOPS.glob("*.tflite"))
    return [(path.read_bytes(), lambda content: float_tflite(content, "damaged", "damaged")) for path in paths]


@pytest.mark.parametrize("files", [onnx_files, tflite_files])
def test_damaged_float_networks_are_read_or_refused(files: Callable[[Path], list[Source]], tmp_path: Path) -> None:
    read, refused = 0, 0
    sources = files(tmp_path)
    for seed, (data, reader) in enumerate(sources):
        for content in damaged(data, COUNT // len(sources), seed=seed):
            try:
                network = reader(content)
            except ModelFileError:
                refused += 1
                continue
            read += 1
            if read % 10 == 0:
                quantized_or_refused(network)
    print(files.__name__, "read", read, "refused", refused)
    assert read > 0
    assert refused > 0


def quantized_or_refused(network: FloatNetwork) -> None:
    """Weights that were changed may overflow on the way; what comes out is a graph or an error of ours."""
    x = np.random.default_rng(0).normal(size=(16, *network.file_shape)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            quantize_network(network, network.windows(x))
        except EdgebatError:
            return


def gemm(weight: np.ndarray, inputs: tuple[str, ...] = ("x", "w")) -> bytes:
    node = helper.make_node("Gemm", inputs, ["y"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in "xy"]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_weights_of_a_training_that_diverged_are_refused(value: float) -> None:
    weight, x = np.array([[1, value], [0, 1]], np.float32), np.zeros((2, 2), np.float32)
    with pytest.raises(ModelFileError, match="net: Gemm 'y': its weights hold NaN, infinity or values of"):
        float_onnx(gemm(weight), x, "net", "net")


def test_an_operator_without_its_weights_is_refused_by_name() -> None:
    with pytest.raises(ModelFileError, match="net: Gemm 'y': it is malformed"):
        float_onnx(gemm(np.eye(2, dtype=np.float32), ("x",)), np.zeros((2, 2), np.float32), "net", "net")


def test_a_gru_whose_weights_do_not_fit_is_refused_by_name() -> None:
    arrays = {"w": np.zeros((1, 36, 3)), "r": np.zeros((1, 36, 13))}
    node = helper.make_node("GRU", ["x", *arrays], ["", "y"], hidden_size=12)
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 1, 3]),
        helper.make_tensor_value_info("y", 1, None),
    ]
    constants = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], constants)
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    with pytest.raises(ModelFileError, match=r"net: GRU .*: the weights of a GRU have shapes"):
        float_onnx(content, np.zeros((4, 1, 3), np.float32), "net", "net")
