"""Engineering units at the border of generated C: relative models take the window's last value as an argument."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.formats.c.border import read_border
from edgebat.formats.c.write import write_c
from edgebat.graph import IntGraph, load_graph
from edgebat.runtime import outputs_in_units, quantize_input
from tests.c_host import UNDEFINED, WARNINGS, c_compiler, call
from tests.tiny_forecast import COLUMNS, POINTS, ROWS, forecast_graph

INT32_MAX = 2**31 - 1


@pytest.fixture(scope="module")
def graph() -> IntGraph:
    return forecast_graph()


@pytest.fixture(scope="module")
def library(graph: IntGraph, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("border")
    model = write_c(graph, folder, "trend")
    sources = [folder / "trend.c", *model.kernel_sources]
    flags = [*UNDEFINED, "-fsanitize-undefined-trap-on-error", "-fPIC", "-shared", f"-I{model.include_dir}"]
    call([c_compiler(), *WARNINGS, "-O1", *flags, *sources, "-o", folder / "trend.so"])
    return ctypes.CDLL(str(folder / "trend.so"))


def test_changes_from_the_last_value_are_quantized_as_in_numpy(graph: IntGraph, library: ctypes.CDLL):
    rng = np.random.default_rng(3)
    near = 900_000 + rng.integers(-30_000, 30_000, (200, ROWS, COLUMNS))
    far = rng.choice([0, 1, 10**6, INT32_MAX - 1, INT32_MAX], (200, ROWS, COLUMNS))
    for values in np.concatenate([near, far]).astype(np.int32):
        input_ = np.zeros((ROWS, COLUMNS), np.int8)
        last = ctypes.c_int32(int(values[-1, -1]))
        library.trend_quantize(
            values.ctypes.data_as(ctypes.c_void_p), last, input_.ctypes.data_as(ctypes.c_void_p), ROWS
        )
        np.testing.assert_array_equal(input_, quantize_input(graph, values[None])[0])


def test_the_last_value_is_added_again_rounded(graph: IntGraph, library: ctypes.CDLL):
    info = np.iinfo(graph.output_tensor.dtype)
    y = np.random.default_rng(4).integers(info.min, info.max + 1, (50, 2 + POINTS)).astype(graph.output_tensor.dtype)
    for last in (0, 49, 50, 149, 150, 912_345, INT32_MAX):
        wanted = outputs_in_units(graph, y, np.full(len(y), last))
        for i, row in enumerate(y):
            output = row.ctypes.data_as(ctypes.c_void_p)
            assert library.trend_level(output, last) == wanted["level"][i, 0]
            assert library.trend_rul(output) == wanted["rul"][i, 0]
            points = [library.trend_trajectory(output, last, k) for k in range(POINTS)]
            assert points == wanted["trajectory"][i].tolist()


def test_the_header_says_what_last_is(graph: IntGraph, model_file: Path, tmp_path: Path):
    relative = write_c(graph, tmp_path, "trend").files[0].read_text()
    assert "int32_t trend_trajectory(const trend_output_t *output, int32_t last, uint32_t i);" in relative
    assert "int32_t trend_rul(const trend_output_t *output);" in relative
    assert "last, the window's last value, is subtracted from each. No value is ever negative." in relative
    assert "last" not in write_c(load_graph(model_file), tmp_path, "tiny").files[0].read_text().replace("last_step", "")


def test_the_header_says_which_values_are_rates(model_file: Path, tmp_path: Path):
    tiny = load_graph(model_file)
    for task, words in (({"charge_rate": True}, "the last one a rate"), ({"seen_current": 2}, "the last 2 rates")):
        header = write_c(replace(tiny, meta={**tiny.meta, "task": task}), tmp_path, "tiny").files[0].read_text()
        assert f", {words} in 0.001 C, -> int8 input" in header


@pytest.mark.parametrize(
    ("source", "output", "reason"),
    [
        ({"relative_to": "first"}, {}, "relative to 'first'"),
        ({"relative_to": None}, {}, "'level' in cpct is relative"),
        ({}, {"unit": "cycles"}, "'level' in cycles is relative"),
        ({}, {"offset": INT32_MAX}, "more than 32 bits"),
    ],
)
def test_a_border_that_c_cannot_keep_is_refused(
    graph: IntGraph, source: dict[str, Any], output: dict[str, Any], reason: str
):
    outputs = [{**graph.meta["outputs"][0], **output}, *graph.meta["outputs"][1:]]
    meta = {**graph.meta, "input": {**graph.meta["input"], **source}, "outputs": outputs}
    with pytest.raises(ModelFileError, match=reason):
        read_border(replace(graph, meta=meta))
