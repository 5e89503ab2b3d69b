"""Every back end is asked for every operator: equal integers, or one error that names the operator.

``ANSWERS`` is the whole table; an operator that is new in ``edgebat.graph`` fails here until every back end has an answer.
"""

from pathlib import Path

import numpy as np
import pytest

import edgebat.graph
from edgebat.bench.nets import ALL_NETS, reference_net
from edgebat.errors import GraphError, ModelFileError
from edgebat.formats.export import export_model
from edgebat.graph import OPERATORS, IntGraph, Node, Tensor
from edgebat.verify.engines import ENGINES, LITERT, NUMPY, ONNX_RUNTIME, TFLITE_MICRO, files_in
from edgebat.verify.equality import require_equal, verify_model
from tests import scalar_reference as scalar
from tests.formats_graphs import GraphMaker, random_inputs

ANSWERS = {
    "dense": "numpy tflite onnx c qat ptq",
    "conv1d": "numpy tflite onnx c qat ptq",
    "depthwise_conv1d": "numpy tflite onnx c",
    "max_pool1d": "numpy tflite onnx c qat ptq",
    "average_pool1d": "numpy tflite onnx c",
    "flatten": "numpy tflite onnx c qat ptq",
    "concat": "numpy tflite onnx c",
    "add": "numpy tflite onnx c",
    "lut": "numpy tflite onnx c",
    "lstm": "numpy tflite onnx c qat ptq",
    "gru": "numpy tflite onnx c qat ptq",
    "last_step": "numpy tflite onnx c qat ptq",
    "pad1d": "numpy tflite onnx c",
    "mean_pool1d": "numpy tflite onnx c",
    "float_pool1d": "numpy onnx c",
    "softmax": "numpy tflite onnx c",
    "reverse": "numpy tflite onnx c",
    "clipped_lstm": "numpy tflite onnx c",
    "mul": "numpy tflite onnx c",
    "take": "numpy tflite onnx c",
}
"""Who runs which operator; the others refuse it. ``ptq`` has float layers of its own and is asked for what it writes."""
TABLE = {engine.name: engine for engine in (NUMPY, *ENGINES)}
BACK_ENDS = {
    "numpy": ("NumPy runtime", ()),
    "tflite": ("NumPy from .tflite", ("tflite",)),
    "onnx": ("NumPy from .onnx", ("onnx",)),
    "c": ("host C", ("c",)),
}
"""The engine that executes what a back end wrote."""


def alone(op: str) -> IntGraph:
    """A small graph of one operator, and of what it cannot do without."""
    make = GraphMaker(np.random.default_rng(8), (8, 3), 2.0**-5, -20)
    source = make.current
    match op:
        case "dense":
            make.dense(5, relu=True)
        case "conv1d":
            make.conv(4, 3, stride=2, padding=(0, 1), relu=True)
        case "depthwise_conv1d":
            make.conv(0, 3, padding=(1, 1), depthwise=True)
        case "max_pool1d":
            make.max_pool(3, 2)
        case "average_pool1d":
            make.average_pool(4, 2)
        case "flatten":
            make.flatten()
        case "concat":
            make.max_pool(1, 1)
            make.concat(source)
        case "add":
            make.max_pool(1, 1)
            make.add(source)
        case "lut":
            make.lut("square")
        case "lstm":
            make.lstm(4)
        case "gru":
            make.gru(4)
        case "pad1d":
            make.pad(2, 1, -128)
        case "mean_pool1d":
            make.mean_pool(3, 2)
        case "float_pool1d":
            make.float_pool(4, 2, (1, 2), count_padding=False)
        case "softmax":
            make.softmax()
        case "mul":
            make.max_pool(1, 1)
            make.mul(source)
        case "take":
            make.take(np.arange(24).reshape(8, 3)[::2, [2, 0]].T)
        case "reverse":
            make.reverse()
        case "clipped_lstm":
            make.lstm(4, clip=900)
        case "last_step":
            make.last_step()
        case _:
            raise AssertionError(f"operator {op!r} is new: draw a small graph of it here")
    graph = make.graph("alone")
    assert graph.nodes[-1].op == op
    return graph


def ask(back_end: str, graph: IntGraph, x: np.ndarray, folder: Path) -> np.ndarray:
    """The outputs [N, ...] of one back end."""
    if back_end == "qat":
        return trained(graph, x)
    name, formats = BACK_ENDS[back_end]
    if formats:
        export_model(graph, folder, formats)
    return TABLE[name].open(graph, files_in(folder, graph.name)).run(x)


