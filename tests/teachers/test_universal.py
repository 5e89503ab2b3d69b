"""The universal forecaster: the contrastive task on known answers, and the left-out folds."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from edgebat.cells import CapacityHistory
from edgebat.errors import DataError, RecipeError
from edgebat.studies import forecast as forecast_study
from edgebat.studies.command import check_study
from edgebat.studies.forecast import LeaveOneOut
from edgebat.studies.runner import run_experiments
from edgebat.tasks.forecast.fade import fade_curves
from edgebat.tasks.forecast.windows import ForecastSpec, forecast_windows
from edgebat.teachers.battery_timer.draws import stretches
from edgebat.teachers.battery_timer.network import BatteryTimer
from edgebat.teachers.store import load_teacher, save_teacher
from edgebat.teachers.universal.network import (
    ContrastHead,
    UniversalForecaster,
    choose_pairs,
    descriptor_distance,
    info_nce,
)
from edgebat.teachers.universal.settings import ContrastSettings, UniversalSettings
from edgebat.teachers.universal.train import chemistry_family, left_out_folds, read_descriptors, train_universal
from edgebat.training.run import Run
from edgebat.training.settings import FitSettings
from tests.shipped_studies import load_study

SIZES = {
    "input_token_len": 8,
    "output_token_len": 8,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
}
SPEC = ForecastSpec(context=32, horizon=8, min_history=16, seen_cycles=32)
FIT = FitSettings(epochs=1, batch_size=64, learning_rate=2e-3, samples_per_epoch=256)


def test_info_nce_of_an_anchor_equal_to_its_positive() -> None:
    z = torch.eye(3)
    positive = torch.tensor([1, -1, -1])
    z[1] = z[0]
    negative = torch.zeros(3, 3, dtype=torch.bool)
    negative[0, 2] = True
    # cosine 1 to the positive, 0 to the one negative, temperature 0.5.
    expected = -math.log(math.exp(2.0) / (math.exp(2.0) + 1.0))
    assert info_nce(z, z, positive, negative, 0.5).item() == pytest.approx(expected)


def test_info_nce_without_negatives_or_positives_is_zero() -> None:
    z = torch.nn.functional.normalize(torch.randn(4, 3), dim=1)
    nobody = torch.zeros(4, 4, dtype=torch.bool)
    assert info_nce(z, z, torch.tensor([1, 0, 3, 2]), nobody, 0.1).item() == pytest.approx(0.0, abs=1e-6)
    assert info_nce(z, z, torch.full((4,), -1), ~nobody, 0.1).item() == 0.0


def test_descriptor_distance_uses_the_columns_both_have() -> None:
    nan = float("nan")
    rows = torch.tensor([[0.0, 1.0, nan], [3.0, nan, 5.0], [nan, nan, 1.0]])
    distance = descriptor_distance(rows)
    assert distance[0, 1].item() == pytest.approx(3.0)
    assert distance[1, 2].item() == pytest.approx(4.0)
    assert math.isinf(distance[0, 2])


def test_positives_are_near_and_negatives_far_and_neither_is_of_the_same_cell() -> None:
    torch.manual_seed(0)
    values = torch.arange(60.0)[:, None].expand(60, 10).clone()
    cell = torch.arange(60) % 12
    positive, negative = choose_pairs(values, cell, ContrastSettings(neighbours=5, hard_negatives=4))
    rows = torch.arange(60)
    assert (cell[positive] != cell).all()
    assert ((positive - rows).abs() <= 6).all()
    assert not negative[cell[:, None] == cell[None, :]].any()
    assert not negative[rows, positive].any()
    for row in range(60):
        away = (values[:, 0] - row).abs()[cell != cell[row]]
        rejected = (values[:, 0] - row).abs()[negative[row]]
        near = rejected[rejected < away.median()]
        assert 1 <= len(near) <= 4
        assert near.min() >= away.quantile(0.15)


def test_windows_without_descriptors_take_no_part() -> None:
    head = ContrastHead(16, 10, ContrastSettings(weight=1.0, warm_up=1))
    state = torch.randn(8, 16, requires_grad=True)
    described = torch.full((8, 10), float("nan"))
    assert head(state, described, torch.arange(8)).item() == 0.0


@pytest.mark.parametrize("cross_modal", [False, True])
def test_the_contrastive_task_can_be_learnt(cross_modal: bool) -> None:
    torch.manual_seed(0)
    settings = ContrastSettings(weight=1.0, warm_up=1, temperature=0.5, cross_modal=cross_modal)
    head = ContrastHead(16, 10, settings)
    group = torch.arange(64) % 4
    described = 10.0 * torch.eye(4)[group] @ torch.randn(4, 10)
    state = torch.randn(64, 16) + 2.0 * torch.eye(4)[group] @ torch.randn(4, 16)
    cell = torch.arange(64)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = head(state, described, cell)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * losses[0]


def test_the_weight_warms_up() -> None:
    head = ContrastHead(16, 10, ContrastSettings(weight=1.0, warm_up=10, cross_modal=True))
    state, described, cell = torch.randn(8, 16), torch.randn(8, 10), torch.arange(8)
    first, second = head(state, described, cell), head(state, described, cell)
    assert second.item() == pytest.approx(2.0 * first.item(), rel=1e-5)


def test_training_leaves_a_plain_forecaster_that_needs_capacities_alone(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    curves = fade_curves(16, seed=5)
    train, val = stretches(curves[:12], SPEC), forecast_windows(curves[12:], SPEC)
    described = np.random.default_rng(0).normal(size=(len(train), 10)).astype(np.float32)
    torch.manual_seed(0)
    network = UniversalForecaster(context=32, sizes=SIZES)
    names = set(network.state_dict())
    start = {name: value.clone() for name, value in network.state_dict().items()}
    settings = UniversalSettings()
    settings = dataclasses.replace(settings, timer=dataclasses.replace(settings.timer, fit=FIT))
    network, _ = train_universal(network, train, described, val, settings, Run(tmp_path))
    assert set(network.state_dict()) == names
    assert torch.equal(network.state_dict()["timer.model.norm.weight"], start["timer.model.norm.weight"])
    assert not torch.equal(network.state_dict()["timer.model.layers.0.self_attn.q_proj.weight"],
                           start["timer.model.layers.0.self_attn.q_proj.weight"])  # fmt: skip
    save_teacher(network, tmp_path / "u.safetensors")
    again = load_teacher(tmp_path / "u.safetensors")
    assert again.name == "universal"
    np.testing.assert_array_equal(again.predict(val)["trajectory"], network.predict(val)["trajectory"])
    with pytest.raises(DataError, match="is needed"):
        train_universal(network, train, described[:-1], val, settings, Run(tmp_path))


def history(dataset: str, name: str, chemistry: str, source: CapacityHistory) -> CapacityHistory:
    return dataclasses.replace(source, key=(dataset, name), chemistry=chemistry)


def lab() -> list[CapacityHistory]:
    kinds = (("A", "LFP/graphite"), ("B", "LFP/graphite"), ("C", "NCA/graphite"))
    curves = fade_curves(12, seed=7)
    return [history(kinds[i % 3][0], f"c{i}", kinds[i % 3][1], curve)
            for i, curve in enumerate(curves)]  # fmt: skip


def test_left_out_means_left_out() -> None:
    cells = lab()
    for name, inside, outside in left_out_folds(cells):
        assert {cells[i].key[0] for i in outside} == {name}
        assert name not in {cells[i].key[0] for i in inside}
        assert sorted(inside + outside) == list(range(12))
    chemistries = {name: {cells[i].key[0] for i in outside} for name, _, outside in left_out_folds(cells, "chemistry")}
    assert chemistries == {"LFP": {"A", "B"}, "NCA": {"C"}}
    with pytest.raises(DataError, match="leaves nothing"):
        list(left_out_folds(cells[:1]))


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("LiNi0.83Co0.11Mn0.07O2/graphite-Si (NCM)", "NMC"),
        ("NCM523/graphite", "NMC"),
        ("LFP/graphite", "LFP"),
        ("LCO/NCA-class (not stated by NASA)", "LCO"),
        ("unknown (4.2 V class; read as NCM/graphite)", "other"),
        ("sodium-ion layered oxide", "Na-ion"),
    ],
)
def test_chemistry_families(text: str, family: str) -> None:
    assert chemistry_family(text) == family


def test_descriptors_are_read_where_the_corpus_has_them(tmp_path: Path) -> None:
    (tmp_path / "features").mkdir()
    cell = history("HUST", "1-1", "LFP", fade_curves(1, seed=3)[0])
    columns = {name: np.full(20, 0.5) for name in ("voltage_mean", "voltage_std", "voltage_skewness", "current_mean",
                                                   "current_std", "CC_charge_time", "CV_charge_time")}  # fmt: skip
    pd.DataFrame({"dataset": "HUST", "cell_id": "1-1", "row": range(1, 21), "capacity_ah": cell.capacity[10:30]}
                 | columns).to_parquet(tmp_path / "features" / "charge_features.parquet")  # fmt: skip
    cycle, values = read_descriptors(tmp_path, [cell])["HUST", "1-1"]
    np.testing.assert_array_equal(cycle, cell.cycle[10:30])
    np.testing.assert_allclose(values[:, 0], np.log1p(1.0))
    assert np.isnan(values[:, 8:]).all()
    assert read_descriptors(tmp_path / "nothing", [cell]) == {}


def test_shipped_studies_are_valid_and_mistakes_are_refused(tmp_path: Path) -> None:
    for name in ("forecast-battery-timer", "forecast-battery-timer-lora", "forecast-universal"):
        study = load_study(name)
        assert study.name == name
        timer = study.teacher.timer if study.teacher_name == "universal" else study.teacher
        assert study.task.horizon == BatteryTimer(**timer.network).horizon
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: x\nteacher: {name: universal, timer: {fit: {epoch: 3}}}\nstudy: {}\n")
    with pytest.raises(RecipeError, match="epoch"):
        load_study(wrong)
    with pytest.raises(RecipeError, match="forecast-universal"):
        load_study("forecast-none")


def made_up_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **section: Any) -> LeaveOneOut:
    """A study of ``lab``."""
    fleet = SimpleNamespace(select=lambda **_: None)
    monkeypatch.setattr(forecast_study, "read_corpus", lambda *_: fleet)
    monkeypatch.setattr(forecast_study, "capacity_histories", lambda *_: lab())
    fit = {"epochs": 1, "batch_size": 64, "learning_rate": 2e-3, "samples_per_epoch": 256}
    network = {"context": 32, "sizes": SIZES}
    study = {"name": "s", "task": SPEC.to_dict(), "teacher": {"name": "battery_timer", "network": network, "fit": fit},
             "study": {"synthetic_cells": 0, **section}}  # fmt: skip
    return LeaveOneOut(check_study(study), tmp_path, tmp_path)


def test_a_fold_is_trained_scored_and_not_done_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = made_up_study(tmp_path, monkeypatch, val_cells=0.3)
    assert set(study.folds) == {"A", "B", "C", "all"}
    fold = study.folds["C"]
    assert not {h.key for h in fold.train} & ({h.key for h in fold.val} | {h.key for h in fold.test})
    run_experiments([study], ["C"])
    assert "| C | 4 |" in capsys.readouterr().out
    record = json.loads((tmp_path / "C-seed1.json").read_text())
    assert set(record["scored"]["scores"]) == {"C"}
    learning = {"mean_curve", "nearest_curve", "cpmlp"}
    beside = json.loads((tmp_path / "C-baselines.json").read_text())
    assert {"persistence", "line24", "line48", "line_all"} | learning <= set(beside)
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.glob("C-*.*")}
    run_experiments([study], ["C"])
    assert "| C | 4 |" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("C-*.*")} == kept
    # A part is no reason to write tables of the whole.
    assert not (tmp_path / "table.md").exists()


def test_one_dataset_alone_is_scored_on_all_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folds = made_up_study(tmp_path, monkeypatch, leave_out="rest", val_cells=0.0).folds
    assert set(folds) == {"A", "B", "C"}
    for name, fold in folds.items():
        assert {h.key[0] for h in [*fold.train, *fold.val]} == {name}
        assert {h.key[0] for h in fold.test} == {"A", "B", "C"} - {name}
        assert fold.val, "without a drawn validation cell the last one is taken"
