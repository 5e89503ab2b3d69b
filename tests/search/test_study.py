"""Which candidates a search trains: within the budget, the same for the same seed, whoever trains and whatever breaks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgebat.bench.budget import Limits, Need
from edgebat.errors import RecipeError
from edgebat.graph import IntGraph
from edgebat.runs.recipe import check_recipe
from edgebat.search.cost import Price, Prices, random_graph
from edgebat.search.report import Point, pareto
from edgebat.search.space import Candidate
from edgebat.search.study import GENERATION, Finalist, Plan, Search, Trainers, Trial
from edgebat.search.trial import Job, Lessons, Trained, ended_at
from edgebat.simulate.targets import load_target
from tests.tiny_windows import tiny_windows

WINDOWS = tiny_windows()
RECIPE = check_recipe(
    {
        "name": "tiny",
        "task": {"name": "health", "context": 10, "horizon": 50},
        "teacher": {"name": "ic2ml"},
        "students": [{"kind": "mlp", "settings": {"hidden": [8]}}],
        "distill": {"fit": {"epochs": 8, "seed": 1}},
    }
)


class Lost(Exception):
    """The machine is gone."""


def weights(candidate: Candidate) -> int:
    """A size that grows with every setting."""
    return sum(sum(value) if isinstance(value, list) else value for value in candidate.settings.values())


class Made(Prices):
    """Prices without a compiler: 100 bytes of flash a weight."""

    def of(self, candidate: Candidate, *_: Any) -> Price:
        need = Need(100 * weights(candidate), 100, 1.0, 10 * weights(candidate))
        return Price(need, "", self._excess(need))


@dataclass
class Pretending(Trainers):
    """Trains nothing: larger students are better, the loss falls to the error; ``last``: jobs until the machine is lost."""

    backwards: bool = False
    last: float = math.inf
    trained: list[Job] = field(default_factory=list)

    def share(self, common: Lessons, threads: int = 1) -> None:
        """Nothing is learnt."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, tuple[Trained, IntGraph | None]]]:
        order = list(enumerate(jobs))
        for index, job in reversed(order) if self.backwards else order:
            if len(self.trained) >= self.last:
                raise Lost
            self.trained.append(job)
            error = 1 + 10 / weights(job.candidate) + job.seed * 1e-3
            losses = tuple(error + 1 / (1 + epoch) for epoch in range(8))
            end = ended_at(losses, job.limits)
            graph = random_graph(Candidate("mlp", {"hidden": [4]}), RECIPE.of_task, WINDOWS.spec, (10, 10))
            done = Trained(losses if end is None else losses[: end + 1], error if end is None else None, 60.0)
            yield index, (done, graph if end is None else None)


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained students are not built for a board either."""
    monkeypatch.setattr("edgebat.search.study.measured_need", lambda graph, board: Need(400, 100, 1.0, 40))


def search(folder: Path, hands: Trainers, plan: Plan, flash: int = 6000) -> tuple[list[Trial], list[Finalist]]:
    prices = Made(load_target("cortex-m0plus"), Limits(flash, None, None), folder, "")
    lessons: Any = type("Lessons", (), {"train": WINDOWS})()
    found = Search(RECIPE, plan, prices, lambda seeds: lessons, folder, "origin")
    return found.trials, found.run(hands)


def test_nothing_over_the_budget_is_trained(tmp_path: Path) -> None:
    hands = Pretending()
    trials, _ = search(tmp_path, hands, Plan(trials=14))
    assert len(trials) == 14
    assert all(
        100 * weights(job.candidate) <= 6000 for job in hands.trained if job.candidate.settings != {"hidden": [8]}
    )


def test_no_candidate_is_trained_twice(tmp_path: Path) -> None:
    trials, _ = search(tmp_path, Pretending(), Plan(trials=14))
    assert len({trial.candidate.content for trial in trials}) == 14


def test_the_same_seed_tries_the_same_and_another_does_not(tmp_path: Path) -> None:
    first = search(tmp_path / "a", Pretending(), Plan(trials=9))
    assert search(tmp_path / "b", Pretending(), Plan(trials=9)) == first
    assert search(tmp_path / "c", Pretending(), Plan(trials=9, seed=2)) != first


def test_the_order_in_which_trials_end_changes_nothing(tmp_path: Path) -> None:
    plan = Plan(trials=3 * GENERATION)
    assert search(tmp_path / "a", Pretending(backwards=True), plan) == search(tmp_path / "b", Pretending(), plan)


@pytest.mark.parametrize("after", [2, GENERATION, GENERATION + 3, 15])
def test_a_killed_search_goes_on_and_comes_to_the_same(tmp_path: Path, after: int) -> None:
    plan, whole = Plan(trials=13), Pretending()
    expected = search(tmp_path / "whole", whole, plan)
    with pytest.raises(Lost):
        search(tmp_path / "killed", Pretending(last=after), plan)
    rest = Pretending()
    assert search(tmp_path / "killed", rest, plan) == expected
    assert len(rest.trained) == len(whole.trained) - after


def test_more_trials_begin_with_those_that_are_there(tmp_path: Path) -> None:
    before, _ = search(tmp_path, Pretending(), Plan(trials=GENERATION))
    after, _ = search(tmp_path, Pretending(), Plan(trials=2 * GENERATION))
    assert after[:GENERATION] == before


def test_trainings_worse_than_the_median_end_early(tmp_path: Path) -> None:
    trials, _ = search(tmp_path, Pretending(), Plan(trials=24))
    ended = [trial for trial in trials if trial.trained.error is None]
    assert ended
    assert all(len(trial.trained.losses) == 3 for trial in ended)  # a quarter of 8 epochs is free
    assert not any(trial in ended for trial in trials[:GENERATION])


def test_a_stored_training_is_judged_like_a_new_one() -> None:
    whole = Trained((3.0, 2.0, 1.0), 0.5, 1.0)
    assert whole.judged(()) == whole
    assert whole.judged((math.inf, 1.5)) == Trained((3.0, 2.0), None, 1.0)
    # What was ended early says nothing of how it would have gone on.
    assert Trained((3.0, 2.0), None, 1.0).judged((math.inf, 2.5)) is None


def test_the_recipe_s_own_students_are_trained_beside_the_best(tmp_path: Path) -> None:
    _, finalists = search(tmp_path, Pretending(), Plan(trials=12, finalists=2, seeds=3))
    assert [finalist.picked for finalist in finalists] == [False, False, True]
    assert all(len(finalist.errors) == 3 for finalist in finalists)
    assert finalists[0].error == sorted(finalists[0].errors)[1] < finalists[-1].error


def test_time_that_is_short_ends_the_search_before_the_confirmation(tmp_path: Path) -> None:
    # A minute each: 6 trials, and foreseen 6 more and (3 + 1) * 3 of the confirmation.
    for minutes, count in ((23, GENERATION), (24, 2 * GENERATION)):
        trials, _ = search(tmp_path, Pretending(), Plan(trials=30, minutes=minutes))
        assert len(trials) == count


def test_time_that_is_too_short_for_all_seeds_goes_to_the_best(tmp_path: Path) -> None:
    # A minute each: 6 trials, the recipe's own from the first seed, the best two of four from the second.
    plan = Plan(trials=GENERATION, finalists=3, seeds=3, minutes=9.5)
    prices = Made(load_target("cortex-m0plus"), Limits(6000, None, None), tmp_path, "")
    lessons: Any = type("Lessons", (), {"train": WINDOWS})()
    found = Search(RECIPE, plan, prices, lambda seeds: lessons, tmp_path, "origin")
    finalists = found.run(Pretending())
    assert [len(finalist.errors) for finalist in finalists] == [2, 2, 1, 1]
    assert found.cut == ["seed 2 of 2 of 4 students within the budget", "seed 3 of 2 of 2 students within the budget"]
    assert found.clock.used == 9 * 60


def test_what_is_over_the_budget_is_trained_once_beside_a_smaller_one_of_its_kind(tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"students": check_recipe({**RECIPE.model_dump(mode="json"), "students": [
        {"kind": "mlp", "settings": {"hidden": [64, 64]}}]}).students})  # fmt: skip
    prices = Made(load_target("cortex-m0plus"), Limits(6000, None, None), tmp_path, "")
    lessons: Any = type("Lessons", (), {"train": WINDOWS})()
    finalists = Search(recipe, Plan(trials=6, seeds=2), prices, lambda seeds: lessons, tmp_path, "origin").run(
        Pretending()
    )
    (own,), (rival,) = [f for f in finalists if f.picked], [f for f in finalists if f.scaled]
    assert len(own.errors) == 1
    assert len(rival.errors) == 2
    # 100 bytes a weight: 28 + 28 is the largest that fits below 64 + 64, in steps of 4.
    assert rival.candidate.settings == {"hidden": [28, 28]}


def test_trials_may_be_shorter_than_the_trainings_of_finalists(tmp_path: Path) -> None:
    hands = Pretending()
    search(tmp_path, hands, Plan(trials=4, epochs=2, finalists=1, seeds=2))
    assert [job.epochs for job in hands.trained] == [2, 2, 2, 2, 8, 8, 8, 8]


def test_a_budget_that_nothing_meets_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none of \d+ candidates takes at most 100 bytes of flash on cortex-m0plus"):
        search(tmp_path, Pretending(), Plan(trials=2), flash=100)


def test_the_front_holds_what_nothing_beats() -> None:
    def point(error: float, flash: int, instructions: int) -> Point:
        return Point("", error, Need(flash, 0, None, instructions))

    best, small, beaten, fast = point(1, 9, 9), point(3, 5, 9), point(3, 9, 9), point(2, 9, 3)
    assert pareto([beaten, small, best, fast]) == [best, fast, small]
