"""Capacity from charge between two rests: partial charges and discharges speak, with doubt where doubt is due."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms import ocv as ocv_command
from edgebat.bms.estimator import Config, Estimator
from edgebat.bms.fusion import Ageing, By, Fusion
from edgebat.bms.ocv import ocv_source, ocv_table
from edgebat.bms.rest import OcvTable, average
from edgebat.bms.results import Source, Status
from edgebat.bms.samples import Samples, samples_array
from edgebat.bms.twin import Twin
from edgebat.bms.virtual import HostFirmware
from edgebat.errors import DataError
from edgebat.graph import IntGraph, load_graph
from edgebat.tasks.health.charge_types import CALM, PER_MAH, UNKNOWN, SinceRest
from tests.bms.test_charge import assert_equal
from tests.bms_samples import KNOWN_SECONDS, NOMINAL_MAH, as_sample, cycles

TABLE = OcvTable(tuple(3000 + 60 * i for i in range(21)), sigma_mv=5, sigma_cpct=200, unseen_percent=0, aged_percent=0)
"""Sixty mV per 5 %, everywhere and at every age."""


@pytest.fixture
def graph(model_file: Path) -> IntGraph:
    return load_graph(model_file)


def live(estimator: Estimator, *parts: Samples) -> None:
    for sample in np.concatenate(parts):
        estimator.push(as_sample(sample))
        estimator.settle()


def resting(soc: float, minutes: int = 40, *, ddegc: int = 250, drift_mv: int = 0, table: OcvTable = TABLE) -> Samples:
    """Without current at a state of charge, a sample per minute; the voltage drifts by so much meanwhile."""
    mv = np.interp(soc, np.linspace(0, 1, len(table.mv)), table.mv)
    return samples_array(np.rint(np.linspace(mv - drift_mv, mv, minutes)).astype(int), 0, 60_000, ddegc)


def moving(start: float, end: float, soh: float, *, rate: float = 0.5, ddegc: int = 250) -> Samples:
    """A charge or discharge from one state of charge to another, of a cell that still holds so much."""
    hours = abs(end - start) * soh / rate
    count = max(round(hours * 60), 1)
    ma = round((end - start) * soh * NOMINAL_MAH / (count / 60))
    mv = np.interp(np.linspace(start, end, count), np.linspace(0, 1, 21), TABLE.mv)
    # The trapezoidal rule counts half a sample at either end.
    return samples_array(np.rint(mv).astype(int), ma, 60_000, ddegc)


def rested(graph: IntGraph, *parts: Samples, table: OcvTable = TABLE, **settings: int) -> Estimator:
    estimator = Estimator(graph, Config(NOMINAL_MAH, **settings), ocv=table)
    live(estimator, *parts)
    return estimator


@pytest.mark.parametrize(("start", "end"), [(0.9, 0.5), (0.3, 0.8), (0.2, 0.95)])
@pytest.mark.parametrize("soh", [0.95, 0.8])
def test_a_partial_charge_between_two_rests_measures_the_capacity(
    graph: IntGraph, start: float, end: float, soh: float
):
    estimator = rested(graph, resting(start), moving(start, end, soh), resting(end))
    result = estimator.result()
    assert result.source == Source.REST
    assert result.status == Status.OK, "the model has said nothing, and the SOH is known all the same"
    assert abs(result.soh_cpct - 10_000 * soh) < 2 * result.sigma_cpct
    assert 200 <= result.sigma_cpct <= 400
    assert result.model_cpct == result.counting_cpct == UNKNOWN


def test_less_than_35_percent_waits_for_more(graph: IntGraph):
    estimator = rested(graph, resting(0.9), moving(0.9, 0.6, 0.9), resting(0.6))
    assert estimator.result().source == Source.NONE
    live(estimator, moving(0.6, 0.4, 0.9), resting(0.4))
    assert abs(estimator.result().soh_cpct - 9000) < 400


@pytest.mark.parametrize(
    ("reason", "parts"),
    [
        ("rested too short", [resting(0.9), moving(0.9, 0.4, 0.8), resting(0.4, 25)]),
        ("still relaxes", [resting(0.9), moving(0.9, 0.4, 0.8), resting(0.4, 60, drift_mv=120)]),
        ("rests in the frost", [resting(0.9), moving(0.9, 0.4, 0.8), resting(0.4, ddegc=-50)]),
        ("was discharged in the cold", [resting(0.9), moving(0.9, 0.4, 0.8, ddegc=-50), resting(0.4)]),
        ("was discharged too fast", [resting(0.9), moving(0.9, 0.4, 0.8, rate=1.5), resting(0.4)]),
        ("no rest before", [moving(0.9, 0.4, 0.8), resting(0.4)]),
        ("charge the wrong way", [resting(0.9), moving(0.4, 0.9, 0.8), resting(0.4)]),
        ("beyond the table", [resting(0.9), moving(0.9, 0.4, 0.8), samples_array([4250] * 60, 0, 60_000)]),
    ],
)
def test_what_gauges_disqualify_measures_nothing(graph: IntGraph, reason: str, parts: list[Samples]):
    estimator = rested(graph, *parts)
    assert estimator.fusion.evidence[By.REST].cpct == UNKNOWN, reason
    assert estimator.result().source == Source.NONE


def test_a_rest_in_the_cold_is_less_sure(graph: IntGraph):
    warm, cold = (
        rested(graph, resting(0.9), moving(0.9, 0.4, 0.8), resting(0.4, ddegc=ddegc)).result() for ddegc in (150, 50)
    )
    assert warm.soh_cpct == cold.soh_cpct
    assert warm.sigma_cpct < cold.sigma_cpct < 400


def test_a_table_that_shows_a_part_of_the_loss_is_corrected(graph: IntGraph):
    """Fifteen points seem to be lost, and half as many are too; a cell that holds more than the table's has lost none."""
    half = OcvTable(TABLE.mv, sigma_cpct=200, unseen_percent=50, aged_percent=0, soh_cpct=9500)
    parts = [resting(0.9), moving(0.9, 0.4, 0.8), resting(0.4)]
    assert abs(rested(graph, *parts, table=half).result().soh_cpct - (8000 - 1500 // 2)) < 40
    grown = [resting(0.9), moving(0.9, 0.4, 0.98), resting(0.4)]
    assert rested(graph, *grown, table=half).result().soh_cpct == rested(graph, *grown).result().soh_cpct


def test_a_rest_in_the_flat_part_is_none(graph: IntGraph):
    flat = OcvTable((2800, 3200, *range(3290, 3298), 3340, 3600), sigma_mv=5)
    steep = resting(0.05, table=flat)
    into_flat = [steep, moving(0.05, 0.5, 0.8), resting(0.5, table=flat)]
    assert rested(graph, *into_flat, table=flat).result().source == Source.NONE
    beyond = [*into_flat, moving(0.5, 0.95, 0.8), resting(0.95, table=flat)]
    result = rested(graph, *beyond, table=flat).result()
    assert result.source == Source.REST, "the charge through the flat part counts all the same"
    assert abs(result.soh_cpct - 8000) < 2 * result.sigma_cpct


def test_a_night_without_samples_is_a_rest(graph: IntGraph):
    estimator = rested(graph, resting(0.9), moving(0.9, 0.4, 0.8), resting(0.4, 2))
    restored = Estimator(graph, estimator.config, ocv=TABLE)
    restored.restore(estimator.state())
    restored.idle(8 * 3_600_000)
    live(restored, resting(0.4, 1))
    assert abs(restored.result().soh_cpct - 8000) < 400
    # A clock that jumps is no night: nobody has said how long it was.
    jumped = Estimator(graph, estimator.config, ocv=TABLE)
    jumped.restore(estimator.state())
    morning = resting(0.4, 1)
    morning["dt_ms"] = 4_000_000_000
    live(jumped, morning)
    assert jumped.result().source == Source.NONE


def woken(graph: IntGraph, estimator: Estimator, hours: float) -> Estimator:
    """The power goes, and comes back after so many hours, of which the board knows."""
    restored = Estimator(graph, estimator.config, ocv=TABLE)
    restored.restore(estimator.state())
    restored.idle(round(hours * 3_600_000))
    return restored


def test_the_first_voltage_after_hours_without_power_is_a_rest(graph: IntGraph):
    """The board never sees half an hour at rest, and nothing that it has saved was at rest either."""
    driven = rested(graph, moving(0.95, 0.9, 0.8))
    morning = woken(graph, driven, 8)
    live(morning, resting(0.9, 1), moving(0.9, 0.4, 0.8), resting(0.4, 10))
    evening = woken(graph, morning, 8)
    live(evening, resting(0.4, 1))
    assert evening.result().source == Source.REST
    assert abs(evening.result().soh_cpct - 8000) < 400


def short_stop(soc: float, *, minutes: int = 15, moves_mv: int = 0) -> Samples:
    """A quarter of an hour after current, as long as a board stays awake."""
    return resting(soc, minutes, drift_mv=moves_mv)


def test_a_voltage_that_has_come_to_a_halt_is_a_rest_if_it_is_there_after_the_power_was_off(graph: IntGraph):
    """A board without a clock that never sees half an hour at rest."""
    ride = woken(graph, rested(graph, moving(0.95, 0.9, 0.8), short_stop(0.9)), 0)
    live(ride, resting(0.9, 1))
    assert ride.counter.since_rest.cpct == 9000
    known = ride.counter.since_rest.sigma
    live(ride, moving(0.9, 0.4, 0.8), short_stop(0.4))
    assert ride.result().source == Source.NONE, "the rest is too short for a voltage that nobody has seen again"
    evening = woken(graph, ride, 0)
    live(evening, resting(0.4, 1))
    assert evening.result().source == Source.REST
    assert abs(evening.result().soh_cpct - 8000) < 300
    sure = rested(graph, resting(0.9), moving(0.9, 0.4, 0.8), resting(0.4))
    assert known > sure.counter.since_rest.sigma
    assert evening.result().sigma_cpct > sure.result().sigma_cpct


@pytest.mark.parametrize(
    ("reason", "stop", "first"),
    [
        ("it moved until the power went", short_stop(0.9, moves_mv=40), resting(0.9, 1)),
        ("it rested too briefly", short_stop(0.9, minutes=4), resting(0.9, 1)),
        ("it is elsewhere", short_stop(0.9), resting(0.91, 1)),
        ("current flows", short_stop(0.9), moving(0.9, 0.89, 0.8)[:1]),
    ],
)
def test_other_voltages_after_the_power_was_off_are_none(graph: IntGraph, reason: str, stop: Samples, first: Samples):
    ride = woken(graph, rested(graph, moving(0.95, 0.9, 0.8), stop), 0)
    live(ride, first)
    assert ride.counter.since_rest.cpct == UNKNOWN, reason


def test_a_voltage_that_had_come_to_a_halt_does_not_outlive_the_ride_that_begins(graph: IntGraph):
    stopped = rested(graph, moving(0.95, 0.9, 0.8), short_stop(0.9))
    before = stopped.counter.rest_ms, stopped.result().revision
    live(stopped, moving(0.9, 0.88, 0.8)[:1])
    assert before == (CALM, stopped.result().revision - 1), "worth saving"
    after = woken(graph, stopped, 0)
    live(after, resting(0.9, 1))
    assert after.counter.since_rest.cpct == UNKNOWN


@pytest.mark.parametrize(
    ("reason", "hours", "first"),
    [
        ("too short for a voltage that nobody has watched", 4.5, resting(0.9, 1)),
        ("current flows", 8, moving(0.91, 0.9, 0.8)),
        ("in the frost", 8, resting(0.9, 1, ddegc=-50)),
    ],
)
def test_other_first_voltages_are_none(graph: IntGraph, reason: str, hours: float, first: Samples):
    morning = woken(graph, rested(graph, moving(0.95, 0.9, 0.8)), hours)
    live(morning, first)
    assert morning.counter.since_rest.cpct == UNKNOWN, reason


def test_a_count_without_power_goes_on_only_from_a_state_that_was_saved_at_rest(graph: IntGraph):
    morning = woken(graph, rested(graph, moving(0.95, 0.9, 0.8)), 8)
    live(morning, resting(0.9, 1), moving(0.9, 0.4, 0.8))
    evening = woken(graph, morning, 8)
    live(evening, resting(0.4, 1))
    assert evening.result().source == Source.NONE, "who knows how far the drive went"
    assert evening.counter.since_rest.charge == 0


def test_charge_that_nobody_saw_spoils_it(graph: IntGraph):
    estimator = rested(graph, resting(0.9), moving(0.9, 0.6, 0.8), resting(0.6, 2))
    estimator.idle(3_600_000)
    live(estimator, resting(0.5, 2), moving(0.5, 0.3, 0.8), resting(0.3))
    assert estimator.result().source == Source.NONE


def driven(step_ms: int, drives: int = 3) -> list[Samples]:
    """Drives at 1C that end in full flow, each with one sample at rest after so many ms; then half an hour of rest."""
    drive = samples_array(np.linspace(4080, 3920, 375).astype(int), -NOMINAL_MAH, 1000)
    stop = samples_array([3950] * 2, [0, 0], [step_ms, 60_000])
    return [resting(0.9), *[drive, stop] * drives, resting(0.9 - 0.13 * drives)]


def test_a_drive_whose_end_nobody_has_seen_makes_no_cell_healthier_than_its_error_says(graph: IntGraph):
    """Its last current flowed for a moment or for the whole minute until the next sample: a rule of trapezoids takes half of
    it, and drive after drive the same error."""
    seen, unseen = (rested(graph, *driven(step_ms)).fusion.evidence[By.REST] for step_ms in (1000, 60_000))
    assert abs(seen.cpct - 8000) < 300
    assert unseen.cpct - seen.cpct > 500, "three halves of a minute at 1C, over two fifths of the cell"
    assert unseen.cpct - 8000 < 1.645 * unseen.sigma_cpct
    assert seen.sigma_cpct < 400 < unseen.sigma_cpct
    longer = [*driven(60_000, 6)[:-1], resting(0.12)]
    assert rested(graph, *longer).fusion.evidence[By.REST].cpct == UNKNOWN, (
        "six of them are worth two days of an offset"
    )


def measured(*capacities: int, variance: int = 90_000, table: OcvTable = TABLE) -> Fusion:
    """So many capacities from rests, one after the other, each with a deviation of 3 points of its own."""
    fusion = Fusion(Ageing(0, 8000))
    for cpct in capacities:
        average(fusion, table, cpct, variance)
    fusion.weigh()
    return fusion


def test_capacities_from_rests_are_averaged_down_to_what_they_have_in_common():
    assert (measured(9000).target_cpct, measured(9000).target_sigma) == (9000, 360)
    many = measured(*[8800, 9200] * 20)
    assert abs(many.target_cpct - 9000) < 60
    assert 200 < many.target_sigma < 240, "the table's two points stay"
    assert abs(measured(*[9000] * 20, *[8800] * 20).target_cpct - 8800) < 30, "a cell that fades is followed"


def test_one_wrong_capacity_is_believed_by_half_until_the_next_has_come():
    """As after a rest that was none, or charge that nobody saw: a cell of 86 % seemed to have 103 %."""
    before, wrong = measured(*[8600] * 10), measured(*[8600] * 10, 10_300)
    assert wrong.target_cpct - before.target_cpct < 400
    assert wrong.target_sigma > (10_300 - 8600) // 2, "it is known that one of them is wrong"
    assert abs(measured(*[8600] * 10, 10_300, 8600).target_cpct - 8600) < 100
    assert abs(measured(*[8600] * 10, *[9800] * 3).target_cpct - 9800) < 250, "another cell is believed"


def test_a_table_of_new_cells_knows_less_of_an_aged_one():
    new = OcvTable(TABLE.mv, sigma_cpct=200)
    assert measured(10_000, table=new).target_sigma == measured(10_000).target_sigma
    assert measured(8000, variance=0, table=new).target_sigma == int(np.hypot(200, 0.2 * 2000))
    # Of nominal capacity these cells never had more than 93 %.
    less = OcvTable(TABLE.mv, sigma_cpct=200, soh_cpct=9300)
    assert measured(9300, variance=0, table=less).target_sigma == 200


def test_a_state_of_two_days_without_a_rest_is_one(graph: IntGraph, tmp_path: Path):
    """What flowed since the last rest is forgotten after two days, and what is saved then is read again."""
    config = Config(NOMINAL_MAH)
    host = HostFirmware(graph, config, tmp_path / "build", ["-O1"], ocv=TABLE, frame_ms=0, steps_per_tick=1)
    twin = Twin(graph, config, ocv=TABLE)
    assert host.power_on() == 0
    hour = [moving(0.5, 0.6, 1.0, rate=0.1), moving(0.6, 0.5, 1.0, rate=0.1)]
    assert_equal(host, twin, np.concatenate([resting(0.5), *hour * 25]))
    assert twin.estimator.counter.since_rest == SinceRest()
    used = twin.estimator.counter.throughput
    twin.power_on(twin.saved[-1])
    assert host.power_on() == 0
    assert_equal(host, twin, hour[0])
    assert twin.estimator.counter.throughput > used - NOMINAL_MAH * PER_MAH // 10


def test_it_is_fused_and_ages_as_all_sources_do(graph: IntGraph):
    estimator = rested(graph, resting(0.9), moving(0.9, 0.4, 0.8), resting(0.4))
    sigma = estimator.result().sigma_cpct
    estimator.fusion.learn(By.COUNTING, 8200, 300)
    live(estimator, resting(0.4, 1))
    both = estimator.fusion
    assert 8000 < both.target_cpct < 8200
    assert both.target_sigma < sigma
    estimator.fusion.learn(By.COUNTING, 9800, 300)
    live(estimator, resting(0.4, 1))
    assert estimator.fusion.conflict
    old = rested(graph, resting(0.9), moving(0.9, 0.4, 0.8), resting(0.4))
    for _ in range(366):
        old.idle(86_400_000)
        old.settle()
    assert old.result().sigma_cpct > sigma + 100


def test_c_equals_python_and_the_state_goes_on(graph: IntGraph, tmp_path: Path):
    config = Config(NOMINAL_MAH, max_gap_ms=120_000, rated_cycles=500)
    flags = ["-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    host = HostFirmware(graph, config, tmp_path / "build", flags, ocv=TABLE, frame_ms=0, steps_per_tick=1)
    twin = Twin(graph, config, ocv=TABLE)
    assert host.power_on() == 0
    rng = np.random.default_rng(11)
    soc = 0.9
    for _ in range(30):
        end, soh = rng.uniform(0.02, 0.98), rng.uniform(0.6, 1.1)
        parts = [
            resting(soc, int(rng.integers(1, 80)), ddegc=int(rng.integers(60, 540)), drift_mv=int(rng.integers(0, 30))),
            moving(soc, end, soh, rate=rng.uniform(0.1, 1.6), ddegc=int(rng.integers(60, 540))),
            resting(end, int(rng.integers(1, 80))),
        ]
        samples = np.concatenate(parts)
        samples["dt_ms"][rng.random(len(samples)) < 0.01] = rng.choice([121_000, 3_600_000, 2**32 - 1])
        assert_equal(host, twin, samples)
        soc = end
        if rng.random() < 0.3:
            twin.power_on(twin.saved[-1] if twin.saved else None)
            assert host.power_on() == 0
            night_ms = int(rng.integers(0, 36_000_000))
            twin.sleep(night_ms)
            host.sleep(night_ms)
    assert twin.estimator.fusion.evidence[By.REST].cpct != UNKNOWN


def test_a_battery_without_a_table_is_what_it_was(graph: IntGraph):
    plain, never = Estimator(graph, Config(NOMINAL_MAH)), Estimator(graph, Config(NOMINAL_MAH), ocv=TABLE)
    for one in (plain, never):
        live(one, cycles(4, seconds=KNOWN_SECONDS))
    assert plain.result() == never.result()


# --- tables ----------------------------------------------------------------------------------------------------------


def slow(direction: int, hysteresis_v: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    level = np.linspace(0, 1, 200)[::direction]
    return 3.0 + 1.2 * level + direction * hysteresis_v, 2.0 * np.abs(level - level[0])


def test_a_slow_charge_and_a_slow_discharge_make_a_table():
    table = ocv_table([slow(1), slow(-1)], points=21)
    assert table.mv == TABLE.mv
    assert table.sigma_mv == round(np.hypot(10, 3))
    assert table.soh_cpct == 10_000
    assert ocv_table([slow(1), slow(-1)], reference_ah=2.1).soh_cpct == 9524
    assert "cell_ocv_mV[21]" in ocv_source(table, "cell")


@pytest.mark.parametrize(
    "curves", [[], [(np.linspace(3, 4, 5), np.linspace(0, 1, 5))], [(np.full(50, 3.3), np.zeros(50))]]
)
def test_what_is_no_slow_charge_is_refused(curves: list[tuple[np.ndarray, np.ndarray]]):
    with pytest.raises(DataError, match="slow charge"):
        ocv_table(curves)


@pytest.mark.parametrize(
    "settings",
    [
        {"mv": (3000,)},
        {"mv": (3000, 3000)},
        {"sigma_mv": 0},
        {"sigma_cpct": 10_001},
        {"aged_percent": 101},
        {"unseen_percent": 101},
        {"soh_cpct": 15_001},
    ],
)
def test_a_table_that_does_not_ascend_or_never_errs_is_refused(settings: dict[str, object]):
    with pytest.raises(DataError):
        OcvTable(**{"mv": (3000, 4000), **settings})  # type: ignore[arg-type]


def test_the_command_writes_c(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name, direction in (("up", 1), ("down", -1)):
        voltage, charge = slow(direction)
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["voltage_v", "charge_ah"])
            rows.writerows(zip(voltage, charge, strict=True))
    assert ocv_command.main([str(tmp_path / "up.csv"), str(tmp_path / "down.csv"), "--name", "nmc"]) == 0
    assert "const edgebat_ocv_t nmc_ocv" in capsys.readouterr().out
    assert ocv_command.main([str(tmp_path / "none.csv")]) == 2
    assert "no curve with columns" in capsys.readouterr().err
