"""Whoever trains, what comes out is the same; a machine that is lost costs time alone."""

from __future__ import annotations

import operator
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgebat.distill.labels import KnownLabels
from edgebat.distill.train import DistillSettings, taught_parts
from edgebat.graph import IntGraph
from edgebat.quantization import QuantizeOptions
from edgebat.search.space import Candidate
from edgebat.search.study import Trainers
from edgebat.search.trial import Job, Lessons, Trained, train_candidate
from edgebat.tasks.base import task
from edgebat.training.settings import FitSettings
from edgebat.workers import RayNodes, Workers, workers
from tests.tiny_windows import tiny_windows

WINDOWS = tiny_windows()
SETTINGS = DistillSettings(blends=1, fit=FitSettings(epochs=6, learning_rate=0.01, patience=6))
JOBS = [Job(Candidate("mlp", {"hidden": [width]}), 1, 6) for width in (4, 6, 8, 10)]
Results = list[tuple[tuple[float, ...], float | None, str]]


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    """Four cells, labelled by a teacher that repeats what was measured."""
    labels = {part.digest(): {"soh": part.soh} for part in taught_parts(WINDOWS, SETTINGS)}
    known = KnownLabels("health", labels)
    return Lessons("health", WINDOWS, WINDOWS, known, SETTINGS, QuantizeOptions(qat_epochs=1), {"training": {}})


def results(hands: Trainers, lessons: Lessons, after_first: Any = None) -> Results:
    """What the jobs come to, in their order."""
    found: dict[int, tuple[Trained, IntGraph | None]] = {}
    with hands:
        hands.share(lessons, lessons.threads)
        for index, (trained, graph) in hands.run(JOBS):
            found[index] = trained, graph
            if len(found) == 1 and after_first:
                after_first()
    return [(trained.losses, trained.error, graph.fingerprint if graph else "") for trained, graph in
            (found[index] for index in range(len(JOBS)))]  # fmt: skip


@pytest.fixture(scope="module")
def alone(lessons: Lessons) -> Results:
    return results(Workers(train_candidate), lessons)


def test_processes_give_what_one_gives(lessons: Lessons, alone: Results) -> None:
    assert results(workers(train_candidate, 2), lessons) == alone


def test_processes_end_without_a_word_wherever_they_are_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        with workers(operator.add, 2) as hands:
            hands.share(1)
            for _ in hands.run(range(2000)):
                raise KeyboardInterrupt

    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda thread: failed.append(thread.exc_value))
    for _ in range(10):  # the pool's own thread failed in one of five
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    assert failed == []


def test_a_training_above_its_limit_ends_there(lessons: Lessons, tmp_path: Path) -> None:
    job = replace(JOBS[0], limits=(9.0, 9.0, 0.0), folder=tmp_path / "trial")
    trained, graph = train_candidate(lessons, job)
    assert (len(trained.losses), trained.error, graph) == (3, None, None)
    assert not (tmp_path / "trial").exists()


def test_a_killed_training_goes_on_from_its_checkpoint(
    lessons: Lessons, alone: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = replace(JOBS[0], folder=tmp_path / "trial")
    with monkeypatch.context() as patch:
        patch.setattr("edgebat.search.trial.quantize_model", None)
        with pytest.raises(TypeError):
            train_candidate(lessons, job)
    assert (tmp_path / "trial" / "float" / "last.ckpt").is_file()
    trained, graph = train_candidate(lessons, job)
    assert graph is not None
    assert (trained.losses, trained.error, graph.fingerprint) == alone[0]


def test_what_a_student_sees_and_its_knots_may_differ_from_the_recipe(tmp_path: Path) -> None:
    forecast = task("forecast")
    spec = forecast.spec({"context": 192, "horizon": 96})
    windows = forecast.synthetic(spec, cells=6, max_cycles=400, seed=1).windows
    labels = KnownLabels("forecast", {windows.digest(): {"trajectory": windows.targets()["trajectory"]}})
    settings = replace(SETTINGS, blends=0)
    lessons = Lessons("forecast", windows, windows, labels, settings, QuantizeOptions(), {"training": {}})
    found = []
    for cycles, knots in ((96, 8), (48, 4)):
        candidate = Candidate("mlp", {"hidden": [4]}, {"seen_cycles": cycles}, knots)
        trained, graph = train_candidate(lessons, Job(candidate, 1, 6, (), tmp_path / "trial"))
        assert trained.error is not None
        assert graph is not None
        found.append((graph.meta["task"]["seen_cycles"], graph.input_tensor.shape, graph.output_tensor.shape))
    assert found == [(96, (24, 4), (1 + 8,)), (48, (12, 4), (1 + 4,))]


@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_node_that_is_killed_changes_nothing(lessons: Lessons, alone: Results, cluster: Any) -> None:
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20) for _ in range(2)]

    def kill() -> None:
        cluster.remove_node(nodes[0], allow_graceful=False)

    assert results(RayNodes(train_candidate, cluster.address), lessons, after_first=kill) == alone
