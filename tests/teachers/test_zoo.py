"""Every checkpoint in the zoo loads, predicts, is small, and says on its card what it claims and what it was made from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from edgebat.models import open_model  # noqa: E402
from edgebat.paths import teachers_dir  # noqa: E402
from edgebat.tasks.forecast.fade import fade_curves  # noqa: E402
from edgebat.tasks.forecast.windows import ForecastSpec, ForecastWindows, forecast_windows  # noqa: E402
from edgebat.tasks.health import HealthSpec, HealthWindows  # noqa: E402
from edgebat.tasks.life.windows import LifeSpec, LifeWindows, life_windows  # noqa: E402
from edgebat.teachers.batlinet.network import BatLiNet  # noqa: E402
from edgebat.teachers.store import load_teacher, teacher_classes  # noqa: E402
from edgebat.training.tensorfile import read_network  # noqa: E402
from tests.life_cells import made_up_cell  # noqa: E402
from tests.tiny_windows import tiny_windows  # noqa: E402

FILES = sorted(teachers_dir().glob("*/*.safetensors"))
IDS = [f"{file.parent.name}/{file.stem}" for file in FILES]


def health(spec: HealthSpec) -> HealthWindows:
    windows = tiny_windows().take(range(3))
    x = np.full((3, spec.context, spec.increments), 0.01, dtype=np.float32)
    trajectory = np.full((3, spec.horizon), 0.9, dtype=np.float32)
    return dataclasses.replace(windows, spec=spec, x=x, trajectory=trajectory)


def forecast(spec: ForecastSpec) -> ForecastWindows:
    return forecast_windows(fade_curves(3, seed=5), dataclasses.replace(spec, stride=64))


def life(spec: LifeSpec) -> LifeWindows:
    return life_windows([made_up_cell(n, 500 + 100 * n, columns=200) for n in range(3)], spec)


MADE_UP: dict[str, Callable[[Any], Any]] = {"health": health, "forecast": forecast, "life": life}
"""Task -> a few windows cut as a model's definition says."""


def test_every_teacher_has_a_checkpoint() -> None:
    there = {str(read_network(file, "edgebat-teacher").header["name"]) for file in FILES}
    # Theirs are several networks together; plain learners keep the windows they learnt from, which are not ours to give.
    without = {"batlinet", "cross_fitted", "diffbatt", "ensemble", "learner_health", "learner_forecast", "learner_life"}
    assert there == set(teacher_classes()) - without


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_it_is_small_and_has_a_card(file: Path) -> None:
    assert file.stat().st_size <= 6_000_000
    card = (file.parent / "card.md").read_text(encoding="utf-8")
    for word in (file.name, "load_teacher", "Data", "RMSE"):
        assert word in card


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_it_loads_and_predicts(file: Path) -> None:
    model = open_model(file)
    assert model.kind == f"teacher {model.network.name}"
    # A file says which task it is of, which cells it has seen, and that itself.
    assert model.seen or model.provenance.get("made_up")
    windows = MADE_UP[model.task.name](model.spec)
    if model.task.name == "life":
        model.network.configure({"sampling": {"draws": 2, "steps": 2}} if "diffbatt" in model.kind else {})
    predictions = model.predict(windows)
    heads = {head.name: head for head in model.task.heads(model.spec)}
    asked = heads.keys() & predictions.keys()
    assert asked
    for name in asked:
        values = predictions[name].reshape(len(windows), -1)
        assert values.shape[1] == heads[name].values
    assert all(np.isfinite(values).all() for values in predictions.values())
    if "trajectory" in asked and model.task.name == "forecast":  # the next cycles of a cell lie near its last one
        assert np.abs(predictions["trajectory"] - windows.x[:, -1:]).max() < 0.5
    if "life" in asked:
        assert ((predictions["life"] > 0) & (predictions["life"] < 10_000)).all()
    # No windows are no answers, not an error.
    none = model.predict(windows.select(np.zeros(len(windows), dtype=np.bool_)))
    answered = {name: values.shape for name, values in none.items()}
    assert answered.keys() == predictions.keys()
    assert not any(np.prod(shape) for shape in answered.values())


@pytest.mark.parametrize("file", [f for f in FILES if "batlinet" in f.parent.name], ids=str)
def test_batlinets_references_are_means_of_several_cells(file: Path) -> None:
    """The corpus must not travel with the checkpoint: means of four or more cells, not the curves of single ones."""
    cells = int(read_network(file, "edgebat-teacher").header["provenance"]["cells"])
    assert cells == {"matr-current": 41, "matr": 41, "hust": 52, "mix": 105}[file.stem]  # those whose life is known
    teacher: Any = load_teacher(file)
    for member in teacher.members:
        assert isinstance(member, BatLiNet)
        assert len(member.reference_x) <= cells // 4
