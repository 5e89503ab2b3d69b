"""What ``data add`` makes of files that hold halves, repeats and strangers: the known capacities, or a question."""

from __future__ import annotations

import numpy as np
import pytest

from edgebat.assemble.add import Added, add
from edgebat.assemble.settings import AddSettings
from edgebat.errors import DataError
from tests.data.layouts import START
from tests.data.test_readers_kinds import stamps, write
from tests.data.test_readers_seams import FIRST, NAMES, OTHER, A, C, T, V, after

GIVEN_AH = [float(-np.minimum(A, 0.0)[number == C].sum() * 20.0 / 3600.0) for number in np.unique(C)]


def added(folder, names, columns) -> Added:
    path = write(folder / "log.csv", names, *columns)
    return add([path], folder / "corpus", AddSettings(nominal_ah=3.5), dry_run=True)


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["Time (s)", "Voltage (V)", "Charge Current (A)", "Discharge Current (A)"],
         (T, V, np.maximum(A, 0.0), np.maximum(-A, 0.0))),
        (["Time", "Voltage", "Current"], ([f"{s} s" for s in T], [f"{v} V" for v in V], [f"{a * 1e3:.1f} mA" for a in A])),
        (NAMES, after(FIRST, FIRST)),
        (["timestamp", "U [V]", "I [A]"], (stamps("%Y-%m-%d %H:%M", T, START.replace(second=0)), V, A)),
    ],
)  # fmt: skip
def test_the_capacities_are_the_known_ones(tmp_path, names, columns):
    (cell,) = added(tmp_path, names, columns).built
    assert cell.table.discharge_ah == pytest.approx(GIVEN_AH, rel=2e-3)


@pytest.mark.parametrize("time", [True, False])
def test_a_worse_cell_after_the_first_is_never_one_with_it(tmp_path, time):
    with pytest.raises(DataError, match=r"another cell.*--set channel_column=NAME.*restarts=continue"):
        added(tmp_path, NAMES, after(FIRST, OTHER, time=time))
