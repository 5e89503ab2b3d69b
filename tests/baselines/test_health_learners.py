"""Learners beside a health teacher: they answer everything, find what is there to find, and say when they are missing."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import torch

from edgebat.baselines.health import BASELINES, health_baselines, log_variance, variance_model
from edgebat.tasks.health import HealthWindows

LEARNERS = ("variance", "plsr", "cpmlp", "random_forest")


def parts(windows: HealthWindows) -> tuple[HealthWindows, HealthWindows, HealthWindows]:
    return tuple(windows.select(cells=[windows.cells[i] for i in cells]) for cells in ((0, 3), (1,), (2,)))  # type: ignore[return-value]


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_answers_every_window_alike_each_time(windows: HealthWindows, name: str) -> None:
    train, val, test = parts(windows)
    state = torch.random.get_rng_state()
    first, second = (BASELINES[name](train, val, test) for _ in range(2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert first["soh"].shape == first["rul"].shape == (len(test),)
    assert first["trajectory"].shape == (len(test), windows.spec.horizon)
    for head, values in first.items():
        assert np.isfinite(values).all()
        assert np.array_equal(values, second[head])


@pytest.mark.parametrize("name", ["plsr", "cpmlp", "random_forest"])
def test_learners_find_a_linear_rule(windows: HealthWindows, name: str) -> None:
    # In these windows SOH is ten times the increment, up to noise of a thousandth.
    train, val, test = parts(windows)
    error = BASELINES[name](train, val, test)["soh"] - test.soh
    assert np.sqrt(np.square(error).mean()) < 0.002 < 0.5 * test.soh.std()


def test_the_variance_model_is_a_line_over_the_logarithm_of_a_variance(windows: HealthWindows) -> None:
    x = np.zeros_like(windows.x)
    # The last cycle's increments scatter by 10 ** (i / 2): the feature is i up to the mean's own constant.
    place = np.arange(len(x), dtype=np.float64)
    x[:, -1] = np.where(np.arange(x.shape[2]) % 2, 1.0, -1.0) * 10.0 ** (place[:, None] / 40.0)
    made = dataclasses.replace(windows, x=x.astype(np.float32), soh=(0.5 + place / 100.0).astype(np.float32))
    assert log_variance(made)[:, 0] == pytest.approx(place / 20.0, abs=1e-5)
    assert variance_model(made, made, made)["soh"] == pytest.approx(made.soh, abs=1e-5)


def test_a_head_that_nobody_knows_is_zero(windows: HealthWindows) -> None:
    train, val, test = parts(dataclasses.replace(windows, rul=np.full_like(windows.rul, np.nan)))
    for name in LEARNERS:
        answer = BASELINES[name](train, val, test)
        assert not answer["rul"].any()
        assert np.isfinite(answer["soh"]).all()


def test_without_scikit_learn_the_others_answer(windows: HealthWindows, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sklearn", "sklearn.ensemble", "sklearn.cross_decomposition"):
        monkeypatch.setitem(sys.modules, module, None)
    found, notes = health_baselines(*parts(windows))
    assert set(found) == {"mean", "ridge", "nearest", "variance", "cpmlp"}
    assert len(notes) == 2
    assert all("left out" in note and "edgebat[baselines]" in note for note in notes)
