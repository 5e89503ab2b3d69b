"""Card and picture from made-up results: what they must say, whatever the numbers are."""

import dataclasses
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.report.card import RunResults, accuracy_rows, build_card
from edgebat.report.html import render
from edgebat.report.picture import draw
from edgebat.report.results import with_figures
from edgebat.runs.recipe import Recipe, check_recipe
from edgebat.tasks.base import task
from edgebat.tasks.coverage import coverage
from edgebat.tasks.health import HealthWindows
from edgebat.tasks.predictions import load_predictions, save_predictions

ERRORS = {"soh_rmse_pct": 1.0, "soh_mae_pct": 0.8, "soh_max_pct": 3.0, "trajectory_rmse_pct": 1.2,
          "rul_rmse_cycles": None, "rul_mae_cycles": None}  # fmt: skip


def errors(soh: float, **more: Any) -> dict[str, Any]:
    return {**ERRORS, "soh_rmse_pct": soh, **more}


@pytest.fixture
def steps(windows: HealthWindows) -> dict[str, Any]:
    """Results of all steps for a recipe with MLP and LSTM; the LSTM is the better one."""
    target = {"target": "cortex-m0plus", "core": "cortex-m0plus", "skipped": "", "flash_bytes": 8000, "ram_bytes": 300,
              "stack_bytes": 100, "instructions": 40000, "instructions_min": 40000, "cycles": 60000, "flags": "-O2",
              "cycles_error_percent": 10, "ms": 0.9, "ms_tag": "at 64 MHz", "built_by": "zig", "compiler": "zig 1.0",
              "simulator": "Unicorn 2", "confirmed": None, "equal": True, "model_hash": "ab" * 32, "input_crc": "0" * 8,
              "output_crc": "1" * 8, "fits": True}  # fmt: skip
    missing = {"model": "mlp", "label": "MLP", "target": "host", "core": "native", "skipped": "no <compiler> found"}
    equal = {
        "version": "",
        "windows": 40,
        "outputs": 160,
        "mismatches": 0,
        "max_difference": 0,
        "expected": "0",
        "skipped": "",
    }
    count = {"cells": 4, "windows": 40, "ends_known": 20}
    return {
        "data": {
            "source": "made up", "synthetic": False, "statement": "Cells <b>nobody</b> measured.", "fingerprint": "f" * 64,
            "split_hash": "5" * 64, "strategy": "by hand", "split": {"train": ["A/1"], "val": ["A/2"], "test": ["A/3"]},
            "counts": {"train": count, "val": count, "test": count}, "conditions": [], "left_out": {}, "corpus_notes": [],
        },
        "teacher": errors(0.9, rul_rmse_cycles=12.5, parameters=1000),
        "baselines": {
            "rows": {name: errors(2.0, parameters=10) for name in ("mean", "nearest", "ridge")},
            "order": ["mean", "ridge", "nearest"],
            "notes": [],
        },
        **{f"student-{k}": {k: errors(s, parameters=50, silent=silent), f"{k}_alone": errors(s + 0.1, parameters=50)}
           for k, s, silent in (("mlp", 1.1, ["TINY"]), ("lstm", 0.8, []))},
        "quantize": {"mlp": errors(1.15, ground=[("charge rates, C", "0.5, <1>")]), "mlp_alone": errors(1.2),
                     "lstm": errors(0.81), "lstm_alone": errors(0.7)},
        "export": {},
        "verify": {"rows": [{"model": m, "engine": e, **equal} for m in ("mlp", "lstm") for e in ("LiteRT", "host C")]},
        "simulate": {"rows": [{"model": m, "label": m.upper(), **target} for m in ("mlp", "lstm")] + [missing]},
    }  # fmt: skip


@pytest.fixture
def recipe() -> Recipe:
    return check_recipe(
        {
            "name": "made-up",
            "task": {"name": "health", "increments": 4, "context": 3, "horizon": 10},
            "teacher": {"name": "ic2ml"},
            "students": [{"kind": "mlp"}, {"kind": "lstm"}],
        }
    )


