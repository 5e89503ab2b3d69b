"""Model files are untrusted input: a damaged one gives a model that can be run, or one ModelFileError. Nothing else.

The everyday run takes a few hundred damaged files per format, EDGEBAT_TEST_SCALE=full takes 100,000.
"""

from __future__ import annotations

import json
import os
import tracemalloc
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.formats.onnx.read import onnx_graph, read_onnx
from edgebat.formats.onnx.write import write_onnx
from edgebat.formats.tflite.read import read_tflite, tflite_graph
from edgebat.formats.tflite.write import tflite_bytes
from edgebat.graph import IntGraph
from edgebat.runtime import Engine
from tests.damage import damaged
from tests.foreign_files import OPERATORS as TFLITE_OPERATORS
from tests.foreign_files import FileOfOthers
from tests.formats import test_roundings_onnx as ONNX
from tests.formats import test_roundings_onnx_more as MORE_ONNX
from tests.formats_graphs import FAMILIES, GraphMaker

COUNT = 100_000 if os.environ.get("EDGEBAT_TEST_SCALE") == "full" else 300
MEGABYTE = 1 << 20


def small(family: str) -> IntGraph:
    """A network of the family with most of its operators, in a file of a few kilobytes."""
    make = GraphMaker(np.random.default_rng(1), (6, 2), 2.0**-5, 3)
    if family == "mlp":
        make.flatten()
        hidden = make.dense(4, relu=True)
        make.dense(4)
        make.add(hidden)
        make.lut("tanh")
        make.lut("square")
    elif family == "cnn":
        make.conv(3, 3, dilation=2, padding=(4, 0), relu=True)
        make.conv(0, 3, padding=(1, 1), depthwise=True)
        make.max_pool(2, 2)
        make.average_pool(3, 1)
        make.flatten()
    elif family == "padded":
        make.pad(1, 1, -128)
        make.max_pool(2, 1)
        make.mean_pool(3, 2)
        make.softmax()
        make.flatten()
    elif family == "bidirectional":
        forwards, make.current = make.gru(2), make.tensors["input"]
        make.reverse()
        make.lstm(2)
        make.reverse()
        make.concat(forwards)
        make.last_step()
    elif family == "gated":
        source = make.conv(3, 1)
        make.average_pool(6, 1)
        make.flatten()
        gate, make.current = make.current, source
        make.mul(gate)
        make.take(np.arange(18).reshape(6, 3).T)
        make.flatten()
    elif family == "gru":
        make.gru(2, reset_after=False)
        make.last_step()
    elif family == "gated":
        source = make.current
        make.conv(2, 1)
        make.lut("sigmoid")
        gate, make.current = make.current, source
        make.mul(gate)
        make.take(np.arange(12).reshape(6, 2).T)
        make.flatten()
    else:
        assert family == "lstm"  # a new family has its own operators
        make.lstm(3)
        make.last_step()
    make.head(2)
    return make.graph(family)


def content_of(graph: IntGraph, suffix: str, folder: Path) -> bytes:
    if suffix == ".tflite":
        return tflite_bytes(graph)[0]
    write_onnx(graph, folder / "model.onnx")
    return (folder / "model.onnx").read_bytes()


