"""Charges that begin anywhere: how the estimator reads them with a model of any window, and that C is Python."""

from __future__ import annotations

import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.estimator import Config, Estimator
from edgebat.bms.ports import export_port
from edgebat.bms.results import Reset, Source, Status
from edgebat.bms.samples import Samples
from edgebat.bms.service import reset
from edgebat.bms.twin import Twin, newest_state
from edgebat.bms.virtual import BoardFirmware, HostFirmware, write_sources
from edgebat.errors import DataError, ModelFileError
from edgebat.formats.c.bms_models import health_model
from edgebat.graph import IntGraph, load_graph
from edgebat.models import run_int8
from edgebat.paths import firmware_dir
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import UNKNOWN, ChargeEnd
from tests.any_window_model import SPEC, any_window_graph, with_domain
from tests.bms.test_charge import FULL, assert_equal
from tests.bms.test_power import init_code
from tests.bms_samples import NOMINAL_MAH, as_sample, charge, discharge, feed, rest
from tests.c_host import c_compiler
from tests.generic_port import self_tested

START = SPEC.increments
SECONDS_PER_V = 8000
"""A charge at 0.5C takes 11 % of nominal in each tenth of a volt, everywhere."""
DAMAGED, INHERITED = -10, 3


def charged(low_mv: int, high_mv: int, tick_s: int = 10, **settings: int) -> Samples:
    seconds = (high_mv - low_mv) * SECONDS_PER_V // 1000
    return charge(low_mv, high_mv, seconds=seconds, ticks=max(seconds // tick_s, 2), **settings)


def day(low_mv: int = 3720, high_mv: int = 4180, minutes: int = 10) -> Samples:
    """A drive of a sixth of the capacity, and a charge that begins half full; a tenth has flowed after 91 mV."""
    return np.concatenate([discharge(minutes=minutes), rest(), charged(low_mv, high_mv), rest(5, high_mv)])


def slower(samples: Samples) -> Samples:
    """The same with twice the charge through each window, as of another cell."""
    samples["dt_ms"][samples["current_ma"] > 0] *= 2
    return samples


def short_days(count: int) -> Samples:
    """Drives and charges that end before the lowest window."""
    return np.concatenate([day(3400, 3590)] * count)


def live(estimator: Estimator, *parts: Samples) -> list[tuple[int, list[int]]]:
    """The cycle and the inputs of every row that was completed meanwhile."""
    counter, rows = estimator.counter, []
    for sample in np.concatenate(parts):
        estimator.push(as_sample(sample))
        if counter.row_ready:
            rows.append((counter.cycle + counter.armed, estimator.rows.measured(counter)))
        estimator.settle()
    return rows


def starts(rows: list[tuple[int, list[int]]]) -> list[int]:
    return [row[START] for _, row in rows]


@pytest.fixture
def graph() -> IntGraph:
    """Three rows of four increments with the rate, of windows from 3.60, 3.65, ... 4.05 V on, at most 20 cycles old."""
    return any_window_graph()


@pytest.fixture
def estimator(graph: IntGraph) -> Estimator:
    return Estimator(graph, Config(NOMINAL_MAH))


def test_a_car_that_is_charged_from_half_full_gets_an_estimate_after_one_charge(estimator: Estimator, model_file: Path):
    assert (estimator.result().status, estimator.result().warmup) == (Status.WARMUP, 1)
    assert starts(live(estimator, day())) == [3850, 3950, 4050]
    result = estimator.result()
    assert (result.status, result.source, result.charge) == (Status.OK, Source.MODEL, ChargeEnd.OK)
    assert (result.warmup, result.age_cycles) == (0, 0)
    one = Estimator(load_graph(model_file), Config(NOMINAL_MAH))
    for sample in np.concatenate([day()] * 5):
        one.push(as_sample(sample))
        one.settle()
    assert (one.result().model_cpct, one.result().charge) == (UNKNOWN, ChargeEnd.STARTS_ABOVE)


def test_the_estimate_is_the_models_of_the_newest_rows_with_their_ages(graph: IntGraph, estimator: Estimator):
    rows = []
    for high_mv, between in ((3960, 1), (4000, 2), (3860, 3), (4160, 15), (3970, 4)):
        rows += live(estimator, day(3630, high_mv), short_days(between))
        newest = rows[-1][0]
        seen = [row for row in rows if newest - row[0] <= SPEC.max_age][-SPEC.context :]
        x = np.zeros((1, SPEC.context, SPEC.columns))
        for place, (cycle, row) in enumerate(seen, start=SPEC.context - len(seen)):
            x[0, place] = np.array([*row[: START + 1], newest - cycle, *row[START + 2 :]]) / 1e6
        assert estimator.result().model_cpct == run_int8(graph, x).values["soh"][0, 0]
    assert len({cycle for cycle, _ in rows}) == 5


def test_rows_that_are_too_old_leave(graph: IntGraph, estimator: Estimator):
    live(estimator, day(3630, 3960), day(3630, 3960))
    assert len(estimator.window) == SPEC.context
    live(estimator, short_days(SPEC.max_age), day(3630, 3860))
    assert len(estimator.window) == 1
    alone = Estimator(graph, Config(NOMINAL_MAH))
    live(alone, day(3630, 3860))
    assert alone.result().model_cpct == estimator.result().model_cpct


@pytest.mark.parametrize("low_mv", [3400, 3490, 3500, 3633, 3749, 3750, 3940])
def test_every_row_is_that_of_a_counter_of_its_window_alone(graph: IntGraph, estimator: Estimator, low_mv: int):
    model = health_model(graph)
    samples = day(low_mv)
    rng = np.random.default_rng(low_mv)
    samples["cell_mv"] += rng.integers(-1, 2, len(samples)).astype(np.int16)
    samples["current_ma"] += rng.integers(-9, 10, len(samples)).astype(np.int32)
    rows = live(estimator, samples)
    assert rows
    for _, row in rows:
        above_uv = row[START] * 1000 - model.level_uv[0]
        alone = ChargeCounter([level + above_uv for level in model.level_uv], estimator.config)
        assert feed(alone, samples) == [row[:START]]
        assert alone.row_rate_mc == row[-1]


def test_a_charge_gives_what_it_gave_and_no_reason_when_it_ends_inside_the_next_window(estimator: Estimator):
    assert starts(live(estimator, day(3720, 4000))) == [3850]
    result = estimator.result()
    assert (result.status, result.charge) == (Status.OK, ChargeEnd.OK)
    # Twenty charges too short for any window are no fault: the estimate grows older and no more.
    assert not live(estimator, *[day(3720, 3900)] * 20)
    result = estimator.result()
    assert (result.status, result.charge, result.age_cycles) == (Status.OK, ChargeEnd.INTERRUPTED, 20)


@pytest.mark.parametrize(
    ("low_mv", "high_mv", "reason"),
    [
        (4060, 4190, ChargeEnd.STARTS_ABOVE),
        (3560, 3590, ChargeEnd.ENDS_BELOW),
        (3855, 3895, ChargeEnd.ENDS_BELOW),
        (3740, 3940, ChargeEnd.INTERRUPTED),
    ],
)
def test_a_charge_without_a_row_says_why(estimator: Estimator, low_mv: int, high_mv: int, reason: ChargeEnd):
    assert not live(estimator, day(low_mv, high_mv))
    assert estimator.result().charge == reason


def test_a_charge_that_goes_on_where_it_paused_is_read_from_further_on(estimator: Estimator):
    """The cell relaxes by 70 mV and is back there within minutes: the charge of those levels is in it already."""
    jump = charge(3811, 3880, seconds=120, ticks=12)
    halves = [day(3720, 3880), rest(600, 3810, tick_ms=10_000), jump, charged(3880, 4180)]
    assert starts(live(estimator, *halves)) == [4000]


def test_braking_lifts_no_window(estimator: Estimator):
    """Ten seconds of 2C before a charge, without a sample between."""
    brake = charge(3950, 4090, ma=4000, seconds=10, ticks=10)
    assert starts(live(estimator, discharge(minutes=10), brake, charged(3720, 4180))) == [3850, 3950, 4050]


def test_one_window_spoilt_spoils_no_other(estimator: Estimator):
    samples = day(3630)
    inside = np.flatnonzero((samples["cell_mv"] > 3880) & (samples["cell_mv"] < 3920) & (samples["current_ma"] > 0))
    samples["current_ma"][inside] += 400
    assert starts(live(estimator, samples)) == [3750, 3950, 4050]
    assert (estimator.result().charge, estimator.counter.failed) == (ChargeEnd.OK, 0)


def test_a_row_that_nobody_has_taken_is_not_written_over(estimator: Estimator):
    for sample in day(3630):
        estimator.push(as_sample(sample))
    row = estimator.rows.measured(estimator.counter)
    assert row[START] == 3750
    estimator.settle()
    assert len(estimator.window) == 1


def test_windows_that_meet_nowhere_are_read_one_per_charge():
    graph = any_window_graph(replace(SPEC, start_step_v=0.06))
    assert starts(live(Estimator(graph, Config(NOMINAL_MAH)), day(3700))) == [3840]


def test_the_windows_of_a_charge_are_of_one_cycle(estimator: Estimator):
    """Also where samples are missing since it began, after which a second row of one window counts a cycle more."""
    estimator.idle(100_000)
    for low_mv in (3700, 3640):
        rows = live(estimator, day(low_mv), rest(tick_ms=100_000))
        assert len({cycle for cycle, _ in rows}) == 1
        assert len(rows) >= 3
    assert estimator.counter.cycle == 3


def test_forgotten_rows_and_cycles(estimator: Estimator):
    for what in (Reset.WINDOW, Reset.USE):
        live(estimator, day())
        assert len(estimator.window) == SPEC.context
        reset(estimator, what)
        assert not estimator.window


def test_a_state_goes_on(graph: IntGraph, estimator: Estimator):
    live(estimator, day(3630, 3870), short_days(2), day(3630, 3960))
    other = Estimator(graph, Config(NOMINAL_MAH))
    assert other.restore(estimator.state())
    assert (other.window, other.rows.input().tolist()) == (estimator.window, estimator.rows.input().tolist())
    for each in (estimator, other):
        live(each, short_days(3), day(3630, 3870))
    assert other.result().model_cpct == estimator.result().model_cpct
    assert len(estimator.state()) == len(other.state()) == health_model(graph).saved_bytes


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"start_step_v": 0.0505}, "whole mV"),
        ({"window_start_v": 3.6004}, "whole mV"),
        ({"max_age": 50_000}, "cycles old"),
    ],
)
def test_windows_that_a_device_cannot_count_are_refused(changed: dict[str, float], message: str):
    with pytest.raises(ModelFileError, match=message):
        health_model(any_window_graph(replace(SPEC, **changed)))  # type: ignore[arg-type]


