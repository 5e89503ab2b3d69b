"""IC2ML's study: the paper's split by cell, errors in the paper's units, one training per variant."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")

from edgebat.errors import RecipeError
from edgebat.studies import conditions as ic2ml_study
from edgebat.studies.command import check_study
from edgebat.studies.conditions import Variants, whole
from edgebat.studies.runner import Split, run_experiments, run_part
from edgebat.tasks.health import HealthWindows
from edgebat.teachers.ic2ml.release import errors
from tests.shipped_studies import load_study


def made_up(windows: HealthWindows, folder: Path, published: bool = False, **variants: Any) -> Variants:
    """A study of one condition: cells 0 and 1 to learn from, 2 to stop on, 3 to score."""
    condition = {"dataset": "MADE_UP", "stem": "cell", "train": [0, 1], "val": [2], "test": [3]}
    fit = {"epochs": 1, "batch_size": 8, "samples_per_epoch": 16, "accelerator": "cpu", "keep": "last"}
    condition |= {"published": {"soh_rmse_ah": 0.5}} if published else {}
    study = {
        "name": "s", "task": windows.spec.to_dict(), "teacher": {"name": "ic2ml", "width": 16, "fit": fit},
        "study": {"conditions": {"made up": condition}, "variants": variants},
    }  # fmt: skip
    return Variants(check_study(study), folder, folder)


def numbered(windows: HealthWindows) -> HealthWindows:
    """The windows, their cells named as in the paper's split."""
    return dataclasses.replace(windows, cells=tuple(("MADE_UP", f"cell-#{i}") for i in range(4)))


def test_published_splits_do_not_leak_and_are_those_of_the_paper() -> None:
    study = load_study("health-ic2ml")
    counts = {
        name: tuple(len(getattr(c, part)) for part in ("train", "val", "test"))
        for name, c in study.study.conditions.items()
    }
    # dataloader.py of the release, as counted in the specification.
    assert counts == {"NCA 25-025": (3, 1, 3), "NCA 25-05": (11, 2, 6), "NCA 25-1": (5, 1, 3), "NCA 35-05": (1, 1, 1),
                      "NCA 45-05": (17, 2, 5), "NCM 25-05": (14, 2, 6), "NCM 35-05": (1, 1, 2),
                      "NCM 45-05": (16, 2, 5)}  # fmt: skip
    for condition in study.study.conditions.values():
        used = [*condition.train, *condition.val, *condition.test]
        assert len(used) == len(set(used))


def test_errors_are_in_ampere_hours_and_in_points_of_nominal(windows: HealthWindows) -> None:
    predictions = {
        "soh": windows.soh + 0.01,
        "trajectory": np.nan_to_num(windows.trajectory * 1.02),
        "rul": np.nan_to_num(windows.rul) + 3.0,
    }
    found = errors(windows, predictions)
    assert found["soh_rmse_pct"] == pytest.approx(1.0, rel=1e-4)
    assert found["soh_rmse_ah"] == pytest.approx(0.02, rel=1e-4)  # one point of 2 Ah
    assert found["trajectory_mape_pct"] == pytest.approx(2.0, rel=1e-4)
    assert found["rul_rmse"] == found["rul_all_rmse"] == pytest.approx(3.0, rel=1e-4)


def test_a_variant_is_trained_scored_and_not_done_twice(
    windows: HealthWindows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    windows = numbered(windows)
    split = Split(*(windows.select(cells=[("MADE_UP", f"cell-#{i}") for i in own]) for own in ((0, 1), (2,), (3,))))
    ahead = split.test.trajectory.copy()
    ahead[6:, -1] = np.nan
    split = dataclasses.replace(split, test=dataclasses.replace(split.test, trajectory=ahead))
    monkeypatch.setattr(Variants, "split", lambda *_: split)
    study = made_up(windows, tmp_path, published=True, all={})
    part = study.parts()[0]
    first = run_part(study, part)
    assert first is not None
    scores, beside = first.seeds[1].scores, first.baselines
    assert set(scores) == {"made up", whole("made up")}
    assert {"mean", "ridge", "nearest", "variance", "cpmlp"} <= set(beside)
    files = ("all-seed1.safetensors", "all-seed1.json", "all-baselines.json")
    before = [(tmp_path / file).stat().st_mtime_ns for file in files]
    assert run_part(study, part) == first
    assert [(tmp_path / file).stat().st_mtime_ns for file in files] == before
    # A checkpoint that lies there is scored.
    (tmp_path / "all-seed1.json").unlink()
    monkeypatch.setattr(Variants, "train", lambda *_: pytest.fail("it is trained already"))
    assert run_part(study, part) == first
    text = study.table([first])
    assert "| made up | released predictions | 0 | 0.5 |" in text
    assert "| made up | all, 1 seeds | 10 |" in text
    for name in beside:
        assert f"| made up | {name} (all) | 10 |" in text
    # Windows whose whole horizon was measured are scored apart, the baselines as the network.
    assert scores[whole("made up")]["windows"] == beside["nearest"].scores[whole("made up")]["windows"] == 6
    assert "| made up | nearest (all), windows as released | 6 |" in text


def test_validation_cells_teach_when_a_variant_says_so(
    windows: HealthWindows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ic2ml_study, "read_corpus", lambda *_: None)
    monkeypatch.setattr(ic2ml_study, "health_windows", lambda *_: numbered(windows))
    study = made_up(windows, tmp_path, without={}, with_val={"learn_from_val": True})
    splits = [study.split(part, 1) for part in study.parts()]
    cells = [[[cell for _, cell in own.cells] for own in (s.train, s.val, s.test)] for s in splits if s]
    assert cells == [
        [["cell-#0", "cell-#1"], ["cell-#2"], ["cell-#3"]],
        [["cell-#0", "cell-#1", "cell-#2"], ["cell-#2"], ["cell-#3"]],
    ]


@pytest.mark.parametrize("change", ["keep=best", "patience=10"])
def test_cells_that_choose_the_weights_must_not_teach(
    change: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study = Variants(load_study("health-ic2ml", [f"teacher.fit.{change}"]), tmp_path, tmp_path)
    asked = "NCA 25-05 with its validation cells"
    with pytest.raises(RecipeError, match=rf"variant '{asked}'.*teacher\.fit\.keep=last"):
        run_experiments([study], [asked])
    # The others are run.
    run: list[str] = []
    monkeypatch.setattr(Variants, "fleet", lambda *_: None)
    monkeypatch.setattr(ic2ml_study, "health_windows", lambda *_: pytest.fail("windows are cut"))
    for part in study.parts():
        if study.leaks(part.name):
            assert study.measure(part, 1) is None
        else:
            run.append(part.name)
    assert run == [n for n in study.recipe.study.variants if "validation cells" not in n]
    assert capsys.readouterr().out.count("left out: variant") == 5


def test_mistakes_are_refused() -> None:
    study = {"name": "s", "teacher": {"name": "ic2ml"}, "study": {"conditions": {}, "variants": {"all": {"sede": 1}}}}
    with pytest.raises(RecipeError, match="sede"):
        check_study(study)
