"""Card and picture from made-up results: what they must say, whatever the numbers are."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.report.card import accuracy_rows, build_card
from edgebat.report.html import render
from edgebat.report.picture import draw
from edgebat.runs.recipe import Recipe
from edgebat.tasks.health import HealthWindows
from edgebat.tasks.windowfile import load_predictions, load_windows, save_predictions, save_windows

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
    count = {"cells": 4, "windows": 40, "rul": 20}
    return {
        "data": {
            "source": "made up", "synthetic": False, "statement": "Cells <b>nobody</b> measured.", "fingerprint": "f" * 64,
            "split_hash": "5" * 64, "strategy": "by hand", "split": {"train": ["A/1"], "val": ["A/2"], "test": ["A/3"]},
            "counts": {"train": count, "val": count, "test": count}, "conditions": [], "left_out": {},
        },
        "teacher": errors(0.9, parameters=1000),
        "baselines": {name: errors(2.0, parameters=10) for name in ("mean", "ridge", "nearest")},
        **{f"student-{k}": {k: errors(s, parameters=50), f"{k}_alone": errors(s + 0.1, parameters=50)}
           for k, s in (("mlp", 1.1), ("lstm", 0.8))},
        "quantize": {"mlp": errors(1.15), "mlp_alone": errors(1.2), "lstm": errors(0.81), "lstm_alone": errors(0.7)},
        "export": {},
        "verify": {"rows": [{"model": m, "engine": e, **equal} for m in ("mlp", "lstm") for e in ("LiteRT", "host C")]},
        "simulate": {"rows": [{"model": m, "label": m.upper(), **target} for m in ("mlp", "lstm")] + [missing]},
    }  # fmt: skip


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.model_validate({"name": "made-up", "students": [{"kind": "mlp"}, {"kind": "lstm"}]})


@pytest.fixture
def predictions(windows: HealthWindows) -> dict[str, dict[str, Any]]:
    answer = {"soh": windows.soh + 0.01, "trajectory": np.repeat(windows.soh[:, None], 10, 1), "rul": windows.soh * 0}
    return dict.fromkeys(("ridge", "nearest", "teacher", "mlp_int8", "lstm_int8"), answer)


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
    return build_card(recipe, steps, versions, files, windows, predictions)


def test_the_best_student_is_taught_and_int8(card: dict[str, Any]) -> None:
    # The LSTM without a teacher has a smaller error here, but it is not what is exported.
    assert card["best_student"] == "lstm_int8"
    assert [row["key"] for row in card["accuracy"] if row["best"]] == ["lstm_int8"]


def test_rows_name_form_and_source(steps: dict[str, Any]) -> None:
    rows = {row["key"]: row for row in accuracy_rows(steps, ["mlp", "lstm"])}
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


def test_errors_per_cell(card: dict[str, Any], windows: HealthWindows) -> None:
    assert [row["cell"] for row in card["per_cell"]["rows"]] == [cell for _, cell in windows.cells]
    for row in card["per_cell"]["rows"]:
        assert row["soh_rmse_pct"] == pytest.approx([1.0] * 5, abs=1e-4)


def test_the_page_escapes_and_says_what_is_missing(
    card: dict[str, Any], windows: HealthWindows, predictions: dict[str, dict[str, Any]]
) -> None:
    page = render(card, windows, predictions)
    assert "Cells &lt;b&gt;nobody&lt;/b&gt; measured." in page
    assert "not run: no &lt;compiler&gt; found" in page
    assert '<td class="n">–</td>' in page  # no RUL was known
    assert render(card, windows, predictions) == page


def test_the_picture_shows_the_run(
    tmp_path: Path, card: dict[str, Any], windows: HealthWindows, predictions: dict[str, dict[str, Any]]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "card.json").write_text(json.dumps(card))
    save_windows(windows, tmp_path / "data/test.safetensors")
    for key, answer in predictions.items():
        save_predictions(answer, tmp_path / f"predictions/{key}.safetensors")
    picture = draw(tmp_path)
    ET.fromstring(picture)
    assert "Student LSTM" in picture
    assert "0.81 pp" in picture
    assert "of 320 outputs differ" in picture


def test_windows_and_predictions_survive_their_files(tmp_path: Path, windows: HealthWindows) -> None:
    save_windows(windows, tmp_path / "a")
    save_windows(load_windows(tmp_path / "a"), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again = load_windows(tmp_path / "a")
    assert (again.spec, again.cells, again.conditions) == (windows.spec, windows.cells, windows.conditions)
    assert np.array_equal(again.rul, windows.rul, equal_nan=True)
    save_predictions({"soh": windows.soh}, tmp_path / "p")
    assert np.array_equal(load_predictions(tmp_path / "p")["soh"], windows.soh)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"junk" * 100])
def test_a_damaged_window_file_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    from edgebat.errors import DataError

    (tmp_path / "w").write_bytes(content)
    with pytest.raises(DataError, match="run the step 'data' again"):
        load_windows(tmp_path / "w")
