"""Studies: parts, seeds and folders. The trainings themselves are replaced; what they learn is tested elsewhere."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lightning")

from edgebat.errors import MissingExtra, RecipeError
from edgebat.studies import forecast as forecast_study
from edgebat.studies import life as life_study
from edgebat.studies.command import find_study, refuse_other_results, run_study
from edgebat.studies.forecast import Fold, ForecastStudy, kept_baselines
from edgebat.studies.life_table import dataset_table, over_folds
from edgebat.studies.parts import chosen
from edgebat.teachers.store import load_teacher
from edgebat.training.tensorfile import read_header
from tests.life_cells import made_up_windows

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Transfers that were trained, instead of training them; each leaves a result that depends on the seed."""
    trained: list[tuple[str, int]] = []

    def scores(windows: Any, transfer: Any, settings: Any, folder: Path, seed: int) -> list[dict[str, float]]:
        trained.append((transfer.target, seed))
        folder.parent.mkdir(parents=True, exist_ok=True)
        return [{"cells": 1.0, "vanilla": 30.0, "fine_tuned": 20.0, "batlinet": 10.0 + seed}]

    monkeypatch.setattr(life_study, "transfer_scores", scores)
    monkeypatch.setattr(life_study, "life_cells", lambda *_: [])
    monkeypatch.setattr(life_study, "life_windows", lambda *_: None)
    return trained


def run(tmp_path: Path, *overrides: str, only: tuple[str, ...] = ("NMC",)) -> Path:
    document = find_study("life-batlinet", overrides)
    assert document is not None
    return run_study(document, tmp_path, tmp_path / "runs", only)


def test_a_part_is_run_alone_and_not_twice(done: list[tuple[str, int]], tmp_path: Path, capsys: Any) -> None:
    folder = run(tmp_path, "seeds=[1,2]")
    assert done == [("NMC", 1), ("NMC", 2)]
    assert "| NMC | 1 | 30 (30 to 30) | 20 (20 to 20) | 12 (11 to 12) |" in capsys.readouterr().out
    run(tmp_path, "seeds=[1,2,3]")
    assert done[2:] == [("NMC", 3)]
    # A part is no reason to write a table of the whole.
    assert not (folder / "transfer.md").exists()
    with pytest.raises(RecipeError, match="--only LCO: the study has no such part; allowed are NMC, NCA"):
        run(tmp_path, only=("LCO",))
    with pytest.raises(RecipeError, match="it cannot be run in parts"):
        chosen(["NMC"], {})


