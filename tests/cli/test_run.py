"""The whole pipeline once, tiny: a recipe in, a run folder with models, card and report out; then each verb on its files.

Eight synthetic cells and two epochs teach a network next to nothing, so nothing here looks at how good it is.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from edgebat.__main__ import main
from edgebat.data.synthetic import make_fleet
from edgebat.graph import load_graph
from edgebat.paths import teachers_dir
from edgebat.tasks.health.windows import HealthWindows
from tests.corpus_of_fleet import write_corpus

Command = Callable[..., tuple[int, str, str]]

FORECASTER = teachers_dir() / "battery_timer" / "synthetic.safetensors"
RECIPE = """
name: tiny
data: {synthetic: {cells: 16, max_cycles: 120, seed: 3}, split: {test: 0.3, val: 0.2, seed: 1}}
task: {name: health, context: 10, horizon: 20}
teacher: {name: ic2ml, width: 32, fit: {epochs: 1, samples_per_epoch: 256}}
students:
  - {kind: mlp, settings: {hidden: [8]}}
  - {kind: lstm, settings: {units: 8}}
distill: {blends: 1, fit: {epochs: 2, samples_per_epoch: 256, batch_size: 64}}
targets: [cortex-m4f, host]
verify: {windows: 32}
report: {cells: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a recipe and its finished run in ``runs/tiny``."""
    place = tmp_path_factory.mktemp("pipeline")
    (place / "tiny.yaml").write_text(RECIPE)
    assert main(["run", str(place / "tiny.yaml"), "--runs", str(place / "runs")]) == 0
    yield place
    shutil.rmtree(place)


@pytest.fixture
def run(folder: Path) -> Path:
    return folder / "runs" / "tiny"


@pytest.fixture
def card(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "card.json").read_text())
    return content


def test_the_run_folder_is_complete(run: Path) -> None:
    for name in ("config.yaml", "versions.json", "metrics.json", "card.json", "report.html"):
        assert (run / name).stat().st_size > 0, name
    models = {path.name for path in (run / "models").iterdir()}
    assert "teacher.safetensors" in models
    for kind in ("mlp", "lstm"):
        assert {
            f"{kind}.safetensors",
            f"{kind}_alone.safetensors",
            f"{kind}.ebat",
            f"{kind}.tflite",
            f"{kind}.onnx",
        } <= models
        assert (run / "models" / "c" / kind / f"{kind}.c").is_file()


def test_evidence_pairs_students_by_cell_and_is_not_trained_twice(folder: Path, command: Command) -> None:
    arguments = ("evidence", folder / "tiny.yaml", "--seeds", "2", "--runs", folder / "evidence")
    code, out, err = command(*arguments)
    assert code == 0, err
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if "| all |" in line]
    assert [row[0] for row in table] == ["MLP", "LSTM"]
    runs = folder / "evidence" / "tiny-evidence"
    made = json.loads((runs / "evidence.json").read_text())
    teachers = [(runs / name / "models" / "teacher.safetensors").read_bytes() for name in ("seed1", "seed2")]
    assert teachers[0] == teachers[1], "one teacher, of the first run"
    assert made["seeds"] == 2
    assert len(made["cells"]) == len(made["students"]["mlp"]["taught"])
    # Other seeds are other students, and so are those that learn from the measured cells alone.
    mlp = made["by_seed"]["mlp"]
    assert mlp["taught"][0] != mlp["taught"][1]
    assert mlp["measured"][0] != mlp["twin"][0]
    for row in table:
        errors = pd.DataFrame(made["students"][row[0].lower()]).mean()
        assert row[1] == f"{made['weights'][row[0].lower()]:,}"
        shown = [float(cell) for cell in row[3:6]]
        assert shown == pytest.approx([errors[name] for name in ("measured", "twin", "taught")], abs=6e-4)
    code, again, _ = command(*arguments)
    assert (code, "✓" in again) == (0, False)


def test_a_student_of_the_run_becomes_an_entry_of_a_zoo(
    run: Path, card: dict[str, Any], command: Command, tmp_path: Path
) -> None:
    rows = {row["key"]: row for row in card["accuracy"]}
    for model, twin in (("lstm", "without"), ("lstm_alone", "with")):
        name = f"my-{model}"
        folder = tmp_path / name
        code, out, err = command("zoo", "add", run, model, name, "--zoo", tmp_path)
        assert (code, Path(out.strip())) == (0, folder), err
        entry = json.loads((folder / "entry.json").read_text())
        assert entry["error"] == pytest.approx(rows[f"{model}_int8"]["soh_rmse_pct"], abs=6e-4)
        of_run, ours = load_graph(run / "models" / f"{model}.ebat"), load_graph(folder / f"{name}.ebat")
        assert of_run.fingerprint == ours.fingerprint == entry["fingerprint"]
        assert ours.name == name
        text = (folder / "card.md").read_text()
        for word in (f"LSTM int8, {twin} teacher", "its cells are simulated", "| Ridge |"):
            assert word in text
        assert f"edgebat zoo add runs/tiny {model} {name}" in text
        # The table says of the simulated cells what the simulation makes of the same seed.
        learnt = {cell for part in ("train", "val") for cell in card["data"]["split"][part]}
        cells = make_fleet(seed=3, cells=16, max_cycles=120).cells
        cells = cells[(cells["dataset"] + "/" + cells["cell_id"]).isin(learnt)]
        for dataset, own in cells.groupby("dataset"):
            (line,) = re.findall(rf"\| {dataset} \| (.+) \|", text)
            chemistry, *_, degrees, charging = line.split(" | ")
            assert {chemistry} == set(own["chemistry"])
            assert degrees.split("; ") == [f"{value:g} degC" for value in sorted(set(own["temperature_c"]))]
            assert charging.split("; ") == sorted(set(own["charge_protocol"]))
        # The recipe beside it is the run's.
        assert (folder / "recipe.yaml").read_bytes() == (run / "config.yaml").read_bytes()
    code, _, err = command("zoo", "add", run, "gru", "mine", "--zoo", tmp_path)
    assert code == 2
    assert "has no student 'gru'; its students are mlp_alone, lstm_alone, mlp, lstm" in " ".join(err.split())
    assert "finish the run first" in command("zoo", "add", tmp_path, "lstm", "mine", "--zoo", tmp_path)[2]


def test_an_entry_from_measured_cells_says_which_cells_they_are(
    run: Path, card: dict[str, Any], command: Command, tmp_path: Path
) -> None:
    shutil.copytree(run / "models", tmp_path / "models")
    shutil.copy(run / "config.yaml", tmp_path)
    learnt, held_out = (card["data"]["split"][part][0] for part in ("train", "test"))
    parts = {"train": [learnt], "val": [], "test": [held_out.replace("/", "-other/")]}
    measured = {**card, "data": {**card["data"], "synthetic": False, "split": parts}}
    (tmp_path / "card.json").write_text(json.dumps(measured))
    arguments = ("zoo", "add", tmp_path, "lstm", "mine", "--zoo", tmp_path)
    assert "give the corpus they are of, --corpus PATH" in command(*arguments)[2]
    assert "cells.csv cannot be read" in " ".join(command(*arguments, "--corpus", tmp_path)[2].split())
    dataset, cell = learnt.split("/")
    (tmp_path / "cells.csv").write_text(
        "dataset,cell_id,chemistry,temperature_c,charge_protocol\n"
        f"{dataset},{cell},LFP/graphite,25.0,1C\n{dataset}-other,{held_out.split('/')[1]},LCO/graphite,45.0,2C\n"
    )
    assert command(*arguments, "--corpus", tmp_path)[0] == 0
    text = (tmp_path / "mine" / "card.md").read_text()
    assert f"| {dataset} | LFP/graphite | 1 | 0 | 0 | 25 degC | 1C |" in text
    assert f"| {dataset}-other | LCO/graphite | 0 | 0 | 1 | – | – |" in text  # it says nothing of 45 degC
    entry = json.loads((tmp_path / "mine" / "entry.json").read_text())
    assert entry["data"] == f"1 cells of {dataset}; 1 held out of {dataset}-other"


def test_a_second_run_skips_every_step(folder: Path, run: Path, command: Command) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    code, out, _ = command("run", folder / "tiny.yaml", "--runs", folder / "runs")
    assert code == 0
    assert out.count("(kept)") == len(list((run / "steps").iterdir()))
    assert "✓" not in out
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_cut_off_run_goes_on_where_it_stopped(folder: Path, command: Command, tmp_path: Path) -> None:
    shutil.copytree(folder / "runs", tmp_path / "runs")
    run = tmp_path / "runs" / "tiny"
    (run / "steps" / "report.json").unlink()
    (run / "models" / "mlp.onnx").write_bytes(b"half of")
    code, out, _ = command("run", folder / "tiny.yaml", "--runs", tmp_path / "runs")
    assert code == 0
    done = [line.split("✓")[1].split("  ")[0].strip() for line in out.splitlines() if "✓" in line]
    assert done == ["TFLite, ONNX, C99", "card and report"]


def test_the_tables_and_the_report_are_named_at_the_end(folder: Path, run: Path, command: Command) -> None:
    _, out, _ = command("run", folder / "tiny.yaml", "--runs", folder / "runs")
    assert "Accuracy on" in out
    assert "synthetic data" in out
    assert "Equality with the NumPy reference" in out
    assert "Size and speed of one inference" in out
    assert f"report  {run / 'report.html'}\n" in out
    # What it says to do next works as it stands there.
    assert "RUN_FOLDER" not in out
    (model,) = re.findall(r"^next    edgebat info (\S+) says", out, re.M)
    best = json.loads((run / "card.json").read_text())["best_student"]
    assert Path(model) == run / "models" / f"{best.removesuffix('_int8')}.ebat"
    assert command("info", model)[0] == 0


def test_the_card_holds_every_model_with_and_without_teacher(card: dict[str, Any]) -> None:
    keys = [row["key"] for row in card["accuracy"]]
    assert keys[:4] == ["mean", "ridge", "nearest", "teacher"]
    for kind in ("mlp", "lstm"):
        assert {kind, f"{kind}_int8", f"{kind}_alone", f"{kind}_alone_int8"} <= set(keys)
    assert sum(row["best"] for row in card["accuracy"]) == 1


def test_the_card_says_that_the_data_is_made_up(card: dict[str, Any], run: Path) -> None:
    assert card["data"]["synthetic"] is True
    assert "not from measurements" in card["data"]["statement"]
    assert "Synthetic data." in (run / "report.html").read_text()
    assert "synthetic = True" in _told(run / "models" / "lstm.tflite")


def _told(model: Path) -> str:
    from edgebat.describe import info_text

    return info_text(str(model))


def test_no_test_cell_was_learnt_from(card: dict[str, Any]) -> None:
    split = {part: set(cells) for part, cells in card["data"]["split"].items()}
    assert not split["test"] & (split["train"] | split["val"])
    assert {f"{r['dataset']}/{r['cell']}" for r in card["per_cell"]["rows"]} == split["test"]


def test_equality_is_zero_where_it_is_promised(card: dict[str, Any]) -> None:
    promised = [row for row in card["equality"] if row["expected"] == "0" and not row["skipped"]]
    assert {row["engine"] for row in promised} >= {
        "NumPy from .tflite", "NumPy from .onnx", "NumPy step by step", "ONNX Runtime", "host C", "C on cortex-m4f",
        "C on cortex-m0plus",
    }  # fmt: skip
    for row in promised:
        assert (row["windows"], row["mismatches"]) == (32, 0), row


def test_every_figure_says_how_it_was_obtained(card: dict[str, Any]) -> None:
    for row in card["targets"]:
        if row["target"] == "cortex-m4f" and not row["skipped"]:
            assert row["flash_bytes"] > 0
            assert row["instructions"] > row["instructions_min"] - 1 > 0
            assert row["simulator"].startswith("Unicorn")
            assert row["compiler"]
            assert "-mcpu=cortex" in row["flags"]
            assert len(row["model_hash"]) == 64
            assert re.fullmatch("[0-9a-f]{8}", row["output_crc"])


def test_the_report_is_one_well_formed_file(run: Path) -> None:
    class Checker(HTMLParser):
        """Counts open elements and notes everything that would be loaded from elsewhere."""

        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []
            self.loaded: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in ("meta", "br", "path", "rect"):
                self.open.append(tag)
            self.loaded += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]

        def handle_endtag(self, tag: str) -> None:
            if tag not in ("path", "rect"):
                assert self.open.pop() == tag

    page = (run / "report.html").read_text()
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.loaded == []
    assert "url(" not in page
    assert "nan" not in re.sub(r"[a-z]*nan[a-z]+|[a-z]+nan[a-z]*", "", page.lower())


def test_forcing_a_step(folder: Path, command: Command) -> None:
    _, out, _ = command("data", folder / "tiny.yaml", "--runs", folder / "runs")
    assert "SYN_NMC" in out
    code, _, err = command("run", folder / "tiny.yaml", "--runs", folder / "runs", "--force", "reprot")
    assert code == 2
    assert "the steps are data, teacher, baselines, student-mlp, student-lstm, quantize" in err


def test_students_are_distilled_from_a_trained_teacher_at_once(folder: Path, command: Command, tmp_path: Path) -> None:
    given = folder / "runs/tiny/models/teacher.safetensors"
    code, _, _ = command("distill", folder / "tiny.yaml", "--runs", tmp_path, "--set", f"teacher={{file: {given}}}")
    assert code == 0
    models = tmp_path / "tiny/models"
    assert (models / "teacher.safetensors").read_bytes() == given.read_bytes()
    # The same teacher and cells: the same students.
    for name in ("mlp", "lstm", "mlp_alone"):
        assert (models / f"{name}.safetensors").read_bytes() == (given.parent / f"{name}.safetensors").read_bytes()


def test_validation_cells_teach_when_they_choose_nothing(folder: Path, command: Command, tmp_path: Path) -> None:
    arguments = ["train", folder / "tiny.yaml", "--runs", tmp_path, "--set", "teacher.learn_from_val=true"]
    code, _, err = command(*arguments)
    assert code == 2
    assert "teacher.learn_from_val needs keep: last" in " ".join(err.split())
    code, _, _ = command(*arguments, "--set", "teacher.fit.keep=last", "--set", "teacher.fit.patience=1")
    assert code == 0
    before, after = (runs / "tiny/models/teacher.safetensors" for runs in (folder / "runs", tmp_path))
    assert before.read_bytes() != after.read_bytes()


def test_students_learn_from_the_validation_cells_and_state_the_error_of_one_that_has_not(
    folder: Path, command: Command, tmp_path: Path
) -> None:
    arguments = ["quantize", folder / "tiny.yaml", "--runs", tmp_path, "--set", "distill.learn_from_val=true"]
    code, _, err = command(*arguments)
    assert code == 2
    assert "distill.learn_from_val needs keep: last" in " ".join(err.split())
    code, _, _ = command(*arguments, "--set", "distill.fit.keep=last", "--set", "distill.fit.patience=40")
    assert code == 0
    from edgebat.students.store import load_student

    models = tmp_path / "tiny/models"
    val = HealthWindows.load(tmp_path / "tiny/data/val.safetensors")
    judge = load_student(models / "mlp_judge.safetensors").predict(val.inputs())["soh"].ravel()
    stated = load_graph(models / "mlp.ebat").meta["field"]["sigma_cpct"]
    wrong = 1e4 * np.sqrt(np.mean((judge - val.soh) ** 2))
    assert stated == pytest.approx(wrong, rel=0.2)  # of its integers, which round
    assert stated == load_graph(models / "mlp_alone.ebat").meta["field"]["sigma_cpct"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (["data.split.seed=2"], r"was trained on \d of the \d+ test cells \(SYN_"),
        (["task.window_end_v=3.75"], r"another task: window_end_v 3\.7 \(recipe: 3\.75\)"),
        (["teacher.file=nowhere.safetensors"], r"nowhere\.safetensors does not exist"),
        ([f"teacher.file={FORECASTER}"], r"teacher battery_timer, whose task is forecast; this recipe's is health"),
        (["teacher.name=ic2ml"], "teacher has name 'ic2ml' and file .*; give one of them"),
        (["teacher={name: universal}"], "teacher 'universal' is of the task forecast; this recipe's is health"),
        (["teacher.width=16"], r"given as a file and has no settings; seen \['width'\]"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(
    folder: Path, command: Command, tmp_path: Path, changes: list[str], reason: str
) -> None:
    given = folder / "runs/tiny/models/teacher.safetensors"
    changes = [f"teacher={{file: {given}}}", *changes]
    code, _, err = command(
        "train", folder / "tiny.yaml", "--runs", tmp_path, *(part for change in changes for part in ("--set", change))
    )
    assert code == 2
    assert re.search(reason, " ".join(err.split()))
    assert not (tmp_path / "tiny/models/teacher.safetensors").exists()


def test_export_verify_and_bench_take_a_model_file(run: Path, command: Command, tmp_path: Path) -> None:
    code, out, _ = command(
        "export", run / "models/mlp.ebat", "--to", "c,ebat", "--out", tmp_path / "out", "--name", "soh"
    )
    assert code == 0
    assert {Path(line).name for line in out.split()} >= {"soh.c", "soh.h", "soh.ebat", "edgebat_nn.h"}
    code, out, _ = command("verify", tmp_path / "out/soh.ebat", "--windows", "16", "--json")
    assert code == 0
    assert all(row["mismatches"] == 0 for row in json.loads(out) if row["expected"] == "0")
    code, out, _ = command("bench", tmp_path / "out/soh.ebat", "--target", "cortex-m0plus", "--json")
    assert code == 0
    assert json.loads(out)[0]["instructions"] > 0
    code, _, err = command("export", run / "models/mlp.ebat", "--to", "tensorrt")
    assert code == 2
    assert "cannot export to tensorrt; formats are c, tflite, onnx, ebat" in err


def test_a_recipe_exports_what_its_model_files_export(
    folder: Path, run: Path, command: Command, tmp_path: Path
) -> None:
    code, out, _ = command("export", folder / "tiny.yaml", "--runs", folder / "runs")
    assert code == 0
    assert "no c/" not in out
    for kind in ("mlp", "lstm"):
        code, out, _ = command("export", run / f"models/{kind}.ebat", "--out", tmp_path)
        assert code == 0
        assert f"c/{kind}/bms/{kind}_bms.c" in out
        for line in out.split():
            written = Path(line).relative_to(tmp_path)
            assert (run / "models" / written).read_bytes() == (tmp_path / written).read_bytes()
    assert {p.relative_to(run / "models") for p in (run / "models/c").rglob("*")} == {
        p.relative_to(tmp_path) for p in (tmp_path / "c").rglob("*")
    }


def test_a_recipe_says_why_its_models_get_nothing_for_a_bms(
    folder: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder / "runs", tmp_path / "runs")
    monkeypatch.setattr("edgebat.formats.c.bms_models.KINDS", ())  # no part of a BMS runs models of this task
    arguments = ("export", folder / "tiny.yaml", "--runs", tmp_path / "runs")
    (tmp_path / "runs/tiny/steps/export.json").unlink()
    shutil.rmtree(tmp_path / "runs/tiny/models/c")
    code, out, _ = command(*arguments)
    assert code == 0
    assert (tmp_path / "runs/tiny/models/c/mlp/mlp.c").is_file()
    assert not (tmp_path / "runs/tiny/models/c/mlp/bms").exists()
    for _ in range(2):  # when it is exported, and when it has been
        for kind in ("mlp", "lstm"):
            assert f"no c/{kind}/bms: model '{kind}' of the task health cannot run in a BMS" in out
        code, out, _ = command(*arguments)
        assert code == 0


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Path:
    """The cells of the run as a corpus folder."""
    return write_corpus(make_fleet(3, 16, 120), folder / "corpus")


@pytest.mark.usefixtures("quick_learners")
def test_evaluate_scores_any_file_and_agrees_with_the_card(
    run: Path, card: dict[str, Any], corpus: Path, command: Command
) -> None:
    rows = {row["key"]: row for row in card["accuracy"]}
    for file, key in (("teacher.safetensors", "teacher"), ("mlp.safetensors", "mlp"), ("mlp.ebat", "mlp_int8"),
                      ("lstm.tflite", "lstm_int8"), ("lstm.onnx", "lstm_int8")):  # fmt: skip
        code, out, _ = command("evaluate", run / "models" / file, "--corpus", corpus, "--json")
        assert code == 0
        result = json.loads(out)
        assert result["unseen"]["soh_rmse_pct"] == pytest.approx(rows[key]["soh_rmse_pct"], rel=1e-4), file
        assert {f"{c['dataset']}/{c['cell']}" for c in result["cells"] if not c["seen"]} == set(
            card["data"]["split"]["test"]
        )
        # The data sets' unseen windows are all unseen windows.
        apart, whole = result["datasets"], result["unseen"]
        assert set(apart) == {name.split("/")[0] for name in card["data"]["split"]["test"]}
        assert sum(row["windows"] for row in apart.values()) == whole["windows"]
        squares = sum(row["windows"] * row["soh_rmse_pct"] ** 2 for row in apart.values())
        assert whole["soh_rmse_pct"] == pytest.approx((squares / whole["windows"]) ** 0.5)


@pytest.mark.usefixtures("quick_learners")
def test_evaluate_as_a_table_for_one_data_set(run: Path, card: dict[str, Any], corpus: Path, command: Command) -> None:
    test_dataset = card["data"]["split"]["test"][0].split("/")[0]
    code, out, _ = command("evaluate", run / "models", "--corpus", corpus, "--dataset", test_dataset)
    assert code == 0
    assert "all unseen" in out
    assert {"SYN_NCA": "NMC", "SYN_NMC": "NCA"}[test_dataset] not in out
    code, _, err = command("evaluate", run / "models/mlp.ebat", "--corpus", corpus, "--dataset", "SYN_LTO")
    assert code == 2
    assert "SYN_LTO" in err


def test_a_run_without_the_corpus_it_needs_leaves_nothing_behind(command: Command, tmp_path: Path) -> None:
    code, _, _ = command("run", "health-tongji", "--runs", tmp_path / "runs", "--corpus", tmp_path / "nowhere")
    assert code == 2
    assert not (tmp_path / "runs").exists()