@pytest.fixture
def predictions(windows: HealthWindows) -> dict[str, dict[str, Any]]:
    answer = {"soh": windows.soh + 0.01, "trajectory": np.repeat(windows.soh[:, None], 10, 1), "rul": windows.soh * 0}
    twice = answer | {"soh": windows.soh + 0.02}
    return dict.fromkeys(("ridge", "nearest", "teacher", "mlp_int8", "lstm_int8", "lstm_alone_int8"), answer) | {
        "mlp_alone_int8": twice
    }


@pytest.fixture
def card(
    recipe: Recipe, steps: dict[str, Any], windows: HealthWindows, predictions: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    versions = {
        "edgebat": "0.1.0",
        "python": "3.11",
        "machine": "Linux",
        "packages": {"numpy": "2", "torch": None},
        "tools": {},
    }
    files = [{"path": "models/lstm.ebat", "bytes": 5000, "sha256": "c" * 64}]
    return build_card(recipe, RunResults(steps, versions, files, windows, predictions, "teacher ic2ml"))


def test_the_best_student_is_the_best_of_all_int8_rows(card: dict[str, Any]) -> None:
    # The LSTM without a teacher has a smaller error here than the taught one.
    assert card["best_student"] == "lstm_alone_int8"
    assert card["best_taught"] == "lstm_int8"
    assert [row["key"] for row in card["accuracy"] if row["best"]] == ["lstm_alone_int8"]


def test_it_says_which_to_take_and_how_to_get_it(card: dict[str, Any]) -> None:
    assert card["which_to_take"] == (
        "Take the LSTM trained without the teacher, models/lstm_alone.ebat: SOH RMSE 0.700 pp, the smallest of all int8 "
        "students; the best with the teacher, LSTM, has 0.810 pp. The difference may be chance (smaller on 0 of 4 held-out "
        "cells, p 1). The run exports taught students alone; this one: edgebat export RUN_FOLDER/models/lstm_alone.ebat"
    )


def test_where_the_teacher_helped_the_taught_student_is_the_one_to_take(
    recipe: Recipe, steps: dict[str, Any], windows: HealthWindows, predictions: dict[str, dict[str, Any]]
) -> None:
    steps["quantize"]["lstm_alone"]["soh_rmse_pct"] = 0.9
    steps["baselines"]["rows"]["ridge"]["soh_rmse_pct"] = 0.5
    card = build_card(recipe, RunResults(steps, {}, [], windows, predictions, "teacher ic2ml"))
    assert card["best_student"] == card["best_taught"] == "lstm_int8"
    assert card["which_to_take"].startswith(
        "Take the LSTM trained with the teacher, models/lstm.ebat: SOH RMSE 0.810 pp"
    )
    assert card["which_to_take"].endswith("Baselines that are better still: Ridge 0.500.")


def test_losses_of_this_recipes_trainings_are_drawn(
    recipe: Recipe, steps: dict[str, Any], windows: HealthWindows, predictions: dict[str, dict[str, Any]]
) -> None:
    rows = [{"epoch": float(n), "train_loss": 1 / (n + 1), "val_loss": 2 / (n + 1)} for n in range(500)]
    by_steps = [{"epoch": 0.0, "train_loss": float("nan")}, {"epoch": 1.0, "train_loss": 0.25}]
    losses = {"teacher-seed1": by_steps, "mlp_alone": rows, "cnn": rows, "lstm_qat": rows[:1], "mlp": []}
    versions = {"edgebat": "0", "python": "3", "machine": "", "packages": {}, "tools": {}}
    card = build_card(recipe, RunResults(steps, versions, [], windows, predictions, "teacher ic2ml", losses))
    assert [curve["label"] for curve in card["losses"]] == [
        "Teacher-seed1",
        "MLP, no teacher",
        "LSTM, quantization-aware",
    ]
    teacher, mlp, _ = card["losses"]
    assert (teacher["epoch"], teacher["train"], teacher["val"]) == ([1, 2], [None, 0.25], [None, None])
    assert len(mlp["epoch"]) <= 200
    assert mlp["val"][:2] == [2.0, 0.5]
    page = render(card, windows, predictions)
    assert 'aria-label="losses of MLP, no teacher"' in page
    json.dumps(card, allow_nan=False)


def test_rows_of_dashes_vanish(
    card: dict[str, Any], windows: HealthWindows, predictions: dict[str, dict[str, Any]]
) -> None:
    empty = dict.fromkeys(("flash_bytes", "ram_bytes", "stack_bytes", "instructions", "cycles", "ms"))
    row = {**card["targets"][0], **empty, "target": "no-figures"}
    assert with_figures([row, *card["targets"]]) == card["targets"]
    assert '<th scope="row">no-figures</th>' not in render(
        {**card, "targets": [row, *card["targets"]]}, windows, predictions
    )


def test_it_says_of_each_student_whether_the_teacher_helped(card: dict[str, Any]) -> None:
    mlp, lstm = card["taught_or_not"]
    # Four cells can differ alike by chance once in eight times.
    assert mlp.startswith(
        "MLP: not shown. With it the mean error of a cell is 0.50 of that without it (0.50 to 0.50), "
    )
    assert mlp.endswith("smaller on 4 of 4 cells. Not heard on TINY, where its student alone does better.")
    assert lstm.startswith("LSTM: not shown. With it the mean error of a cell is 1.00")
    assert "Not heard" not in lstm


def test_rows_name_form_and_source(steps: dict[str, Any]) -> None:
    rows = {row["key"]: row for row in accuracy_rows(task("health"), steps, ["mlp", "lstm"], "teacher ic2ml")}
    # Results lie sorted in their file; the rows stand in the order in which the baselines are meant to be read.
    assert list(rows)[:4] == ["mean", "ridge", "nearest", "teacher"]
    assert rows["teacher"]["label"] == "Teacher ic2ml"
    assert (rows["mlp"]["form"], rows["mlp"]["learned_from"]) == ("float", "teacher")
    assert (rows["mlp_alone_int8"]["form"], rows["mlp_alone_int8"]["learned_from"]) == ("int8", "measurements")
    assert rows["lstm_int8"]["parameters"] == 50
    assert rows["ridge"]["role"] == "baseline"


def test_the_card_carries_task_limits_licence_and_seeds(card: dict[str, Any]) -> None:
    assert card["task"]["soh_reference"] == "nominal"
    assert card["task"]["eol"] == 0.8
    assert "Apache-2.0" in card["licence"]
    assert any("safety" in limit for limit in card["limits"])
    assert card["seeds"] == {"fleet": None, "split": 1, "teacher": 1, "students": 1}
    json.dumps(card, allow_nan=False)


def test_the_card_and_the_page_state_the_ground(
    card: dict[str, Any], windows: HealthWindows, predictions: dict[str, dict[str, Any]]
) -> None:
    assert card["ground"] == [["charge rates, C", "0.5, <1>"]]
    assert "<dt>charge rates, C</dt><dd>0.5, &lt;1&gt;</dd>" in render(card, windows, predictions)
    assert "Ground of the students" not in render({**card, "ground": []}, windows, predictions)


def test_errors_per_cell(card: dict[str, Any], windows: HealthWindows) -> None:
    assert [row["cell"] for row in card["per_cell"]["rows"]] == [cell for _, cell in windows.cells]
    for row in card["per_cell"]["rows"]:
        assert row["errors"] == pytest.approx([1.0] * 6, abs=1e-4)


def test_a_figure_that_no_model_has_is_no_column(
    recipe: Recipe, steps: dict[str, Any], windows: HealthWindows, predictions: dict[str, dict[str, Any]]
) -> None:
    def columns() -> list[str]:
        run = RunResults(steps, {}, [], windows, predictions, "teacher ic2ml")
        return [column["key"] for column in build_card(recipe, run)["columns"]]

    every = [column.key for column in task("health").columns]
    assert columns() == every
    steps["teacher"]["rul_rmse_cycles"] = None
    assert columns() == [key for key in every if key != "rul_rmse_cycles"]


def test_the_page_escapes_and_says_what_is_missing(
    card: dict[str, Any], windows: HealthWindows, predictions: dict[str, dict[str, Any]]
) -> None:
    page = render(card, windows, predictions)
    assert "Cells &lt;b&gt;nobody&lt;/b&gt; measured." in page
    assert "not run: no &lt;compiler&gt; found" in page
    assert '<td class="n">12.5</td>' in page
    assert '<td class="n">–</td>' in page  # no other model's RUL is known
    assert render(card, windows, predictions) == page


def test_the_picture_shows_the_run(
    tmp_path: Path, card: dict[str, Any], windows: HealthWindows, predictions: dict[str, dict[str, Any]]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "card.json").write_text(json.dumps(card))
    windows.save(tmp_path / "data/test.safetensors")
    for key, answer in predictions.items():
        save_predictions(answer, tmp_path / f"predictions/{key}.safetensors")
    picture = draw(tmp_path)
    ET.fromstring(picture)
    assert "Student LSTM" in picture
    assert "0.81 pp" in picture
    assert "of 320 outputs differ" in picture


def test_predictions_survive_their_file(tmp_path: Path, windows: HealthWindows) -> None:
    save_predictions({"soh": windows.soh}, tmp_path / "p")
    assert np.array_equal(load_predictions(tmp_path / "p")["soh"], windows.soh)


@pytest.mark.parametrize("folds", [0, 4])
def test_with_intervals_the_narrowest_that_held_is_to_be_taken(
    folds: int, steps: dict[str, Any], windows: HealthWindows, predictions: dict[str, dict[str, Any]]
) -> None:
    recipe = check_recipe(
        {
            "name": "made-up",
            "task": {"name": "health", "increments": 4, "context": 3, "horizon": 10},
            "teacher": {"name": "ic2ml"},
            "students": [{"kind": "mlp"}, {"kind": "lstm"}],
            "data": {"split": {"calibration": 0.0 if folds else 0.2}},
            "interval": {"coverage": 0.9, "folds": folds},
        }
    )
    # Half a width around the estimate, which is 0.01 too high, 0.02 for the MLP without a teacher.
    widths = {"mlp_int8": 0.015, "mlp_alone_int8": 0.04, "lstm_int8": 0.03, "lstm_alone_int8": 0.005}
    for key, half in widths.items():
        soh = predictions[key]["soh"]
        predictions[key] = predictions[key] | {"soh_low": soh - half, "soh_high": soh + half}
        held = [dataclasses.asdict(found) for found in coverage(recipe.of_task, windows, predictions[key])]
        points = {"limit": 100, "score": [4, 400], "error": [0.5, 9.0], "what": "SOH, %"}
        steps["quantize"][key.removesuffix("_int8")]["trust"] = {
            "held": held, "windows": 40, "refused": {"a charge <unlike> the others": 2}, "domain": points
        }  # fmt: skip
    if not folds:
        steps["data"]["counts"]["calibration"] = steps["data"]["counts"]["val"]
        steps["data"]["split"]["calibration"] = ["TINY/c1"]
    versions: dict[str, Any] = {"edgebat": "1", "python": "3", "machine": "m", "packages": {}, "tools": {}}
    card = build_card(recipe, RunResults(steps, versions, [], windows, predictions, "teacher ic2ml"))
    # The LSTM without a teacher has the smallest error and never holds; of the others the taught MLP is the narrowest.
    assert card["best_student"] == card["best_taught"] == "mlp_int8"
    assert card["which_to_take"] == (
        "Take the MLP trained with the teacher, models/mlp.ebat: of the intervals that held on 87% of the windows or more "
        "(90% asked for, mean over 4 held-out cells), the narrowest: MLP trained with the teacher 3.00 points (100.0%, "
        "worst cell 100%); LSTM trained with the teacher 6.00 points (100.0%, worst cell 100%); MLP trained without the "
        "teacher 8.00 points (100.0%, worst cell 100%). Intervals that did not hold: LSTM trained without the teacher."
    )
    page = render(card, windows, predictions)
    assert "a charge &lt;unlike&gt; the others" in page
    assert 'class="band ' in page
    assert "its 90% interval" in page
    assert ("each by a student of its kind that had not learnt from it" in page) == bool(folds)
    assert ("4 cells that taught and tested nobody" in page) == (not folds)
    assert "Median width, points" in page
    assert page.index("MLP: error over distance") < page.index("LSTM: error over distance")
    assert "where intervals held, the narrowest one" in page
    json.dumps(card, allow_nan=False)
