"""The domain score of a model that reads charges through any window: by hand, in C, in files, to people."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.formats.c.bms import bms_files
from edgebat.formats.c.write import write_c
from edgebat.formats.export import export_model
from edgebat.graph import IntGraph, save_graph
from edgebat.graph.origin import graph_ground
from edgebat.ground import Domain
from edgebat.models import load_model
from edgebat.runs.ground import prototypes_by_start
from edgebat.runtime import quantize_input
from edgebat.runtime.refusal import Refusal, domain_scores, refusals
from tests.any_window_model import SPEC, any_window_graph, with_domain
from tests.c_host import UNDEFINED, WARNINGS, c_compiler, call

Command = Callable[..., tuple[int, str, str]]
START = SPEC.increments
UINT32_MAX = 2**32 - 1
LIMIT = 900


@pytest.fixture
def graph() -> IntGraph:
    return with_domain(any_window_graph(), LIMIT)


def inputs(graph: IntGraph, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers [N, T, C] of drawn charges, some rows empty, and the same quantized."""
    rng = np.random.default_rng(seed)
    shape = (count, SPEC.context)
    values = np.zeros((*shape, SPEC.columns), dtype=np.int64)
    values[..., :START] = rng.integers(10_000, 60_000, (*shape, START))
    values[..., START] = np.rint(1000 * rng.choice(np.array(SPEC.starts_v), shape))
    values[..., START + 1] = rng.integers(0, SPEC.max_age, shape)
    values[..., START + 2] = 500
    values[np.arange(SPEC.context) < rng.integers(0, SPEC.context, (count, 1))] = 0
    return values, quantize_input(graph, values)


def expected(domain: Domain, window: np.ndarray) -> int:
    """The definition, value by value."""
    found = []
    for row in window.astype(int) + 128:
        begin = row[START]
        if begin == domain.empty:
            continue
        nearest = min(abs(begin - known[-1]) for known in domain.prototypes)
        own = [known for known in domain.prototypes if abs(begin - known[-1]) == nearest]
        found.append(min(sum((int(a) - b) ** 2 for a, b in zip(row, known[:-1], strict=False)) for known in own))
    return sum(found) // len(found) if found else UINT32_MAX


