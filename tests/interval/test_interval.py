"""The interval around an estimate: learnt on the finished head, calibrated by cell, in order, equal everywhere."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.data.splits import split_windows
from edgebat.distill.bounds import IntervalSettings, Shown, calibrated, pinball, with_bounds
from edgebat.errors import DataError, ModelFileError, RecipeError
from edgebat.formats.c.border import read_border
from edgebat.formats.c.write import write_c
from edgebat.formats.export import export_model
from edgebat.graph import IntGraph, load_graph
from edgebat.graph.origin import graph_interval
from edgebat.interval import Interval, calibrated_shift, covered, needed_cells
from edgebat.models import load_model, predict_int8, run_int8, to_ppm
from edgebat.predict import as_dict, as_table, predict_windows
from edgebat.runs.ground import GroundSettings
from edgebat.runs.interval import IntervalCells, bounded, with_interval
from edgebat.runs.recipe import check_recipe
from edgebat.runtime import Engine, outputs_in_units, quantize_input
from edgebat.tasks.base import task
from edgebat.tasks.health import HealthWindows
from tests.c_host import UNDEFINED, WARNINGS, c_compiler, call

SETTINGS = IntervalSettings(coverage=0.9)
HEALTH = task("health")


def shown(windows: HealthWindows) -> Shown:
    return Shown(windows.x, windows.soh.astype(np.float64), windows.cell)


def like(windows: HealthWindows, seed: int, name: str) -> HealthWindows:
    """Twelve more cells like the four of ``windows``; the model is a little wrong about each, in its own way."""
    rng = np.random.default_rng(seed)
    more = [windows.take(np.arange(40)) for _ in range(3)]
    more = [replace(one, cells=tuple(("MADE_UP", f"{name}{k}-{i}") for i in range(4))) for k, one in enumerate(more)]
    joined = more[0].join(more[1]).join(more[2])
    soh = joined.soh + rng.normal(0, 0.01, 12)[joined.cell] + rng.normal(0, 0.005, len(joined))
    return replace(joined, soh=soh.astype(np.float32))


@pytest.fixture
def cells(windows: HealthWindows) -> IntervalCells:
    """Cells that teach, calibrate and test; names of their own."""
    return IntervalCells(*(like(windows, seed, name) for seed, name in enumerate(("train", "calibration", "test"), 1)))


@pytest.fixture
def bare(model_file: Path) -> IntGraph:
    return load_graph(model_file)


@pytest.fixture
def graph(bare: IntGraph, cells: IntervalCells) -> IntGraph:
    return with_interval(bare, HEALTH, cells, SETTINGS, GroundSettings())


def test_the_estimate_stays_what_it_is(bare: IntGraph, graph: IntGraph, cells: IntervalCells):
    before, after = run_int8(bare, cells.test.x), run_int8(graph, cells.test.x)
    assert list(after.values) == [*before.values, "soh_low", "soh_high"]
    for name, values in before.values.items():
        np.testing.assert_array_equal(after.values[name], values)
    np.testing.assert_array_equal(graph.nodes[-1].weight[:-2], bare.nodes[-1].weight)  # type: ignore[attr-defined]


def test_the_interval_holds_on_cells_nobody_has_seen(graph: IntGraph):
    stated = graph_interval(graph)
    assert stated is not None
    assert (stated.head, stated.nominal, stated.cells, stated.widened) == ("soh", 0.9, 12, False)
    whole = stated.held_out[0]
    assert (whole.group, whole.cells) == ("", 12)
    assert whole.coverage > 0.7  # of 12 cells, each wrong in its own way
    assert whole.worst <= whole.coverage
    assert dict(stated.facts())["interval held"].startswith(f"{whole.coverage:.1%} on 12 held-out cells")


def test_a_bound_never_lies_on_the_wrong_side(graph: IntGraph):
    info = np.iinfo(graph.output_tensor.dtype)
    shape = (500, *graph.output_tensor.shape)
    y = np.random.default_rng(1).integers(info.min, info.max + 1, shape).astype(graph.output_tensor.dtype)
    found = outputs_in_units(graph, y)
    assert (found["soh_low"] <= found["soh"]).all()
    assert (found["soh"] <= found["soh_high"]).all()
    assert (found["soh_low"] == found["soh"]).any()  # some rows of the head disagree; the border keeps the order


def test_every_file_and_the_c_functions_give_the_same_bounds(graph: IntGraph, cells: IntervalCells, tmp_path: Path):
    x = quantize_input(graph, to_ppm(cells.test.x[:64]))
    y = Engine(graph).run(x)
    export_model(graph, tmp_path)
    for suffix in ("tflite", "onnx"):
        read = load_model(tmp_path / f"{graph.name}.{suffix}")
        np.testing.assert_array_equal(Engine(read).run(x), y)
        assert graph_interval(read) == graph_interval(graph)
        assert read.meta["outputs"] == graph.meta["outputs"]
    model = write_c(graph, tmp_path / "c", "tiny")
    flags = [*UNDEFINED, "-fsanitize-undefined-trap-on-error", "-fPIC", "-shared", f"-I{model.include_dir}"]
    sources = [tmp_path / "c" / "tiny.c", *model.kernel_sources]
    call([c_compiler(), *WARNINGS, "-O1", *flags, *sources, "-o", tmp_path / "tiny.so"])
    library = ctypes.CDLL(str(tmp_path / "tiny.so"))
    rows = np.concatenate([y, np.random.default_rng(2).integers(-32768, 32768, y.shape).astype(y.dtype)])
    wanted = outputs_in_units(graph, rows)
    for i, row in enumerate(rows):
        output = row.ctypes.data_as(ctypes.c_void_p)
        for name in ("soh", "soh_low", "soh_high"):
            assert getattr(library, f"tiny_{name}")(output) == wanted[name][i, 0]
    header = model.files[0].read_text()
    assert "#define TINY_INTERVAL_NOMINAL_PERMILLE 900 " in header
    assert "#define TINY_INTERVAL_CELLS 12 " in header
    assert "/** soh_low in cpct, never above soh. */" in header


def test_predict_prints_the_interval(graph: IntGraph, cells: IntervalCells):
    prediction = predict_windows(graph, cells.test.x[:3].astype(np.float64))
    window = as_dict(graph, prediction)["windows"][0]
    assert window["soh_low_percent"] <= window["soh_percent"] <= window["soh_high_percent"]
    assert as_table(graph, prediction).splitlines()[0].split()[-2:] == ["low", "high"]


def test_where_a_device_refuses_there_is_no_interval(graph: IntGraph, cells: IntervalCells):
    strange = replace(cells.test, x=cells.test.x + np.float32(0.5))
    found = predict_int8(graph, strange)
    assert np.isnan(found["soh_low"]).all()
    assert np.isfinite(found["soh"]).all()


# --- how it is learnt and calibrated ------------------------------------------------------------------------------------


def test_quantiles_follow_what_tells_errors_apart():
    rng = np.random.default_rng(3)
    hidden = rng.uniform(0, 1, (4000, 2))
    error = rng.normal(0, 0.2 + hidden[:, 0])
    weights, constant = pinball(hidden, error, np.full(4000, 1 / 4000), 0.95)
    assert weights[0] == pytest.approx(1.645, abs=0.25)
    assert abs(weights[1]) < 0.25
    assert constant == pytest.approx(0.33, abs=0.2)


def test_a_value_that_hardly_moves_gets_no_weight_without_measure():
    rng = np.random.default_rng(6)
    hidden = np.stack([rng.uniform(0, 1, 4000), np.where(np.arange(4000) == 7, 0.01, 0.0)], axis=1)
    error = rng.normal(0, 1, 4000) + 500.0 * hidden[:, 1]
    weights, constant = pinball(hidden, error, np.full(4000, 1 / 4000), 0.95)
    assert abs(weights[1]) < 10
    assert abs(constant) < 10


def test_an_ensembles_spread_can_teach_the_bounds():
    hidden, error = np.random.default_rng(4).uniform(0, 1, (500, 1)), np.zeros(500)
    weights, constant = pinball(hidden, error, np.full(500, 1 / 500), 0.95, (2.0 * hidden[:, 0], 1.0))
    assert weights @ [1.0] + constant == pytest.approx(2.0, abs=0.4)


def test_windows_of_one_cell_do_not_count_as_many_cells():
    """One cell of ten is ten times as wrong, and has a hundred times the windows."""
    scores = np.concatenate([np.full(10, float(n)) for n in range(9)] + [np.full(1000, 50.0)])
    cell = np.concatenate([np.full(10, n) for n in range(9)] + [np.full(1000, 9)])
    shift, _ = calibrated_shift(scores, cell, 0.75)
    assert shift == 7.0


def test_a_new_cell_is_covered_as_often_as_promised():
    rng, shares = np.random.default_rng(5), []
    for _ in range(300):
        level = rng.normal(0, 1, 13)
        scores = np.abs(level[:, None] + rng.normal(0, 1, (13, 40)))
        shift, few = calibrated_shift(scores[:12].ravel(), np.repeat(np.arange(12), 40), 0.9)
        assert not few
        shares.append((scores[12] <= shift).mean())
    assert 0.88 < np.mean(shares) < 0.95


def test_with_few_cells_the_interval_is_wider_and_says_so():
    assert needed_cells(0.9) == 9
    scores, cell = np.repeat(np.arange(8.0), 5), np.repeat(np.arange(8), 5)
    shift, few = calibrated_shift(scores, cell, 0.9)
    assert few
    assert shift > 7.0
    assert "so few" in Interval("soh", "fraction", 0.9, 8, 700, True).facts()[0][1]
    assert calibrated_shift(np.array([1.0, 2.0]), np.zeros(2), 0.9) == (4.0, True)


def test_coverage_is_a_mean_over_cells_and_names_the_worst():
    low, high, measured = np.zeros(6), np.ones(6), np.array([0.5, 0.5, 0.5, 2.0, 2.0, np.nan])
    found = covered(low, high, measured, np.array([0, 0, 1, 1, 1, 1]))
    assert found is not None
    assert (found.cells, found.windows, found.coverage, found.worst) == (
        2,
        5,
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
    )
    assert covered(low, high, np.full(6, np.nan), np.zeros(6)) is None


def test_without_a_label_no_interval_is_learnt(bare: IntGraph, cells: IntervalCells):
    blind = replace(shown(cells.train), measured=np.full(len(cells.train), np.nan))
    head = bounded(HEALTH, cells.train)
    with pytest.raises(DataError, match="no window of these cells has a measured label"):
        with_bounds(bare, head, blind, SETTINGS)
    grown = with_bounds(bare, head, shown(cells.train), SETTINGS)
    with pytest.raises(DataError, match="no window of these cells"):
        calibrated(grown, head, blind, SETTINGS)


# --- the split and the recipe -------------------------------------------------------------------------------------------


def test_calibration_cells_come_out_of_the_training_part(cells: IntervalCells):
    how: dict[str, Any] = {"by": "condition", "test": 0.25, "val": 0.15, "seed": 1}
    plain, split = (split_windows(cells.train, **how, calibration=share) for share in (0.0, 0.3))
    assert plain.calibration == ()
    assert (split.test, split.val) == (plain.test, plain.val)
    assert sorted(split.train + split.calibration) == list(plain.train)
    assert len(split.calibration) == round(0.3 * len(plain.train))
    assert split.hash != plain.hash
    assert "calibration cells" in split.strategy
    with pytest.raises(DataError, match="at least 2 must go on teaching"):
        split_windows(cells.train, **how, calibration=0.9)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"interval": {"coverage": 0.9}}, "set both, or none"),
        ({"data": {"split": {"calibration": 0.2}}}, "set both, or none"),
        ({"interval": {"coverage": 0.2}}, "interval.coverage is 0.2"),
        ({"interval": {"spread": 2.0}}, "interval.spread is 2.0"),
    ],
)
def test_a_recipe_says_both_or_none(change: dict[str, Any], reason: str):
    with pytest.raises(RecipeError, match=reason):
        check_recipe({"name": "mine", "task": {"name": "health"}, "teacher": {"name": "ic2ml"}, **change})


# --- files from outside -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"nominal": 2.0}, {"unit": "volts"}, {"held_out": [{}]}, {"cells": None}])
def test_a_damaged_statement_is_refused(graph: IntGraph, change: dict[str, Any]):
    meta = {**graph.meta, "interval": {**graph.meta["interval"], **change}}
    with pytest.raises(ModelFileError, match="unusable entry 'interval'"):
        graph_interval(replace(graph, meta=meta))


@pytest.mark.parametrize("change", [{"of": "nothing"}, {"bound": "sideways"}, {"of": "soh_low"}])
def test_a_bound_of_nothing_is_refused(graph: IntGraph, change: dict[str, Any]):
    *outputs, last = graph.meta["outputs"]
    broken = replace(graph, meta={**graph.meta, "outputs": [*outputs, {**last, **change}]})
    with pytest.raises(ModelFileError, match="no bound of"):
        read_border(broken)
    with pytest.raises(ModelFileError, match="no bound of"):
        run_int8(broken, np.zeros((1, *graph.input_tensor.shape)))
