"""A run in slices: the same outputs, in calls of bounded length."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest

from edgebat.bench.nets import reference_net
from edgebat.formats.c.slices import SLICE_WORK
from edgebat.formats.c.write import MODES
from edgebat.graph import IntGraph
from edgebat.runtime import Engine
from tests.c_host import GUARD, UNDEFINED, HostModel, Kernels, aligned, load, pointer
from tests.formats_graphs import FAMILIES, random_inputs

ERR_SLICE = -12


def run_in_slices(model: HostModel, count: int, window: np.ndarray) -> np.ndarray:
    """All slices in order, on memory between guard bytes."""
    out = np.zeros(model.model.output_len, model.model.output_dtype)
    scratch, guard = aligned(model.model.scratch_bytes)
    slice_of = model.function("run_slice")
    for index in range(count):
        code = slice_of(ctypes.c_uint32(index), pointer(np.ascontiguousarray(window)), pointer(out), pointer(scratch))
        assert code == 0
    assert (guard == GUARD).all()
    assert slice_of(ctypes.c_uint32(count), pointer(window), pointer(out), pointer(scratch)) == ERR_SLICE
    return out


def slices(model: HostModel) -> int:
    found = re.search(r"_SLICES (\d+)", model.model.files[0].read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", [*FAMILIES, "reference mlp", "reference cnn", "reference lstm"])
def test_slices_in_order_are_a_run(family: str, mode: str, tmp_path: Path):
    kernels = Kernels(tmp_path / "kernels")
    flags = ("-DEDGEBAT_DSP=0", "-DEDGEBAT_THUMB1=0", *UNDEFINED)
    graphs: list[IntGraph] = (
        [reference_net(family.split()[1])] if " " in family else [FAMILIES[family](seed) for seed in range(3)]
    )
    for number, graph in enumerate(graphs):
        model = load(graph, tmp_path / str(number), kernels, flags, mode=mode)
        x = random_inputs(graph, 4, number)
        expected = Engine(graph).run(x).reshape(len(x), -1)
        for window, y in zip(x, expected, strict=True):
            np.testing.assert_array_equal(run_in_slices(model, slices(model), window), y)


def test_a_convolution_is_cut_into_slices_of_bounded_work(tmp_path: Path):
    graph = reference_net("cnn")
    model = load(graph, tmp_path, Kernels(tmp_path / "kernels"), ("-DEDGEBAT_DSP=0", "-DEDGEBAT_THUMB1=0"))
    # 3,072 and 24,576 multiply-accumulates of the convolutions, 12,800 of the head, which is not cut.
    assert SLICE_WORK == 2048
    assert slices(model) >= 2 + 8 + 1
