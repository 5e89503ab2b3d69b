"""Released predictions of IC2ML: told apart by cell out of measured capacities, and scored in the paper's units."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from edgebat.cells import CellHistory

pytest.importorskip("lightning")

from edgebat.errors import DataError
from edgebat.studies import conditions as ic2ml_study
from edgebat.studies.command import check_study
from edgebat.studies.conditions import Variants
from edgebat.studies.runner import run_experiments
from edgebat.teachers.ic2ml.release import Condition, read_released, released_rows, released_table, windows_of

Array = npt.NDArray[np.float64]

CONDITION = Condition("TJU_NCA", "CY25-05_1", train=(1,), test=(4, 5, 6))
CELLS = {("TJU_NCA", f"CY25-05_1-#{n}"): 30 for n in (4, 5, 6)}
READ, AHEAD = 10, 5


def capacities() -> dict[tuple[str, str], Array]:
    """Three cells that fade from 3.5 Ah, each at steps of its own."""
    rng = np.random.default_rng(3)
    return {key: 3.5 - np.cumsum(rng.uniform(0.001, 0.003, count)) for key, count in CELLS.items()}


def release(folder: Path) -> Path:
    """Predictions of all three: 0.01, 0.02 and 0.03 Ah too high by cell, as many times 100 cycles for RUL."""
    place = folder / "checkpoint" / "NCA" / CONDITION.stem / "run"
    place.mkdir(parents=True)
    true: dict[str, list[Array]] = {"his": [], "fut": [], "rul": []}
    off = []
    for number, values in enumerate(capacities().values(), start=1):
        for start in range(len(values) - READ - AHEAD + 1):
            true["his"].append(values[start : start + READ])
            true["fut"].append(values[start + READ : start + READ + AHEAD])
            true["rul"].append(np.float64(max(0, 10 - start)))
            off.append(0.01 * number)
    for name, rows in true.items():
        values = np.array(rows, dtype=np.float32)
        shift = np.array(off, dtype=np.float32) * (100 if name == "rul" else 1)
        np.save(place / f"true_{name}.npy", values)
        np.save(place / f"pred_{name}.npy", values + (shift if values.ndim == 1 else shift[:, None]))
    return place


def test_windows_are_told_apart_by_the_capacities_of_cells_at_hand(tmp_path: Path) -> None:
    release(tmp_path)
    known = capacities()
    absent = ("TJU_NCA", "CY25-05_1-#5")
    del known[absent]
    rows = released_rows(tmp_path, {"a": CONDITION}, known, dict.fromkeys(known, 3.5))
    found = {whose: errors for _, whose, errors in rows}
    assert {whose: errors["windows"] for whose, errors in found.items()} == {
        "all test cells": 48, "CY25-05_1-#4": 16, "CY25-05_1-#6": 16, "the 2 at hand": 32, "the others": 16,
    }  # fmt: skip
    assert found["the others"]["soh_rmse_ah"] == pytest.approx(0.02, abs=1e-6)
    for whose, off in (("CY25-05_1-#4", 0.01), ("CY25-05_1-#6", 0.03)):
        assert found[whose]["soh_rmse_ah"] == pytest.approx(off, abs=1e-6)
        assert found[whose]["soh_rmse_pct"] == pytest.approx(100 * off / 3.5, abs=1e-4)
        assert found[whose]["trajectory_rmse_ah"] == pytest.approx(off, abs=1e-6)
        assert found[whose]["rul_rmse"] == pytest.approx(100 * off, abs=1e-4)
        assert found[whose]["rul_all_mae"] == pytest.approx(100 * off, abs=1e-4)
    assert found["the 2 at hand"]["soh_rmse_ah"] == pytest.approx(np.sqrt((0.01**2 + 0.03**2) / 2), abs=1e-6)
    text = released_table(rows)
    assert "| a | CY25-05_1-#4 | 16 | 0.0100 | 0.29 | 0.0100 |" in text


def test_a_run_that_fits_two_cells_or_none_is_nobodys(tmp_path: Path) -> None:
    release(tmp_path)
    released = read_released(tmp_path, CONDITION)
    assert released is not None
    four, five, six = capacities().values()
    found = windows_of(released, {("A", "1"): four, ("A", "2"): four, ("A", "3"): five, ("A", "4"): six + 0.001})
    assert set(found) == {("A", "3")}
    assert windows_of(released, {("A", "1"): np.full(30, np.nan)}) == {}


def test_the_study_scores_them_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release(tmp_path / "repository")
    none = np.empty(0)
    histories = [
        CellHistory(
            key, "25 degC", 3.5, np.arange(30), values, np.zeros(30, np.bool_), none.astype(int), none, none[:, None]
        )
        for key, values in capacities().items()
    ]
    monkeypatch.setattr(ic2ml_study, "read_corpus", lambda *_: SimpleNamespace(histories=lambda: histories))
    monkeypatch.setattr(Variants, "measure", lambda *_: pytest.fail("nothing is to be trained here"))
    section = {
        "conditions": {"a": dataclasses.asdict(CONDITION)},
        "variants": {},
        "released": str(tmp_path / "repository"),
    }
    study = check_study({"name": "s", "teacher": {"name": "ic2ml"}, "study": section})
    run_experiments([Variants(study, tmp_path, tmp_path / "runs")])
    said = (tmp_path / "runs" / "released.md").read_text()
    assert "| a | the 3 at hand | 48 |" in said
    assert said in capsys.readouterr().out


def test_a_condition_that_was_not_released_is_passed_over(tmp_path: Path) -> None:
    release(tmp_path)
    other = Condition("TJU_NCA", "CY25-1_1", train=(1,), test=(7,))
    known = capacities()
    rows = released_rows(tmp_path, {"a": CONDITION, "b": other}, known, dict.fromkeys(known, 3.5))
    assert {name for name, *_ in rows} == {"a"}
    with pytest.raises(DataError, match="holds no released predictions of these conditions"):
        released_rows(tmp_path, {"b": other}, known, {})
    with pytest.raises(DataError, match="holds no released predictions of these conditions"):
        released_rows(tmp_path / "nowhere", {"a": CONDITION}, known, {})
    with pytest.raises(DataError, match="no test cell of the conditions it holds predictions of is in the corpus"):
        released_rows(tmp_path, {"a": CONDITION}, {}, {})


def test_files_that_are_no_predictions_are_refused(tmp_path: Path) -> None:
    place = release(tmp_path)
    np.save(place / "pred_rul.npy", np.zeros(7, dtype=np.float32))
    with pytest.raises(DataError, match=re.escape("pred_rul.npy has shape (7,), true_rul.npy (48,); they must agree")):
        read_released(tmp_path, CONDITION)
    np.save(place / "true_rul.npy", np.zeros(7, dtype=np.float32))
    with pytest.raises(DataError, match=re.escape("have shapes [(48, 10), (48, 5), (7,)]")):
        read_released(tmp_path, CONDITION)
    np.save(place / "pred_rul.npy", np.array([np.nan, 1.0], dtype=np.float32))
    with pytest.raises(DataError, match=r"pred_rul\.npy has 1 values that are no finite numbers"):
        read_released(tmp_path, CONDITION)
    (place / "pred_rul.npy").write_bytes(b"PK\x03\x04 a zip, or not")
    with pytest.raises(DataError, match=r"pred_rul\.npy is not an array of numbers"):
        read_released(tmp_path, CONDITION)
    for kind in ("pred", "true"):
        np.save(place / f"{kind}_rul.npy", np.zeros(48))
        np.save(place / f"{kind}_his.npy", np.ones((48, 1)))
    with pytest.raises(DataError, match=re.escape("have shapes [(48, 1), (48, 5), (48,)]")):
        read_released(tmp_path, CONDITION)
    # An array of objects is a pickle: it is never opened.
    np.save(place / "pred_rul.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"pred_rul\.npy is not an array of numbers"):
        read_released(tmp_path, CONDITION)
    (place / "pred_rul.npy").unlink()
    with pytest.raises(DataError, match=r"pred_rul\.npy is not an array of numbers"):
        read_released(tmp_path, CONDITION)
    release(tmp_path / "twice")
    with pytest.raises(DataError, match="2 folders"):
        read_released(tmp_path, CONDITION)
