"""Ensembles on cells that are left out: what is scored has no say in how members are mixed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning")

from edgebat.data.synthetic_life import make_life_cells
from edgebat.errors import RecipeError
from edgebat.studies.command import check_study
from edgebat.studies.mixing import BEST, MEAN, LeftOut
from edgebat.studies.runner import run_part
from edgebat.tasks.life.windows import LifeSpec, LifeWindows, life_windows
from tests.shipped_studies import load_study

CELLS = life_windows(make_life_cells(24, 900, seed=5), LifeSpec())
TWO = dataclasses.replace(CELLS, cells=tuple((("OLD", "NEW")[n // 16], str(n)) for n in range(len(CELLS))))
"""Sixteen cells of one data set, eight of another."""


def study(folder: Path, monkeypatch: pytest.MonkeyPatch, windows: LifeWindows = TWO, **section: Any) -> LeftOut:
    monkeypatch.setattr(LeftOut, "windows", windows)
    learners = [{"name": "learner_life", "kind": kind} for kind in ("mean", "ridge")]
    document = {
        "name": "s",
        "task": {"name": "life"},
        "teacher": {"mix": "by_cell_error", "of": learners},
        "study": section,
    }
    return LeftOut(check_study(document), folder, folder)


def test_each_data_set_is_left_out_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = study(tmp_path, monkeypatch, beside=["variance"])
    assert [part.name for part in own.parts()] == ["NEW", "OLD"]
    for name in ("NEW", "OLD"):
        train, test = own.split(name)
        assert {dataset for dataset, _ in test.cells} == {name}
        assert name not in {dataset for dataset, _ in train.cells}
    results = [result for part in own.parts() if (result := run_part(own, part))]
    scores = results[0].seeds[1].scores
    assert set(scores) == {"mean", "ridge", "variance", MEAN, "by_cell_error", "cells"}
    assert scores["cells"] == {"cells": 8.0, "train": 16.0}
    text = own.tables(results)["table.md"]
    assert f"by_cell_error / {BEST}" in text.splitlines()[0]
    assert "| NEW | by_cell_error | life | " in text
    best = min(scores[who]["rmse"] for who in ("mean", "ridge"))
    assert f"{scores['by_cell_error']['rmse'] / best:.2f} |" in text.splitlines()[2]


def test_cells_that_are_scored_have_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = []
    for folder, factor in (("a", 1), ("b", 9)):
        life = TWO.life.copy()
        life[16:] *= factor
        own = study(tmp_path / folder, monkeypatch, dataclasses.replace(TWO, life=life))
        record = own.measure(own.parts()[0], 1)
        assert record.scored is not None
        weights.append(record.scored.cells[0]["weights"])
    assert weights[0] == weights[1]


def test_parts_can_be_named_by_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = study(tmp_path, monkeypatch, left_out={"some": {"train": "OLD/*", "test": "OLD/1*"}})
    train, test = own.split("some")
    assert sorted(test.cells) == [("OLD", n) for n in ("1", "10", "11", "12", "13", "14", "15")]
    assert len(train.cells) == 9
    empty = study(tmp_path, monkeypatch, left_out={"none": {"train": "OLD/*", "test": "OTHER/*"}})
    with pytest.raises(RecipeError, match="'none' has 16 train, 0 test cells; both need some"):
        empty.split("none")


def test_a_file_that_knows_the_cells_is_not_asked(tmp_path: Path) -> None:
    from edgebat.studies.mixing import _knows

    (file,) = [each for each in load_study("mix-life").teacher.of if each.label == "batlinet/hust"]
    train = dataclasses.replace(CELLS, cells=tuple(("HUST", f"1-{n}") for n in range(1, len(CELLS) + 1)))
    assert _knows(file, train)
    assert not _knows(file, TWO)


@pytest.mark.parametrize("recipe", ["mix-forecast", "mix-health", "mix-life"])
def test_shipped_studies_of_ensembles_can_be_read(recipe: str) -> None:
    own = load_study(recipe)
    assert own.teacher_name == "ensemble"
    assert own.of_task.name == recipe.removeprefix("mix-")
    assert len(own.teacher.of) >= 4
