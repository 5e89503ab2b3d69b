"""Evidence of several data sets left out in turn, in one table."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pydantic")
pytest.importorskip("rich")

from bench.left_out_in_turn import table
from edgebat.errors import DataError


def evidence(away: str, twin: list[float]) -> dict[str, Any]:
    """Two cells of ``away``, left out, and one at home on which all err enormously."""
    errors = {"measured": [4 * e for e in twin], "twin": twin, "taught": [e / 2 for e in twin]}
    return {
        "recipe": "one", "cells": [f"{away}/a", f"{away}/b", "HOME/c"], "datasets": [away, away, "HOME"], "left_out": [away],
        "teacher": twin, "students": {"mlp": errors},
    }  # fmt: skip


def test_cells_left_out_are_pooled_and_those_at_home_left_away() -> None:
    printed = table([evidence("A", [1.0, 3.0, 1e6]), evidence("B", [4.0, 8.0, 1e6])], "mlp")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()[2:]]
    assert [row[:6] for row in rows] == [
        ["A", "2", "8.000", "2.000", "1.000", "2.000"],
        ["B", "2", "24.000", "6.000", "3.000", "6.000"],
        ["each of them once", "4", "16.000", "4.000", "2.000", "4.000"],
    ]
    assert [cell.split()[0] for cell in rows[-1][6:]] == ["0.125", "0.500", "0.500"]


def test_a_cell_left_out_twice_would_count_twice() -> None:
    with pytest.raises(DataError, match="2 cells are left out twice, such as A/a"):
        table([evidence("A", [1.0, 3.0, 1.0]), evidence("A", [1.0, 3.0, 1.0])], "mlp")


def test_a_student_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="no student 'cnn'; seen mlp"):
        table([evidence("A", [1.0, 3.0, 1.0])], "cnn")