def test_of_processes_that_train_together_one_prints(
    done: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from lightning.pytorch.utilities import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    run(tmp_path, "seeds=[1]")
    assert done == [("NMC", 1)]
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    monkeypatch.setenv("NODE_RANK", "1")
    run(tmp_path, "seeds=[1]")
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("NODE_RANK", "0")
    run(tmp_path, "seeds=[1]")
    assert "| NMC | 1 |" in capsys.readouterr().out


def test_results_of_another_recipe_are_not_taken_for_this_ones(done: list[tuple[str, int]], tmp_path: Path) -> None:
    folder = run(tmp_path, "seeds=[1]")
    assert "seeds" not in json.loads((folder / "study.json").read_text())
    with pytest.raises(RecipeError, match="with another batlinet; choose another --runs"):
        run(tmp_path, "seeds=[1]", "batlinet.width=16")
    assert done == [("NMC", 1)]


def test_a_new_variant_does_not_shut_out_what_is_done(tmp_path: Path) -> None:
    study: dict[str, Any] = {"teacher": "ic2ml", "variants": {"all": {"share": 1.0}, "old": {}}}
    (tmp_path / "study.json").write_text(json.dumps(study))
    refuse_other_results(tmp_path, study | {"variants": {"all": {"share": 1.0}, "new": {}}, "released": "elsewhere"})
    with pytest.raises(RecipeError, match="with another variants"):
        refuse_other_results(tmp_path, study | {"variants": {"all": {"share": 0.5}, "old": {}}})


def test_a_study_that_cannot_begin_leaves_nothing(tmp_path: Path, command: Command) -> None:
    code, _, err = command("run", "life-batlinet", "--corpus", tmp_path, "--runs", tmp_path / "runs")
    assert code == 2
    assert err.startswith("error:")
    code, _, err = command("run", "life-batlinet", "--corpus", tmp_path, "--force", "teacher")
    assert code == 2
    assert "--force repeats steps of a pipeline; life-batlinet is a study" in " ".join(err.split())
    code, _, err = command("run", "demo", "--only", "NMC")
    assert code == 2
    assert "--only picks parts of a study; demo is none" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("study", "module", "extra"),
    [("forecast-universal", "peft", "lora"), ("life-diffbatt", "sklearn.ensemble", "baselines")],
)
def test_a_study_asks_for_its_packages_before_it_trains(
    study: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    document = find_study(study)
    assert document is not None
    with pytest.raises(MissingExtra, match=rf"edgebat\[{extra}\]"):
        run_study(document, tmp_path, tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_two_transfers_to_one_chemistry_are_refused() -> None:
    document = find_study("life-batlinet", ["transfer=[{target: NMC}, {target: NMC, cells: [1]}]"])
    with pytest.raises(RecipeError, match="one transfer per chemistry; seen NMC, NMC"):
        life_study.check_study(document or {})


def test_baselines_are_learnt_once_per_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def errors(study: ForecastStudy, fold: Fold) -> dict[str, dict[str, float]]:
        asked.append(fold.name)
        return {"persistence": {"MADE": 1.25}}

    monkeypatch.setattr(forecast_study, "baseline_errors", errors)
    study = ForecastStudy("forecast-x", "battery_timer")
    for _ in range(2):
        assert kept_baselines(study, Fold("MADE", [], [], []), tmp_path) == {"persistence": {"MADE": 1.25}}
    assert asked == ["MADE"]


def test_the_table_sets_the_untuned_network_beside_the_tuned() -> None:
    errors = {"persistence": 4.0, "line24": 1.5, "line48": 2.0, "line_all": 3.0}
    result = {
        "scores": {"datasets": {"A": {"mae_pct": 1.0, "cells": 3}}},
        "baselines": {name: {"A": error} for name, error in errors.items()},
    }
    text = forecast_study.table([result], [{"A": 1.2}, {"A": 1.4}])
    assert (
        "| A | 3 | 4.000 | 1.500 | 2.000 | 3.000 | 1.000 ± 0.000 | 0.50 | 0.67 | 1.300 ± 0.100 | 0.65 | 0.87 |" in text
    )
    assert text.splitlines()[-1] == "| mean | | | | | |  | 0.50 | 0.67 |  | 0.65 | 0.87 |"
    assert {line.count("|") for line in text.splitlines()} == {13}
    assert "untuned" not in forecast_study.table([result])


def test_every_left_out_cell_has_a_line_with_the_error_of_each_seed() -> None:
    def result(seed: int, *cells: tuple[str, float]) -> dict[str, Any]:
        rows = [{"dataset": "A", "cell_id": cell, "windows": 4, "mae_pct": error} for cell, error in cells]
        return {"seed": seed, "scores": {"cells": rows}}

    text = forecast_study.cells_csv([result(2, ("c1", 0.5)), result(1, ("c2", 0.25), ("c1", 0.75))])
    assert text == ("dataset,cell,windows,mae_pct_seed1,mae_pct_seed2\nA,c1,4,0.7500,0.5000\nA,c2,4,0.2500,\n")


def test_cells_held_out_are_training_cells_spread_over_all_lives() -> None:
    windows = made_up_windows(12)
    names = tuple("train" if n < 9 else "test1" for n in range(12))
    windows = dataclasses.replace(windows, splits=names)
    study = life_study.LifeStudy("life-x", "diffbatt", hold_out=3)
    own = windows.select(split="train")
    for fold in range(3):
        train, held = life_study.study_split(study, windows, fold)
        assert sorted(train.cells + held.cells) == sorted(own.cells)
        assert sorted(held.life) == sorted(own.life)[fold::3]
    train, test = life_study.study_split(dataclasses.replace(study, hold_out=0), windows)
    assert (len(train), set(test.splits)) == (9, {"test1"})


def test_cells_held_by_name_are_scored_and_the_other_training_cells_learnt_from() -> None:
    windows = made_up_windows(12)
    windows = dataclasses.replace(windows, splits=tuple("train" if n < 9 else "test1" for n in range(12)))
    study = life_study.LifeStudy("life-x", "diffbatt", held_cells=f"*{windows.cells[3][1][-1]}")
    train, held = life_study.study_split(study, windows)
    assert held.cells == (windows.cells[3],)
    assert sorted(train.cells) == sorted(set(windows.select(split="train").cells) - set(held.cells))
    with pytest.raises(RecipeError, match=r"held_cells \('b2\*'\) and hold_out \(3\) exclude each other"):
        life_study.check_study({"name": "life-x", "teacher": "diffbatt", "held_cells": "b2*", "hold_out": 3})


def test_cells_held_by_name_are_all_that_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = dataclasses.replace(made_up_windows(4), splits=("train",) * 4)
    record = {"seed": 1, "scores": {"rmse": 10.0}, "cells": []}
    monkeypatch.setattr(life_study, "life_cells", lambda *_: [])
    monkeypatch.setattr(life_study, "life_windows", lambda *_: windows)
    monkeypatch.setattr(life_study, "run_seed", lambda *_: record)
    monkeypatch.setattr(life_study, "BASELINES", {"mean": life_study.BASELINES["mean"]})
    monkeypatch.setattr(life_study, "run_transfers", lambda *_: pytest.fail("training cells are scored"))
    study = dataclasses.replace(
        life_study.load_study("life-batlinet"), seeds=(1,), held_cells=windows.cells[0][1], synthesis=(1.0,)
    )
    life_study.run_study(study, tmp_path, tmp_path)
    assert (tmp_path / "table.md").read_text().startswith(f"| {windows.cells[0][1]} | ")
    # Nor does it ask for the forest that synthetic cells are judged by.
    monkeypatch.setattr(life_study, "require", lambda *_, **__: pytest.fail("no synthetic cells are made"))
    life_study.run_study(study, tmp_path, tmp_path)


def test_a_name_that_holds_no_cell_is_refused(tmp_path: Path) -> None:
    windows = dataclasses.replace(made_up_windows(4), splits=("train",) * 4)
    study = life_study.LifeStudy("life-x", "diffbatt", held_cells="none*")
    train, held = life_study.study_split(study, windows)
    with pytest.raises(RecipeError, match=r"held_cells 'none\*' fits none of the 4 cells of split 'train'"):
        life_study.score_split(study, train, held, tmp_path)


def cells_of(windows: Any, factor: float) -> list[dict[str, Any]]:
    """Rows of a record that misses every life by the same share."""
    return [
        {"dataset": dataset, "cell": cell, "life": float(life), "predicted": factor * float(life)}
        for (dataset, cell), life in zip(windows.cells, windows.life, strict=True)
    ]


def test_data_sets_have_a_table_of_their_own_of_all_folds_cells_together() -> None:
    windows = made_up_windows(8)
    cells = tuple(("FIRST" if n < 5 else "SECOND", name) for n, (_, name) in enumerate(windows.cells))
    windows = dataclasses.replace(windows, cells=cells)
    # Folds of 3 and 5 cells, missed by shares of their own; SECOND is in one of them only.
    folds = [(windows.take(np.arange(3)), 0.1), (windows.take(np.arange(3, 8)), 0.2)]
    unknown = {"dataset": "THIRD", "cell": "x", "life": None, "predicted": 500.0}
    found = [
        (
            {"mean": {"cells": cells_of(fold, 1.0 + share)}},
            [{"cells": [*cells_of(fold, 1.0 + share * seed), unknown]} for seed in (1, 2)],
        )
        for fold, share in folds
    ]
    share = np.array([0.1] * 3 + [0.2] * 5)
    error, first = share * windows.life, np.array([name == "FIRST" for name, _ in cells])
    rmse = [float(np.sqrt(np.mean(error[own] ** 2))) for own in (first, ~first)]
    mape = [100.0 * share[own].mean() for own in (first, ~first)]
    text = dataset_table("batlinet", found).splitlines()
    assert text[0] == "| RMSE, cycles (MAPE, %) | FIRST, 5 cells | SECOND, 3 cells |"
    assert text[2] == f"| mean | {rmse[0]:.1f} ({mape[0]:.1f}) | {rmse[1]:.1f} ({mape[1]:.1f}) |"
    said = (f"{1.5 * r:.1f} ± {0.5 * r:.1f} ({1.5 * m:.1f} ± {0.5 * m:.1f})" for r, m in zip(rmse, mape, strict=True))
    assert text[3] == f"| batlinet, 2 seeds | {' | '.join(said)} |"
    alone: Any = [({}, [{"cells": cells_of(windows.select(datasets=["FIRST"]), 1.1)}])]
    assert dataset_table("batlinet", alone) == ""


def test_a_fold_without_a_known_life_takes_nothing_from_the_others() -> None:
    empty, known = {"cells": 0.0}, {"cells": 4.0, "rmse": 30.0, "mape": 5.0}
    assert over_folds([empty, known]) == over_folds([known, empty]) == {"cells": 2.0, "rmse": 30.0, "mape": 5.0}
    assert over_folds([known, known | {"rmse": 40.0}])["rmse"] == pytest.approx(((900 + 1600) / 2) ** 0.5)


@pytest.mark.parametrize("recipe", ["life-batlinet", "life-diffbatt"])
def test_without_a_test_split_a_teacher_is_trained_and_nothing_scored(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    windows = dataclasses.replace(made_up_windows(6), splits=("train",) * 6)
    monkeypatch.setattr(life_study, "life_cells", lambda *_: [])
    monkeypatch.setattr(life_study, "life_windows", lambda *_: windows)
    monkeypatch.setattr(life_study, "run_transfers", lambda *_: pytest.fail("nothing is scored"))
    monkeypatch.setattr(life_study, "require", lambda *_, **__: pytest.fail("no synthetic cells are made"))
    few = ("fit.steps=2", "fit.steps_per_epoch=2")
    small = {
        "life-batlinet": [f"batlinet.{x}" for x in (*few, "members=1", "merge=2", "pool=1", "current=false")],
        "life-diffbatt": [f"diffbatt.{x}" for x in (*few, "first=8")],
    }
    document = find_study(recipe, ["test=null", "seeds=[1,2]", *small[recipe]])
    assert document is not None
    document["task"] = dataclasses.asdict(windows.spec)
    run_study(document, tmp_path, tmp_path)
    folder, teacher = tmp_path / recipe, str(document["teacher"])
    assert "test is null, so that nothing is scored" in capsys.readouterr().out
    assert load_teacher(folder / f"{teacher}.safetensors").task == "life"
    origin = read_header(folder / f"{teacher}.safetensors", "edgebat-teacher")["provenance"]
    assert (origin["cells"], origin["chemistries"]) == (6, ["LFP/graphite", "NMC/graphite"])
    assert not (folder / "table.md").exists()
    assert "scores" not in json.loads((folder / "seed1.json").read_text())


def test_a_split_without_cells_is_refused(tmp_path: Path) -> None:
    windows = dataclasses.replace(made_up_windows(4), splits=("train",) * 4)
    study = life_study.LifeStudy("life-x", "batlinet")
    with pytest.raises(RecipeError, match=r"no cell is of split 'test1'; with test: null nothing is scored"):
        life_study.score_split(study, *life_study.study_split(study, windows), tmp_path)
    other = dataclasses.replace(study, train="other")
    with pytest.raises(RecipeError, match=r"no cell is left to train on; cells.csv has none of split 'other'"):
        life_study.score_split(other, *life_study.study_split(other, windows), tmp_path)


def test_cross_validation_scores_every_training_cell_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = made_up_windows(12)
    windows = dataclasses.replace(windows, splits=("train",) * 12)
    scored: list[tuple[Path, Any]] = []

    def record(study: Any, train: Any, test: Any, folder: Path, seed: int) -> dict[str, Any]:
        scored.append((folder, test.cells))
        scores = {"rmse": 10.0 * len(scored), "mape": float(len(scored))}
        return {"seed": seed, "scores": scores, "cells": cells_of(test, 1.1)}

    monkeypatch.setattr(life_study, "life_cells", lambda *_: [])
    monkeypatch.setattr(life_study, "life_windows", lambda *_: windows)
    monkeypatch.setattr(life_study, "run_seed", record)
    monkeypatch.setattr(life_study, "BASELINES", {"mean": life_study.BASELINES["mean"]})
    study = life_study.LifeStudy("life-x", "batlinet", hold_out=3, seeds=(1,))
    life_study.train_and_score(study, tmp_path, tmp_path)
    assert sorted(key for _, cells in scored for key in cells) == sorted(windows.cells)
    assert [folder.name for folder, _ in scored] == ["fold0", "fold1", "fold2"]
    last = (tmp_path / "table.md").read_text().splitlines()[-1]
    # Mean of 1, 2, 3 and root mean square of 10, 20, 30.
    assert last == "| batlinet, 1 seeds |  |  | 2.00 | 21.60 |"
    with pytest.raises(RecipeError, match=r"folds are \(3,\); each once, of 0 to hold_out - 1 = 2"):
        life_study.check_study({"name": "life-x", "teacher": "batlinet", "hold_out": 3, "folds": [3]})
    with pytest.raises(RecipeError, match="hold_out is 13; split 'train' has 12 cells"):
        life_study.train_and_score(dataclasses.replace(study, hold_out=13), tmp_path, tmp_path)
