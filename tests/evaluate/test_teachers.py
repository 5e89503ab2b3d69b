"""``edgebat evaluate`` knows from the file what a teacher was trained for, and sets the baselines of that task beside it."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from edgebat.cells import pack_cells  # noqa: E402
from edgebat.tasks.base import task  # noqa: E402
from edgebat.tasks.forecast.windows import ForecastSpec  # noqa: E402
from edgebat.tasks.life.score import score_predictions  # noqa: E402
from edgebat.teachers.batlinet.network import BatLiNet, BatLiNetEnsemble  # noqa: E402
from edgebat.teachers.battery_timer.network import BatteryTimer  # noqa: E402
from edgebat.teachers.diffbatt.network import DiffBatt, DiffBattEnsemble  # noqa: E402
from edgebat.teachers.store import load_teacher, save_teacher  # noqa: E402
from edgebat.teachers.universal.network import UniversalForecaster  # noqa: E402
from tests.life_cells import made_up_cell, made_up_windows  # noqa: E402

pytestmark = pytest.mark.usefixtures("quick_learners")
Command = Callable[..., tuple[int, str, str]]
SEEN, NEW = range(9), range(9, 12)


def write_corpus(folder: Path, numbers: range) -> Path:
    """Made-up cells with capacities and early discharge curves in the format of a corpus folder."""
    cells = [made_up_cell(n, 400 + 40 * n) for n in numbers]
    (folder / "qv").mkdir(parents=True)
    np.savez(
        folder / "qv" / "MADE.npz",
        cell_id=np.array([c.key[1] for c in cells]),
        q_ah=np.stack([c.curves_ah for c in cells]),
        cycles=cells[0].curve_cycle,
    )
    rows = [
        {"dataset": "MADE", "cell_id": c.key[1], "chemistry": c.chemistry, "nominal_capacity_ah": c.nominal_ah,
         "published_cycle_life": np.nan, "split": c.split, "temperature_c": 30.0, "charge_protocol": "1C", "quality": "A"}
        for c in cells
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "cells.csv", index=False)
    parts = [
        pd.DataFrame({"dataset": "MADE", "cell_id": c.key[1], "cycle": c.cycle, "discharge_capacity_ah": c.capacity_ah,
                      "rel_capacity": c.capacity_ah / c.capacity_ah[0], "outlier": False, "label_kind": "measured"})
        for c in cells
    ]  # fmt: skip
    pd.concat(parts).to_parquet(folder / "capacity.parquet")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("all") / "cells", range(12))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One untrained teacher of each kind that says it has seen the cells SEEN."""
    folder = tmp_path_factory.mktemp("teachers")
    spec = dataclasses.asdict(made_up_windows(1).spec)
    torch.manual_seed(1)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    small: dict[str, Any] = {"context": 96, "sizes": sizes}
    network = {"spec": spec, "references": 3, "cleaning": False}
    teachers: list[Any] = [
        BatLiNet(**network),
        BatLiNetEnsemble(2, network),
        DiffBatt(spec=spec, first=8),
        DiffBattEnsemble(2, {"spec": spec, "first": 8}),
        BatteryTimer(**small),
        UniversalForecaster(**small),
    ]
    specs = {"life": made_up_windows(1).spec, "forecast": ForecastSpec(context=96, stride=48)}
    seen = pack_cells(("MADE", f"c{n:02d}") for n in SEEN)
    found = {}
    for teacher in teachers:
        found[teacher.name] = folder / f"{teacher.name}.safetensors"
        described = task(teacher.task).described(specs[teacher.task])
        origin = {"seen": seen, "task": described, "chemistries": ["LFP/graphite", "NMC/graphite"]}
        save_teacher(teacher, found[teacher.name], origin)
    return found


