"""A forecast from a capacity history: a CSV with a row per cycle, units and column names as the user has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgebat as eb
from edgebat.data.readers.history import read_history
from edgebat.errors import DataError
from edgebat.graph import save_graph
from edgebat.models import load_model
from edgebat.predict import predict_file
from edgebat.quantization import quantize_model
from edgebat.students.spec import DenseLayer, FlattenLayer, FloatModel, HeadSlice
from edgebat.tasks.base import FileOptions, slices_of, task
from edgebat.tasks.forecast.windows import ForecastSpec

Command = Callable[..., tuple[int, str, str]]
NOMINAL_AH = 3.5
FORECAST, SPEC = task("forecast"), ForecastSpec()
CYCLES = np.arange(1, 121)
CAPACITY_AH = 3.4 - 0.003 * CYCLES
"""Measured on 120 cycles: 0.003 Ah less with each."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An ``.ebat`` that answers: the capacity stays what it is for all cycles to come.

    So the expected numbers follow from the last capacity alone.
    """
    heads = FORECAST.heads(SPEC)
    outputs, shape = sum(head.size for head in heads), (SPEC.seen_cycles // SPEC.group, SPEC.group)
    size = shape[0] * shape[1]
    student = FloatModel(
        kind="mlp",
        input_shape=shape,
        # Weights that do nothing: one step of the smallest kind, at an input of zero.
        layers=(FlattenLayer(), DenseLayer(np.full((outputs, size), 1e-6, np.float32), np.zeros(outputs, np.float32))),
        input_mean=np.zeros(SPEC.group, np.float32),
        input_std=np.full(SPEC.group, 0.05, np.float32),
        output_mean=np.zeros(outputs, np.float32),
        output_std=np.full(outputs, 0.001, np.float32),
        heads=tuple(
            HeadSlice(head.name, where.start, head.size, head.unit, head.relative)
            for head, where in zip(heads, slices_of(heads), strict=True)
        ),
        relative=True,
    )
    x = np.random.default_rng(1).normal(0.9, 0.05, (50, *shape)).astype(np.float32)
    graph = quantize_model(student, x, name="flat", meta={"task": FORECAST.described(SPEC)})
    save_graph(graph, tmp_path / "flat.ebat")
    return tmp_path / "flat.ebat"


def history(path: Path, header: str = "cycle,capacity_ah", cycle: np.ndarray = CYCLES, scale: float = 1.0) -> Path:
    rows = [f"{n},{q * scale:.6f}" for n, q in zip(cycle, 3.4 - 0.003 * cycle, strict=True)]
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_forecast_after_every_cycle_with_enough_history(command: Command, model: Path, tmp_path: Path) -> None:
    path = history(tmp_path / "cell07.csv")
    code, out, err = command("predict", model, path, "--nominal-ah", NOMINAL_AH, "--json")
    assert code == 0, err
    rows = json.loads(out)["windows"]
    # 48 cycles must lie between the first measured one and the last.
    assert [row["cycle"] for row in rows] == list(range(49, 121))
    for row in rows:
        now = 100 * (3.4 - 0.003 * row["cycle"]) / NOMINAL_AH
        assert row["level_percent"] == pytest.approx(now, abs=0.02)
        assert list(row["trajectory_percent"]) == [f"+{n}" for n in range(12, 97, 12)]
        assert list(row["trajectory_percent"].values()) == pytest.approx([now] * 8, abs=0.02)
        assert row["eol_cycles"] is None, "80 % is not reached"


def test_cycles_to_end_of_life_are_known_where_the_forecast_reaches_it(
    command: Command, model: Path, tmp_path: Path
) -> None:
    path = history(tmp_path / "cell07.csv")
    _, out, _ = command("predict", model, path, "--nominal-ah", "3.82", "--json")
    rows = json.loads(out)["windows"]
    # 3.4 Ah - 3 mAh a cycle is below 80 % of 3.82 Ah from cycle 115 on; a flat forecast says so then, and not before.
    assert {row["cycle"]: row["eol_cycles"] for row in rows} == {n: 1 if n >= 115 else None for n in range(49, 121)}


def test_the_table_and_the_newest_row(command: Command, model: Path, tmp_path: Path) -> None:
    path = history(tmp_path / "cell07.csv")
    _, out, _ = command("predict", model, path, "--nominal-ah", NOMINAL_AH, "--last")
    head, row, *rest = out.splitlines()
    assert head.split() == ["cycle", "now", "%", "+12", "+24", "+36", "+48", "+60", "+72", "+84", "+96", "eol_cycles"]
    assert (row.split()[0], row.split()[-1]) == ("120", "-")
    assert "now, +n: capacity in % of nominal, now and n cycles ahead; eol_cycles: until 80 %, - beyond 96." in rest


@pytest.mark.parametrize(
    ("header", "mapping", "scale"),
    [
        ("cycle,capacity_ah", (), 1.0),
        ("cycle_number,discharge_capacity_ah", (), 1.0),
        ("Cycle Count / 1,Discharge Capacity / Ah", (), 1.0),
        ("n,Q_mAh", ("cycle=n", "capacity=Q_mAh:1e-3"), 1000.0),
        ("cycle,Q", ("capacity=Q:3.5",), 1 / 3.5),  # a fraction of nominal
    ],
)
def test_columns_and_units(tmp_path: Path, header: str, mapping: tuple[str, ...], scale: float) -> None:
    cycle, capacity_ah = read_history(history(tmp_path / "h.csv", header, scale=scale), mapping)
    assert (cycle.dtype, capacity_ah.dtype) == (np.int64, np.float64)
    assert np.array_equal(cycle, CYCLES)
    np.testing.assert_allclose(capacity_ah, CAPACITY_AH, atol=1e-5)


def test_other_columns_do_not_matter_and_rows_without_a_capacity_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("﻿note,cycle,capacity_ah\nnew,1,3.4\nrest,2,\nx,3,3.3\n", encoding="utf-8")
    cycle, capacity_ah = read_history(tmp_path / "h.csv")
    assert (cycle.tolist(), capacity_ah.tolist()) == ([1, 3], [3.4, 3.3])


def test_small_gaps_are_bridged_by_straight_lines(model: Path, tmp_path: Path) -> None:
    how = FileOptions(NOMINAL_AH)
    whole = FORECAST.inputs_of_file(history(tmp_path / "a.csv"), SPEC, how)
    sparse_cycles = CYCLES[(CYCLES - 1) % 7 == 0]  # every seventh, the first and the last of them measured
    sparse = FORECAST.inputs_of_file(history(tmp_path / "b.csv", cycle=sparse_cycles), SPEC, how)
    assert sparse.cycle.tolist() == [n for n in sparse_cycles if n >= 49]
    rows = np.searchsorted(whole.cycle, sparse.cycle)
    # This cell fades along a straight line, so nothing is lost: also at the beginning of the 96 cycles, where the line
    # comes from a value measured before them.
    np.testing.assert_allclose(sparse.x, whole.x[rows], atol=1e-5)
    x = whole.x[-1].ravel()
    assert x.shape == (96,)
    np.testing.assert_allclose(x, CAPACITY_AH[-96:] / NOMINAL_AH, atol=1e-6)


def test_what_lies_before_a_large_gap_is_not_seen(tmp_path: Path) -> None:
    cycle = np.concatenate([CYCLES[:60], CYCLES[:60] + 90])
    found = FORECAST.inputs_of_file(history(tmp_path / "h.csv", cycle=cycle), SPEC, FileOptions(NOMINAL_AH))
    # 30 cycles nobody measured are too many: after them the history begins anew.
    assert found.cycle.tolist() == [*range(49, 61), *range(139, 151)]
    assert found.left_out["origins with a short context"] == 96
    x = found.x[list(found.cycle).index(139)].ravel()
    np.testing.assert_allclose(x[:48], x[47], atol=1e-6)  # before the first value that value itself


def test_a_prediction_knows_its_cycles(model: Path, tmp_path: Path) -> None:
    found = predict_file(load_model(model), history(tmp_path / "h.csv"), FileOptions(NOMINAL_AH))
    assert found.cycle.tolist() == list(range(49, 121))
    assert found["level"].shape == (72, 1)
    assert found["trajectory"].shape == (72, 8)
    assert not found.outside.all()


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("cycle,capacity_ah\n1,3.4\n2,3.3\n", [], "a capacity history needs the nominal capacity; give --nominal-ah"),
        ("cycle,capacity_ah\n1,3.4\n2,3.3\n", ["--nominal-ah", "3.5"], "gives no complete window: 2 cycles"),
        ("cycle,Q\n1,3.4\n", ["--nominal-ah", "3.5"], "has no column 'capacity_ah' for the capacity; it has ['cycle', 'Q']"),
        ("cycle,Q\n1,3.4\n", ["--nominal-ah", "3.5", "--map", "capacity=C"], "has no column 'C' for the capacity"),
        ("cycle,Q\n1,3.4\n", ["--nominal-ah", "3.5", "--map", "charge=Q"], "a history has cycle= and capacity="),
        ("cycle,Q\n1,3.4\n", ["--nominal-ah", "3.5", "--map", "capacity=Q:milli"], "holds something that is no number"),
        ("cycle,capacity_ah\n1,full\n", ["--nominal-ah", "3.5"], "column 'capacity_ah' holds something that is no number"),
        ("cycle,capacity_ah\n2,3.4\n1,3.3\n", ["--nominal-ah", "3.5"], "cycles must ascend"),
        ("cycle,capacity_ah\n1,3.4\n2,0\n", ["--nominal-ah", "3.5"], "capacities be above 0 Ah"),
        ("cycle,capacity_ah\n1,\n", ["--nominal-ah", "3.5"], "0 rows with a capacity"),
    ],
)  # fmt: skip
def test_mistakes_are_explained(
    command: Command, model: Path, tmp_path: Path, text: str, arguments: list[str], message: str
) -> None:
    (tmp_path / "h.csv").write_text(text)
    code, out, err = command("predict", model, tmp_path / "h.csv", *arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_bytes(b"\xff\xfe\x00bin")
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_history(tmp_path / "h.csv")
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_history(tmp_path / "absent.csv")


def test_a_table_in_memory_and_a_parquet_file_give_what_the_csv_gives(model: Path, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    graph = load_model(model)
    expected = predict_file(graph, history(tmp_path / "h.csv"), FileOptions(NOMINAL_AH))
    table = pandas.read_csv(tmp_path / "h.csv")
    table.assign(capacity_ah=table.capacity_ah * 1000).to_parquet(tmp_path / "h.parquet")
    stored = predict_file(graph, tmp_path / "h.parquet", FileOptions(NOMINAL_AH, ["capacity=capacity_ah:1e-3"]))
    in_memory = eb.load(model).predict(table, nominal_ah=NOMINAL_AH)
    assert stored.cycle.tolist() == in_memory.cycle.tolist() == expected.cycle.tolist()
    for head in ("level", "trajectory"):
        assert np.array_equal(stored[head], expected[head])
        assert np.array_equal(in_memory[f"{head}_percent"].reshape(expected[head].shape), expected[head] / 100)
    assert "eol_cycles" in in_memory.values


def test_a_forecast_from_arrays_needs_the_nominal_capacity_and_ascending_cycles(model: Path) -> None:
    forecaster = eb.load(model)
    with pytest.raises(DataError, match="give --nominal-ah"):
        forecaster.predict({"cycle": CYCLES, "capacity_ah": CAPACITY_AH})
    with pytest.raises(DataError, match="cycles must ascend"):
        forecaster.predict({"cycle": CYCLES[::-1], "capacity_ah": CAPACITY_AH}, nominal_ah=NOMINAL_AH)
    with pytest.raises(DataError, match="no column 'capacity_ah'"):
        forecaster.predict({"cycle": CYCLES}, nominal_ah=NOMINAL_AH)
