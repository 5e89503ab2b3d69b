"""An ensemble weighs its members by what they err on cells that none of them has learnt from, and by nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("torch")

from edgebat.arrays import FloatArray
from edgebat.cells import pack_cells
from edgebat.data.synthetic_life import make_life_cells
from edgebat.describe import info_text
from edgebat.distill.entry import teacher_entry
from edgebat.distill.mix import Member, folds_of, mixed
from edgebat.distill.teacher import TeacherData
from edgebat.distill.weights import HeldOut, learn_mix, simplex
from edgebat.errors import EdgebatError, ModelFileError, RecipeError
from edgebat.runs.recipe import dump_recipe, load_recipe
from edgebat.tasks.base import task
from edgebat.tasks.life.windows import LifeSpec, LifeWindows, life_windows
from edgebat.teachers.base import Teacher
from edgebat.teachers.ensemble import Ensemble, HeadMix, averaged
from edgebat.teachers.store import load_teacher
from edgebat.training.run import Run

LIFE = task("life")
CELLS = life_windows(make_life_cells(30, 900, seed=3), LifeSpec())
LEARNERS = [{"name": "learner_life", "kind": kind} for kind in ("mean", "ridge", "nearest")]


def drawn(deviations: tuple[float, ...], cells: int = 40, absolute: bool = False) -> HeldOut:
    """Members that miss the truth by so much, 10 windows of each cell, two data sets, five folds."""
    rng = np.random.default_rng(0)
    cell = np.repeat(np.arange(cells), 10)
    truth = rng.normal(size=(len(cell), 3))
    wrong = np.stack([rng.normal(scale=each, size=truth.shape) for each in deviations])
    names = np.array(["A", "B"])[cell % 2]
    return HeldOut(truth + wrong, truth, cell.astype(np.int64), names, (cell % 5).astype(np.int64), absolute)


@pytest.mark.parametrize("absolute", [False, True])
def test_the_better_member_is_heard_more(absolute: bool) -> None:
    learnt = learn_mix(drawn((0.1, 1.0), absolute=absolute))
    assert learnt.mix.weights[0] > 0.95
    assert learnt.cost < 1.1 * learnt.members[0]
    assert learnt.cost < 0.5 * learnt.mean


def test_errors_that_do_not_hang_together_are_weighed_by_their_inverse_squares() -> None:
    # Two deviations of 1 and 2: the best mixture has weights 0.8 and 0.2.
    held = drawn((1.0, 2.0), cells=400).thinned()
    weights = simplex(held.errors(), held.costs(), absolute=False, pull=1e-6)
    np.testing.assert_allclose(weights, (0.8, 0.2), atol=0.02)


def test_members_alike_stay_at_their_mean_and_few_cells_too() -> None:
    np.testing.assert_allclose(learn_mix(drawn((1.0, 1.0))).mix.weights, (0.5, 0.5), atol=0.05)
    assert learn_mix(drawn((0.1, 1.0), cells=4)).mix == HeadMix((0.5, 0.5))


def test_no_mixture_weighs_below_zero() -> None:
    # The second member is the first one and more noise: unconstrained least squares would take it off.
    held = drawn((1.0, 0.0))
    held = dataclasses.replace(held, predicted=np.stack([held.predicted[0], 2 * held.predicted[0] - held.measured]))
    assert learn_mix(held).mix.weights == pytest.approx((1.0, 0.0), abs=0.1)


def test_a_mixture_that_is_off_everywhere_is_corrected_and_a_right_one_is_not() -> None:
    held = drawn((0.1, 0.1))
    off = dataclasses.replace(held, predicted=0.5 * held.predicted + 2.0)
    mix = learn_mix(off).mix
    assert (mix.offset, mix.slope) == pytest.approx((-4.0, 2.0), abs=0.1)
    right = learn_mix(held).mix
    assert (right.offset, right.slope) == (0.0, 1.0)


def test_the_spread_is_the_error_on_held_out_cells() -> None:
    held = drawn((0.2, 0.3, 0.6))
    mix = learn_mix(held).mix
    values, spread = mix.mixed(list(held.predicted))
    assert np.sqrt(np.square(spread).mean()) == pytest.approx(
        np.sqrt(np.square(values - held.measured).mean()), rel=0.1
    )


def test_folds_are_of_cells_or_of_whole_data_sets() -> None:
    cells = [(dataset, str(n)) for dataset in "ABC" for n in range(10)]
    assert np.bincount(folds_of(cells, datasets=False)).tolist() == [6] * 5
    apart = folds_of(cells, datasets=True)
    assert [set(apart[n : n + 10]) for n in (0, 10, 20)] == [{0}, {1}, {2}]
    # One data set alone is held out by cells.
    assert len(set(folds_of(cells[:10], datasets=True))) == 5


class Fixed(Teacher[LifeWindows]):
    """A teacher that is wrong by a factor, as a file may hold one."""

    name, task = "fixed", "life"

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.settings = factor, {"factor": factor}

    def predict(self, windows: LifeWindows) -> dict[str, FloatArray]:
        return {"life": windows.life * self.factor}


def test_who_has_seen_all_cells_cannot_be_judged_and_keeps_its_share() -> None:
    seen = np.zeros(len(CELLS.cells), dtype=np.bool_)
    members = [
        Member("good", Fixed(1.01), seen),
        Member("bad", Fixed(2.0), seen),
        Member("knows all", Fixed(1.0), ~seen),
    ]
    found = mixed(LIFE, CELLS, CELLS.take([]), members, "by_cell_error")
    assert found.results["not_judged"] == ["knows all"]
    weights = found.heads["life"].weights
    assert weights[2] == pytest.approx(1 / 3)
    assert weights[0] > 0.6
    assert sum(weights) == pytest.approx(1.0)


def test_a_file_is_judged_on_the_cells_it_has_not_seen() -> None:
    half = np.arange(len(CELLS.cells)) < len(CELLS.cells) // 2
    members = [Member("good", Fixed(1.01), half), Member("bad", Fixed(2.0), ~half & False)]
    found = mixed(LIFE, CELLS, CELLS.take([]), members, "by_cell_error")
    assert found.results["cells"] == int((~half).sum())
    assert found.heads["life"].weights[0] > 0.9


def ensemble(folder: Path, mix: str, test: LifeWindows | None = None) -> tuple[Teacher, Any]:
    """Three learners on 20 cells, mixed and stored."""
    train, val, held = CELLS.take(range(16)), CELLS.take(range(16, 20)), CELLS.take(range(20, 30))
    data = TeacherData(LIFE, train, train, val, held if test is None else test)
    entry = teacher_entry({"mix": mix, "of": LEARNERS})
    provenance = {"task": LIFE.described(train.spec), "seen": pack_cells([*train.cells, *val.cells])}
    obtained = data.obtain(entry, provenance, folder / "teacher.safetensors", Run(folder))
    return obtained.teacher, obtained.results


def test_test_cells_have_no_say_in_the_weights(tmp_path: Path) -> None:
    test = CELLS.take(range(20, 30))
    other = dataclasses.replace(test, life=test.life[::-1] * 7, x=test.x * -3)
    first, _ = ensemble(tmp_path / "a", "by_cell_error", test)
    second, _ = ensemble(tmp_path / "b", "by_cell_error", other)
    assert first.settings["mix"] == second.settings["mix"]
    assert (tmp_path / "a" / "teacher.safetensors").read_bytes() == (
        tmp_path / "b" / "teacher.safetensors"
    ).read_bytes()


def test_training_cells_have(tmp_path: Path) -> None:
    _, results = ensemble(tmp_path, "by_cell_error")
    errors = results["held_out_errors"]["life"]
    assert results["cells"] == 20
    assert errors["mixed"] <= errors["mean"]
    assert results["weights"]["life"]["mean"] < 1 / 3


def test_a_mixed_ensemble_is_stored_like_any_teacher(tmp_path: Path) -> None:
    teacher, _ = ensemble(tmp_path, "by_cell_error")
    test = CELLS.take(range(20, 30))
    again = load_teacher(tmp_path / "teacher.safetensors")
    for head, values in teacher.predict(test).items():
        np.testing.assert_array_equal(again.predict(test)[head], values)
    text = info_text(str(tmp_path / "teacher.safetensors"))
    assert "learner_life" in text
    assert "'ridge': 0." in text
    # And is given to a recipe as a file, but for cells that its members know.
    given = teacher_entry({"file": str(tmp_path / "teacher.safetensors")})
    data = TeacherData(LIFE, test, test, test.take([]), test)
    assert data.obtain(given, {}, tmp_path / "given.safetensors", Run(tmp_path)).results == {
        "given": "teacher.safetensors"
    }
    known = dataclasses.replace(data, test=CELLS.take(range(3)))
    with pytest.raises(RecipeError, match="trained on 3 of the 3 test cells"):
        known.obtain(given, {}, tmp_path / "given.safetensors", Run(tmp_path))


def test_the_mean_is_what_it_was(tmp_path: Path) -> None:
    teacher, _ = ensemble(tmp_path, "mean")
    assert isinstance(teacher, Ensemble)
    assert set(teacher.settings) == {"members"}
    test = CELLS.take(range(20, 30))
    plain = averaged([member.predict(test) for member in teacher.members])  # type: ignore[operator]
    for head, values in teacher.predict(test).items():
        np.testing.assert_array_equal(values, plain[head])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mix": "best", "of": LEARNERS}, "choose mean, by_cell_error, by_dataset_error"),
        ({"mix": "by_cell_error", **LEARNERS[0]}, "for one teacher"),
        ({"of": LEARNERS, "file": "x.safetensors"}, "beside it there is none"),
        ({"of": LEARNERS, "kind": "ridge"}, "kind is no key of an ensemble"),
        ({"of": [{"of": LEARNERS}]}, "is an ensemble itself"),
        ({"of": "ridge"}, "give a list of teachers"),
    ],
)
def test_mistakes_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        teacher_entry(given)


def test_an_entry_is_read_back_as_it_is_dumped() -> None:
    entry = teacher_entry({"mix": "by_cell_error", "of": LEARNERS})
    assert teacher_entry(dataclasses.asdict(entry)) == entry
    assert entry.title == "learner_life + learner_life + learner_life"
    assert [each.label for each in entry.each] == ["mean", "ridge", "nearest"]


@pytest.mark.parametrize("weights", [[1.0], [0.5, -0.5, 1.0], [0.2, 0.2, 0.2], ["a", 0, 1], [float("nan"), 0, 1], None])
def test_a_damaged_mix_is_refused(weights: Any, tmp_path: Path) -> None:
    teacher, _ = ensemble(tmp_path, "mean")
    with pytest.raises(EdgebatError, match="ensemble"):
        Ensemble(teacher.settings["members"], {"life": {"weights": weights}})
    with pytest.raises(ModelFileError, match="do not predict the head"):
        HeadMix((1.0, 0.0)).mixed([None, np.zeros(2)])


def test_a_recipe_with_an_ensemble_is_complete_and_reads_itself_back() -> None:
    document = {"name": "mine", "task": {"name": "life"}, "teacher": {"mix": "by_cell_error", "of": LEARNERS}}
    recipe = load_recipe(document)
    (entry,) = recipe.teacher
    assert (entry.name, entry.mix, len(entry.of)) == ("ensemble", "by_cell_error", 3)
    assert load_recipe(yaml.safe_load(dump_recipe(recipe))) == recipe
