"""A synthetic cell, a ready student, and a short life that gives an estimate within two weeks."""

from __future__ import annotations

import pytest

from edgebat.cells import CellHistory
from edgebat.data.synthetic import make_fleet
from edgebat.graph import IntGraph
from edgebat.lives.cell import CurvesCell
from edgebat.lives.settings import Life
from edgebat.models import load_model


@pytest.fixture(scope="session")
def history() -> CellHistory:
    """An NCA cell of 3.5 Ah that the demo's students have not seen, charged at C/2 and 25 degC."""
    cells = {h.key: h for h in make_fleet(seed=99, cells=42, max_cycles=120).histories()}
    return cells["SYN_NCA", "NCA-042"]


@pytest.fixture(scope="session")
def cell(history: CellHistory) -> CurvesCell:
    """The same, alive."""
    return CurvesCell(history, 0.1)


@pytest.fixture(scope="session")
def graph() -> IntGraph:
    """The demo's MLP: ten charges of ten increments."""
    return load_model("demo-mlp")


@pytest.fixture
def deep() -> Life:
    """Every day a deep discharge and a slow charge to full, in a warm room, with the power off by night."""
    return Life.model_validate(
        {
            "summary": "deep cycles",
            "days": 14,
            "day": [
                {"kind": "use", "at_h": 7, "soc": 0.95, "rate_c": 1.0, "pulses": 0.5, "floor": 0.02},
                {"kind": "charge", "at_h": 12, "rate_c": 0.5},
            ],
            "climate": {"mean_degc": 25},
            "board": {"asleep": "off"},
        }
    )
