"""A recipe's more windows: cut from the training cells in the step ``data``, learnt from in the step of a student."""

from __future__ import annotations

import pytest

pytest.importorskip("pydantic")
pytest.importorskip("torch")
from edgebat.runs.folder import RunFolder
from edgebat.runs.lessons import MORE
from edgebat.runs.recipe import load_recipe
from edgebat.runs.steps import Pipeline

SMALL = ["data.synthetic.cells=6", "data.synthetic.max_cycles=100", "data.split.val=0.2", "task.stride=5"]


def pipeline(folder, *changes: str) -> Pipeline:
    """One of a few cells."""
    return Pipeline(load_recipe("demo", [*SMALL, *changes]), RunFolder(folder), None)


def test_more_windows_come_from_training_cells_alone(tmp_path, monkeypatch) -> None:
    whole = pipeline(tmp_path, "data.more.shifted=1", "data.more.stretched=[2]")
    outcome = whole.data()
    assert MORE in outcome.files
    assert "more windows of the training cells teach as well" in outcome.results["statement"]
    monkeypatch.setattr(whole.folder, "results", lambda step: outcome.results)
    lessons, _ = whole.lessons.of_student("mlp")
    train = whole.windows("train")
    assert lessons.windows.digest() == train.digest()
    assert {lessons.more.cells[n] for n in lessons.more.cell} <= set(train.cells)
    assert len(lessons.more) > len(train)
    alone, _ = whole.lessons.of_student("mlp_measured")
    assert alone.more is None


def test_a_recipe_without_them_has_none(tmp_path) -> None:
    whole = pipeline(tmp_path)
    assert MORE not in whole.data().files
    assert whole.lessons.of_student("mlp")[0].more is None
