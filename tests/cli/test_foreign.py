"""A model file of another tool through every verb: what it is, its own engine first, C, figures, predictions, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.foreign import border_of
from edgebat.formats.export import export_model
from edgebat.formats.tflite.read import tflite_graph
from edgebat.models import load_model
from edgebat.runtime import Engine
from tests.foreign_files import FileOfOthers
from tests.formats.test_roundings import litert, micro

Command = Callable[..., tuple[int, str, str]]
FILES = Path(__file__).parents[1] / "files"
RESIDUAL, LSTM, ONNX = FILES / "keras_residual.tflite", FILES / "keras_lstm.tflite", FILES / "ort_cnn_qdq.onnx"


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_info_shows_scales_and_whose_integers_these_are(command: Command) -> None:
    code, out, _ = command("info", RESIDUAL, "--rounding", "tflm")
    assert code == 0
    assert "rounding: tflm, the integers of TFLite Micro" in out
    assert "scale 0.0" in out
    assert "zero point -128" in out


@pytest.mark.parametrize(("file", "own"), [(RESIDUAL, "LiteRT"), (LSTM, "TFLite Micro"), (ONNX, "ONNX Runtime")])
def test_verify_begins_with_the_given_file_in_its_own_engine(command: Command, file: Path, own: str) -> None:
    code, out, _ = command("verify", file, "--windows", "20", "--json")
    rows = json.loads(out)
    assert code == 0
    assert rows[0]["engine"] == f"given file in {own}"
    assert [row["mismatches"] for row in rows if row["expected"] == "0"] == [0] * sum(
        row["expected"] == "0" for row in rows
    )
    assert {"host C", "C on cortex-m4f", "C on cortex-m0plus"} <= {
        row["engine"] for row in rows if row["expected"] == "0"
    }


def test_the_rounding_of_the_device_can_be_chosen(command: Command) -> None:
    code, out, _ = command("verify", RESIDUAL, "--windows", "20", "--rounding", "tflm", "--json")
    assert code == 0
    first = json.loads(out)[0]
    assert (first["engine"], first["expected"], first["mismatches"]) == ("given file in TFLite Micro", "0", 0)


def test_export_keeps_the_integers_or_says_why_not(command: Command, tmp_path: Path) -> None:
    code, _, err = command("export", LSTM, "--out", tmp_path / "usual")
    assert code == 0
    assert (tmp_path / "usual/keras_lstm.tflite").read_bytes() == LSTM.read_bytes()
    assert "no .onnx: node" in one_line(err)
    assert "its integers would change" in one_line(err)
    assert not list((tmp_path / "usual").glob("*.onnx"))
    code, _, err = command("export", LSTM, "--to", "c,onnx", "--out", tmp_path / "asked")
    assert code == 2
    assert "rounded as in TFLite Micro, which a .onnx file written by edgebat cannot hold" in one_line(err)
    assert not (tmp_path / "asked").exists()


def test_ebat_keeps_rounding_and_integers(tmp_path: Path) -> None:
    graph = load_model(RESIDUAL, "tflm")
    export_model(graph, tmp_path, ("ebat",))
    again = load_model(tmp_path / "keras_residual.ebat")
    x = np.random.default_rng(0).integers(-128, 128, (50, *graph.input_tensor.shape)).astype(np.int8)
    np.testing.assert_array_equal(Engine(again).run(x), Engine(graph).run(x))
    border = border_of(again)
    assert border is not None
    assert border.file.rounding == "tflm"


def test_bench_counts_a_model_of_others(command: Command) -> None:
    code, out, _ = command("bench", RESIDUAL, "-t", "cortex-m4f", "--compiler", "zig", "--windows", "4", "--json")
    assert code == 0
    assert json.loads(out)[0]["instructions"] > 0


def test_predict_takes_integers_and_real_values(command: Command, tmp_path: Path) -> None:
    graph = load_model(RESIDUAL)
    x = np.random.default_rng(1).integers(-128, 128, (3, *graph.input_tensor.shape)).astype(np.int8)
    real = (x.astype(np.float32) - graph.input_tensor.zero_point) * np.float32(graph.input_tensor.scale)
    np.save(tmp_path / "integers.npy", x)
    np.save(tmp_path / "real.npy", real)
    np.savetxt(tmp_path / "real.csv", real.reshape(3, -1), delimiter=",", fmt="%.9g")
    expected = Engine(graph).run(x).tolist()
    for name in ("integers.npy", "real.npy", "real.csv"):
        code, out, _ = command("predict", RESIDUAL, tmp_path / name, "--json")
        assert code == 0
        assert json.loads(out)["integers"] == expected
    np.save(tmp_path / "short.npy", real[:, :2])
    code, _, err = command("predict", RESIDUAL, tmp_path / "short.npy")
    assert code == 2
    assert "this model reads [N, " in one_line(err)


@pytest.mark.parametrize("suffix", ["ebat", "tflite"])
def test_a_model_of_edgebat_has_its_own_rounding(
    command: Command, model_file: Path, tmp_path: Path, suffix: str
) -> None:
    export_model(load_model(model_file), tmp_path, (suffix,), "mine")
    code, _, err = command("info", tmp_path / f"mine.{suffix}", "--rounding", "tflm")
    assert code == 2
    assert "was written by edgebat, and its rounding is part of it" in one_line(err)


def test_an_lstm_is_not_rounded_as_another_engine(command: Command) -> None:
    code, _, err = command("info", LSTM, "--rounding", "xnnpack")
    assert code == 2
    assert "has an LSTM, which edgebat computes as TFLite Micro does" in one_line(err)


@pytest.mark.parametrize("suffix", ["tflite", "onnx", "ebat"])
def test_empty_and_cut_files_are_no_faults_of_edgebat(command: Command, tmp_path: Path, suffix: str) -> None:
    whole = {"tflite": LSTM.read_bytes(), "onnx": ONNX.read_bytes(), "ebat": b"PK\x03\x04" + bytes(100)}[suffix]
    for name, content in (("empty", b""), ("cut", whole[: len(whole) // 2])):
        (tmp_path / f"{name}.{suffix}").write_bytes(content)
        for verb in (["info"], ["verify"], ["export", "--out", tmp_path / "out"]):
            code, _, err = command(verb[0], tmp_path / f"{name}.{suffix}", *verb[1:])
            assert code == 2
            assert f"{name}.{suffix}" in one_line(err)
    assert not (tmp_path / "out").exists()


def dilated(batch: int, *, pad_first: bool = False) -> bytes:
    """A causal convolution, dilation 2, as a converter leaves it: SPACE_TO_BATCH_ND, CONV_2D, BATCH_TO_SPACE_ND.

    pad_first: by a PAD operator, else by SPACE_TO_BATCH_ND.
    """
    file, rng = FileOfOthers(), np.random.default_rng(5)
    quantized = {"scale": 0.05, "zero_point": 3}
    x = file.tensor("x", (1, 12, 3), "int8", **quantized)
    block = file.tensor("block", (1,), "int32", data=np.array([2], np.int32))
    pads = file.tensor("pads", (1, 2), "int32", data=np.array([[4, 0]], np.int32))
    none = file.tensor("none", (1, 2), "int32", data=np.array([[0, 0]], np.int32))
    axis = file.tensor("axis", (1,), "int32", data=np.array([1], np.int32))
    cut = file.tensor("cut", (batch, 8, 3), "int8", **quantized)
    image = file.tensor("image", (batch, 1, 8, 3), "int8", **quantized)
    w = file.tensor("w", (5, 1, 3, 3), "int8", data=rng.integers(-127, 128, (5, 1, 3, 3)).astype(np.int8), scale=0.01)
    b = file.tensor("b", (5,), "int32", data=rng.integers(-2000, 2000, 5).astype(np.int32), scale=0.0005)
    out = {"scale": 0.04, "zero_point": -7}
    done = file.tensor("done", (batch, 1, 6, 5), "int8", **out)
    flat = file.tensor("flat", (batch, 6, 5), "int8", **out)
    shape = file.tensor("shape", (3,), "int32", data=np.array([batch, 6, 5], np.int32))
    y = file.tensor("y", (1, 12, 5), "int8", **out)
    if pad_first:
        amounts = file.tensor("amounts", (3, 2), "int32", data=np.array([[0, 0], [4, 0], [0, 0]], np.int32))
        padded = file.tensor("padded", (1, 16, 3), "int8", **quantized)
        file.operator("PAD", 2, [x, amounts], padded, "PadOptions")
        file.operator("SPACE_TO_BATCH_ND", 2, [padded, block, none], cut)
    else:
        file.operator("SPACE_TO_BATCH_ND", 2, [x, block, pads], cut)
    file.operator("EXPAND_DIMS", 1, [cut, axis], image, "ExpandDimsOptions")
    file.operator("CONV_2D", 3, [image, w, b], done, "Conv2DOptions", {"padding": 1, "stride_w": 1, "stride_h": 1})
    file.operator("RESHAPE", 1, [done, shape], flat, "ReshapeOptions")
    file.operator("BATCH_TO_SPACE_ND", 2, [flat, block, none], y)
    return file.bytes([x], y)


@pytest.mark.parametrize(
    ("rounding", "engine", "pad_first"), [("xnnpack", litert, False), ("xnnpack", litert, True), ("tflm", micro, True)]
)
def test_a_dilated_convolution_is_one_again(rounding: str, engine: Callable[..., np.ndarray], pad_first: bool) -> None:
    content = dilated(2, pad_first=pad_first)
    graph = tflite_graph(content, "dilated", rounding)
    assert [(node.op, node.dilation, node.padding) for node in graph.nodes] == [("conv1d", 2, (4, 0))]
    x = np.random.default_rng(0).integers(-128, 128, (40, 12, 3)).astype(np.int8)
    np.testing.assert_array_equal(Engine(graph).run(x), engine(content, x).reshape(40, 12, 5))


def test_what_tflite_micro_does_not_resize_is_refused_for_it() -> None:
    with pytest.raises(
        ModelFileError, match=r"which does not resize, computes that wrongly.*choose --rounding xnnpack"
    ):
        tflite_graph(dilated(-1), "dilated", "tflm")
