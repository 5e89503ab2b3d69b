"""A cross-fitted teacher labels no cell as one that has learnt it, in its file and in an ensemble too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edgebat.data.synthetic_life import make_life_cells
from edgebat.distill.entry import teacher_entry
from edgebat.distill.teacher import Obtained, TeacherData
from edgebat.errors import ModelFileError, RecipeError
from edgebat.tasks.base import task
from edgebat.tasks.life.windows import LifeSpec, LifeWindows, life_windows
from edgebat.teachers.cross_fitted import CrossFitted
from edgebat.teachers.learner.learner import LifeLearner
from edgebat.teachers.store import load_teacher
from edgebat.training.run import Run

CELLS = life_windows(make_life_cells(24, 900, seed=3), LifeSpec())
TRAIN, VAL, TEST = (CELLS.take(range(a, b)) for a, b in ((0, 14), (14, 18), (18, 24)))
NEAREST = {"name": "learner_life", "kind": "nearest"}


def obtained(folder: Path, **given: object) -> Obtained:
    """The teacher of one entry, trained on TRAIN."""
    data = TeacherData(task("life"), TRAIN, TRAIN, VAL, TEST)
    return data.obtain(teacher_entry({**NEAREST, **given}), {}, folder / "teacher.safetensors", Run(folder / "run"))


def test_a_nearest_neighbour_no_longer_repeats_what_it_has_learnt(tmp_path) -> None:
    plain = obtained(tmp_path / "plain").teacher.predict(TRAIN)["life"]
    np.testing.assert_array_equal(plain, TRAIN.life)
    teacher = obtained(tmp_path / "fitted", cross_fit=3).teacher
    crossed = teacher.predict(TRAIN)["life"]
    assert (crossed != TRAIN.life).all()
    assert isinstance(teacher, CrossFitted)
    for n, cells in enumerate(teacher.settings["cells"]):
        out = {tuple(name.split("/", 1)) for name in cells}
        rest = TRAIN.select(cells=[cell for cell in TRAIN.cells if cell not in out])
        rows = [row for row, cell in enumerate(TRAIN.cells) if cell in out]
        fitted = LifeLearner.fit(rest, VAL, LifeLearner.Settings("nearest"), Run(tmp_path / str(n)))[0]
        np.testing.assert_array_equal(crossed[rows], fitted.predict(TRAIN.take(rows))["life"])
    assert sorted(name for names in teacher.settings["cells"] for name in names) == sorted(map("/".join, TRAIN.cells))


def test_cells_that_nobody_has_learnt_hear_the_teacher_of_all_cells(tmp_path) -> None:
    plain, crossed = obtained(tmp_path / "plain").teacher, obtained(tmp_path / "fitted", cross_fit=3).teacher
    np.testing.assert_array_equal(crossed.predict(TEST)["life"], plain.predict(TEST)["life"])
    mixed = LifeWindows.select(CELLS, cells=[TRAIN.cells[3], TEST.cells[0], TRAIN.cells[5]])
    both = crossed.predict(mixed)["soh_curve"]
    for row, cell in enumerate(mixed.cells):
        np.testing.assert_array_equal(both[row], crossed.predict(mixed.select(cells=[cell]))["soh_curve"][0])
    assert crossed.predict(TEST.take([]))["life"].shape == (0,)


def test_its_file_answers_alike(tmp_path) -> None:
    teacher = obtained(tmp_path, cross_fit=2).teacher
    again = load_teacher(tmp_path / "teacher.safetensors")
    np.testing.assert_array_equal(again.predict(CELLS)["life"], teacher.predict(CELLS)["life"])


def test_an_ensemble_may_judge_it_on_the_cells_it_was_trained_on(tmp_path, monkeypatch) -> None:
    """As it would a network: here a learner that is not fitted in seconds."""
    monkeypatch.setattr(LifeLearner, "quick_to_fit", False)
    of = [NEAREST, {"name": "learner_life", "kind": "mean"}]
    seen = obtained_of(tmp_path / "seen", of, mix="by_cell_error")
    assert seen["not_judged"] == ["nearest", "mean"]
    fitted = obtained_of(tmp_path / "fitted", of, mix="by_cell_error", cross_fit=4)
    assert fitted["not_judged"] == []
    assert fitted["held_out_errors"]["life"]["nearest"] > 0


def test_where_data_sets_are_held_out_whole_so_are_they_in_its_folds(tmp_path) -> None:
    """Cells of one data set are then labelled by a member that has seen none of it."""
    names = [("EVEN" if n % 2 else "ODD", f"c{n}") for n in range(len(TRAIN))]
    two = replace(TRAIN, cells=tuple(names))
    data = TeacherData(task("life"), two, two, VAL, TEST)
    entry = teacher_entry({"of": [NEAREST, NEAREST], "mix": "by_dataset_error", "cross_fit": 5})
    whole = data.obtain(entry, {}, tmp_path / "teacher.safetensors", Run(tmp_path / "run")).teacher
    folds = whole.settings["members"][0]["settings"]["cells"]
    assert [{name.split("/")[0] for name in names} for names in folds] == [{"EVEN"}, {"ODD"}]


def obtained_of(folder: Path, of: list[dict[str, str]], **given: object) -> dict:
    """How an ensemble was mixed."""
    data = TeacherData(task("life"), TRAIN, TRAIN, VAL, TEST)
    entry = teacher_entry({"of": of, **given})
    return data.obtain(entry, {}, folder / "teacher.safetensors", Run(folder / "run")).results


@pytest.mark.parametrize("wrong", [{"cross_fit": 1}, {"cross_fit": -2}, {"cross_fit": "all"}])
def test_folds_that_are_none_are_refused(wrong) -> None:
    with pytest.raises(RecipeError, match="2 or larger"):
        teacher_entry({**NEAREST, **wrong})


def test_a_given_file_is_not_cross_fitted() -> None:
    with pytest.raises(RecipeError, match="cross_fit would not be used"):
        teacher_entry({"file": "export/zoo/teachers/ic2ml/tongji.safetensors", "cross_fit": 3})


def test_a_file_with_fewer_members_than_folds_is_refused() -> None:
    member = {"name": "learner_life", "settings": {"kind": "mean", "size": 0}}
    with pytest.raises(ModelFileError, match="one per fold"):
        CrossFitted([member], [["MADE/a"]])