@pytest.mark.parametrize("name", ["batlinet", "batlinet_ensemble", "diffbatt", "diffbatt_ensemble"])
def test_life_teachers_are_scored_beside_the_baselines(
    name: str, files: dict[str, Path], corpus: Path, command: Command, tmp_path: Path
) -> None:
    table = tmp_path / "cells.csv"
    code, out, err = command("evaluate", files[name], "--corpus", corpus, "--json", "--csv", table)
    assert code == 0, err
    result = json.loads(out)
    assert result["task_kind"] == "life"
    assert [c["cell"] for c in result["cells"] if not c["seen"]] == [f"c{n:02d}" for n in NEW]
    assert result["unseen"]["cells"] == len(NEW)
    assert {"mean", "variance", "ridge", "plsr", "nearest", "cpmlp"} <= set(result["baselines"])
    # Life is 1.1 times what ridge sees in these cells: it must come close, and a constant must not.
    assert result["baselines"]["ridge"]["rmse"] < result["baselines"]["mean"]["rmse"]
    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["predicted"]) for row in rows] == [c["predicted"] for c in result["cells"]]
    code, out, _ = command("evaluate", files[name], "--corpus", corpus)
    assert code == 0
    assert "baselines learnt from 9 cells" in " ".join(out.split())


def test_a_teacher_that_reads_the_current_says_where_it_is_not_known(
    corpus: Path, command: Command, tmp_path: Path
) -> None:
    spec = dataclasses.asdict(made_up_windows(1).spec)
    network = BatLiNet(spec=spec, references=3, cleaning=False, channels=2, current=True)
    seen = pack_cells(("MADE", f"c{n:02d}") for n in SEEN)
    origin = {"seen": seen, "task": task("life").described(made_up_windows(1).spec)}
    save_teacher(network, tmp_path / "t.safetensors", origin)
    silent = tmp_path / "silent"
    shutil.copytree(corpus, silent)
    table = pd.read_csv(corpus / "cells.csv")
    table.assign(charge_protocol=["1C CC-CV"] + [None] * (len(table) - 1)).to_csv(silent / "cells.csv", index=False)
    _, out, _ = command("evaluate", tmp_path / "t.safetensors", "--corpus", silent, "--json")
    cells = len(json.loads(out)["cells"])
    assert f"the charging current of {cells - 1} of {cells} cells is not known" in " ".join(json.loads(out)["notes"])


def test_the_score_is_of_the_unseen_cells(files: dict[str, Path], corpus: Path, command: Command) -> None:
    _, out, _ = command("evaluate", files["batlinet"], "--corpus", corpus, "--json")
    result = json.loads(out)
    error = [c["predicted"] - c["life"] for c in result["cells"] if not c["seen"]]
    assert result["unseen"]["rmse"] == pytest.approx(float(np.sqrt(np.mean(np.square(error)))), rel=1e-3)


@pytest.mark.parametrize("name", ["batlinet_ensemble", "diffbatt"])
def test_each_data_set_is_scored_apart(name: str, files: dict[str, Path]) -> None:
    windows = made_up_windows()
    first, second = np.arange(len(windows)) < 5, np.arange(len(windows)) >= 5
    named = tuple(("FIRST" if left else "SECOND", key[1]) for left, key in zip(first, windows.cells, strict=True))
    teacher, named_windows = load_teacher(files[name]), dataclasses.replace(windows, cells=named)
    result = score_predictions(teacher.predict(named_windows), named_windows)
    predicted = np.array([cell["predicted"] for cell in result.cells])
    assert list(result.datasets) == ["FIRST", "SECOND"]
    for dataset, mask in (("FIRST", first), ("SECOND", second)):
        own = result.datasets[dataset]
        assert own.keys() == result.scores.keys()
        assert own["cells"] == mask.sum()
        assert own["mae"] == pytest.approx(np.abs(predicted - windows.life)[mask].mean(), abs=0.1)
    # What is not known is left out: JSON has no NaN.
    unknown = np.where(first, np.nan, windows.life).astype(np.float32)
    gone = dataclasses.replace(windows, cells=named, life=unknown, curve=np.where(first[:, None], 0, windows.curve))
    result = score_predictions(teacher.predict(gone), gone)
    assert "rmse" not in result.datasets["FIRST"]
    json.dumps(dataclasses.asdict(result), allow_nan=False)


