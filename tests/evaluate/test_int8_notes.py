"""What an int8 model that refuses nothing says of windows beyond its range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebat.models import open_model
from edgebat.tasks.life.windows import life_windows
from tests.life_cells import made_up_cell


def test_windows_that_are_cut_off_at_the_border_are_counted() -> None:
    model = open_model("life-mlp-best")
    rates = {1: 4.8, 2: 0.5}  # C; MATR's cells, from which it learnt, were charged at 3.6 to 8C
    cells = [replace(made_up_cell(n, 900, columns=100), charge_rate_c=np.full(101, rate)) for n, rate in rates.items()]
    windows = life_windows(cells, model.spec)
    unchanging = replace(windows, x=np.zeros_like(windows.x))
    assert model.notes(unchanging.take([0])) == []
    (note,) = model.notes(unchanging)
    assert note.startswith("1 of 2 windows hold values beyond the range that the model reads")
