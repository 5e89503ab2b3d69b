"""More windows: of cells at another pace, with noise, of a second corpus, of drawn curves; who labels and sees them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("pandas")
from edgebat.cells import CapacityHistory, Condition  # noqa: E402
from edgebat.data.splits import Split  # noqa: E402
from edgebat.distill.more_windows import WithMore, true_windows, with_label  # noqa: E402
from edgebat.errors import RecipeError  # noqa: E402
from edgebat.runs.more import more_windows  # noqa: E402
from edgebat.runs.recipe import check_recipe  # noqa: E402
from edgebat.tasks.base import Loaded, task  # noqa: E402
from edgebat.tasks.forecast.paced import paced  # noqa: E402
from edgebat.tasks.life.paced import paced as slower  # noqa: E402
from edgebat.tasks.more import MoreWindows  # noqa: E402
from edgebat.teachers.diffbatt.cells import fleet_of  # noqa: E402
from tests.life_cells import SMALL, made_up_windows  # noqa: E402

FORECAST = {
    "name": "forecast",
    "context": 24,
    "horizon": 12,
    "seen_cycles": 12,
    "group": 4,
    "min_history": 12,
    "stride": 4,
}


def written_corpus(folder, names: list[str], dataset: str, fade: float = 0.001):
    """A corpus folder of cells that fade evenly, each a little faster than the one before."""
    import pandas as pd

    cycle, rows = np.arange(1, 121), []
    for n, name in enumerate(names):
        capacity = 2.0 * (1.0 - fade * (1 + 0.1 * n) * cycle)
        rows.append(pd.DataFrame({"dataset": dataset, "cell_id": name, "cycle": cycle, "discharge_capacity_ah": capacity,
                                  "label_kind": "measured", "outlier": False}))  # fmt: skip
    folder.mkdir()
    pd.concat(rows).to_parquet(folder / "capacity.parquet")
    cells = pd.DataFrame({"dataset": dataset, "cell_id": names, "nominal_capacity_ah": 2.0, "quality": "A"})
    cells.to_csv(folder / "cells.csv", index=False)
    return folder


def recipe_with(**more):
    """A forecast recipe with these more windows."""
    return check_recipe(
        {"name": "more", "task": FORECAST, "data": {"source": "corpus", "more": more},
         "teacher": {"file": "export/zoo/teachers/battery_timer/synthetic.safetensors"}}
    )  # fmt: skip


@pytest.fixture
def bench(tmp_path):
    """(what was loaded, its split) of six cells."""
    corpus = written_corpus(tmp_path / "own", list("abcdef"), "OWN")
    forecast = task("forecast")
    loaded = forecast.load(corpus, forecast.spec(FORECAST))
    keys = [("OWN", name) for name in "abcdef"]
    return loaded, Split(tuple(keys[:4]), (keys[4],), (keys[5],), "by hand")


def test_a_paced_cell_has_its_capacities_at_stretched_cycles() -> None:
    cycle = np.arange(5, 105)
    cell = CapacityHistory(("OWN", "a"), "", Condition("OWN"), 1.0, cycle, 1.0 - 0.002 * cycle)
    slow = paced(cell, 1.5)
    assert slow.key == ("OWN", "a x1.5000")
    assert (slow.cycle[0], slow.cycle[-1]) == (5, 5 + round(99 * 1.5))
    np.testing.assert_array_equal(slow.capacity, cell.capacity)
    fast = paced(cell, 0.5)
    assert np.all(np.diff(fast.cycle) == 1)
    assert fast.capacity[10] == pytest.approx(cell.capacity[20], abs=0.003)


def test_a_slower_life_is_longer_and_its_matrix_changes_less() -> None:
    windows = made_up_windows(3)
    made = slower(windows, np.array([1.0, 1.5, 2.0]))
    np.testing.assert_allclose(made.x[0], windows.x[0], atol=1e-6)
    np.testing.assert_array_equal(made.curve[0], windows.curve[0])
    np.testing.assert_allclose(made.life, windows.life * [1.0, 1.5, 2.0])
    # The made-up cells' Q(V) sinks evenly, so that a cell twice as slow has sunk half as far.
    change = windows.x[2, -1] - windows.x[2, 5]
    np.testing.assert_allclose(made.x[2, -1] - made.x[2, 5], change / 2, rtol=0.02, atol=1e-6)
    assert (made.curve[2] > 0).sum() >= 1.9 * (windows.curve[2] > 0).sum() - 2
    np.testing.assert_allclose(made.x[2, SMALL.base_cycle - 1], 0.0, atol=1e-6)


def test_paced_cells_teach_beside_the_training_cells_and_are_labelled_as_they_are(bench) -> None:
    loaded, split = bench
    more = more_windows(recipe_with(paced=2, pace=1.3), loaded, split)
    assert {cell.partition(" ")[0] for _, cell in more.cells} == {"a", "b", "c", "d"}
    assert len(more.cells) == 8
    train = loaded.windows.select(cells=split.train)
    both = WithMore.numbered(train, more, strangers=True)
    assert both.more.cell.min() == len(train.cells)
    assert true_windows(both.more, train).digest() == both.more.digest()
    assert len(with_label(both.more)) == len(more)


def test_a_noisy_window_is_labelled_by_the_one_without_noise(bench) -> None:
    loaded, split = bench
    more = more_windows(recipe_with(noisy=2, noise=0.01), loaded, split)
    train = loaded.windows.select(cells=split.train)
    assert len(more) == 2 * len(train)
    both = WithMore.numbered(train, more, strangers=True)
    np.testing.assert_array_equal(true_windows(both.more, train).x[: len(train)], train.x)
    known = np.isfinite(train.x)
    assert np.std((both.more.x[: len(train)] - train.x)[known]) == pytest.approx(0.01, rel=0.1)
    np.testing.assert_array_equal(both.more.y[: len(train)], train.y)


def test_noise_in_mv_is_that_of_a_task_that_measures_a_voltage(bench) -> None:
    with pytest.raises(RecipeError, match="measures no voltage"):
        more_windows(recipe_with(noisy=1, noise_mv=0.5), *bench)


def test_life_windows_are_copied_too() -> None:
    life = task("life")
    windows = made_up_windows(4)
    made = life.more_windows(Loaded(windows, "made", True, ""), SMALL, MoreWindows(paced=2))
    assert len(made) == 8
    assert len(set(made.cells)) == 8
    both = WithMore.numbered(windows, made, strangers=True)
    assert true_windows(both.more, windows).digest() == made.digest()
    noisy = WithMore.numbered(windows, windows.noisy(0.001, np.random.default_rng(1)), strangers=True)
    np.testing.assert_array_equal(true_windows(noisy.more, windows).x, windows.x)


def test_a_second_corpus_gives_cells_that_are_neither_known_nor_tested(bench, tmp_path) -> None:
    loaded, split = bench
    corpus = written_corpus(tmp_path / "more", ["a", "f", "x", "y"], "OWN", fade=0.002)
    found = more_windows(recipe_with(corpus=str(corpus)), loaded, split)
    assert set(found.cells) == {("OWN", "x"), ("OWN", "y")}
    assert np.isfinite(found.y).any()
    unlabelled = more_windows(recipe_with(corpus=str(corpus), corpus_labels=False), loaded, split)
    assert np.isnan(unlabelled.y).all()
    np.testing.assert_array_equal(unlabelled.x, found.x)
    assert len(with_label(unlabelled)) == 0


def test_simulated_cells_of_a_second_corpus_count_as_made_up(bench, tmp_path) -> None:
    """So that ``made_up_share`` and ``finish`` mean them too."""
    loaded, split = bench
    corpus = written_corpus(tmp_path / "simulated", ["c1"], "SIM_NMC", fade=0.002)
    assert more_windows(recipe_with(corpus=str(corpus)), loaded, split).made_up.all()
    assert not loaded.windows.made_up.any()


def test_a_tested_cell_under_another_name_is_not_learnt_from(bench, tmp_path) -> None:
    loaded, split = bench
    twins = written_corpus(tmp_path / "twins", ["p", "q", "r", "s", "t", "u"], "OTHER")
    with pytest.raises(RecipeError, match=r"data\.more\.corpus .* in the data already"):
        more_windows(recipe_with(corpus=str(twins)), loaded, split)


def test_drawn_curves_become_windows_that_nobody_has_measured(bench) -> None:
    loaded, split = bench
    found = more_windows(recipe_with(drawn=2, drawn_steps=5), loaded, split)
    assert set(found.dataset) == {"synthetic-diffbatt"}
    assert np.isnan(found.y).all()
    assert np.isfinite(found.x[:, -1]).all()
    assert found.made_up.all()
    again = more_windows(recipe_with(drawn=2, drawn_steps=5), loaded, split)
    assert again.digest() == found.digest()
    assert more_windows(recipe_with(drawn=2, drawn_steps=5, seed=2), loaded, split).digest() != found.digest()


def test_a_drawn_curve_is_a_cell_until_it_ends() -> None:
    curves = np.array([[1.0, 0.9, 0.8, 0.1], [0.2, 0.1, 0.0, 0.0]], dtype=np.float32)
    fleet = fleet_of(curves, SMALL, "two curves")
    (only,) = fleet.histories()
    assert (only.cycle[0], only.cycle[-1]) == (1, 161)
    assert only.capacity_ah[40] == pytest.approx(0.95, abs=1e-3)


def test_a_teacher_that_draws_no_cells_says_so(bench) -> None:
    loaded, split = bench
    recipe = recipe_with(drawn=1, drawn_by="export/zoo/teachers/battery_timer/synthetic.safetensors")
    with pytest.raises(RecipeError, match="draws no cells"):
        more_windows(recipe, loaded, split)


@pytest.mark.parametrize(
    "wrong", [{"paced": -1}, {"pace": 1.0}, {"noisy": -1}, {"noise": 0.0}, {"noise_mv": -1}, {"drawn": -1}]
)
def test_copies_that_cannot_be_meant_are_refused(wrong) -> None:
    with pytest.raises(RecipeError, match=r"data\.more"):
        MoreWindows(**wrong)
