"""One test, exported by every cycler: the same cell comes out of each file."""

from pathlib import Path

import numpy as np
import pytest

from edgebat.assemble.add import add
from edgebat.assemble.cell import BuiltCell
from edgebat.assemble.settings import AddSettings
from tests.data.layouts import LAYOUTS, Sheet, cycling_test

NOMINAL_AH = 3.0
TEST = cycling_test(3, 20.0)


def written(path: Path, sheet: Sheet) -> Path:
    rows = [sheet.delimiter.join(row) for row in (sheet.names, *sheet.rows)]
    path.write_text("\n".join([*sheet.preamble, *rows]) + "\n", encoding="utf-8")
    return path


def built(path: Path) -> BuiltCell:
    result = add([path], path.parent / "none", AddSettings(nominal_ah=NOMINAL_AH), dry_run=True)
    assert result.failed == {}
    return result.built[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_cell(layout: str, tmp_path: Path) -> None:
    cell = built(written(tmp_path / f"{layout}.csv", LAYOUTS[layout](TEST)))
    assert list(cell.table.cycle) == [1, 2, 3]
    assert cell.measured.all()
    step = np.diff(TEST.time_s)
    for row, capacity in enumerate(cell.table.discharge_ah):
        rows = np.flatnonzero((TEST.cycle[1:] == row + 1) & (TEST.cycle[:-1] == row + 1))
        middle = (np.minimum(TEST.current_a[1:], 0.0) + np.minimum(TEST.current_a[:-1], 0.0)) / 2.0
        assert capacity == pytest.approx(-(step * middle)[rows].sum() / 3600.0, rel=1e-4)
    reference = built(written(tmp_path / "reference.csv", LAYOUTS["bdf"](TEST)))
    assert cell.voltage_v == pytest.approx(reference.voltage_v)
    assert cell.charge_dq_ah == pytest.approx(reference.charge_dq_ah, abs=1e-3, nan_ok=True)
