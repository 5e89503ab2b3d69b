"""More windows of the training cells: charges without a capacity, moved in voltage, thinned out; and who labels them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from edgebat.cells import CellHistory, Condition  # noqa: E402
from edgebat.distill.more_windows import WithMore, true_windows, with_label  # noqa: E402
from edgebat.distill.train import DistillSettings, train_student  # noqa: E402
from edgebat.errors import DataError, RecipeError  # noqa: E402
from edgebat.students.store import save_student  # noqa: E402
from edgebat.tasks.base import task  # noqa: E402
from edgebat.tasks.health import HealthSpec  # noqa: E402
from edgebat.tasks.health.more_windows import more_windows  # noqa: E402
from edgebat.tasks.health.windows import health_windows  # noqa: E402
from edgebat.tasks.more import MoreWindows  # noqa: E402
from edgebat.teachers.base import Teacher  # noqa: E402
from edgebat.training.run import Run  # noqa: E402
from edgebat.training.settings import FitSettings  # noqa: E402

SPEC = HealthSpec(context=3, increments=5, horizon=4)
GRID = np.linspace(3.5, 3.8, 31)
CYCLES = np.arange(1, 31)
UNMEASURED = CYCLES % 4 == 0
FIT = FitSettings(epochs=2, batch_size=16, samples_per_epoch=64, learning_rate=5e-3, noise=0.05, accelerator="cpu")
SETTINGS = DistillSettings(blends=0, fit=FIT)


def cell(name: str, fade: float = 0.004, measured: np.ndarray = ~UNMEASURED) -> CellHistory:
    """A cell that takes charge the faster per volt the higher the voltage, and fades; one capacity in four is missing."""
    capacity = 1.0 - fade * CYCLES
    return CellHistory(
        key=("TINY", name),
        condition=Condition("TINY"),
        nominal_ah=1.0,
        cycle=CYCLES,
        capacity_ah=np.where(measured, capacity, np.nan),
        flagged=np.zeros(len(CYCLES), dtype=bool),
        charge_cycle=CYCLES,
        charge_voltage_v=GRID,
        charge_dq_ah=capacity[:, None] * np.square(GRID - 3.4)[None] * 3.0,
    )


CELLS = [cell("a"), cell("b", 0.003)]
TRAIN = health_windows(CELLS, SPEC)


class Reader(Teacher):
    """Labels what it is shown by the last increment, and remembers it."""

    name, task = "reader", "health"

    def __init__(self) -> None:
        super().__init__()
        self.settings, self.shown = {}, []

    def predict(self, windows):
        self.shown.append(windows)
        soh = windows.x[:, -1, -1].astype(np.float32)
        return {"soh": soh, "trajectory": np.repeat(soh[:, None], 4, axis=1), "rul": soh}


def bytes_of(train, teacher, folder, name: str) -> bytes:
    """The file of a student."""
    student, _ = train_student("mlp", task("health"), train, TRAIN, teacher, SETTINGS, Run(folder / name))
    save_student(student, folder / f"{name}.safetensors")
    return (folder / f"{name}.safetensors").read_bytes()


def test_charges_without_a_capacity_give_windows_without_a_measured_label() -> None:
    found = more_windows(CELLS, SPEC, MoreWindows(unlabelled=True))
    assert sorted(set(found.cycle.tolist())) == CYCLES[UNMEASURED].tolist()
    assert all(np.isnan(values).all() for values in found.targets().values())
    assert np.isfinite(found.x).all()
    assert not set(zip(found.cell, found.cycle, strict=True)) & set(zip(TRAIN.cell, TRAIN.cycle, strict=True))


def test_flagged_and_missing_capacities_are_both_none() -> None:
    flagged = dataclasses.replace(cell("f", measured=CYCLES > 0), flagged=CYCLES == 20)
    assert more_windows([flagged], SPEC, MoreWindows(unlabelled=True)).cycle.tolist() == [20]
    with pytest.raises(DataError, match="every charge has its capacity"):
        more_windows([cell("whole", measured=CYCLES > 0)], SPEC, MoreWindows(unlabelled=True))


def test_a_moved_curve_is_read_at_other_voltages() -> None:
    """Higher by a drop, the increments between two voltages are those between both less the drop."""
    more = MoreWindows(shifted=2, shift_v=0.03, seed=5)
    found = more_windows(CELLS, SPEC, more)
    assert len(found) == 2 * len(TRAIN)
    drops = np.random.default_rng(5).uniform(-0.03, 0.03, 2)
    one = found.take(np.flatnonzero(found.cell == 0)[:1])
    levels = SPEC.levels_v - drops[0]
    capacity = 1.0 - 0.004 * one.cycle[0]
    expected = capacity * 3.0 * np.diff(np.square(levels - 3.4))
    np.testing.assert_allclose(one.x[0, -1], expected, rtol=2e-3)
    np.testing.assert_allclose(one.soh[0], capacity, rtol=1e-6)
    again = more_windows(CELLS, SPEC, more)
    assert found.digest() == again.digest() != more_windows(CELLS, SPEC, dataclasses.replace(more, seed=6)).digest()


def test_a_thinned_cell_is_read_every_other_charge() -> None:
    every = [cell("w", measured=CYCLES > 0)]
    found = more_windows(every, SPEC, MoreWindows(stretched=(2,)))
    whole = health_windows(every, SPEC)
    window = found.select(found.cycle == 9)
    np.testing.assert_array_equal(window.x[0, -1], whole.select(whole.cycle == 9).x[0, -1])
    np.testing.assert_array_equal(window.x[0, 0], whole.select(whole.cycle == 5).x[0, -1])
    assert window.soh[0] == pytest.approx(1 - 0.004 * 9)


def test_cells_are_numbered_as_in_training_and_strangers_left_out() -> None:
    more = more_windows([cell("0"), *CELLS], SPEC, MoreWindows(unlabelled=True))
    both = WithMore.numbered(TRAIN, more)
    assert {both.more.cells[n] for n in both.more.cell} == set(TRAIN.cells)
    assert both.more.cells == TRAIN.cells
    by_key = more.select(cells=[("TINY", "b")])
    np.testing.assert_array_equal(both.more.x[both.more.cell == TRAIN.cells.index(("TINY", "b"))], by_key.x)


def test_the_teacher_sees_the_measured_curve_where_there_is_one(tmp_path) -> None:
    more = more_windows(CELLS, SPEC, MoreWindows(unlabelled=True, shifted=1))
    both = WithMore.numbered(TRAIN, more)
    shown = true_windows(both.more, TRAIN)
    labelled = np.isfinite(both.more.soh)
    assert labelled.any()
    assert not labelled.all()
    np.testing.assert_array_equal(shown.x[~labelled], both.more.x[~labelled])
    where = {key: n for n, key in enumerate(zip(TRAIN.cell, TRAIN.cycle, strict=True))}
    rows = [where[key] for key in zip(both.more.cell[labelled], both.more.cycle[labelled], strict=True)]
    np.testing.assert_array_equal(shown.x[labelled], TRAIN.x[rows])
    assert not np.array_equal(both.more.x[labelled], TRAIN.x[rows])
    teacher = Reader()
    bytes_of(both, teacher, tmp_path, "taught")
    assert [windows.digest() for windows in teacher.shown] == [TRAIN.digest(), shown.digest()]


def test_more_windows_teach_a_student_and_repeat_byte_for_byte(tmp_path) -> None:
    both = WithMore.numbered(TRAIN, more_windows(CELLS, SPEC, MoreWindows(unlabelled=True)))
    first = bytes_of(both, Reader(), tmp_path, "first")
    assert first == bytes_of(both, Reader(), tmp_path, "again")
    assert first != bytes_of(TRAIN, Reader(), tmp_path, "without")


def test_a_student_without_a_teacher_sees_none_that_nobody_labels(tmp_path) -> None:
    both = WithMore.numbered(TRAIN, more_windows(CELLS, SPEC, MoreWindows(unlabelled=True)))
    assert len(with_label(both.more)) == 0
    assert bytes_of(both, None, tmp_path, "both") == bytes_of(TRAIN, None, tmp_path, "train")
    moved = WithMore.numbered(TRAIN, more_windows(CELLS, SPEC, MoreWindows(shifted=1)))
    assert bytes_of(moved, None, tmp_path, "moved") != bytes_of(TRAIN, None, tmp_path, "train again")


def test_a_task_that_knows_of_none_says_so() -> None:
    forecast = task("forecast")
    with pytest.raises(DataError, match="task forecast cuts no more windows"):
        forecast.more_windows(None, forecast.spec(), MoreWindows(shifted=1))


@pytest.mark.parametrize("wrong", [{"shifted": -1}, {"shift_v": 0.0}, {"stretched": (1,)}])
def test_windows_that_cannot_be_meant_are_refused(wrong) -> None:
    with pytest.raises(RecipeError, match=r"data\.more"):
        MoreWindows(**wrong)
