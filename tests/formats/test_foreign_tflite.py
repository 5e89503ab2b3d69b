"""TFLite files that edgebat did not write: Keras models through TensorFlow's converter, run with NumPy alone.

The files and what made them lie in tests/files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.formats.onnx.write import write_onnx
from edgebat.formats.tflite.model import FileModel, FileOperator, FileTensor
from edgebat.formats.tflite.read import _require_int8, read_tflite
from edgebat.runtime import Engine
from tests.foreign_files import FileOfOthers
from tests.formats.test_onnx import session
from tests.formats.test_tflite import litert, micro

FILES = Path(__file__).parents[1] / "files"


def inputs(shape: tuple[int, ...], count: int) -> np.ndarray:
    return np.random.default_rng(4).integers(-128, 128, (count, *shape)).astype(np.int8)


@pytest.mark.parametrize("name", ["mlp", "cnn", "residual", "pooled"])
def test_numpy_computes_what_litert_computes(name: str) -> None:
    path = FILES / f"keras_{name}.tflite"
    graph = read_tflite(path)
    x = inputs(graph.input_tensor.shape, 300)
    # The converter fixed the batch to 1.
    expected = np.concatenate([litert(path.read_bytes(), window[None]) for window in x])
    np.testing.assert_array_equal(Engine(graph).run(x), expected)


@pytest.mark.parametrize("name", ["mlp", "cnn", "pooled", "lstm"])
def test_with_double_rounding_numpy_computes_what_tflite_micro_computes(name: str) -> None:
    path = FILES / f"keras_{name}.tflite"
    graph = read_tflite(path, rounding="double")
    x = inputs(graph.input_tensor.shape, 300)
    np.testing.assert_array_equal(Engine(graph).run(x), micro(path.read_bytes(), x))


def test_an_lstm_of_others_is_rounded_like_tflite_micro_by_itself() -> None:
    path = FILES / "keras_lstm.tflite"
    graph = read_tflite(path)
    assert graph.fingerprint == read_tflite(path, rounding="double").fingerprint
    assert [node.op for node in graph.nodes] == ["clipped_lstm", "clipped_lstm", "last_step", "dense"]


def test_a_float_border_is_left_to_the_caller() -> None:
    inside = read_tflite(FILES / "keras_cnn_float_border.tflite")
    whole = read_tflite(FILES / "keras_cnn.tflite")
    x = inputs(whole.input_tensor.shape, 50)
    np.testing.assert_array_equal(Engine(inside).run(x), Engine(whole).run(x))
    assert inside.input_tensor.scale == whole.input_tensor.scale


@pytest.mark.parametrize("name", ["mlp", "cnn", "residual", "pooled"])
def test_a_model_of_others_can_be_written_as_onnx(name: str, tmp_path: Path) -> None:
    graph = read_tflite(FILES / f"keras_{name}.tflite")
    assert write_onnx(graph, tmp_path / "model.onnx") == []
    x = inputs(graph.input_tensor.shape, 300)
    y = session((tmp_path / "model.onnx").read_bytes()).run(None, {graph.input: x})[0]
    np.testing.assert_array_equal(y, Engine(graph).run(x))


@pytest.mark.parametrize(("axis", "steps"), [(0, 4), (1, None)])
def test_axes_of_a_sequence_that_has_lost_its_batch(axis: int, steps: int | None, tmp_path: Path) -> None:
    file = FileOfOthers()
    x = file.tensor("x", (1, 4, 4), "int8", scale=0.1, zero_point=0)
    rows = file.tensor("rows", (4, 4), "int8", scale=0.1, zero_point=0)
    y = file.tensor("y", (4,), "int8", scale=0.1, zero_point=0)
    file.operator("RESHAPE", 1, [x], rows, "ReshapeOptions", {"new_shape": np.array([4, 4], np.int32)})
    axes = file.tensor("axes", (1,), "int32", data=np.array([axis], np.int32))
    file.operator("MEAN", 2, [rows, axes], y, "ReducerOptions", {"keep_dims": False})
    (tmp_path / "m.tflite").write_bytes(file.bytes([x], y))
    if steps is None:
        with pytest.raises(ModelFileError, match="over all time steps only"):
            read_tflite(tmp_path / "m.tflite")
        return
    q = np.arange(16, dtype=np.int8).reshape(1, 4, 4) * 4
    np.testing.assert_array_equal(Engine(read_tflite(tmp_path / "m.tflite")).run(q)[0], q[0].mean(axis=0))


def test_an_unknown_rounding_is_refused() -> None:
    with pytest.raises(ModelFileError, match="allowed: auto, tflm, xnnpack, onnxruntime"):
        read_tflite(FILES / "keras_mlp.tflite", rounding="up")


@pytest.mark.parametrize(
    ("dtype", "what"), [("float32", "float activations"), ("int16", "16-bit activations and 8-bit weights \\(16x8\\)")]
)
def test_a_model_that_is_not_int8_is_refused_as_what_it_is(dtype: str, what: str) -> None:
    none = np.zeros(0)
    tensors = [FileTensor(i, f"t{i}", (1, 4), dtype, none.astype("f4"), none.astype("i8"), None, False) for i in (0, 1)]
    model = FileModel(tensors, [FileOperator("ELU", (0,), (1,), {}, "ELU 't1'")], (0,), (1,), {})
    with pytest.raises(ModelFileError, match=f"mine has {what}; .* int8 throughout.*edgebat quantize .*full integer"):
        _require_int8(model, "mine")
