"""The price of a candidate is known before it is trained: to the byte, and to the instruction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.bench.budget import Limits, measured_need
from edgebat.distill.bounds import IntervalSettings
from edgebat.distill.train import DistillSettings, train_student
from edgebat.formats.c.program import lower
from edgebat.quantization import quantize_model
from edgebat.runs.ground import GroundSettings, with_ground
from edgebat.runs.interval import IntervalCells, with_interval
from edgebat.search.cost import Price, Prices, random_graph
from edgebat.search.space import Candidate
from edgebat.simulate.targets import load_target
from edgebat.students.spec import LstmLayer
from edgebat.students.store import student_kinds
from edgebat.tasks.base import task
from edgebat.tasks.health import HealthWindows
from edgebat.training.run import Run
from edgebat.training.settings import FitSettings
from tests.tiny_windows import tiny_windows

SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [12, 8]},
    "cnn": {"channels": [8], "kernel": 2, "pool": 2, "hidden": 8},
    "lstm": {"units": 6, "stacked": 2},
    "gru": {"units": 6, "stacked": 2},
}
"""Settings of each family; one that is not here is priced as it is by default."""
BOARD, HEALTH, WINDOWS = "cortex-m0plus", task("health"), tiny_windows()
NO_LIMIT = Limits(None, None, None)


def price(candidate: Candidate, folder: Path, limits: Limits = NO_LIMIT, board: str = BOARD) -> Price:
    return Prices(load_target(board), limits, folder, board).of(candidate, HEALTH, WINDOWS.spec, (10, 10))


@pytest.mark.parametrize("kind", student_kinds())
def test_the_price_is_what_the_trained_student_takes(kind: str, tmp_path: Path) -> None:
    candidate = Candidate(kind, SMALL.get(kind, {}))
    settings = DistillSettings(blends=0, fit=FitSettings(epochs=12, learning_rate=0.03, patience=12))
    student, _ = train_student(
        kind, HEALTH, WINDOWS, WINDOWS, None, settings, Run(tmp_path / "fit"), student_settings=candidate.settings
    )
    graph = quantize_model(student.float_spec(), WINDOWS.inputs(), name="other_name")
    for board in (BOARD, "cortex-m4f", "rv32imc"):
        assert price(candidate, tmp_path, board=board).need == measured_need(graph, load_target(board))


def reading_the_rate(windows: HealthWindows) -> HealthWindows:
    """The same windows; every cell has been charged at a rate of its own."""
    rates = np.linspace(0.2, 1.0, len(windows.cells), dtype=np.float32)[windows.cell] / 1000
    column = np.broadcast_to(rates[:, None, None], (*windows.x.shape[:2], 1))
    spec = replace(windows.spec, charge_rate=True)
    return replace(windows, spec=spec, x=np.concatenate([windows.x, column], axis=2))


@pytest.mark.parametrize("kind", student_kinds())
def test_rate_and_interval_are_in_the_price(kind: str, tmp_path: Path) -> None:
    candidate, windows = Candidate(kind, SMALL.get(kind, {})), reading_the_rate(WINDOWS)
    settings = DistillSettings(blends=0, fit=FitSettings(epochs=4, learning_rate=0.03, patience=4))
    student, _ = train_student(
        kind, HEALTH, windows, windows, None, settings, Run(tmp_path / "fit"), student_settings=candidate.settings
    )
    meta = {"task": HEALTH.described(windows.spec), "training": {}}
    graph = quantize_model(student.float_spec(), windows.inputs(), name="finished", meta=meta)
    graph = with_ground(graph, {}, HEALTH, (windows, windows), GroundSettings())
    cells = IntervalCells(windows, windows, windows)
    finished = with_interval(graph, HEALTH, cells, IntervalSettings(coverage=0.9), GroundSettings())
    prices = Prices(load_target(BOARD), NO_LIMIT, tmp_path, BOARD, bounds=True)
    found = prices.of(candidate, HEALTH, windows.spec, windows.x.shape[1:])
    assert found.need == measured_need(finished, load_target(BOARD))
    assert found.need == measured_need(prices.whole(graph), load_target(BOARD))  # as finalists are counted again
    assert found != replace(prices, bounds=False).of(candidate, HEALTH, windows.spec, windows.x.shape[1:])


def test_only_an_lstm_with_gates_beyond_32_bits_takes_another_kernel() -> None:
    # Weights of a trained student stay below 8; what is larger is measured again when it is trained.
    graph = random_graph(Candidate("lstm", {"units": 8}), HEALTH, WINDOWS.spec, (10, 10))
    usual = lower(graph, "balanced")

    def scaled(factor: float) -> Any:
        from edgebat.students.store import build_student

        student = build_student("lstm", shape=(10, 10), heads=HEALTH.heads(WINDOWS.spec), units=8)
        model = student.float_spec()
        layers = [
            replace(layer, weight_input=layer.weight_input * factor, weight_hidden=layer.weight_hidden * factor)
            if isinstance(layer, LstmLayer)
            else layer
            for layer in model.layers
        ]
        return lower(quantize_model(replace(model, layers=tuple(layers)), WINDOWS.inputs()), "balanced")

    largest_usual, too_large = scaled(20.0), scaled(200.0)  # weights up to 0.35 before
    assert [call.function for call in largest_usual.calls] == [call.function for call in usual.calls]
    assert largest_usual.table_bytes == usual.table_bytes
    assert "edgebat_lstm_any_step" in [call.function for call in too_large.calls]


def test_a_price_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = price(Candidate("mlp", {"hidden": [4]}), tmp_path)
    monkeypatch.setattr("edgebat.search.cost.measured_need", None)
    # How ranges are chosen changes no size, and is the same architecture.
    assert price(Candidate("mlp", {"hidden": [4]}, method="minmax"), tmp_path) == first


def test_tables_beyond_the_flash_are_not_even_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgebat.search.cost.measured_need", None)
    found = price(Candidate("mlp", {"hidden": [64, 64]}), tmp_path, Limits(4096, None, None))
    assert not found.fits
    assert found.need is None
    assert found.excess[0] > 0


def test_a_byte_too_many_does_not_fit(tmp_path: Path) -> None:
    need = price(Candidate("mlp", {"hidden": [4]}), tmp_path).need
    assert need is not None
    assert price(Candidate("mlp", {"hidden": [4]}), tmp_path, Limits(need.flash, need.ram, need.ms)).fits
    for tight in (Limits(need.flash - 1, None, None), Limits(None, need.ram - 1, None)):
        assert not price(Candidate("mlp", {"hidden": [4]}), tmp_path, tight).fits


def test_what_cannot_be_built_has_a_reason_instead_of_a_price(tmp_path: Path) -> None:
    found = price(Candidate("cnn", {"channels": [4, 4, 4], "kernel": 4, "pool": 3}), tmp_path)
    assert not found.fits
    assert "no time step left" in found.reason