def test_chemistries_the_model_has_not_learnt_are_named(
    files: dict[str, Path], corpus: Path, command: Command, tmp_path: Path
) -> None:
    strange = tmp_path / "strange"
    shutil.copytree(corpus, strange)
    table = pd.read_csv(corpus / "cells.csv")
    table.loc[table["cell_id"] == f"c{NEW[0]:02d}", "chemistry"] = "Na-ion"
    table.loc[table["cell_id"] == f"c{NEW[1]:02d}", "chemistry"] = None
    table.to_csv(strange / "cells.csv", index=False)
    _, out, _ = command("evaluate", files["batlinet"], "--corpus", strange, "--json")
    (note,) = (note for note in json.loads(out)["notes"] if "other chemistries" in note)
    assert (
        "learnt from LFP/graphite, NMC/graphite; 2 of 3 cells are of other chemistries (Na-ion 1, not stated 1)" in note
    )
    # The model file says what it learnt from: its training cells need not be at hand.
    new = write_corpus(tmp_path / "new", NEW)
    table[table["cell_id"].isin([f"c{n:02d}" for n in NEW])].to_csv(new / "cells.csv", index=False)
    _, out, _ = command("evaluate", files["batlinet"], "--corpus", new, "--json")
    assert note in json.loads(out)["notes"]
    _, out, _ = command("evaluate", files["batlinet"], "--corpus", corpus, "--json")
    assert "other chemistries" not in " ".join(json.loads(out)["notes"])


@pytest.mark.parametrize("name", ["battery_timer", "universal"])
def test_forecasters_are_scored_beside_the_baselines(
    name: str, files: dict[str, Path], corpus: Path, command: Command
) -> None:
    code, out, err = command("evaluate", files[name], "--corpus", corpus, "--json")
    assert code == 0, err
    result = json.loads(out)
    assert result["task_kind"] == "forecast"
    assert {"persistence", "line24", "line48", "line_all", "mean_curve", "nearest_curve", "cpmlp"} <= set(
        result["baselines"]
    )
    # The made-up cells fade along straight lines, and an untrained forecaster is the straight line.
    assert result["baselines"]["line_all"]["mae_pct"] < 1e-3 < result["baselines"]["persistence"]["mae_pct"]
    made = result["datasets"]["MADE"]
    assert made["mae_pct"] == result["unseen"]["mae_pct"]
    assert [c["cell"] for c in result["cells"] if not c["seen"]] == [f"c{n:02d}" for n in NEW]
    # One data set: its ratio to the best line is the mean, and is said in words.
    errors = {name: row["mae_pct"] for name, row in result["baselines"].items()}
    best = min(errors[line] for line in ("persistence", "line48", "line_all"))
    ratio, ratio24 = made["mae_pct"] / best, made["mae_pct"] / min(best, errors["line24"])
    assert f"data sets: {ratio:.2f} of the best of persistence and the lines" in result["notes"][-1]
    assert f"{ratio24:.2f}" in result["notes"][-1]
    assert f"MADE {ratio:.2f}" in result["notes"][-1]
    code, out, _ = command("evaluate", files[name], "--corpus", corpus)
    assert code == 0
    assert "its unseen cells" in out


@pytest.mark.parametrize("name", ["batlinet", "battery_timer"])
def test_new_cells_alone_need_the_training_cells_for_the_baselines_that_learn(
    name: str, files: dict[str, Path], corpus: Path, command: Command, tmp_path: Path
) -> None:
    new = write_corpus(tmp_path / "new", NEW)
    _, out, _ = command("evaluate", files[name], "--corpus", new, "--json")
    alone = json.loads(out)
    assert not {"mean_curve", "ridge"} & set(alone["baselines"])
    assert "--train-corpus" in alone["notes"][0]
    _, out, _ = command("evaluate", files[name], "--corpus", new, "--train-corpus", corpus, "--json")
    both = json.loads(out)
    _, out, _ = command("evaluate", files[name], "--corpus", corpus, "--json")
    whole = json.loads(out)
    assert both["unseen"] == whole["unseen"] == alone["unseen"]
    assert both["baselines"] == whole["baselines"]


def test_what_cannot_be_scored_is_said_in_one_line(
    files: dict[str, Path], corpus: Path, command: Command, tmp_path: Path
) -> None:
    code, _, err = command("evaluate", files["batlinet"], "--corpus", corpus, "--dataset", "OTHER")
    assert code == 2
    assert "no discharge curves of ['OTHER']" in " ".join(err.split())
    code, _, err = command("evaluate", files["battery_timer"], "--corpus", corpus, "--dataset", "OTHER")
    assert code == 2
    assert "has no dataset ['OTHER']" in " ".join(err.split())
    code, _, err = command("evaluate", files["battery_timer"], "--corpus", tmp_path)
    assert code == 2
    assert "cells.csv does not exist" in " ".join(err.split())
