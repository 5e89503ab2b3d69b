"""Windows of a model that reads whichever tenths of a volt the charges crossed: drawn, normalized, asked, refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.arrays import Float64
from edgebat.data.readers import read_cell
from edgebat.data.synthetic import make_fleet
from edgebat.distill.train import DistillSettings, train_student
from edgebat.errors import DataError
from edgebat.formats.c.bms_models import BmsModel, describe
from edgebat.graph import IntGraph
from edgebat.graph.origin import graph_ground
from edgebat.ground import WINDOW_UNLIKE, Starts
from edgebat.models import run_int8, to_ppm
from edgebat.predict import predict_file
from edgebat.quantization import quantize_model
from edgebat.runs.ground import GroundSettings, measured_ground
from edgebat.runtime import quantize_input
from edgebat.runtime.refusal import Refusal, refusals
from edgebat.tasks.base import FileOptions, task
from edgebat.tasks.coverage import coverage
from edgebat.tasks.health import HealthSpec, HealthWindows, health_windows, increments_from_curve
from edgebat.tasks.health.any_counter import AnyWindowCounter
from edgebat.tasks.health.any_window import Row, gathered
from edgebat.tasks.health.charge_types import Config, Sample
from edgebat.tasks.health.charges import read_windows
from edgebat.training.run import Run

HEALTH = task("health")
SPEC = HealthSpec(windows="any", last_start_v=4.0, start_step_v=0.1, context=4, charge_rate=True, draws=3)
START, AGE, RATE = SPEC.increments, SPEC.increments + 1, SPEC.increments + 2


@pytest.fixture(scope="module")
def fleet_windows() -> HealthWindows:
    """Of four made-up cells."""
    return health_windows(make_fleet(3, 4, 60).histories(), SPEC)


def test_every_charge_gives_several_histories_that_end_with_it(fleet_windows: HealthWindows):
    x = fleet_windows.inputs()
    assert x.shape[1:] == (4, 13)
    base = health_windows(make_fleet(3, 4, 60).histories(), replace(SPEC, windows="one", charge_rate=False))
    assert len(fleet_windows) == 3 * len(base)
    assert (x[:, -1, AGE] == 0.0).all()
    assert (x[:, -1, START] > 0.0).all()
    ages = np.rint(x[..., AGE] * 1e6)
    there = x[..., START] > 0.0
    assert (np.diff(np.where(there, ages, 1e9), axis=1) <= 0).all()
    assert ages.max() <= SPEC.max_age
    # Empty rows stand first and hold nothing.
    assert (np.diff(there.astype(int), axis=1) >= 0).all()
    assert (x[~there] == 0.0).all()
    assert 0.2 < there.mean() < 0.9


def test_a_charge_is_read_through_consecutive_windows_from_its_arrival_on():
    spec = replace(SPEC, start_step_v=0.05, context=10, draws=6)
    x = health_windows(make_fleet(3, 2, 40).histories(), spec).inputs()
    ages, starts = np.rint(x[..., AGE] * 1e6), np.rint(x[..., START] * 1e6)
    newest = [starts[n][(ages[n] == 0) & (starts[n] > 0)].tolist() for n in range(len(x))]
    assert all((np.diff(charge) == 100).all() for charge in newest)
    # Wherever it arrives, and with its first windows alone or all of them.
    assert {charge[0] for charge in newest} == {round(v * 1000) for v in spec.starts_v}
    assert {len(charge) for charge in newest if charge[0] == 3650} == {1, 2, 3, 4}
    assert any((ages[n] > 0).any() for n in range(len(x)))


def test_intervals_are_judged_by_where_the_newest_charge_is_read_from(fleet_windows: HealthWindows):
    x = fleet_windows.inputs()
    ages, starts = np.rint(x[..., AGE] * 1e6), np.rint(x[..., START] * 1e6) / 1000
    first = np.array([starts[n][(ages[n] == 0) & (starts[n] > 0)].min() for n in range(len(x))])
    groups = dict(HEALTH.groups(fleet_windows))
    assert list(groups) == ["read from 3.60 to 3.70 V", "read from 3.80 to 3.90 V", "read from 4.00 to 4.00 V"]
    for mask, low, high in zip(groups.values(), (3.6, 3.8, 4.0), (3.7, 3.9, 4.0), strict=True):
        assert np.array_equal(mask, (first >= low) & (first <= high))
    predictions = {"soh": fleet_windows.soh, "soh_low": fleet_windows.soh - 0.01, "soh_high": fleet_windows.soh + 0.01}
    assert {*groups} < {found.group for found in coverage(HEALTH, fleet_windows, predictions)}


def test_the_next_window_begins_where_the_last_one_ends():
    starts = np.array(replace(SPEC, start_step_v=0.05).starts_v)
    chains = np.array(replace(SPEC, start_step_v=0.05).chains)
    assert starts[chains[0]].tolist() == [3.6, 3.7, 3.8, 3.9, 4.0]
    assert starts[chains[3]].tolist() == [3.75, 3.85, 3.95]
    # Windows that do not meet: one of each charge.
    assert np.array(replace(SPEC, start_step_v=0.07).chains).sum() == len(replace(SPEC, start_step_v=0.07).starts_v)


def test_an_input_exists_after_every_window():
    spec = replace(SPEC, context=3, max_age=5)
    value = np.full(11, 0.01)
    x, cycle = gathered([Row(7, 3.8, value), Row(2, 4.0, value), Row(7, 3.7, value), Row(1, 3.7, value)], spec)
    assert cycle.tolist() == [1, 2, 7, 7]
    seen = [[(round(row[START] * 1000, 3), round(row[AGE] * 1e6)) for row in window if row[START]] for window in x]
    # A row that is more than max_age cycles old is not read.
    assert seen == [[(3.7, 0)], [(3.7, 1), (4.0, 0)], [(4.0, 5), (3.7, 0)], [(4.0, 5), (3.7, 0), (3.8, 0)]]


def test_a_row_holds_the_increments_of_its_window_and_its_cycle(fleet_windows: HealthWindows):
    history = next(iter(make_fleet(3, 4, 60).histories()))
    row = next(r for r in range(len(fleet_windows)) if fleet_windows.inputs()[r, -1, START] > 0.0037)
    values = fleet_windows.inputs()[row, -1]
    spec = SPEC.beginning_at(round(float(values[START]) * 1000, 3))
    charge = np.flatnonzero(history.charge_cycle == fleet_windows.cycle[row])
    curve = history.charge_dq_ah[charge]
    found = increments_from_curve(history.charge_voltage_v, curve, history.nominal_ah, spec)[0]
    np.testing.assert_allclose(values[: SPEC.increments], found, rtol=1e-5)
    assert values[RATE] == pytest.approx((history.condition.charge_rate_c or 0.0) / 1000)


def test_teachers_see_the_charges_of_one_window(fleet_windows: HealthWindows):
    base = health_windows(make_fleet(3, 4, 60).histories(), replace(SPEC, windows="one", charge_rate=False))
    np.testing.assert_array_equal(fleet_windows.increments[::3], base.x)


def test_a_noisy_device_teaches_students_alone(fleet_windows: HealthWindows):
    noisy = HEALTH.noisy_windows(fleet_windows, 0.5, np.random.default_rng(1))
    np.testing.assert_array_equal(noisy.increments, fleet_windows.increments)
    moved = noisy.inputs() - fleet_windows.inputs()
    there = fleet_windows.inputs()[..., START] > 0.0
    assert (moved[there][:, : SPEC.increments] != 0.0).all()
    assert not moved[~there].any()
    assert not moved[..., START:].any()


def test_the_same_cells_draw_the_same_histories(fleet_windows: HealthWindows):
    again = health_windows(make_fleet(3, 4, 60).histories(), SPEC)
    assert again.digest() == fleet_windows.digest()


def test_blends_are_refused(fleet_windows: HealthWindows, tmp_path: Path):
    with pytest.raises(DataError, match="blends: 0"):
        train_student("mlp", HEALTH, fleet_windows, fleet_windows, None, DistillSettings(), Run(tmp_path))


@pytest.fixture(scope="module")
def graph(fleet_windows: HealthWindows, tmp_path_factory: pytest.TempPathFactory) -> IntGraph:
    """A student that has hardly learnt anything."""
    settings = DistillSettings(blends=0)
    settings = replace(settings, fit=replace(settings.fit, epochs=3, patience=3, samples_per_epoch=2048))
    run = Run(tmp_path_factory.mktemp("run"))
    student, _ = train_student("mlp", HEALTH, fleet_windows, fleet_windows, None, settings, run)
    meta = {"task": HEALTH.described(SPEC), "training": {}}
    found = quantize_model(student.float_spec(), fleet_windows.inputs(), name="any", meta=meta)
    ground = measured_ground(found, HEALTH, fleet_windows, fleet_windows, GroundSettings())
    return replace(found, meta={**found.meta, "ground": ground})


def test_empty_rows_move_neither_normalization_nor_limits(graph: IntGraph, fleet_windows: HealthWindows):
    x = fleet_windows.inputs()
    present = x[x[..., START] > 0.0]
    offset = np.array(graph.meta["input"]["offset"])
    np.testing.assert_allclose(offset / 1e6, present.mean(axis=0), atol=2e-6)
    assert min(graph.meta["ground"]["rows"]["low_ppm"][: SPEC.increments]) > 0
    # Hardly a known window is refused, whatever of it is empty.
    assert run_int8(graph, x).outside.mean() < 0.05


def test_the_domain_has_prototypes_of_every_beginning_and_knows_the_training_cells(
    graph: IntGraph, fleet_windows: HealthWindows
):
    domain = graph_ground(graph).domain
    assert domain is not None
    quantized = quantize_input(graph, to_ppm(fleet_windows.inputs()))
    there = fleet_windows.inputs()[..., START] > 0.0
    assert set(np.unique(quantized[~there][:, START].astype(int) + 128)) == {domain.empty}
    begins = np.unique(quantized[there][:, START].astype(int) + 128)
    found, count = np.unique([row[-1] for row in domain.prototypes], return_counts=True)
    assert found.tolist() == begins.tolist()
    assert count.sum() == 32
    assert np.ptp(count) <= 1
    refused = refusals(graph, to_ppm(fleet_windows.inputs()), quantized)
    assert (refused == Refusal.DOMAIN).mean() < 0.03
    # Rows of known cells that say they are of another window are of no kind that is known.
    x = fleet_windows.inputs().copy()
    alone = x[there.sum(axis=1) == 1]
    alone[:, -1, START] = 7.6e-3 - alone[:, -1, START]
    moved = alone[np.abs(alone[:, -1, START] - 3.8e-3) > 1.5e-4]
    scores = domain.scores(quantize_input(graph, to_ppm(moved)))
    assert np.median(scores) > domain.limit


def test_without_prototypes_there_is_no_domain(graph: IntGraph, fleet_windows: HealthWindows):
    ground = measured_ground(graph, HEALTH, fleet_windows, fleet_windows, GroundSettings(prototypes=0))
    assert ground["domain"] is None


def write_charges(path: Path, begin_v: float, cycles: int, higher_v: float = 0.0) -> None:
    """Charges of a made-up cell at 0.5C from ``begin_v`` on; ``higher_v``: its voltage lies so much higher than theirs."""
    history = next(h for h in make_fleet(3, 4, 60).histories() if h.condition.charge_rate_c == 0.5)
    grid, rows, clock = history.charge_voltage_v, ["Test Time / s,Voltage / V,Current / A,Cycle Count / 1"], 0.0
    for number in range(cycles):
        dq: Float64 = history.charge_dq_ah[number].astype(np.float64)
        for volts in np.arange(begin_v, 4.148, 0.002):
            taken = float(np.interp(volts - higher_v, grid, dq) - np.interp(begin_v - higher_v, grid, dq))
            rows.append(
                f"{clock + taken / history.nominal_ah * 7200:.3f},{volts:.4f},{history.nominal_ah / 2:.4f},{number + 1}"
            )
        clock = float(rows[-1].split(",")[0]) + 600
        for minute in range(40):
            rows.append(f"{clock + 60 * minute:.3f},{3.9 - 0.01 * minute:.4f},{-history.nominal_ah:.4f},{number + 1}")
        clock += 2400 + 600
    path.write_text("\n".join(rows))


def test_predict_answers_after_one_charge_that_began_half_full(graph: IntGraph, tmp_path: Path):
    write_charges(tmp_path / "late.csv", 3.85, 2)
    history = next(h for h in make_fleet(3, 4, 60).histories() if h.condition.charge_rate_c == 0.5)
    found = predict_file(graph, tmp_path / "late.csv", FileOptions(nominal_ah=history.nominal_ah))
    assert found.cycle.tolist() == [1, 2]
    assert len(found["soh"]) == 2


def test_predict_refuses_charges_of_another_kind_and_says_why(graph: IntGraph, tmp_path: Path):
    history = next(h for h in make_fleet(3, 4, 60).histories() if h.condition.charge_rate_c == 0.5)
    how = FileOptions(nominal_ah=history.nominal_ah)
    write_charges(tmp_path / "known.csv", 3.75, 2)
    assert predict_file(graph, tmp_path / "known.csv", how).reasons == ["", ""]
    write_charges(tmp_path / "other.csv", 3.75, 2, higher_v=0.14)
    found = predict_file(graph, tmp_path / "other.csv", how)
    assert found.reasons == [WINDOW_UNLIKE] * 2
    silent = replace(graph, meta={**graph.meta, "ground": {**graph.meta["ground"], "domain": None}})
    assert predict_file(silent, tmp_path / "other.csv", how).reasons == ["", ""]


def test_predict_reads_what_a_device_reads(tmp_path: Path):
    write_charges(tmp_path / "late.csv", 3.62, 2)
    cell = read_cell(tmp_path / "late.csv", nominal_ah=3.0)
    spec = replace(SPEC, start_step_v=0.05, last_start_v=4.05)
    starts = Starts(count=len(spec.starts_v), step_mv=50, next=2, max_age=100)
    counter = AnyWindowCounter([round(level * 1e6) for level in spec.levels_v], Config(nominal_mah=3000), starts=starts)
    told, before = [], 0.0
    for time_s, volts, current in zip(cell.time_s, cell.voltage_v, cell.current_a, strict=True):
        step_ms, before = round((time_s - before) * 1000), time_s
        counter.push(Sample(round(volts * 1000), round(current * 1000), step_ms))
        if counter.row_ready:
            told.append(counter.row_mv)
            counter.row_ready = False
    _, x, cycle = read_windows(cell, 3.0, spec, FileOptions(nominal_ah=3.0))
    assert cycle.tolist() == [1, 2]
    # A tenth of nominal flows before the first window.
    assert np.rint(x[1][x[1, :, START] > 0.0, START] * 1e6).tolist() == told[-SPEC.context :]
    assert told[0] > 3650


def test_the_estimator_takes_such_a_model(graph: IntGraph):
    found = describe(graph)
    assert isinstance(found, BmsModel)
    assert found.starts == Starts(count=5, step_mv=100, next=1, max_age=100)
    assert found.range_v == (3.6, 4.1)


def test_a_definition_of_one_window_says_nothing_of_it():
    assert not {"windows", "draws", "max_age"} & set(HealthSpec().to_dict())
    assert HealthSpec.from_dict(SPEC.to_dict()) == SPEC
    assert SPEC.starts_v == (3.6, 3.7, 3.8, 3.9, 4.0)