def trained(graph: IntGraph, x: np.ndarray) -> np.ndarray:
    """The integers of the fake-quantized network that starts from the graph's own weights."""
    torch = pytest.importorskip("torch")
    from edgebat.quantization.qat import _step
    from edgebat.students.spec import Conv1DLayer, DenseLayer, FlattenLayer, GruLayer, LstmLayer

    def layer_of(node: Node) -> object:
        match node.op:
            case "dense" | "conv1d":
                kind = DenseLayer if node.op == "dense" else Conv1DLayer
                scale = node.weight_scale.reshape(-1, *[1] * (node.weight.ndim - 1))
                return kind((node.weight * scale).astype(np.float32), np.zeros(len(node.weight), np.float32))
            case "lstm" | "gru":
                wx = node.input_weight * node.input_scale[:, None, None]
                wh = node.recurrent_weight * node.recurrent_scale[:, None, None]
                bias = node.bias * node.input_scale[:, None] * graph.tensors[node.inputs[0]].scale
                rows = wh.shape[0] * wh.shape[1]
                parts = [wx.reshape(rows, -1), wh.reshape(rows, -1), bias.reshape(-1)]
                if node.op == "gru":
                    parts.append(node.recurrent_bias * node.recurrent_scale[2] * 2.0**-7)
                kind = LstmLayer if node.op == "lstm" else GruLayer
                return kind(*(part.astype(np.float32) for part in parts))
        return FlattenLayer()

    steps = [_step(node, graph, layer_of(node)) for node in graph.nodes]
    source = graph.input_tensor
    q = torch.from_numpy(x.astype(np.float64))
    real = ((q - source.zero_point) * source.scale).float()
    for step in steps:
        real, q = step(real, q)
    return q.detach().numpy().astype(int)


def test_the_table_has_a_line_for_every_operator_of_the_graph() -> None:
    public = [value for value in vars(edgebat.graph).values() if isinstance(value, type) and issubclass(value, Node)]
    assert {cls.op for cls in public if cls is not Node} == set(OPERATORS)
    assert set(ANSWERS) == set(OPERATORS)


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("back_end", [*BACK_ENDS, "qat"])
def test_a_back_end_gives_equal_integers_or_names_what_it_cannot_do(back_end: str, op: str, tmp_path: Path) -> None:
    graph = alone(op)
    x = random_inputs(graph, 8, 1)
    if back_end not in ANSWERS[op].split():
        with pytest.raises((ModelFileError, GraphError), match=rf"\b{op}\b"):
            ask(back_end, graph, x, tmp_path)
        return
    got = ask(back_end, graph, x, tmp_path)
    # Each value once more in plain Python integers, written from the specification.
    expected = np.array([scalar.run(graph, window) for window in x])
    np.testing.assert_array_equal(got.reshape(len(x), -1), expected.reshape(len(x), -1))


def test_the_quantizer_writes_the_operators_of_its_line() -> None:
    written = {node.op for net in ALL_NETS for node in reference_net(net).nodes}
    assert written == {op for op, answers in ANSWERS.items() if "ptq" in answers.split()}


@pytest.mark.parametrize("op", OPERATORS)
def test_engines_of_others_keep_their_promise_for_each_operator(op: str, tmp_path: Path) -> None:
    graph = alone(op)
    formats = [name for name in ("tflite", "onnx") if name in ANSWERS[op].split()]
    engines = {"onnx": (ONNX_RUNTIME,), "tflite": (LITERT, TFLITE_MICRO)}
    table = [engine for name in formats for engine in engines[name]]
    export_model(graph, tmp_path, formats)
    rows = verify_model(graph, random_inputs(graph, 40, 2), files_in(tmp_path, graph.name), table)
    assert len(rows) == len(table)
    assert not any(row.skipped for row in rows)
    require_equal(rows)


class Tomorrow(Node):
    op = "tomorrow"


@pytest.mark.parametrize("back_end", [*BACK_ENDS, "qat"])
def test_an_operator_nobody_knows_is_refused_by_name(back_end: str, tmp_path: Path) -> None:
    tensors = {name: Tensor(name, (4, 2), "int8", 0.05, 0) for name in ("input", "output")}
    graph = IntGraph("unknown", tensors, (Tomorrow("0_new", ("input",), "output"),), "input", "output")
    with pytest.raises((ModelFileError, GraphError), match=r"(?i)\btomorrow\b"):
        ask(back_end, graph, np.zeros((1, 4, 2), np.int8), tmp_path)
