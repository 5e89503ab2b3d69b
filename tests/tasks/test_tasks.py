"""What every task keeps, whichever there are: they are found by listing, not named one by one."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat import baselines
from edgebat.errors import DataError, ModelFileError
from edgebat.tasks.base import FACTORS, FileOptions, Head, Task, physical, slices_of, task, task_names, task_of
from tests.tasks.test_windows import made_up

NAMES = task_names()


@pytest.fixture(params=NAMES)
def of(request: pytest.FixtureRequest) -> Task:
    return task(request.param)


def perfect(windows: Any) -> dict[str, Any]:
    """What was measured, as predictions; a number where nobody measured, since a model always says one."""
    return {head: np.nan_to_num(values, nan=0.5) for head, values in windows.targets().items()}


def test_the_tasks_are_the_folders() -> None:
    folder = Path(__file__).parents[2] / "edgebat" / "tasks"
    assert list(NAMES) == sorted(path.parent.name for path in folder.glob("*/__init__.py"))
    assert all(task(name).name == name for name in NAMES)
    with pytest.raises(DataError, match="there is no task 'soc'; the tasks are forecast, health, life"):
        task("soc")


@pytest.mark.parametrize("knots", [None, 1, 3])
def test_heads_are_named_once_and_ask_for_weighted_means_of_knots(of: Task, knots: int | None) -> None:
    heads = of.heads(of.spec(), knots)
    names = [head.name for head in heads]
    assert len(set(names)) == len(names)
    assert slices_of(heads)[-1].stop == sum(head.size for head in heads)
    for head in heads:
        assert head.unit in FACTORS
        assert head.title
        matrix = head.expansion()
        assert matrix.shape == (head.values, head.size + bool(head.start))
        assert matrix.min() >= 0
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
        assert len(head.ahead) in (0, knots or of.default_knots)
        assert list(head.ahead) == sorted(set(head.ahead))
        # What is interpolated together, or normalized alike, exists.
        assert not head.start or heads[names.index(head.start)].size == 1
        assert not head.scale or head.scale in names


def test_a_students_heads_are_what_windows_measure(of: Task) -> None:
    windows = made_up(of.name)
    heads = {head.name: head for head in of.heads(windows.spec)}
    targets = windows.targets()
    assert targets.keys() <= heads.keys()
    for name, values in targets.items():
        assert values.shape[1] == heads[name].values, name
    # A head without labels of its own is learnt through one that starts at it.
    for name in heads.keys() - targets.keys():
        assert name in {head.start for head in heads.values()}


def test_perfect_predictions_have_no_error(of: Task) -> None:
    windows = made_up(of.name)
    scores = of.score(windows, perfect(windows))
    assert scores["windows"] == len(windows)
    for column in of.columns:
        value = scores.get(column.key)
        assert value is not None, column.key
        # The end of an SOH curve is read off it between points ten cycles apart; and a noisy capacity dips below EOL before
        # the cycle that is confirmed as its end.
        assert value == pytest.approx(0.0, abs=1e-4) or column.key in ("rul_rmse", "eol_mae_cycles"), column.key


def test_models_are_ranked_by_an_error_that_grows(of: Task) -> None:
    windows, rank = made_up(of.name), of.columns[0].key
    exact = perfect(windows)
    wrong = {head: values * 1.05 for head, values in exact.items()}
    far = {head: values * 1.20 for head, values in exact.items()}
    errors = [of.score(windows, answer)[rank] for answer in (exact, wrong, far)]
    assert errors == sorted(errors, key=lambda value: value or 0.0)
    assert len(set(errors)) == 3


def test_a_score_is_that_of_its_cell(of: Task) -> None:
    windows = made_up(of.name)
    wrong = {head: values * 1.05 for head, values in perfect(windows).items()}
    own = windows.cell == 1
    row = of.score_cell(windows.select(own), {head: values[own] for head, values in wrong.items()})
    assert row
    assert row.keys() & {column.key for column in (*of.columns, *of.cell_columns)}


def test_one_value_heads_may_lack_their_axis(of: Task) -> None:
    windows = made_up(of.name)
    columns = perfect(windows)
    flat = {head: values[:, 0] if values.shape[1] == 1 else values for head, values in columns.items()}
    assert of.score(windows, flat) == of.score(windows, columns)


def test_what_a_file_carries_gives_the_definition_back(of: Task) -> None:
    spec = of.spec({"name": of.name, "eol": 0.75})
    described = of.described(spec)
    assert described["name"] == of.name
    assert of.spec(described) == spec != of.spec()
    assert task_of(described, "a file") == (of, spec)
    # Files of before definitions carried a name are told by their keys.
    assert task_of(spec.to_dict(), "a file") == (of, spec)


def test_a_file_of_before_definitions_carried_a_name_imports_its_own_task_alone(of: Task) -> None:
    code = (
        f"import sys; from edgebat.tasks.base import task_of; task_of({of.spec().to_dict()}, 'a file'); "
        "print(sorted(m for m in sys.modules if m.startswith('edgebat.tasks.') and m.endswith('.task')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([f"edgebat.tasks.{of.name}.task"])


def test_a_file_without_a_usable_task_says_why() -> None:
    with pytest.raises(ModelFileError, match=r"m\.ebat does not say which task"):
        task_of(None, "m.ebat")
    with pytest.raises(ModelFileError, match=r"m\.ebat carries an unusable task: there is no task 'soc'"):
        task_of({"name": "soc"}, "m.ebat")
    with pytest.raises(ModelFileError, match=r"HealthSpec knows no \['voltage'\]"):
        task_of({"name": "health", "voltage": 3}, "m.ebat")
    with pytest.raises(ModelFileError, match=r"unusable task: .*ForecastSpec.*HealthSpec.*LifeSpec"):
        task_of({"voltage": 3}, "m.ebat")


def test_bound_keys_are_keys_of_the_definition(of: Task) -> None:
    assert set(of.binding) <= of.spec().to_dict().keys()


def test_cards_and_tables_have_their_words(of: Task) -> None:
    spec = of.spec()
    assert of.summary(spec)
    assert of.legend(spec).endswith(".")
    assert of.explanation.endswith(".")
    assert all(name and text for name, text in of.facts(spec))
    assert {*baselines.quick(of.name)} >= {*baselines.shown(of.name)} != set()


def test_charts_have_a_point_for_every_window(of: Task) -> None:
    windows = made_up(of.name)
    answer = perfect(windows)
    measured, predicted, what = of.parity(windows, answer)
    assert what
    assert measured.shape == predicted.shape == (len(windows),)
    known = np.isfinite(measured)
    assert known.any()
    np.testing.assert_allclose(predicted[known], measured[known], rtol=1e-5, atol=1e-3)
    curve = of.cell_curve(windows, 0, {"m": answer})
    for x, y in (curve.measured, *curve.predicted.values(), *curve.forecasts):
        assert x.shape == y.shape
        assert len(x) > 0
        assert (np.diff(x) > 0).all()


def test_made_up_cells_repeat(of: Task) -> None:
    first, again = (of.synthetic(of.spec(), 8, 300, seed=3) for _ in range(2))
    other = of.synthetic(of.spec(), 8, 300, seed=4)
    assert first.synthetic
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.windows.digest() == again.windows.digest() != other.windows.digest()


def test_a_task_without_a_reader_says_what_it_reads(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a model of the task life reads windows \(\.npy"):
        task("life").inputs_of_file(tmp_path / "cell.csv", task("life").spec(), FileOptions())


def test_physical_outputs_by_hand() -> None:
    now = Head("now", "fraction", relative=True)
    ahead = Head("ahead", "fraction", ahead=(2.0, 4.0), grid=(1.0, 2.0, 3.0, 4.0, 5.0), start="now", relative=True)
    left = Head("left", "cycles", floor=0.0)
    outputs = np.array([[0.0, -0.2, -0.4, -3.0], [0.1, 0.1, 0.3, 7.0]])
    found = physical(outputs, (now, ahead, left), np.array([1.0, 0.5]))
    np.testing.assert_allclose(found["now"], [1.0, 0.6])
    np.testing.assert_allclose(found["ahead"], [[0.9, 0.8, 0.7, 0.6, 0.6], [0.6, 0.6, 0.7, 0.8, 0.8]])
    np.testing.assert_allclose(found["left"], [0.0, 7.0])
    absolute = tuple(dataclasses.replace(head, relative=False) for head in (now, ahead, left))
    assert absolute == tuple(head.absolute() for head in (now, ahead, left))