def test_the_score_is_the_mean_over_the_rows_of_the_distance_to_what_begins_where_they_do():
    domain = Domain(((100, 100, 50), (120, 100, 50), (200, 200, 90)), 20, 0.02, 0)

    def shifted(*rows: tuple[int, int, int]) -> np.ndarray:
        # Behind the beginning stand the age and the rate, which have no part in it.
        return np.array([[[*(v - 128 for v in row), 77, -5] for row in rows]], np.int8)

    empty = (0, 0, 0)
    assert domain.scores(shifted(empty, empty, (103, 104, 50))).tolist() == [25]
    # The second row is near the first prototype, of another beginning, which does not help it.
    assert domain.scores(shifted(empty, (119, 100, 50), (100, 100, 90))).tolist() == [(1 + 2 * 100**2) // 2]
    # A beginning that no prototype has is compared with those of the nearest ones: of two as near with both.
    assert domain.scores(shifted(empty, empty, (200, 200, 71))).tolist() == [0]
    assert domain.scores(shifted(empty, (100, 100, 70), (200, 201, 70))).tolist() == [0]
    assert domain.scores(shifted((100, 100, 50), (101, 100, 50), (101, 100, 50))).tolist() == [0]
    assert domain.scores(shifted(empty, empty, empty)).tolist() == [UINT32_MAX]


def test_numpy_scores_as_the_definition_says(graph: IntGraph):
    domain = graph_ground(graph).domain
    assert domain is not None
    _, windows = inputs(graph, 50, 3)
    drawn = np.random.default_rng(4).integers(-128, 128, (50, *graph.input_tensor.shape)).astype(np.int8)
    for each in (windows, drawn):
        assert domain.scores(each).tolist() == [expected(domain, window) for window in each]


@pytest.mark.parametrize(("context", "charge_rate"), [(SPEC.context, True), (7, False)])
def test_c_scores_as_numpy_does(context: int, charge_rate: bool, tmp_path: Path):
    graph = with_domain(any_window_graph(replace(SPEC, context=context, charge_rate=charge_rate)), LIMIT)
    model = write_c(graph, tmp_path, "soh")
    flags = [*UNDEFINED, "-fsanitize-undefined-trap-on-error", "-fPIC", "-shared", f"-I{model.include_dir}"]
    sources = [tmp_path / "soh.c", *model.kernel_sources]
    call([c_compiler(), *WARNINGS, "-O1", *flags, *sources, "-o", tmp_path / "soh.so"])
    library = ctypes.CDLL(str(tmp_path / "soh.so"))
    library.soh_domain.restype = ctypes.c_uint32
    rng = np.random.default_rng(2)
    shape = graph.input_tensor.shape
    drawn = rng.integers(-128, 128, (300, *shape))
    domain = graph_ground(graph).domain
    assert domain is not None
    assert domain.empty is not None
    drawn[..., START][rng.random(drawn.shape[:2]) < 0.5] = domain.empty - 128
    known = np.array(domain.prototypes)[rng.integers(0, len(domain.prototypes), drawn.shape[:2])] - 128
    drawn[100:200, :, : START + 1] = known[100:200]
    drawn[200:250, :, : START + 1] = np.clip(known[200:250] + rng.integers(-9, 10, known[200:250].shape), -128, 127)
    ends = [np.full((1, *shape), v) for v in (-128, 127)]
    windows = np.concatenate([drawn, *ends]).astype(np.int8)
    found = [library.soh_domain(np.ascontiguousarray(w).ctypes.data_as(ctypes.c_void_p)) for w in windows]
    scores = domain_scores(graph, windows)
    assert scores is not None
    assert found == scores.tolist()
    assert {0, UINT32_MAX} < set(found)


def test_inputs_unlike_the_training_rows_are_refused_and_so_are_those_without_a_charge(graph: IntGraph):
    values, _ = inputs(graph, 200, 5)
    values[..., :START] = np.where(values[..., START : START + 1] > 0, 28_000, 0)
    values[100:, :, 0] = np.where(values[100:, :, START] > 0, 60_000, 0)
    values[-1] = 0
    found = refusals(graph, values, quantize_input(graph, values))
    assert (found[:100] == Refusal.NONE).all()
    assert (found[100:] == Refusal.DOMAIN).all()


def test_prototypes_are_shared_out_over_where_windows_begin():
    rng = np.random.default_rng(1)
    rows = np.column_stack([rng.uniform(0, 255, (900, 2)), np.repeat([54.0, 66.0, 79.0], 300)])
    found = prototypes_by_start(rows, 8)
    assert np.unique(found[:, 2], return_counts=True)[1].tolist() == [3, 3, 2]
    assert found[:, 2].tolist() == sorted(found[:, 2])
    # More beginnings than prototypes: neighbours share one, which lies between them.
    few = prototypes_by_start(rows, 2)
    assert len(few) == 2
    assert 54 < few[0, 2] < 66
    assert few[1, 2] == 79


def test_every_format_carries_it(graph: IntGraph, tmp_path: Path):
    read = [load_model(path) for path in export_model(graph, tmp_path) if path.suffix in (".ebat", ".tflite", ".onnx")]
    save_graph(graph, tmp_path / "own.ebat")
    for found in [*read, load_model(tmp_path / "own.ebat")]:
        assert graph_ground(found) == graph_ground(graph)
    assert len(read) >= 2


def test_a_model_of_one_window_says_nothing_of_it(model_graph_json: dict[str, Any]):
    assert set(model_graph_json["domain"]) == {"prototypes", "limit", "false_alarms"}


@pytest.fixture
def model_graph_json() -> dict[str, Any]:
    ground = graph_ground(any_window_graph())
    return replace(ground, domain=Domain(((1, 2, 3),), 4, 0.02)).to_json()


def test_files_written_before_have_no_score_and_refuse_nothing_by_it():
    graph = any_window_graph()
    values, windows = inputs(graph, 50, 6)
    assert "domain" in graph.meta["ground"]
    del graph.meta["ground"]["domain"]
    assert domain_scores(graph, windows) is None
    assert (refusals(graph, values, windows) == Refusal.NONE).all()


def test_info_shows_it(command: Command, graph: IntGraph, tmp_path: Path):
    save_graph(graph, tmp_path / "any.ebat")
    _, out, _ = command("info", tmp_path / "any.ebat")
    assert f"  domain = 10 prototypes of rows, by where their windows begin, limit {LIMIT}: 2% of the" in out


def test_c_has_it_and_the_estimators_description_asks(graph: IntGraph, tmp_path: Path):
    header = write_c(graph, tmp_path, "soh").files[0].read_text()
    assert f"#define SOH_DOMAIN_LIMIT {LIMIT} " in header
    assert "uint32_t soh_domain(const int8_t *input);" in header
    assert "soh_domain(window) > SOH_DOMAIN_LIMIT" in bms_files(graph, "soh")["soh_bms.c"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"empty": 256}, "0 to 255"),
        ({"empty": -1}, "0 to 255"),
        ({"empty": 1.5}, "32-bit integers"),
        ({"empty": "a"}, "unusable entry 'ground'"),
        ({"empty": None}, "1 prototypes of|10 prototypes of"),
        ({"prototypes": [[1, 2, 3, 4]]}, "1 prototypes of"),
        ({"prototypes": [[1, 2, 3, 4, 5, 6]]}, "1 prototypes of"),
    ],
)
def test_a_damaged_score_is_refused(graph: IntGraph, change: Any, message: str):
    ground = json.loads(json.dumps(graph.meta["ground"]))
    ground["domain"].update(change)
    with pytest.raises(ModelFileError, match=message):
        graph_ground(replace(graph, meta={**graph.meta, "ground": ground}))


def test_a_score_of_other_rows_than_the_model_reads_is_refused(graph: IntGraph):
    task = {**graph.meta["task"], "windows": "one"}
    with pytest.raises(ModelFileError, match="scores rows of any window and reads those of one"):
        graph_ground(replace(graph, meta={**graph.meta, "task": task}))
