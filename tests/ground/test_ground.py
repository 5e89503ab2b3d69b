"""What a model says of its ground: in its files, to people, in C; and the domain score, equal everywhere."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.cells import Condition
from edgebat.errors import ModelFileError, RecipeError
from edgebat.formats.c.bms import bms_files
from edgebat.formats.c.write import write_c
from edgebat.formats.export import export_model
from edgebat.graph import IntGraph, load_graph
from edgebat.graph.origin import graph_ground
from edgebat.ground import Domain, RowLimits, ground_of
from edgebat.models import load_model, to_ppm
from edgebat.runs.ground import GroundSettings, measured_ground, prototypes
from edgebat.runtime import quantize_input
from edgebat.runtime.refusal import Refusal, domain_scores, refusals, row_limits
from edgebat.tasks.base import task
from edgebat.tasks.health import HealthWindows
from tests.c_host import UNDEFINED, WARNINGS, c_compiler, call

Command = Callable[..., tuple[int, str, str]]
NCA = Condition("MADE_UP", 25.0, "CC 0.5C to 4.2 V", 0.5, "NCA/graphite")


def with_ground(graph: IntGraph, windows: HealthWindows, **settings: Any) -> IntGraph:
    """``graph`` as a run leaves it that has learnt from ``windows`` of NCA cells charged at 0.5C."""
    windows = replace(windows, conditions=(NCA,) * len(windows.cells))
    field = {"sigma_cpct": 100, "temperature_ddegc": [200, 300]}
    graph = replace(graph, meta={**graph.meta, "field": field})
    ground = measured_ground(graph, task("health"), windows, windows, GroundSettings(**settings))
    return replace(graph, meta={**graph.meta, "ground": json.loads(json.dumps(ground))})


@pytest.fixture
def graph(model_file: Path, windows: HealthWindows) -> IntGraph:
    return with_ground(load_graph(model_file), windows)


def test_the_ground_is_what_the_training_cells_are(graph: IntGraph, windows: HealthWindows):
    ground = graph_ground(graph)
    assert ground.train.cells == ground.val.cells == 4
    assert ground.train.chemistries == ("NCA/graphite",)
    assert ground.train.charge_rates_c == (0.5,)
    assert ground.train.temperatures_degc == (25.0,)
    assert ground.train.soh == pytest.approx((windows.soh.min(), windows.soh.max()), abs=1e-4)
    assert ground.train.cycles == (3, 12)
    assert ground.voltage_v == (3.6, 3.7)
    # Ten per cent of a rate are a charger's tolerance; temperatures are those of the estimator's gate.
    assert ground.rows.rates_mc == ((450, 550),)
    assert ground.rows.temperature_ddegc == (200, 300)


def test_what_sources_do_not_state_is_not_stated_and_refuses_nothing(model_file: Path, windows: HealthWindows):
    conditions = (NCA, *(Condition("MADE_UP"),) * 3)
    silent = replace(windows, conditions=conditions)
    ground = ground_of(
        {"ground": measured_ground(load_graph(model_file), task("health"), silent, silent, GroundSettings())}, "tiny"
    )
    facts = dict(ground.facts())
    assert facts["charge rates, C"] == "0.5 (3 of 4 cells: not stated)"
    assert facts["charge rates taken"] == "not stated, none is refused"
    assert ground.rows.refusal(np.array(ground.rows.low_ppm), rate_c=3.0, degc=-20.0) == ""


def test_between_two_rates_nothing_is_known(model_file: Path, windows: HealthWindows):
    rates = (0.25, 0.5, 0.55, 1.0)
    conditions = tuple(Condition("MADE_UP", 25.0, "CC", rate) for rate in rates)
    found = measured_ground(
        load_graph(model_file), task("health"), replace(windows, conditions=conditions), windows, GroundSettings()
    )
    rows = ground_of({"ground": found}, "tiny").rows
    assert rows.rates_mc == ((225, 275), (450, 605), (900, 1100))
    assert [rows.knows_rate(rate) for rate in (0.25, 0.35, 0.6, 0.75, 1.0, 1.2)] == [1, 0, 1, 0, 1, 0]


def test_limits_of_a_row_lie_a_little_beyond_the_training_rows(model_file: Path, windows: HealthWindows):
    graph = with_ground(load_graph(model_file), windows, noise_mv=0.0)
    limits = graph_ground(graph).rows
    rows = to_ppm(windows.x).reshape(-1, windows.x.shape[-1])
    assert ((rows >= limits.low_ppm) & (rows <= limits.high_ppm)).all()
    width = np.ptp(rows, axis=0)
    assert (np.array(limits.low_ppm) > rows.min(axis=0) - 0.3 * width).all()
    assert (np.array(limits.high_ppm) < rows.max(axis=0) + 0.3 * width).all()
    # A file that states no ground has the range of its int8 input instead.
    clipped = row_limits(replace(graph, meta={**graph.meta, "ground": None}))
    assert clipped.low_ppm != limits.low_ppm


@pytest.mark.parametrize(
    ("rate_c", "degc", "column", "reason"),
    [
        (None, None, 0, ""),
        (0.5, 25.0, 0, ""),
        (1.0, 25.0, 0, "at another rate than those it has learnt from, 0.45 to 0.55 C"),
        (0.5, -10.0, 0, "outside 20 to 30 degC"),
        (0.5, 25.0, 500, "unlike those of the training cells"),
    ],
)
def test_a_refusal_says_why(rate_c: float | None, degc: float | None, column: int, reason: str):
    limits = RowLimits((-100, -100), (100, 100), ((450, 550),), (200, 300))
    found = limits.refusal(np.array([column, 0]), rate_c, degc)
    assert reason in found
    assert bool(found) == bool(reason)


def test_the_score_is_the_squared_distance_of_the_mean_row_to_the_nearest_prototype():
    domain = Domain(((128, 128), (138, 128)), 20, 0.02)
    windows = np.array([[[0, 0], [0, 0]], [[4, 3], [5, 3]], [[9, 0], [10, -1]]], np.int8)
    # Means, a half rounded up: (0, 0), (4.5 -> 5, 3), (9.5 -> 10, -0.5 -> 0).
    assert domain.scores(windows).tolist() == [0, 34, 0]


def test_windows_of_another_kind_are_outside_and_training_windows_are_not(graph: IntGraph, windows: HealthWindows):
    ppm = to_ppm(windows.x)
    known = refusals(graph, ppm, quantize_input(graph, ppm))
    # Half of the validation windows were seen with noise, and 2 % of them may lie outside.
    assert (known == Refusal.NONE).mean() >= 0.9
    # Within the limits of every single value, and in the shape of no training cell.
    low, high = (np.array(v) for v in (graph_ground(graph).rows.low_ppm, graph_ground(graph).rows.high_ppm))
    strange = np.broadcast_to(np.where(np.arange(len(low)) % 2, low, high), ppm[:1].shape)
    assert refusals(graph, strange, quantize_input(graph, strange)).tolist() == [Refusal.DOMAIN]
    beyond = np.broadcast_to(high + 1, ppm[:1].shape)
    assert refusals(graph, beyond, quantize_input(graph, beyond)).tolist() == [Refusal.ROW]


def test_prototypes_are_few_whole_rows_near_all_others():
    rows = np.repeat(np.array([[10.0, 200.0], [90.0, 20.0], [250.0, 250.0]]), 50, axis=0)
    assert prototypes(rows, 8).tolist() == [[10, 200], [90, 20], [250, 250]]
    assert len(prototypes(np.random.default_rng(1).uniform(0, 255, (500, 4)), 32)) == 32


@pytest.fixture
def library(graph: IntGraph, tmp_path: Path) -> ctypes.CDLL:
    model = write_c(graph, tmp_path, "soh")
    flags = [*UNDEFINED, "-fsanitize-undefined-trap-on-error", "-fPIC", "-shared", f"-I{model.include_dir}"]
    sources = [tmp_path / "soh.c", *model.kernel_sources]
    call([c_compiler(), *WARNINGS, "-O1", *flags, *sources, "-o", tmp_path / "soh.so"])
    return ctypes.CDLL(str(tmp_path / "soh.so"))


def test_c_scores_as_numpy_does(graph: IntGraph, library: ctypes.CDLL):
    rng = np.random.default_rng(2)
    drawn = rng.integers(-128, 128, (200, *graph.input_tensor.shape))
    ends = [np.full((1, *graph.input_tensor.shape), v) for v in (-128, 127)]
    windows = np.concatenate([drawn, drawn // 16, *ends]).astype(np.int8)
    library.soh_domain.restype = ctypes.c_uint32
    found = [library.soh_domain(np.ascontiguousarray(w).ctypes.data_as(ctypes.c_void_p)) for w in windows]
    scores = domain_scores(graph, windows)
    assert scores is not None
    assert found == scores.tolist()


def test_c_knows_the_same_rates(graph: IntGraph, library: ctypes.CDLL):
    rows = graph_ground(graph).rows
    for rate_mc in (-1, 0, 449, 450, 500, 550, 551, 2**31 - 1):
        assert library.soh_knows_rate(rate_mc) == rows.knows_rate(rate_mc / 1000)


def test_the_header_carries_the_ground_as_values(graph: IntGraph, tmp_path: Path):
    header = write_c(graph, tmp_path, "soh").files[0].read_text()
    ground = graph_ground(graph)
    assert ground.domain is not None
    for line in (
        "#define SOH_GROUND_CELLS 4 ",
        "#define SOH_GROUND_MIN_RATE_MC 450 ",
        "#define SOH_GROUND_MAX_RATE_MC 550 ",
        "#define SOH_GROUND_MIN_DDEGC 200 ",
        f"#define SOH_DOMAIN_LIMIT {ground.domain.limit} ",
        " * chemistries: NCA/graphite",
        "uint32_t soh_domain(const int8_t *input);",
    ):
        assert line in header
    # The limits of a row are those of the estimator's description.
    assert ", ".join(map(str, ground.rows.low_ppm)) in bms_files(graph, "soh")["soh_bms.c"]


def test_a_chemistry_cannot_end_the_comment_of_the_header(graph: IntGraph, tmp_path: Path):
    ground = {**graph.meta["ground"], "train": {**graph.meta["ground"]["train"], "chemistries": ["*/ int x; /* \n#"]}}
    header = write_c(replace(graph, meta={**graph.meta, "ground": ground}), tmp_path, "soh").files[0].read_text()
    assert "chemistries: _/ int x; /_ __" in header


def test_every_format_carries_it(graph: IntGraph, tmp_path: Path):
    for path in export_model(graph, tmp_path):
        if path.suffix in (".tflite", ".onnx"):
            assert graph_ground(load_model(path)) == graph_ground(graph)


def test_info_shows_it(command: Command, graph: IntGraph, model_file: Path, tmp_path: Path):
    from edgebat.graph import save_graph

    save_graph(graph, tmp_path / "soh.ebat")
    _, out, _ = command("info", tmp_path / "soh.ebat")
    assert "  charge rates taken = 0.45 to 0.55 C" in out
    assert "  domain = " in out
    assert "2% of the validation cells' windows lie outside" in out
    _, out, _ = command("info", tmp_path / "soh.ebat", "--json")
    assert json.loads(out)["ground"]["chemistries"] == "NCA/graphite"
    # Files written before this was known go on opening, and say so.
    _, out, _ = command("info", model_file)
    assert "  ground = not stated" in out


@pytest.mark.parametrize(
    "change",
    [
        "nonsense",
        {"rows": {}},
        {"rows": {"low_ppm": [5], "high_ppm": [4], "rates_mc": [], "temperature_ddegc": None}},
        {"rows": {"low_ppm": [1.5], "high_ppm": [4], "rates_mc": [], "temperature_ddegc": None}},
        {"rows": {"low_ppm": [], "high_ppm": [], "rates_mc": [[2, 1]], "temperature_ddegc": None}},
        {"domain": {"prototypes": [[1, 2, 3, 256]], "limit": 1, "false_alarms": 0.1}},
        {"domain": {"prototypes": [[1, 2]], "limit": 1, "false_alarms": 0.1}},
        {"domain": {"prototypes": [[1, 2, 3, 4]] * 33, "limit": 1, "false_alarms": 0.1}},
        {"train": {"cells": "many"}},
    ],
)
def test_a_damaged_ground_is_refused(graph: IntGraph, change: Any):
    ground = {**graph.meta["ground"], **change} if isinstance(change, dict) else change
    with pytest.raises(ModelFileError, match="unusable entry 'ground'"):
        graph_ground(replace(graph, meta={**graph.meta, "ground": ground}))


def test_limits_of_another_number_of_columns_are_refused(graph: IntGraph):
    rows = {"low_ppm": [1], "high_ppm": [2], "rates_mc": [], "temperature_ddegc": None}
    other = replace(graph, meta={**graph.meta, "ground": {**graph.meta["ground"], "rows": rows, "domain": None}})
    with pytest.raises(ModelFileError, match="limits 1 columns and reads 4"):
        graph_ground(other)


@pytest.mark.parametrize(
    "settings", [{"prototypes": 33}, {"false_alarms": 0.0}, {"quantile": 0.4}, {"noise_mv": -1.0}, {"margin": -0.1}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]):
    with pytest.raises(RecipeError, match=f"ground.{next(iter(settings))}"):
        GroundSettings(**settings)  # type: ignore[arg-type]


def test_without_prototypes_there_is_no_domain(model_file: Path, windows: HealthWindows, tmp_path: Path):
    graph = with_ground(load_graph(model_file), windows, prototypes=0)
    assert domain_scores(graph, np.zeros((1, *graph.input_tensor.shape), np.int8)) is None
    assert "soh_domain" not in "".join(path.read_text() for path in write_c(graph, tmp_path, "soh").files)