FOREIGN = sorted(
    path for path in (Path(__file__).parents[1] / "files").iterdir() if path.suffix in (".tflite", ".onnx")
)
READERS = {".tflite": tflite_graph, ".onnx": onnx_graph}
OPERATORS = {
    ".tflite": TFLITE_OPERATORS,
    ".onnx": ONNX.ALIKE | ONNX.OTHERWISE | MORE_ONNX.ALIKE | MORE_ONNX.OTHERWISE,
}
"""Files of one operator as other tools write them."""


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_damaged_files_are_read_or_refused(suffix: str, family: str, tmp_path: Path) -> None:
    data = content_of(small(family), suffix, tmp_path)
    assert READERS[suffix](data).fingerprint == small(family).fingerprint
    outcomes: Counter[str] = Counter()
    for content in damaged(data, COUNT // len(FAMILIES), seed=11):
        try:
            graph = READERS[suffix](content, "damaged")
        except ModelFileError:
            outcomes["refused"] += 1
            continue
        # What was accepted has to run: changed weights are a different model, not a damaged one.
        Engine(graph).run(np.zeros((1, *graph.input_tensor.shape), np.int8))
        outcomes["read"] += 1
    print(family, suffix, dict(outcomes))
    assert outcomes["refused"] > outcomes["read"] / 10


@pytest.mark.parametrize("path", FOREIGN, ids=lambda path: path.name)
def test_damaged_files_of_other_tools_are_read_or_refused(path: Path) -> None:
    for content in damaged(path.read_bytes(), COUNT // 9, seed=13):
        with suppress(ModelFileError):
            graph = READERS[path.suffix](content)
            Engine(graph).run(np.zeros((1, *graph.input_tensor.shape), np.int8))


@pytest.mark.parametrize("suffix", READERS)
def test_damaged_files_of_each_operator_of_other_tools_are_read_or_refused(suffix: str) -> None:
    read = 0
    for seed, make in enumerate(OPERATORS[suffix].values()):
        data = make(np.random.default_rng(seed))
        for content in damaged(data, COUNT // len(OPERATORS[suffix]), seed=seed):
            with suppress(ModelFileError):
                graph = READERS[suffix](content)
                Engine(graph).run(np.zeros((1, *graph.input_tensor.shape), np.int8))
                read += 1
    assert read > 0  # not all damage is seen


@pytest.mark.parametrize("suffix", READERS)
def test_memory_stays_near_the_size_of_the_file(suffix: str, tmp_path: Path) -> None:
    data = content_of(small("cnn"), suffix, tmp_path)
    tracemalloc.start()
    for content in damaged(data, 100, seed=5):
        tracemalloc.reset_peak()
        with suppress(ModelFileError):
            READERS[suffix](content)
        assert tracemalloc.get_traced_memory()[1] < 20 * MEGABYTE
    tracemalloc.stop()


@pytest.mark.parametrize("suffix", READERS)
def test_every_tenth_truncation_is_refused(suffix: str, tmp_path: Path) -> None:
    data = content_of(small("mlp"), suffix, tmp_path)
    for length in range(0, len(data) - 8, 10):
        with pytest.raises(ModelFileError):
            READERS[suffix](data[:length], "cut")


def test_files_that_are_too_large_or_missing_are_refused_unread(tmp_path: Path) -> None:
    for read in (read_tflite, read_onnx):
        with pytest.raises(ModelFileError, match="cannot be read"):
            read(tmp_path / "missing")
        with pytest.raises(ModelFileError, match="cannot be read"):
            read(tmp_path)
        large = tmp_path / "large"
        with large.open("wb") as stream:
            stream.truncate(65 << 20)
        with pytest.raises(ModelFileError, match="at most"):
            read(large)


def test_metadata_that_lies_about_a_shift_changes_no_result(tmp_path: Path) -> None:
    """The multiply-and-shift form stands in the metadata; one that is not the scales' is not believed."""
    graph = small("mlp")
    data = tflite_bytes(graph)[0]
    k = json.dumps({"k": graph.nodes[1].requant.multiplier.tolist()})[1:-1].replace(" ", "")
    assert data.count(k.encode()) == 1
    lie = data.replace(k.encode(), k.replace("[", "[", 1)[:-2].encode() + b"1]"[-2:])
    if lie == data:
        lie = data.replace(k.encode(), k[:-2].encode() + b"3]")
    changed = tflite_graph(lie)
    assert changed.nodes[1].requant.kind == "float"
    x = np.random.default_rng(0).integers(-128, 128, (500, 6, 2)).astype(np.int8)
    np.testing.assert_array_equal(Engine(changed).run(x), Engine(graph).run(x))


def test_an_onnx_file_whose_operators_were_altered_is_refused(tmp_path: Path) -> None:
    data = content_of(small("mlp"), ".onnx", tmp_path)
    assert data.count(b"QGemm") >= 1
    with pytest.raises(ModelFileError, match="The file was altered"):
        onnx_graph(data.replace(b"transB\x18\x01", b"transB\x18\x00"))


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("text", [b"1e9999 ", b"-1e9999", b"   NaN "])
def test_numbers_in_the_note_of_a_file_are_finite(suffix: str, text: bytes, tmp_path: Path) -> None:
    graph = replace(small("bidirectional"), meta={"written": 12345.5})
    data = content_of(graph, suffix, tmp_path)
    assert data.count(b"12345.5") == 1
    with pytest.raises(ModelFileError, match=r"metadata is damaged: .*no finite number"):
        READERS[suffix](data.replace(b"12345.5", text))


def test_parts_of_nothing_are_refused() -> None:
    file = FileOfOthers()
    x = file.tensor("x", (1, 4), "int8", scale=2.0**-5, zero_point=0)
    axis = file.tensor("axis", (), "int32", data=np.array(1, np.int32))
    file.operator("SPLIT", 2, [axis, x], [], "SplitOptions", {"num_splits": 2})
    with pytest.raises(ModelFileError, match=r"SPLIT.* has no outputs"):
        tflite_graph(file.bytes([x], x))
