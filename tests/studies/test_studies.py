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
from edgebat.runs.document import find_study
from edgebat.studies import life as life_study
from edgebat.studies.command import check_study, refuse_other_results, run_study
from edgebat.studies.forecast import LeaveOneOut
from edgebat.studies.life import BatLiNetStudy, DiffBattStudy, dataset_table, over_folds
from edgebat.studies.runner import Part, Result, Scored, Split, chosen, run_experiments
from edgebat.studies.tables import cells_csv
from edgebat.teachers.store import load_teacher
from edgebat.training.run import Run
from edgebat.training.tensorfile import read_network
from tests.life_cells import made_up_windows

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Transfers that were trained, instead of training them; each leaves a result that depends on the seed."""
    trained: list[tuple[str, int]] = []

    def scores(windows: Any, transfer: Any, settings: Any, run: Run, seed: int) -> dict[str, dict[str, float]]:
        trained.append((transfer.target, seed))
        return {"1": {"vanilla": 30.0, "fine_tuned": 20.0, "batlinet": 10.0 + seed}}

    monkeypatch.setattr(life_study, "transfer_scores", scores)
    monkeypatch.setattr(life_study, "life_cells", lambda *_: [])
    monkeypatch.setattr(life_study, "life_windows", lambda *_: None)
    return trained


def run(tmp_path: Path, *overrides: str, only: tuple[str, ...] = ("NMC",)) -> Path:
    document = find_study("life-batlinet", overrides)
    assert document is not None
    return run_study(document, tmp_path, tmp_path / "runs", only)


def test_a_part_is_run_alone_and_not_twice(done: list[tuple[str, int]], tmp_path: Path, capsys: Any) -> None:
    folder = run(tmp_path, "study.seeds=[1,2]")
    assert done == [("NMC", 1), ("NMC", 2)]
    assert "| NMC | 1 | 30 (30 to 30) | 20 (20 to 20) | 12 (11 to 12) |" in capsys.readouterr().out
    run(tmp_path, "study.seeds=[1,2,3]")
    assert done[2:] == [("NMC", 3)]
    # A part is no reason to write a table of the whole.
    assert not (folder / "transfer.md").exists()
    with pytest.raises(RecipeError, match="--only LCO: the study has no such part; allowed are batlinet, NMC, NCA"):
        run(tmp_path, only=("LCO",))
    with pytest.raises(RecipeError, match="the study has no such part"):
        chosen(["NMC"], [])


def test_of_processes_that_train_together_one_prints(
    done: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from lightning.pytorch.utilities import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    run(tmp_path, "study.seeds=[1]")
    assert done == [("NMC", 1)]
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    monkeypatch.setenv("NODE_RANK", "1")
    run(tmp_path, "study.seeds=[1]")
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("NODE_RANK", "0")
    run(tmp_path, "study.seeds=[1]")
    assert "| NMC | 1 |" in capsys.readouterr().out


def test_results_of_another_recipe_are_not_taken_for_this_ones(done: list[tuple[str, int]], tmp_path: Path) -> None:
    folder = run(tmp_path, "study.seeds=[1]")
    assert "seeds" not in json.loads((folder / "study.json").read_text())["study"]
    with pytest.raises(RecipeError, match="with another teacher; choose another --runs"):
        run(tmp_path, "study.seeds=[1]", "teacher.width=16")
    assert done == [("NMC", 1)]


def test_a_new_variant_does_not_shut_out_what_is_done(tmp_path: Path) -> None:
    def study(**section: Any) -> dict[str, Any]:
        return {"teacher": {"name": "ic2ml"}, "study": section}

    (tmp_path / "study.json").write_text(json.dumps(study(variants={"all": {"share": 1.0}, "old": {}})))
    refuse_other_results(tmp_path, study(variants={"all": {"share": 1.0}, "new": {}}, released="elsewhere"))
    with pytest.raises(RecipeError, match="with another study"):
        refuse_other_results(tmp_path, study(variants={"all": {"share": 0.5}, "old": {}}))


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
    document = find_study("life-batlinet", ["study.transfer=[{target: NMC}, {target: NMC, cells: [1]}]"])
    with pytest.raises(RecipeError, match="one transfer per chemistry; seen NMC, NMC"):
        check_study(document or {})


def forecast_study(tmp_path: Path, leave_out: str = "dataset") -> LeaveOneOut:
    study = {"name": "x", "teacher": {"name": "battery_timer"}, "study": {"leave_out": leave_out}}
    return LeaveOneOut(check_study(study), tmp_path, tmp_path)


def test_baselines_are_learnt_once_per_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def baselines(self: LeaveOneOut, part: Part, split: Any) -> tuple[dict[str, Scored], list[str]]:
        asked.append(part.name)
        return {"persistence": Scored({"MADE": {"mae_pct": 1.25}})}, ["a package is missing"] * (len(asked) == 1)

    monkeypatch.setattr(LeaveOneOut, "baselines", baselines)
    monkeypatch.setattr(LeaveOneOut, "split", lambda *_: Split([], [], []))
    for _ in range(3):
        found = forecast_study(tmp_path).compare(Part("MADE", (1,)))
        assert found == {"persistence": Scored({"MADE": {"mae_pct": 1.25}})}
    # While one is missing, nothing is kept.
    assert asked == ["MADE", "MADE"]


def mae(*seeds: float) -> dict[int, Scored]:
    return {seed: Scored({"A": {"mae_pct": error, "cells": 3.0}}) for seed, error in enumerate(seeds, start=1)}


def test_the_table_sets_the_untuned_network_beside_the_tuned(tmp_path: Path) -> None:
    errors = {"persistence": 4.0, "line24": 1.5, "line48": 2.0, "line_all": 3.0}
    result = Result(Part("A", (1,)), mae(1.0), {name: mae(error)[1] for name, error in errors.items()})
    text = forecast_study(tmp_path).table([Result(Part("untuned", (1, 2), beside=True), mae(1.2, 1.4), {}), result])
    assert (
        "| A | 3 | 4.000 | 1.500 | 2.000 | 3.000 | 1.000 ± 0.000 | 0.50 | 0.67 | 1.300 ± 0.100 | 0.65 | 0.87 |" in text
    )
    assert text.splitlines()[-1] == "| mean |  |  |  |  |  |  | 0.50 | 0.67 |  | 0.65 | 0.87 |"
    assert {line.count("|") for line in text.splitlines()} == {13}
    assert "untuned" not in forecast_study(tmp_path).table([result])


def test_every_left_out_cell_has_a_line_with_the_error_of_each_seed() -> None:
    def scored(*cells: tuple[str, float]) -> Scored:
        return Scored({}, [{"dataset": "A", "cell": cell, "windows": 4, "mae_pct": error} for cell, error in cells])

    seeds = {2: scored(("c1", 0.5)), 1: scored(("c2", 0.25), ("c1", 0.75))}
    text = cells_csv([Result(Part("A", (1, 2)), seeds, {})], ["windows"], ["mae_pct"])
    assert text == "dataset,cell,windows,mae_pct_seed1,mae_pct_seed2\nA,c1,4,0.7500,0.5000\nA,c2,4,0.2500,\n"
    # Parts that score the same cells have lines of their own.
    both = [Result(Part(name, (1,)), {1: scored(("c1", 0.5))}, {}) for name in ("B", "C")]
    assert cells_csv(both, ["windows"], ["mae_pct"]) == (
        "part,dataset,cell,windows,mae_pct_seed1\nB,A,c1,4,0.5000\nC,A,c1,4,0.5000\n"
    )


def life(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, windows: Any, teacher: str = "batlinet", **section: Any
) -> BatLiNetStudy | DiffBattStudy:
    """A study of ``windows``."""
    monkeypatch.setattr(life_study, "life_cells", lambda *_: [])
    monkeypatch.setattr(life_study, "life_windows", lambda *_: windows)
    study = check_study({"name": "life-x", "teacher": {"name": teacher}, "study": section})
    return {"batlinet": BatLiNetStudy, "diffbatt": DiffBattStudy}[teacher](study, tmp_path, tmp_path)


def train_and_test(count: int, train: int) -> Any:
    """Windows of ``train`` training cells and so many test cells that there are ``count``."""
    return dataclasses.replace(
        made_up_windows(count), splits=tuple("train" if n < train else "test1" for n in range(count))
    )


def test_cells_held_out_are_training_cells_spread_over_all_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = train_and_test(12, train=9)
    own = windows.select(split="train")
    study = life(monkeypatch, tmp_path, windows, "diffbatt", hold_out=3)
    for fold, part in enumerate(study.parts()):
        split = study.split(part, 1)
        assert sorted(split.train.cells + split.test.cells) == sorted(own.cells)
        assert sorted(split.test.life) == sorted(own.life)[fold::3]
    study = life(monkeypatch, tmp_path, windows, "diffbatt")
    split = study.split(study.parts()[0], 1)
    assert (len(split.train), set(split.test.splits)) == (9, {"test1"})


def test_cells_held_by_name_are_scored_and_the_other_training_cells_learnt_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = train_and_test(12, train=9)
    study = life(monkeypatch, tmp_path, windows, "diffbatt", held_cells=f"*{windows.cells[3][1][-1]}")
    split = study.split(study.parts()[0], 1)
    assert split.test.cells == (windows.cells[3],)
    assert sorted(split.train.cells) == sorted(set(windows.select(split="train").cells) - set(split.test.cells))
    with pytest.raises(RecipeError, match=r"held_cells \('b2\*'\) and hold_out \(3\) exclude each other"):
        life(monkeypatch, tmp_path, windows, held_cells="b2*", hold_out=3)


def test_cells_held_by_name_are_all_that_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = train_and_test(4, train=4)
    name = windows.cells[0][1]
    monkeypatch.setattr(life_study, "BASELINES", {"mean": life_study.BASELINES["mean"]})
    monkeypatch.setattr(life_study, "transfer_scores", lambda *_: pytest.fail("training cells are scored"))
    # Nor does it ask for the forest that synthetic cells are judged by.
    monkeypatch.setattr(life_study, "require", lambda *_, **__: pytest.fail("no synthetic cells are made"))
    few = {"fit": {"steps": 2, "steps_per_epoch": 2}, "first": 8}
    section = {"seeds": [1], "held_cells": name, "synthesis": [1.0], "sampling": {"draws": 1, "steps": 2}}
    task, teacher = dataclasses.asdict(windows.spec), {"name": "diffbatt", **few}
    study = {"name": "x", "task": task, "teacher": teacher, "study": section}
    life(monkeypatch, tmp_path, windows)
    run_study(study, tmp_path, tmp_path)
    assert (tmp_path / "x" / "table.md").read_text().startswith(f"| {name} | ")
    transfers = [{"target": "NMC"}]
    own = check_study(
        {"name": "x", "teacher": {"name": "batlinet"}, "study": {"held_cells": name, "transfer": transfers}}
    )
    parts = life_study.Transfers(own, tmp_path, tmp_path).parts()
    assert chosen([], parts) == []
    assert chosen(["NMC"], parts) == parts


def test_a_name_that_holds_no_cell_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = life(monkeypatch, tmp_path, train_and_test(4, train=4), "diffbatt", held_cells="none*")
    with pytest.raises(RecipeError, match=r"held_cells 'none\*' fits none of the 4 cells of split 'train'"):
        run_experiments([study])


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
        Result(
            Part("fold", (1, 2)),
            {seed: Scored({}, [*cells_of(fold, 1.0 + share * seed), unknown]) for seed in (1, 2)},
            {"mean": Scored({}, cells_of(fold, 1.0 + share))},
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
    spread = (f"{1.5 * r:.1f} ± {0.5 * r:.1f} ({1.5 * m:.1f} ± {0.5 * m:.1f})" for r, m in zip(rmse, mape, strict=True))
    assert text[3] == f"| batlinet, 2 seeds | {' | '.join(spread)} |"
    alone = Scored({}, cells_of(windows.select(datasets=["FIRST"]), 1.1))
    assert dataset_table("batlinet", [Result(Part("batlinet", (1,)), {1: alone}, {})]) == ""


def test_a_fold_without_a_known_life_takes_nothing_from_the_others() -> None:
    empty, known = {"cells": 0.0}, {"cells": 4.0, "rmse": 30.0, "mape": 5.0}
    assert over_folds([empty, known]) == over_folds([known, empty]) == {"cells": 2.0, "rmse": 30.0, "mape": 5.0}
    assert over_folds([known, known | {"rmse": 40.0}])["rmse"] == pytest.approx(((900 + 1600) / 2) ** 0.5)


@pytest.mark.parametrize("recipe", ["life-batlinet", "life-diffbatt"])
def test_without_a_test_split_a_teacher_is_trained_and_nothing_scored(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    windows = train_and_test(6, train=6)
    monkeypatch.setattr(life_study, "life_cells", lambda *_: [])
    monkeypatch.setattr(life_study, "life_windows", lambda *_: windows)
    monkeypatch.setattr(life_study, "transfer_scores", lambda *_: pytest.fail("nothing is scored"))
    monkeypatch.setattr(life_study, "require", lambda *_, **__: pytest.fail("no synthetic cells are made"))
    few = ("fit.steps=2", "fit.steps_per_epoch=2")
    small = {
        "life-batlinet": (*few, "members=1", "merge=2", "pool=1", "current=false"),
        "life-diffbatt": (*few, "first=8"),
    }
    settings = [f"teacher.{setting}" for setting in small[recipe]]
    document = find_study(recipe, ["study.test=null", "study.seeds=[1,2]", *settings])
    assert document is not None
    document["task"] = dataclasses.asdict(windows.spec)
    run_study(document, tmp_path, tmp_path)
    folder, teacher = tmp_path / recipe, str(document["teacher"]["name"])
    assert f"{teacher} seed 2: trained, nothing is scored" in capsys.readouterr().out
    assert load_teacher(folder / f"{teacher}.safetensors").task == "life"
    origin = read_network(folder / f"{teacher}.safetensors", "edgebat-teacher").header["provenance"]
    assert (origin["cells"], origin["chemistries"]) == (6, ["LFP/graphite", "NMC/graphite"])
    assert not (folder / "table.md").exists()
    assert json.loads((folder / f"{teacher}-seed1.json").read_text())["scored"] is None


def test_a_split_without_cells_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = train_and_test(4, train=4)
    with pytest.raises(RecipeError, match=r"no cell is of split 'test1'; with test: null nothing is scored"):
        run_experiments([life(monkeypatch, tmp_path, windows)])
    with pytest.raises(RecipeError, match=r"no cell is left to train on; cells.csv has none of split 'other'"):
        run_experiments([life(monkeypatch, tmp_path, windows, train="other")])


def test_cross_validation_scores_every_training_cell_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = train_and_test(12, train=12)
    scored: list[tuple[str, Any]] = []

    class Untrained:
        """Misses the first fold by 10 cycles and 1 %, the second by 20 and 2 %, ..."""

        def score(self, teacher: Any, split: Any, seed: int) -> Scored:
            scored.append((f"fold{len(scored)}", split.test.cells))
            return Scored({"all": {"rmse": 10.0 * len(scored), "mape": float(len(scored))}}, cells_of(split.test, 1.1))

    monkeypatch.setattr(BatLiNetStudy, "score", Untrained.score)
    monkeypatch.setattr(life_study, "BASELINES", {"mean": life_study.BASELINES["mean"]})
    monkeypatch.setattr("edgebat.studies.runner.load_teacher", lambda *_: None)
    for fold in range(3):
        (tmp_path / f"fold{fold}-seed1.safetensors").touch()
    study = life(monkeypatch, tmp_path, windows, hold_out=3, seeds=[1])
    run_experiments([study])
    assert sorted(key for _, cells in scored for key in cells) == sorted(windows.cells)
    assert [json.loads((tmp_path / f"{name}-seed1.json").read_text())["scored"]["cells"][0]["cell"]
            for name, _ in scored] == [cells[0][1] for _, cells in scored]  # fmt: skip
    last = (tmp_path / "table.md").read_text().splitlines()[-1]
    # Mean of 1, 2, 3 and root mean square of 10, 20, 30.
    assert last == "| batlinet, 1 seeds |  |  | 2.00 | 21.60 |"
    with pytest.raises(RecipeError, match="--only fold3: the study has no such part; allowed are fold0, fold1, fold2"):
        run_experiments([study], ["fold3"])
    with pytest.raises(RecipeError, match="hold_out is 13; split 'train' has 12 cells"):
        run_experiments([life(monkeypatch, tmp_path / "other", windows, hold_out=13)])
