"""Every layout through every trap gives the same samples: what a file says does not depend on how it is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebat.data.readers import Records, read_records
from tests.data.layouts import LAYOUTS, START, Test, cycling_test
from tests.data.traps import TRAPS, as_workbook

TEST = cycling_test()
STATED = {"neware", "maccor", "landt", "basytec", "digatron", "bdf", "bdf_machine"}
"""Layouts that state the step kind."""


def check(records: Records, test: Test = TEST, layout: str = "") -> None:
    """The records are the test's samples."""
    assert records.time_s == pytest.approx(test.time_s, abs=2e-5)
    assert records.voltage_v == pytest.approx(test.voltage_v, abs=1e-9)
    sign = -1.0 if layout == "german_logger" else 1.0
    assert records.current_a == pytest.approx(sign * test.current_a, abs=1e-9)
    assert np.array_equal(records.cycle, test.cycle)
    assert records.temperature_degc == pytest.approx(test.temperature_degc)
    assert records.start == START
    if layout in STATED:
        assert [kind.split("_")[0] for kind in records.step_kind] == test.kind.tolist()
    if layout not in ("maccor", "novonix", "german_logger"):
        assert records.charge_ah == pytest.approx(test.charge_ah, abs=1e-9)
        assert records.discharge_ah == pytest.approx(test.discharge_ah, abs=1e-9)


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_through_every_trap(tmp_path: Path, layout: str, trap: str) -> None:
    path = TRAPS[trap](LAYOUTS[layout](TEST), tmp_path / "export.csv")
    (records,) = read_records(path)
    check(records, layout=layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_as_a_spreadsheet(tmp_path: Path, layout: str) -> None:
    path = as_workbook(LAYOUTS[layout](TEST), tmp_path / "export.xlsx")
    (records,) = read_records(path)
    check(records, layout=layout)
