"""From samples to increments on the device: the rule, its reasons for saying no, and C = Python on any samples."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.estimator import Config
from edgebat.bms.samples import Samples, samples_array
from edgebat.bms.twin import Twin, newest_state
from edgebat.bms.virtual import HostFirmware
from edgebat.graph import load_graph
from edgebat.paths import default_corpus
from edgebat.tasks.health import HealthSpec, charge_increments
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import UNKNOWN, ChargeEnd
from tests.bms_samples import KNOWN_SECONDS, NOMINAL_MAH, charge, cycles, discharge, feed, rest, wild

LEVELS_UV = (3_600_000, 3_625_000, 3_650_000, 3_675_000, 3_700_000)
CORPUS = default_corpus()
FULL = os.environ.get("EDGEBAT_TEST_SCALE") == "full"


def counter(**settings: int) -> ChargeCounter:
    return ChargeCounter(LEVELS_UV, Config(NOMINAL_MAH, **settings))


def test_a_steady_charge_gives_equal_increments():
    # 160 mV in 3000 s at 1 A: 25 mV take 468.75 s = 130.2 mAh = 6.51 % of 2 Ah.
    rows = feed(counter(), charge())
    assert len(rows) == 1
    np.testing.assert_allclose(rows[0], 65_104, rtol=0.02)


def test_integers_agree_with_the_float_rule_up_to_the_rounding_of_a_millivolt(spec: HealthSpec):
    rng = np.random.default_rng(0)
    time = np.arange(0.0, 4000.0, 1.0)
    volts = 3.55 + 0.2 * (time / 4000) ** 1.3
    amps = np.full(time.size, 0.9)
    expected, status = charge_increments(time, volts, amps, 2.0, spec)
    assert status == "ok"
    samples = samples_array(
        np.rint(volts * 1000).astype(int), np.rint(amps * 1000).astype(int), np.diff(time, prepend=0.0) * 1000
    )
    found = feed(counter(), samples)[0]
    assert expected is not None
    np.testing.assert_allclose(np.array(found) / 1e6, expected, rtol=0.01)
    noisy = samples.copy()
    noisy["cell_mv"] += rng.normal(0, 2, time.size).astype(np.int16)
    np.testing.assert_allclose(np.array(feed(counter(), noisy)[0]) / 1e6, expected, rtol=0.15)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (charge(3610, 3800), ChargeEnd.STARTS_ABOVE),
        (np.concatenate([charge(3550, 3650), rest()]), ChargeEnd.INTERRUPTED),
        (np.concatenate([charge(3500, 3590), rest()]), ChargeEnd.ENDS_BELOW),
        (np.concatenate([charge(3550, 3650), charge(3650, 3800, ma=1200)]), ChargeEnd.NOT_CONSTANT),
        (charge(3590, 3710, ticks=4, seconds=200), ChargeEnd.SPARSE),
        (np.concatenate([charge(3550, 3650), charge(3650, 3655, seconds=140, ticks=2)]), ChargeEnd.GAP),
        (np.concatenate([charge(3550, 3650), charge(3650, 3650, seconds=9000)]), ChargeEnd.STUCK),
        (np.concatenate([charge(3550, 3690), charge(3650, 3640)]), ChargeEnd.IMPLAUSIBLE),
    ],
)
def test_a_charge_without_an_input_says_why(samples: Samples, reason: ChargeEnd):
    one = counter()
    assert feed(one, samples) == []
    assert one.ended == reason


def test_a_wrong_sign_never_makes_an_input():
    flipped = cycles(3)
    flipped["current_ma"] *= -1
    assert feed(counter(), flipped) == []
    assert len(feed(counter(discharge_positive=True), flipped)) == 3


@pytest.mark.parametrize("stuck_ma", [-500, 0, 500, 3000])
def test_a_stuck_current_sensor_gives_no_input_at_rest_or_in_a_discharge(stuck_ma: int):
    real = np.concatenate([discharge(), rest(7200, mv=3640), discharge(), rest(7200, mv=3300)])
    real["current_ma"] = stuck_ma
    assert feed(counter(), real) == []


def test_a_current_sensor_stuck_at_nothing_or_below_sees_no_charge():
    for stuck_ma in (-500, 0):
        real = cycles(3)
        real["current_ma"] = stuck_ma
        assert feed(counter(), real) == []


def test_invalid_and_impossible_samples_are_bridged_while_the_hole_is_short():
    clean, dirty = charge(), charge()
    dirty["valid"][10:15] = 0
    dirty["cell_mv"][200] = 20_000
    dirty["current_ma"][250] = 10_000_000
    a, b = feed(counter(), clean)[0], feed(counter(), dirty)[0]
    np.testing.assert_allclose(a, b, rtol=0.02)
    one = counter()
    assert not one.push(_sample(valid=0))
    assert not one.push(_sample(mv=20_000))
    assert one.push(_sample())


def _sample(mv: int = 3300, valid: int = 7):
    from tests.bms_samples import as_sample

    return as_sample(samples_array([mv], 0, 1000, valid=valid)[0])


def test_a_clock_that_jumps_is_a_gap_and_not_time():
    jumped = charge()
    jumped["dt_ms"][150] = 2**32 - 5
    one = counter()
    assert feed(one, jumped) == []
    assert one.ended == ChargeEnd.GAP
    assert one.elapsed_ms < 4_000_000


def test_cycles_are_charges_after_a_discharge():
    one = counter()
    assert len(feed(one, cycles(3))) == 3
    assert one.cycle == 4
    feed(one, np.concatenate([rest(), charge(), rest(), charge()]))
    assert one.cycle == 4, "a charge without discharge before it is no new cycle"


def test_counting_finds_the_capacity_between_full_and_empty():
    one = counter(full_mv=4190, empty_mv=3010)
    full, empty = samples_array(np.full(12, 4195), 50, 1000), samples_array(np.full(2, 3000), -1000, 10_000)
    feed(one, np.concatenate([full, discharge(-2000, 47)]))
    assert one.counted_cpct == UNKNOWN, "one sample may be a pulse"
    feed(one, empty)
    # 46 to 47 minutes of 2 A out of 2 Ah.
    assert 7700 <= one.counted_cpct <= 7950


def test_pulses_and_pauses_are_no_ends_of_counting():
    pulse = samples_array([3700, 2900, 3690], [-1000, -9000, -1000], 1000)
    full = samples_array(np.full(12, 4195), 50, 1000)
    one = counter(full_mv=4190, empty_mv=3010, max_current_ma=20_000)
    feed(one, np.concatenate([full, discharge(-1000, 20)[:15], pulse, pulse]))
    assert one.counted_cpct == UNKNOWN
    # A charge at high current that stops at the voltage of a full cell is not full.
    other = counter(full_mv=4190, empty_mv=3010)
    empty = samples_array(np.full(12, 3000), -1000, 1000)
    feed(other, np.concatenate([empty, charge(3100, 4192, seconds=5000), rest(20, 4191)]))
    assert other.counted_cpct == UNKNOWN


def test_a_drive_with_braking_is_one_cycle():
    minute = samples_array([3900, 3950, 3890], [-1500, 2000, -1500], [49_000, 10_000, 1000])
    one = counter()
    rows = feed(one, np.concatenate([charge(), *[minute] * 60, rest(), charge(), *[minute] * 60, rest(), charge()]))
    assert len(rows) == 3
    assert one.cycle == 3


def test_a_cell_that_relaxes_below_the_window_gives_no_second_row():
    one = counter()
    paused = np.concatenate([charge(3560, 3640), rest(600, 3598), charge(3598, 3720)])
    assert feed(one, paused) == []
    assert one.ended == ChargeEnd.REPEATED


def test_a_ramp_of_current_into_the_window_is_not_constant():
    ramp = charge()
    first = int(np.argmax(ramp["cell_mv"] >= 3600))
    ramp["current_ma"][:first] = 200
    one = counter()
    assert feed(one, ramp) == []
    assert one.ended == ChargeEnd.NOT_CONSTANT


def test_noise_of_the_current_sensor_is_averaged():
    rng = np.random.default_rng(2)
    noisy = charge(ticks=1500)
    noisy["current_ma"] += np.rint(rng.normal(0, 30, len(noisy))).astype(np.int32)
    assert len(feed(counter(), noisy)) == 1


# --- C ---------------------------------------------------------------------------------------------------------------


def firmware(model_file: Path, folder: Path, **settings: int) -> tuple[HostFirmware, Twin]:
    """The firmware as a library with UBSan's traps, and its twin; one CAN burst per sample."""
    graph = load_graph(model_file)
    config = Config(NOMINAL_MAH, **settings)
    flags = ["-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    host = HostFirmware(graph, config, folder, flags, frame_ms=0, steps_per_tick=1)
    assert host.power_on() == 0
    return host, Twin(graph, config)


def assert_equal(host: HostFirmware, twin: Twin, samples: Samples) -> None:
    """Every frame after every sample, and every saved state."""
    frames, burst = host.run(samples), 4 if twin.estimator.resistance is None else 5
    assert len(frames) == host.burst * len(samples) == burst * len(samples)
    for index in range(len(samples)):
        result = twin.run(samples[index : index + 1])
        health, details, points, model, *ohm = (frame.data for frame in frames[burst * index : burst * (index + 1)])
        wanted = (
            *(_16(v) for v in (result.soh_cpct, result.sigma_cpct, result.rul_cycles)),
            bytes([result.status | result.source << 4]),
            *(_16(v) for v in (result.model_cpct, result.counting_cpct, result.age_cycles)),
            _16(min(result.age_s // 60, 0xFFFF)),
            bytes([result.points]),
            *(_16(v) for v in result.points_cpct[:3]),
            _16(result.cycle),
            bytes([result.charge, result.warmup]),
            *(result.resistance_uohm.to_bytes(4, "little") for _ in ohm),
            *(_16(v) for _ in ohm for v in (result.resistance_sigma_cpct, result.resistance_cpct)),
        )
        got = health[:7] + details + points[1:] + model[4:] + b"".join(ohm)
        assert got == b"".join(wanted), f"sample {index}: {samples[index]}, {result}"
    state = newest_state(host.fram)
    assert state == (twin.saved[-1] if twin.saved else None)


def _16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def test_c_equals_python_on_clean_cycles(model_file: Path, tmp_path: Path):
    host, twin = firmware(model_file, tmp_path / "build", full_mv=4100, empty_mv=3050, rated_cycles=300)
    assert_equal(host, twin, cycles(6, seconds=KNOWN_SECONDS))
    assert twin.estimator.has_estimate


def test_c_equals_python_on_wild_samples(model_file: Path, tmp_path: Path):
    host, twin = firmware(model_file, tmp_path / "build", full_mv=3700, empty_mv=3050, rated_cycles=300)
    for seed in range(400 if FULL else 40):
        assert_equal(host, twin, np.concatenate([wild(seed), cycles(1, seconds=KNOWN_SECONDS)]))
    assert twin.estimator.has_estimate


def test_c_equals_python_on_random_numbers(model_file: Path, tmp_path: Path):
    host, twin = firmware(model_file, tmp_path / "build", discharge_positive=1)
    rng = np.random.default_rng(9)
    count = 20_000 if FULL else 3000
    samples = samples_array(
        rng.integers(-32768, 32768, count),
        rng.integers(-(2**31), 2**31, count),
        rng.integers(0, 2**32, count),
        rng.integers(-32768, 32768, count),
        rng.integers(0, 256, count),
    )
    assert_equal(host, twin, samples)


def raw_samples() -> list[Samples]:
    """All samples of the corpus' raw cells, in mV, mA and ms, cell by cell."""
    if CORPUS is None or not (CORPUS / "raw" / "TJU_NCA_raw.parquet").is_file():
        pytest.skip("needs EDGEBAT_CORPUS with raw/TJU_NCA_raw.parquet")
    from edgebat.data.corpus import read_raw_parquet
    from tests.bms_samples import raw_life

    cells = read_raw_parquet(CORPUS / "raw" / "TJU_NCA_raw.parquet")
    return [np.concatenate([cycle.samples for cycle in raw_life(cell)]) for cell in cells]


@pytest.mark.parametrize("fault", ["as recorded", "noise", "gaps", "sign flips"])
def test_c_equals_python_on_raw_samples_of_real_cells(fault: str, model_file: Path, tmp_path: Path):
    rng = np.random.default_rng(4)
    total = rows = 0
    for index, samples in enumerate(raw_samples()):
        if fault == "noise":
            samples["cell_mv"] += np.rint(rng.normal(0, 3, len(samples))).astype(np.int16)
            samples["current_ma"] += np.rint(rng.normal(0, 20, len(samples))).astype(np.int32)
        elif fault == "gaps":
            samples = samples[rng.random(len(samples)) > 0.02]
            samples["dt_ms"][rng.random(len(samples)) < 0.002] = 300_000
        elif fault == "sign flips":
            samples["current_ma"][rng.random(len(samples)) < 0.002] *= -1
        host, twin = firmware(model_file, tmp_path / f"{index}", max_gap_ms=120_000, full_mv=4190, empty_mv=2700)
        assert_equal(host, twin, samples if FULL else samples[:6000])
        total += len(samples)
        rows += twin.estimator.counter.cycle
        if not FULL:
            break
    print(f"\n{fault}: {total} samples, {rows} cycles, 0 differences")
