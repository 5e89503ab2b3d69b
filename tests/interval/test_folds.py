"""An interval without calibration cells: every cell says how wrong a student is that has not learnt from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.cells import Condition
from edgebat.data.splits import spread_folds
from edgebat.distill.bounds import IntervalSettings, Shown, Unseen, calibrated, with_bounds
from edgebat.errors import DataError, RecipeError
from edgebat.graph import IntGraph, load_graph
from edgebat.graph.origin import graph_interval
from edgebat.interval import interval_of
from edgebat.models import run_int8
from edgebat.runs.ground import GroundSettings
from edgebat.runs.interval import Fold, IntervalCells, at_least_own, bounded, with_interval, with_unseen
from edgebat.runs.recipe import check_recipe
from edgebat.tasks.base import task
from edgebat.tasks.health import HealthWindows
from tests.conftest import tiny_model

SETTINGS = IntervalSettings(coverage=0.9, folds=4)
HEALTH = task("health")


@pytest.fixture
def graph(model_file: Path) -> IntGraph:
    return load_graph(model_file)


def shown(graph: IntGraph, windows: HealthWindows, wrong: np.ndarray) -> Shown:
    """``windows``, of which students that do not know the cell answer ``wrong`` [N] by so much."""
    unseen = Unseen(windows.soh + wrong, windows.cell % SETTINGS.folds)
    return Shown(windows.x, run_int8(graph, windows.x).physical()["soh"], windows.cell, None, unseen)


def many(windows: HealthWindows, copies: int = 6) -> HealthWindows:
    """Four times as many cells as ``copies``."""
    more = [replace(windows, cells=tuple(("MADE_UP", f"{k}-{i}") for i in range(4))) for k in range(copies)]
    joined = more[0]
    for one in more[1:]:
        joined = joined.join(one)
    return joined


def width(graph: IntGraph, windows: HealthWindows) -> float:
    """Median, in points of SOH."""
    found = run_int8(graph, windows.x).values
    return float(np.median(found["soh_high"] - found["soh_low"])) / 100


def test_what_students_err_by_on_unknown_cells_makes_the_interval(graph: IntGraph, windows: HealthWindows) -> None:
    windows = many(windows)
    head = bounded(HEALTH, windows)
    found = {}
    for points in (1.0, 4.0):  # the graph itself is right about these cells to some hundredths
        wrong = np.random.default_rng(3).uniform(-points, points, len(windows)) / 100
        cells = shown(graph, windows, wrong)
        grown = calibrated(with_bounds(graph, head, cells, SETTINGS), head, cells, SETTINGS)
        found[points] = width(grown, windows)
    assert found[1.0] == pytest.approx(1.8, abs=0.5)  # nine tenths of -1 to 1
    assert found[4.0] == pytest.approx(7.2, abs=1.6)


def test_a_cell_that_is_unlike_the_others_moves_the_bounds(graph: IntGraph, windows: HealthWindows) -> None:
    # What rows learnt from the cell itself would not be a surprise to them: its fold is asked about by the others' rows.
    windows = many(windows)
    head = bounded(HEALTH, windows)
    odd = windows.cell % SETTINGS.folds == 2
    wrong = np.random.default_rng(3).uniform(-0.005, 0.005, len(windows)) + 0.06 * odd
    cells = shown(graph, windows, wrong)
    grown = calibrated(with_bounds(graph, head, cells, SETTINGS), head, cells, SETTINGS)
    stated = graph_interval(grown)
    assert stated is not None
    assert stated.shift > 400


def test_each_student_is_asked_about_the_cells_it_does_not_know(
    graph: IntGraph, windows: HealthWindows, tmp_path: Path
) -> None:
    higher = load_graph(tiny_model(replace(windows, soh=windows.soh + np.float32(0.1)), tmp_path / "other.ebat"))
    own, rest = frozenset(windows.cells[:1]), frozenset(windows.cells[1:3])
    head = bounded(HEALTH, windows)
    whole = Shown(windows.x, windows.soh.astype(np.float64), windows.cell)
    found = with_unseen(whole, windows, head, (Fold(higher, own), Fold(graph, rest)))
    assert found.unseen is not None
    assert set(found.cell) == {0, 1, 2}, "a cell in no fold, such as a made-up one, does not count"
    np.testing.assert_array_equal(found.unseen.fold, np.where(found.cell == 0, 0, 1))
    for number, asked in ((0, higher), (1, graph)):
        rows = found.unseen.fold == number
        np.testing.assert_array_equal(found.unseen.estimate[rows], run_int8(asked, found.x[rows]).physical()["soh"])


def test_a_student_whose_teacher_misled_it_is_no_better_than_it_is(graph: IntGraph, windows: HealthWindows) -> None:
    right = run_int8(graph, windows.x).physical()["soh"]
    head, fold = bounded(HEALTH, windows), windows.cell % SETTINGS.folds
    for off, unseen, expected in ((0.05, 0.02, 0.05), (0.005, 0.02, 0.02)):
        found = at_least_own(
            graph, head, Shown(windows.x, right - off, windows.cell, None, Unseen(right - off + unseen, fold))
        )
        assert found.unseen is not None
        assert np.abs(found.unseen.estimate - found.measured) == pytest.approx(expected)
        np.testing.assert_array_equal(found.unseen.fold, fold)


def test_the_file_says_how_it_was_made(graph: IntGraph, windows: HealthWindows) -> None:
    windows = many(windows)
    folds = spread_folds(windows, 4, 1)
    cells = tuple(Fold(graph, frozenset(k for k, n in folds.items() if n == number)) for number in range(4))
    grown = with_interval(graph, HEALTH, IntervalCells(windows, None, windows, cells), SETTINGS, GroundSettings())
    stated = graph_interval(grown)
    assert stated is not None
    assert (stated.cells, stated.folds, stated.widened) == (24, 4, False)
    assert "set on 24 cells, in 4 folds held out in turn" in dict(stated.facts())["interval of soh"]
    older = {key: value for key, value in stated.to_json().items() if key != "folds"}
    assert interval_of({"interval": older}, "older") == replace(stated, folds=0)


# --- which cells are held out together ----------------------------------------------------------------------------------


def test_cells_of_one_condition_are_spread_over_the_folds(windows: HealthWindows) -> None:
    warm = [Condition("MADE_UP", 25.0 if n % 3 else 45.0) for n in range(24)]
    windows = replace(many(windows), conditions=tuple(warm))
    fold = spread_folds(windows, 4, 1)
    for degrees, least in ((25.0, 4), (45.0, 2)):
        own = [fold[key] for key, one in zip(windows.cells, warm, strict=True) if one.temperature_degc == degrees]
        assert np.bincount(own, minlength=4).tolist() == [least] * 4
    assert fold != spread_folds(windows, 4, 2)
    with pytest.raises(DataError, match="24 cells cannot be held out in 25 folds"):
        spread_folds(windows, 25, 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"interval": {"coverage": 0.9, "folds": 1}}, "interval.folds is 1"),
        ({"interval": {"folds": 5}}, "set both, or none"),
        ({"interval": {"coverage": 0.9, "folds": 5}, "data": {"split": {"calibration": 0.2}}}, "leave one of them out"),
    ],
)
def test_a_recipe_asks_for_folds_or_for_calibration_cells(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        check_recipe({"name": "mine", "task": {"name": "health"}, "teacher": {"name": "ic2ml"}, **change})


# --- in a run -----------------------------------------------------------------------------------------------------------

RECIPE = """
name: tiny
data: {synthetic: {cells: 16, max_cycles: 120, seed: 3}, split: {test: 0.3, val: 0.2, seed: 1}}
task: {name: health, context: 10, horizon: 20}
teacher: {name: ic2ml, width: 32, fit: {epochs: 1, samples_per_epoch: 256}}
students: [{kind: mlp, settings: {hidden: [8]}}]
distill: {blends: 1, learn_from_val: true, fit: {epochs: 1, samples_per_epoch: 256, patience: 1, keep: last}}
interval: {coverage: 0.9, folds: 3}
"""


def test_students_of_a_run_are_asked_about_all_cells_they_learn_from(command: Any, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    code, _, err = command("quantize", tmp_path / "tiny.yaml", "--runs", tmp_path)
    assert code == 0, err
    models = tmp_path / "tiny" / "models"
    assert {f"mlp_fold{n}.safetensors" for n in (1, 2, 3)} <= {path.name for path in models.iterdir()}
    weights = {(models / f"mlp{end}.safetensors").read_bytes() for end in ("_alone", "_fold1", "_fold2", "_fold3")}
    assert len(weights) == 4
    for name in ("mlp", "mlp_alone"):
        graph = load_graph(models / f"{name}.ebat")
        stated = graph_interval(graph)
        assert stated is not None
        held_out = stated.held_out[0].cells
        assert (stated.folds, stated.known_to_teacher) == (3, 0)
        assert stated.cells <= 16 - held_out
        assert stated.cells >= 9, "all training and validation cells but those whose windows are all refused"