# --- C ---------------------------------------------------------------------------------------------------------------


def firmware(graph: IntGraph, folder: Path, *flags: str, **settings: int) -> tuple[HostFirmware, Twin]:
    config = Config(NOMINAL_MAH, **settings)
    traps = ["-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    host = HostFirmware(graph, config, folder, [*traps, *flags], frame_ms=0, steps_per_tick=1)
    assert host.power_on() == 0
    return host, Twin(graph, config)


def stream(rng: np.random.Generator) -> Samples:
    """Days of a battery: charges from anywhere to anywhere, some of them paused, too coarse, noisy or faulty."""
    parts = []
    for _ in range(3):
        parts += [discharge(int(rng.choice([-2000, -300])), int(rng.integers(1, 30))), rest(int(rng.integers(1, 90)))]
        low = int(rng.integers(3500, 4120))
        for _ in range(int(rng.integers(1, 3))):
            high = int(rng.integers(low + 10, 4220))
            part = charged(low, high, int(rng.choice([5, 10, 60, 110])), ma=int(rng.choice([1000, 1000, 300, 3000])))
            part["cell_mv"] += rng.normal(0, rng.choice([0, 0, 1, 8]), len(part)).astype(np.int16)
            part["current_ma"] += rng.normal(0, rng.choice([0, 5, 300]), len(part)).astype(np.int32)
            faults = rng.random((4, len(part))) < rng.choice([0, 0, 0.01])
            part["valid"][faults[0]] = rng.integers(0, 8)
            part["dt_ms"][faults[1]] = rng.choice([59_999, 60_001, 4_294_967_295])
            part["cell_mv"][faults[2]] = rng.choice([-32768, 0, 4150, 32767])
            part["current_ma"][faults[3]] *= -1
            parts += [part, rest(int(rng.integers(1, 90)), high - int(rng.integers(0, 90)))]
            low = max(high - int(rng.integers(0, 90)), 3500)
    return np.concatenate(parts)


def test_c_equals_python_on_random_lives_with_power_cuts(graph: IntGraph, tmp_path: Path):
    limited = any_window_graph(rates_mc=((100, 200), (400, 600)))
    done, outside = 0, 0
    without_rate = with_domain(any_window_graph(replace(SPEC, charge_rate=False, context=8)), 200)
    for number, model in enumerate((with_domain(graph, 20), limited, without_rate)):
        host, twin = firmware(model, tmp_path / f"{number}", full_mv=4190, empty_mv=3050, rated_cycles=300)
        for seed in range(200 if FULL else 12):
            rng = np.random.default_rng([number, seed])
            assert_equal(host, twin, stream(rng))
            done += len(twin.estimator.window)
            outside += twin.estimator.outside
            if rng.random() < 0.4:
                assert host.power_on() == 0
                twin.power_on(newest_state(host.fram))
    assert done > 30
    assert outside > 3


def test_charges_outside_the_domain_give_no_estimate_until_the_rows_are_known_ones(graph: IntGraph, tmp_path: Path):
    host, twin = firmware(with_domain(graph, 500), tmp_path)
    kinds = []
    # Two rows a charge, of which three are kept: one of another cell is still there after the next charge.
    for samples in (day(3630, 3960), slower(day(3630, 3960)), day(3630, 3960), day(3630, 3960)):
        assert_equal(host, twin, samples)
        kinds.append(twin.estimator.result().status)
    assert kinds == [Status.OK, Status.OUT_OF_DOMAIN, Status.OUT_OF_DOMAIN, Status.OK]


def test_without_a_score_the_same_charges_get_an_estimate(graph: IntGraph):
    estimator = Estimator(graph, Config(NOMINAL_MAH))
    live(estimator, slower(day(3630, 3960)))
    assert estimator.result().status == Status.OK


def test_c_equals_python_on_the_simulated_board(graph: IntGraph, tmp_path: Path):
    config, graph = Config(NOMINAL_MAH), with_domain(graph, 1000)
    board, twin = BoardFirmware(graph, config, tmp_path, frame_ms=600_000, steps_per_tick=1), Twin(graph, config)
    assert board.power_on() == 0
    kinds = []
    for samples in (day(), short_days(2), day(3630, 3870), slower(day(3630, 3970))):
        board.run(samples)
        kinds.append(twin.run(samples).status)
        assert newest_state(board.fram) == twin.saved[-1]
    assert kinds == [Status.OK] * 3 + [Status.OUT_OF_DOMAIN]
    assert len(twin.estimator.window) == SPEC.context


def test_cycles_of_rows_that_no_writer_writes_are_refused(graph: IntGraph, tmp_path: Path):
    host, twin = firmware(graph, tmp_path)
    parts = [day(3630, 3870), short_days(3), day(3630, 3970)]
    host.run(np.concatenate(parts))
    twin.run(np.concatenate(parts))
    good = newest_state(host.fram)
    assert good is not None
    assert good == twin.saved[-1]
    place = len(good) - 4 - 2 * SPEC.context
    cycles = np.frombuffer(good[place:-4], "<u2").astype(int)
    assert cycles[-1] - cycles[0] == 4
    cycle = int.from_bytes(good[56:60], "little")
    for changed, sound in (
        ([0, 0, 0], True),
        ([-1, 0, 0], True),
        ([SPEC.max_age, 0, 0], False),  # newer than the one after it
        ([-SPEC.max_age, 0, 0], False),  # too old
        ([0, 1, 0], False),
        ([9, 9, 9], False),  # of a cycle that is not the newest row's
        ([-1, -1, -1], False),
    ):
        body = good[:place] + (cycles + changed).astype("<u2").tobytes()
        forged = body + zlib.crc32(body).to_bytes(4, "little")
        assert init_code(host, forged) == (0 if sound else DAMAGED), changed
        if sound:
            assert Estimator(graph, twin.estimator.config).restore(forged)
        else:
            with pytest.raises(DataError, match="cycles old"):
                Estimator(graph, twin.estimator.config).restore(forged)
    assert cycles[-1] == cycle


def test_a_state_of_one_window_is_inherited_and_so_is_one_of_any(graph: IntGraph, model_file: Path, tmp_path: Path):
    host, _ = firmware(graph, tmp_path / "any")
    host.run(day())
    other, _ = firmware(load_graph(model_file), tmp_path / "one")
    other.run(np.concatenate([discharge(), rest(), charge(seconds=3850), rest()] * 4))
    for one, another in ((host, other), (other, host)):
        state = newest_state(one.fram)
        assert state is not None
        assert init_code(another, state) == INHERITED


def test_the_generated_code_asks_for_a_firmware_that_can(graph: IntGraph, tmp_path: Path):
    _, sources = write_sources(graph, tmp_path)
    (source,) = [path for path in sources if path.name == "soh_bms.c"]
    command = [
        c_compiler(),
        "-std=c99",
        f"-I{tmp_path}",
        f"-I{firmware_dir() / 'include'}",
        "-fsyntax-only",
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "EDGEBAT_ANY_WINDOW 1" in done.stderr
    assert subprocess.run([*command, "-DEDGEBAT_ANY_WINDOW=1", "-Wall", "-Wextra", "-Werror"]).returncode == 0


def test_an_exported_folder_of_two_files_runs_such_a_model(
    graph: IntGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("edgebat.bms.integration._cost", lambda *_: "Not measured.")
    graph = with_domain(graph, 500)
    export_port(graph, "generic", tmp_path, "pack", nominal_mah=NOMINAL_MAH)
    estimator = Estimator(graph, Config(NOMINAL_MAH))
    lines = []
    for samples in (day(), short_days(2), day(3630, 3870)):
        for s in samples:
            estimator.push(as_sample(s))
            estimator.settle()
            lines.append(f"{s['cell_mv']} {s['current_ma']} {s['temperature_ddegc']} {s['dt_ms']}\n")
    result = estimator.result()
    printed = self_tested(tmp_path, "".join(lines))
    assert f"SOH {result.soh_cpct}, RUL {result.rul_cycles}, status {result.status}, cycle {result.cycle}" in printed
    checklist = (tmp_path / "integration" / "pack-checklist.md").read_text()
    assert "through 0.1 V from any of 10 voltages between 3.6 and 4.05 V on" in checklist
