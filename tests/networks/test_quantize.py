"""``edgebat quantize`` and ``edgebat.quantize``: from a user's network and windows to a model that every verb takes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import edgebat as eb
from edgebat.errors import DataError, ModelFileError, RecipeError
from edgebat.formats.export import export_model
from edgebat.models import load_model
from edgebat.networks.border import parse_unit
from edgebat.runtime import Engine
from edgebat.verify.equality import require_equal, verify_model
from edgebat.verify.inputs import random_inputs
from tests.networks_by_hand import FloatFile, run_litert

ROOT = Path(__file__).parents[2]
Command = Callable[..., tuple[int, str, str]]


class Soc(nn.Module):
    """Voltage, current and temperature of the last 16 samples to SOC."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.lstm, self.head = (
            nn.Conv1d(3, 8, 3, padding=1),
            nn.LSTM(8, 8, batch_first=True),
            nn.Linear(8, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = (x - torch.tensor([3.7, 0.0, 25.0])) / torch.tensor([0.3, 2.0, 8.0])
        y = torch.relu(self.conv(z.transpose(1, 2))).transpose(1, 2)
        return self.head(self.lstm(y)[0][:, -1])


def windows(count: int = 200, seed: int = 0) -> np.ndarray:
    """[N, 16, 3] in V, A and degC."""
    noise = np.random.default_rng(seed).normal(size=(count, 16, 3))
    return (np.cumsum(noise, axis=1) / 4 * [0.3, 2.0, 8.0] + [3.7, 0.0, 25.0]).astype(np.float32)


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    """A float MLP with ten inputs, as ONNX Runtime reads it."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(8, 10)) / 3,
        "b": rng.normal(size=8),
        "v": rng.normal(size=(2, 8)) / 3,
        "c": np.ones(2),
    }
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1), helper.make_node("Relu", ["h"], ["r"]),
             helper.make_node("Gemm", ["r", "v", "c"], ["y"], transB=1)]  # fmt: skip
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "mlp", [value("x", TensorProto.FLOAT, ["N", 10])], [value("y", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )  # fmt: skip
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "mlp.onnx")
    np.save(tmp_path / "x.npy", rng.normal(size=(100, 10)).astype(np.float32))
    return tmp_path / "mlp.onnx"


# --- the border ---------------------------------------------------------------------------------------------------------


def test_integers_in_and_out_are_in_the_units_of_the_user() -> None:
    units = ("0.001 V", "0.001 A", "0.1 degC")
    result = eb.quantize(Soc(), windows(), input_units=units, outputs={"soc": "0.0001"})
    assert result.graph.meta["input"]["unit"] == "0.001 V, 0.001 A, 0.1 degC"
    border = result.border
    integers = border.integers(windows(5))
    assert integers[0, 0].tolist() == np.rint(windows(5)[0, 0] / np.array([0.001, 0.001, 0.1])).tolist()
    said = result.predict(windows(5))["soc"]
    assert said.tolist() == (np.rint(said * 1e4) / 1e4).tolist()


def test_a_normalization_inside_the_network_costs_no_layer() -> None:
    graph = eb.quantize(Soc(), windows()).graph
    assert [node.op for node in graph.nodes] == ["conv1d", "lstm", "last_step", "dense"]
    assert graph.output_tensor.dtype == "int16"


def test_columns_of_very_different_size_keep_their_resolution() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0, 1e-3, 1e3] * 4]))
    x = np.random.default_rng(0).normal(size=(300, 4, 3)).astype(np.float32) * [1.0, 1e3, 1e-3]
    result = eb.quantize(net.eval(), x.astype(np.float32))
    assert result.errors[0].rms < 0.02 * result.errors[0].spread


@pytest.mark.parametrize(("text", "scale", "name"), [("0.001 V", 1e-3, "V"), ("degC", 1.0, "degC"), ("1e-2", 0.01, "")])
def test_units_are_read(text: str, scale: float, name: str) -> None:
    assert (parse_unit(text).scale, parse_unit(text).name) == (scale, name)


@pytest.mark.parametrize("text", ["", "0 V", "-1 V", "1..2 V", "1 a\nb"])
def test_units_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="number above 0"):
        parse_unit(text)


# --- every engine -------------------------------------------------------------------------------------------------------


def test_the_quantized_network_is_equal_in_every_engine_that_must_be(tmp_path: Path) -> None:
    graph = eb.quantize(Soc(), windows(), name="soc").graph
    rows = verify_model(graph, random_inputs(graph, 50))
    require_equal(rows)
    assert {"ONNX Runtime", "LiteRT", "TFLite Micro", "host C"} <= {row.engine for row in rows}
    for path in export_model(graph, tmp_path, ("tflite", "onnx", "ebat")):
        x = random_inputs(graph, 20)
        assert np.array_equal(Engine(load_model(path)).run(x), Engine(graph).run(x))
        assert load_model(path).meta["network"] == graph.meta["network"]


def test_training_in_integers_gives_the_graph_that_was_trained() -> None:
    from edgebat.networks.ptq import quantize_network
    from edgebat.networks.qat import QatNetwork
    from edgebat.networks.read import read_network
    from edgebat.quantization import QuantizeOptions

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.a, self.b, self.head = (
                nn.Conv1d(3, 6, 3, padding=1),
                nn.Conv1d(6, 6, 3, padding=1, groups=6),
                nn.Linear(6, 2),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = nn.functional.silu(self.a(x.mT))
            return self.head(nn.functional.avg_pool1d(torch.relu(self.b(y)) + y, 2).mean(2))

    x = windows(120)
    network = read_network(Mixed(), x)
    found = quantize_network(network, network.windows(x), options=QuantizeOptions())
    qat = QatNetwork(found)
    q = random_inputs(found.graph, 40)
    real = qat(torch.from_numpy(q.astype(np.float64)))
    integers = Engine(found.graph).run(q) * found.graph.output_tensor.scale
    ends = [
        (head["offset"], head["multiplier"] * 2.0 ** -head["shift"], head["scale"])
        for head in found.graph.meta["outputs"]
    ]
    wanted = np.stack(
        [(o + integers[:, i] / found.graph.output_tensor.scale * g) * s for i, (o, g, s) in enumerate(ends)], axis=1
    )
    np.testing.assert_allclose(real.detach().numpy(), wanted, rtol=1e-6, atol=1e-9)
    real.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in qat.parameters())


def test_training_in_integers_lowers_the_error_against_labels() -> None:
    x = windows(300)
    labels = x[:, -1, 0] * 0.5 + x[:, :, 1].mean(axis=1) * 0.1
    before = eb.quantize(Soc(), x, labels=labels).errors[0].int8_label_rms
    trained = eb.quantize(Soc(), x, labels=labels, settings={"qat_epochs": 3})
    assert before is not None
    assert trained.errors[0].int8_label_rms is not None
    assert trained.errors[0].int8_label_rms < before
    assert trained.graph.meta["quantization"]["scheme"] == "quantization-aware"
    with pytest.raises(DataError, match="learns from labels"):
        eb.quantize(Soc(), x, settings={"qat_epochs": 1})


# --- windows ------------------------------------------------------------------------------------------------------------


def test_windows_come_from_arrays_files_tables_and_generators(tmp_path: Path) -> None:
    import pandas as pd

    x = windows(64)
    net = Soc()
    expected = eb.quantize(net, x).graph.fingerprint
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x, other=x[:1])
    np.savetxt(
        tmp_path / "x.csv", x.reshape(64, -1), delimiter=",", header=",".join(f"c{i}" for i in range(48)), comments=""
    )

    def batches() -> Iterator[tuple[torch.Tensor, int]]:
        for start in range(0, 64, 16):
            yield torch.from_numpy(x[start : start + 16]), start

    for source in (tmp_path / "x.npy", str(tmp_path / "x.npz"), batches(), [x[:32], x[32:]]):
        assert eb.quantize(net, source).graph.fingerprint == expected
    entry = _onnx_of_shape(tmp_path, (16, 3))
    pd.DataFrame(x.reshape(64, -1)).rename(columns=str).to_parquet(tmp_path / "x.parquet")
    assert eb.quantize(entry, tmp_path / "x.parquet").graph.fingerprint == eb.quantize(entry, x).graph.fingerprint
    assert (
        eb.quantize(entry, tmp_path / "x.csv").remarks[0].startswith("calibration: read as one window [16, 3] per row")
    )
    log = eb.quantize(entry, x.reshape(-1, 3))
    assert "consecutive samples, windows of 16 rows" in log.remarks[0]


def _onnx_of_shape(folder: Path, shape: tuple[int, ...]) -> Path:
    from onnx import TensorProto, helper, numpy_helper, save

    weight = np.random.default_rng(0).normal(size=(1, int(np.prod(shape)))).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w", "b"], ["y"], transB=1)]
    value = helper.make_tensor_value_info
    constants = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.zeros(1, np.float32), "b")]
    ends = [value("x", TensorProto.FLOAT, ["N", *shape])], [value("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", *ends, constants)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "flat.onnx")
    return folder / "flat.onnx"


@pytest.mark.parametrize(
    ("calibration", "says"),
    [(np.zeros((0, 16, 3)), "N >= 1"), (np.full((4, 16, 3), np.nan), "NaN"), (np.zeros((4, 15, 3)), "shape"),
     ({}, "not dict"), (iter(()), "no calibration windows"), ("nowhere.npz", "there is no file")],
)  # fmt: skip
def test_windows_that_cannot_be_used_are_refused(calibration: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says):
        eb.quantize(_onnx_of_shape(tmp_path, (16, 3)), calibration)


def test_windows_that_all_look_alike_still_give_a_model(onnx_file: Path) -> None:
    result = eb.quantize(onnx_file, np.full((2, 10), 0.3))
    assert all(error.rms < 0.05 for error in result.errors)


@pytest.mark.parametrize("x", [windows(1), np.zeros((3, 16, 3)), windows(9) * [1.0, 0.0, 1.0]])
def test_few_windows_and_columns_of_any_kind_are_quantized_closely(x: np.ndarray) -> None:
    result = eb.quantize(Soc(), x)
    assert result.errors[0].rms < 2.0**-8


def test_a_column_of_large_values_that_vary_by_little_keeps_its_resolution() -> None:
    x = np.random.default_rng(0).normal((0.0, 0.0, 1e5), size=(100, 16, 3))
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 1))
    error = eb.quantize(net, x).errors[0]
    assert error.rms < 0.05 * error.spread


def test_an_output_that_c_cannot_name_is_refused_at_once(onnx_file: Path) -> None:
    with pytest.raises(DataError, match="cannot be the name of a C function"):
        eb.quantize(onnx_file, np.random.default_rng(0).normal(size=(50, 10)), outputs={"state of charge": "1 %"})


def test_what_no_border_can_hold_is_refused_with_what_to_do() -> None:
    for calibration, unit, reason in (
        (windows() * 1e15, "1 V", "allowed: below 1e"),
        (windows() * 1e-15, "1e-18 V", "allowed: 1e-09 and more"),
        (windows(), "1e-12 V", "Give another unit"),
        (windows(), "1e9 V", "far larger"),
    ):
        with pytest.raises((DataError, RecipeError), match=reason):
            eb.quantize(Soc(), calibration, input_units=unit)


def test_a_column_that_never_varies_is_named() -> None:
    x = windows(50)
    x[:, :, 2] = 25.0
    assert any("column 2" in remark and "25" in remark for remark in eb.quantize(Soc(), x).remarks)


# --- the command --------------------------------------------------------------------------------------------------------


def test_the_command_writes_a_model_that_every_verb_takes(command: Command, onnx_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "soc.ebat"
    code, out, err = command(
        "quantize",
        onnx_file,
        "-c",
        tmp_path / "x.npy",
        "-o",
        target,
        "--output",
        "soc=0.01 %",
        "--output",
        "soh=0.01 %",
    )
    assert (code, err) == (0, "")
    assert "soc against float, 100 calibration windows: RMS" in out
    assert "largest losses by layer" in out
    code, out, _ = command("predict", target, tmp_path / "x.npy", "--json")
    said = json.loads(out)["outputs"]
    assert (code, list(said), said["soc"]["unit"], len(said["soc"]["values"])) == (0, ["soc", "soh"], "%", 100)
    assert "one integer out" in command("info", target)[1]
    assert command("export", target, "--out", tmp_path / "out")[0] == 0
    header = (tmp_path / "out/c/soc/soc.h").read_text()
    assert "int32_t soc_soh(const soc_output_t *output);" in header
    assert "/** soh in 0.01 %. */" in header
    assert command("verify", target, "--windows", "20")[0] == 0


def test_the_same_command_writes_the_same_bytes(command: Command, onnx_file: Path, tmp_path: Path) -> None:
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert (
            command("quantize", onnx_file, "-c", tmp_path / "x.npy", "-o", tmp_path / name / "net.ebat", "--json")[0]
            == 0
        )
        written.append((tmp_path / name / "net.ebat").read_bytes())
    assert written[0] == written[1]


def test_the_three_ways_to_find_ranges_differ_little(onnx_file: Path, tmp_path: Path) -> None:
    for method in ("mse", "percentile", "minmax"):
        result = eb.quantize(onnx_file, tmp_path / "x.npy", settings={"method": method})
        assert all(error.rms < 0.05 * error.spread for error in result.errors)
    with pytest.raises(RecipeError, match="method, percentile"):
        eb.quantize(onnx_file, tmp_path / "x.npy", settings={"methods": "mse"})


FOREIGN = ROOT / "tests" / "files"
REFUSALS = [
    (FOREIGN / "keras_mlp.tflite", "is int8 already"),
    (FOREIGN / "ort_cnn_qdq.onnx", "is int8 already"),
    (FOREIGN / "ort_mlp_qoperator.onnx", "is int8 already"),
    ("empty.onnx", "is empty"),
    ("empty.keras", "is empty"),
    ("cut.onnx", "is damaged"),
    ("cut.tflite", "damaged"),
    ("cut.pt2", "torch.export.save"),
    ("pickled.pt2", "never opened"),
    ("net.pt", "never opened"),
    ("net.pkl", "never opened"),
    ("folder", "without saved_model.pb"),
    ("nowhere.onnx", "there is no file"),
    ("net.txt", "a float network ends in"),
    ("own.ebat", "int8 already"),
]


@pytest.mark.parametrize(("name", "says"), REFUSALS, ids=[str(Path(name).name) for name, _ in REFUSALS])
def test_what_is_no_float_network_is_named_and_leaves_nothing(
    command: Command, onnx_file: Path, tmp_path: Path, name: str | Path, says: str
) -> None:
    content = onnx_file.read_bytes()
    made = {"empty.onnx": b"", "empty.keras": b"", "cut.onnx": content[: len(content) // 2], "net.pt": b"x", "net.pkl": b"x",
            "cut.tflite": (FOREIGN / "keras_mlp.tflite").read_bytes()[:400], "cut.pt2": b"PK\3\4 cut", "net.txt": b"x",
            "own.ebat": b"x"}  # fmt: skip
    for file, data in made.items():
        (tmp_path / file).write_bytes(data)
    (tmp_path / "folder").mkdir()
    with zipfile.ZipFile(tmp_path / "pickled.pt2", "w") as archive:
        archive.writestr("net/data.pkl", b"")
    before = sorted(tmp_path.iterdir())
    source = name if isinstance(name, Path) else tmp_path / name
    code, out, err = command("quantize", source, "-c", tmp_path / "x.npy", "-o", tmp_path / "made.ebat")
    assert (code, out) == (2, "")
    assert says in err
    assert str(source) in err.replace("\n", "")
    assert "internal error" not in err
    assert sorted(tmp_path.iterdir()) == before


def test_a_pickle_within_a_file_of_torch_export_is_never_opened(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(nn.Linear(4, 1), (torch.zeros(2, 4),)), tmp_path / "net.pt2")
    with zipfile.ZipFile(tmp_path / "net.pt2") as source, zipfile.ZipFile(tmp_path / "bad.pt2", "w") as target:
        for info in source.infolist():
            content = source.read(info)
            target.writestr(info, content.replace(b'"use_pickle": false', b'"use_pickle": true'))
    with pytest.raises(ModelFileError, match="is pickled, which is never opened"):
        eb.quantize(tmp_path / "bad.pt2", np.zeros((3, 4)) + np.arange(3)[:, None])


def test_int8_files_get_native_scales_and_what_changes_is_counted(command: Command, tmp_path: Path) -> None:
    target = tmp_path / "native.ebat"
    code, out, err = command("quantize", FOREIGN / "keras_cnn.tflite", "--requantize", "-o", target)
    assert (code, err) == (0, "")
    assert "outputs on 1024 windows drawn from the whole range differ from the file's (xnnpack), by up to" in out
    graph = load_model(target)
    assert {node.requant.kind for node in graph.nodes if hasattr(node, "requant")} == {"shift"}
    assert command("export", target, "--out", tmp_path / "out")[0] == 0
    code, out, err = command("quantize", target, "--requantize", "-o", tmp_path / "again.ebat")
    assert (code, out) == (2, "")


# --- float TFLite files -------------------------------------------------------------------------------------------------


def test_float_tflite_layers_are_read_as_litert_runs_them(tmp_path: Path) -> None:
    file = FloatFile((12, 4))
    file.add("EXPAND_DIMS", (1, 12, 4), (file.constant(np.int32(1)),), "ExpandDimsOptions")
    weights = (file.constant(file.rng.normal(size=(6, 1, 3, 4)) / 3), file.draw(6))
    file.add("CONV_2D", (1, 12, 6), weights, "Conv2DOptions", padding=0, strideW=1, strideH=1, dilationWFactor=1,
             dilationHFactor=1, fusedActivationFunction=1)  # fmt: skip
    depthwise = (file.constant(file.rng.normal(size=(1, 1, 3, 6)) / 2), file.draw(6))
    file.add("DEPTHWISE_CONV_2D", (1, 10, 6), depthwise, "DepthwiseConv2DOptions", padding=1, strideW=1, strideH=1,
             depthMultiplier=1, dilationWFactor=1, dilationHFactor=1)  # fmt: skip
    file.add("MUL", (1, 10, 6), (file.draw(6),), "MulOptions")
    file.add("HARD_SWISH", (1, 10, 6))
    file.add(
        "MAX_POOL_2D", (1, 5, 6), (), "Pool2DOptions", padding=1, strideW=2, strideH=1, filterWidth=2, filterHeight=1
    )
    file.add("RESHAPE", (30,), (file.constant(np.array([1, 30], np.int32)),), "ReshapeOptions", newShape=[1, 30])
    path = file.dense(8, activation=3).add("LOGISTIC", (8,)).dense(2).save(tmp_path / "net.tflite")
    x = np.random.default_rng(1).normal(size=(30, 12, 4)).astype(np.float32)
    from edgebat.networks.read import read_network

    network = read_network(path, x)
    np.testing.assert_allclose(network.forward(network.windows(x)), run_litert(path, x), atol=2e-5)
    assert eb.quantize(path, x).errors[0].rms < 0.1 * eb.quantize(path, x).errors[0].spread


def test_a_convolution_over_two_dimensions_is_refused_with_a_rewrite(tmp_path: Path) -> None:
    file = FloatFile((6, 5, 2))
    path = file.save(tmp_path / "image.tflite")
    with pytest.raises(ModelFileError, match="Images of two dimensions"):
        eb.quantize(path, np.zeros((3, 6, 5, 2)))
