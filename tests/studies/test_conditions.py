"""IC2ML's study: the paper's split by cell, errors in the paper's units, one training per variant."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")

from edgebat.errors import RecipeError
from edgebat.studies import conditions as ic2ml_study
from edgebat.studies.conditions import Condition, ConditionStudy, Parts, Variant, errors, load_study
from edgebat.tasks.health import HealthWindows
from edgebat.teachers.ic2ml.settings import Ic2mlSettings
from edgebat.training.settings import FitSettings


def test_published_splits_do_not_leak_and_are_those_of_the_paper() -> None:
    study = load_study("health-ic2ml")
    counts = {
        name: tuple(len(getattr(c, part)) for part in ("train", "val", "test")) for name, c in study.conditions.items()
    }
    # dataloader.py of the release, as counted in the specification.
    assert counts == {"NCA 25-025": (3, 1, 3), "NCA 25-05": (11, 2, 6), "NCA 25-1": (5, 1, 3), "NCA 35-05": (1, 1, 1),
                      "NCA 45-05": (17, 2, 5), "NCM 25-05": (14, 2, 6), "NCM 35-05": (1, 1, 2),
                      "NCM 45-05": (16, 2, 5)}  # fmt: skip
    for condition in study.conditions.values():
        used = [*condition.train, *condition.val, *condition.test]
        assert len(used) == len(set(used))


def test_errors_are_in_ampere_hours_and_in_points_of_nominal(windows: HealthWindows) -> None:
    said = {
        "soh": windows.soh + 0.01,
        "trajectory": np.nan_to_num(windows.trajectory * 1.02),
        "rul": np.nan_to_num(windows.rul) + 3.0,
    }
    found = errors(windows, said)
    assert found["soh_rmse_pct"] == pytest.approx(1.0, rel=1e-4)
    assert found["soh_rmse_ah"] == pytest.approx(0.02, rel=1e-4)  # one point of 2 Ah
    assert found["trajectory_mape_pct"] == pytest.approx(2.0, rel=1e-4)
    assert found["rul_rmse"] == found["rul_all_rmse"] == pytest.approx(3.0, rel=1e-4)


def test_a_variant_is_trained_scored_and_not_done_twice(
    windows: HealthWindows, monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory
) -> None:
    condition = Condition("MADE_UP", "cell", train=(0, 1), val=(2,), test=(3,), published={"soh_rmse_ah": 0.5})
    parts = Parts(*(windows.select(cells=[("MADE_UP", f"cell-{i}") for i in own]) for own in ((0, 1), (2,), (3,))))
    ahead = parts.test.trajectory.copy()
    ahead[6:, -1] = np.nan
    parts = dataclasses.replace(parts, test=dataclasses.replace(parts.test, trajectory=ahead))
    monkeypatch.setattr(ic2ml_study, "study_parts", lambda *_: parts)
    monkeypatch.setattr(Condition, "keys", lambda self, part: [("MADE_UP", f"cell-{i}") for i in getattr(self, part)])
    fit = FitSettings(epochs=1, batch_size=8, samples_per_epoch=16, accelerator="cpu")
    study = ConditionStudy(name="s", teacher="ic2ml", conditions={"made up": condition}, variants={"all": Variant()},
                           task=windows.spec, train=Ic2mlSettings(width=16, fit=fit))  # fmt: skip
    first = ic2ml_study.run_variant(study, "all", tmp_path, tmp_path, 1)
    assert set(first["scores"]) == {"made up"}
    beside = ic2ml_study.kept_baselines(study, "all", tmp_path, tmp_path)
    assert {"mean", "ridge", "nearest", "variance", "cpmlp"} <= set(beside)
    assert beside == ic2ml_study.kept_baselines(study, "all", tmp_path, tmp_path)
    before = (tmp_path / "all-seed1.safetensors").stat().st_mtime_ns
    assert ic2ml_study.run_variant(study, "all", tmp_path, tmp_path, 1) == first
    assert (tmp_path / "all-seed1.safetensors").stat().st_mtime_ns == before
    text = ic2ml_study.table(study, [first], {"all": beside})
    assert "| made up | released predictions | 0 | 0.5 |" in text
    assert "| made up | all, 1 seeds | 10 |" in text
    for name in beside:
        assert f"| made up | {name} (all) | 10 |" in text
    # Windows whose whole horizon was measured are scored apart, the baselines as the network.
    assert first["whole"]["made up"]["windows"] == beside["nearest"]["whole"]["made up"]["windows"] == 6
    assert "| made up | nearest (all), windows as released | 6 |" in text


def test_validation_cells_teach_when_a_variant_says_so(windows: HealthWindows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ic2ml_study, "read_corpus", lambda *_: None)
    monkeypatch.setattr(ic2ml_study, "health_windows", lambda *_: windows)
    monkeypatch.setattr(Condition, "keys", lambda self, part: [("MADE_UP", f"cell-{i}") for i in getattr(self, part)])
    condition = Condition("MADE_UP", "cell", train=(0, 1), val=(2,), test=(3,))
    study = ConditionStudy(name="s", teacher="ic2ml", conditions={"made up": condition}, variants={})
    cells = [
        ([cell for _, cell in part.cells] for part in (parts.train, parts.val, parts.test))
        for parts in (ic2ml_study.study_parts(study, Variant(learn_from_val=own), "-", 1) for own in (False, True))
    ]
    assert [list(parts) for parts in cells] == [
        [["cell-0", "cell-1"], ["cell-2"], ["cell-3"]],
        [["cell-0", "cell-1", "cell-2"], ["cell-2"], ["cell-3"]],
    ]


@pytest.mark.parametrize("change", ["keep=best", "patience=10"])
def test_cells_that_choose_the_weights_must_not_teach(change: str, capsys: pytest.CaptureFixture[str]) -> None:
    study = load_study("health-ic2ml", [f"train.fit.{change}"])
    asked = "NCA 25-05 with its validation cells"
    with pytest.raises(RecipeError, match=rf"variant '{asked}'.*train\.fit\.keep=last"):
        ic2ml_study.variants_to_run(study, [asked])
    # The others are run.
    assert ic2ml_study.variants_to_run(study, []) == [n for n in study.variants if "validation cells" not in n]
    assert capsys.readouterr().out.count("left out: variant") == 5


def test_mistakes_are_refused() -> None:
    study = dataclasses.asdict(load_study("health-ic2ml"))
    with pytest.raises(RecipeError, match="sede"):
        ic2ml_study.check_study(study | {"variants": {"all": {"sede": 1}}})
