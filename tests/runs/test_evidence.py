"""Evidence over several recipes: one table, written after each, and nothing done twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydantic")
pytest.importorskip("rich")

from edgebat.errors import RecipeError
from edgebat.runs import evidence as module
from edgebat.runs.evidence import Evidence, comparable, evidence_of_all, table_of


def found(recipe: str, student: str = "mlp", left_out: tuple[str, ...] = ("AWAY",)) -> Evidence:
    """Four cells, two of a data set left out; the taught student errs half as much as its twin there, as much at home."""
    twin = np.array([2.0, 4.0, 1.0, 3.0])
    errors = {"measured": 2 * twin, "twin": twin, "taught": twin * [0.5, 0.5, 1.0, 1.0]}
    by_seed = {student: {name: [each.tolist()] for name, each in errors.items()}}
    cells, datasets = ["AWAY/a", "AWAY/b", "HOME/c", "HOME/d"], ["AWAY", "AWAY", "HOME", "HOME"]
    return Evidence(
        recipe,
        5,
        "MAE % (%)",
        cells,
        datasets,
        twin / 2,
        {student: errors},
        by_seed,
        left_out,
        "forecast",
        "%",
        {student: 3333},
    )


def cells_of(line: str) -> list[str]:
    """Of a line of the table."""
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_the_table_has_a_line_per_student_and_group_of_cells() -> None:
    table = table_of([found("one"), found("two", "cnn", ())]).splitlines()
    heading, rule, *rows = [cells_of(line) for line in table if line.startswith("|")]
    assert heading[:9] == ["task", "student", "weights", "recipe", "cells", "unit", "measured", "twin", "taught"]
    assert len(rule) == len(heading) == len(rows[0])
    assert [row[1:5] for row in rows] == [
        ["MLP", "3,333", "one", "all, 4"],
        ["MLP", "3,333", "one", "left out, 2"],
        ["MLP", "3,333", "one", "at home, 2"],
        ["CNN", "3,333", "two", "all, 4"],
    ]
    assert rows[1][6:10] == ["6", "3", "1.5", "1.5"]
    assert rows[1][10].startswith("0.500 [")
    assert rows[2][10].startswith("1.000 [")
    assert "means of 5 seeds" in table[0]


def test_a_table_that_was_cut_off_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one(recipe: str, *rest: object) -> Evidence:
        if recipe == broken:
            raise ConnectionError("the machine is gone")
        return found(recipe)

    monkeypatch.setattr(module, "evidence", one)
    broken = "zoo-health"
    with pytest.raises(ConnectionError):
        evidence_of_all(["zoo-life", "zoo-health"], [], 1, None, tmp_path)
    assert "zoo-life" in (tmp_path / "evidence.md").read_text()
    broken = ""
    assert [each.recipe for each in evidence_of_all(["zoo-life", "zoo-health"], [], 1, None, tmp_path)] == [
        "zoo-life",
        "zoo-health",
    ]
    assert "zoo-health" in (tmp_path / "evidence.md").read_text()


def test_two_recipes_of_one_name_would_share_their_runs(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the name demo twice"):
        evidence_of_all(["demo", "demo"], [], 1, None, tmp_path)


def test_shipped_recipes_with_students_are_found_by_their_cells() -> None:
    assert comparable(False) == ["demo"]
    measured = comparable(True)
    assert {"forecast-students", "life-students", "health-tongji"} <= set(measured)
    assert "mix-forecast" not in measured, "a study has no students"
