"""Resistance from steps of the current: right within its deviation, silent where nothing tells it, and its growth."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.estimator import Config, Estimator
from edgebat.bms.resistance import LEAST_SEEN, PERMILLE, STEPS, USUAL, ResistanceConfig
from edgebat.bms.results import Reset, Result
from edgebat.bms.samples import Samples, samples_array
from edgebat.bms.service import adopt, reset, use
from edgebat.bms.twin import Twin
from edgebat.bms.virtual import HostFirmware
from edgebat.errors import DataError
from edgebat.graph import IntGraph, load_graph
from edgebat.tasks.health.charge_types import UINT32_MAX, UNKNOWN
from tests.bms.test_charge import assert_equal
from tests.bms_samples import NOMINAL_MAH, as_sample, cycles, wild

NEW = ResistanceConfig(is_new=True)
BLOCK_S = 8


@pytest.fixture
def graph(model_file: Path) -> IntGraph:
    return load_graph(model_file)


@dataclass(frozen=True)
class Driven:
    """A cell in traffic: another current every eight seconds, between -1.5C and 0.5C; a sample every ``tick_ms``."""

    uohm: float = 30_000
    """At 25 degC."""
    hours: float = 6.0
    nominal_mah: int = NOMINAL_MAH
    ddegc: int = 250
    kelvin: float = 25_000 / 8.314
    """Activation energy over the gas constant."""
    noise_mv: float = 0.5
    noise_part: float = 0.001
    """Of the one-hour current."""
    gain: float = 1.0
    late: float = 0.0
    """Of the samples whose voltage is that of the one before: read just before the current changed."""
    tick_ms: int = 2000
    valid: int = 7
    sign: int = 1

    def samples(self, seed: int = 0) -> Samples:
        rng = np.random.default_rng(seed)
        count = int(self.hours * 3_600_000 / self.tick_ms)
        parts = rng.choice([-1.5, -0.8, -0.4, 0.0, 0.5], size=count * self.tick_ms // (1000 * BLOCK_S) + 1)
        ma = self.nominal_mah * np.repeat(parts, max(1000 * BLOCK_S // self.tick_ms, 1))[:count]
        kelvin = self.ddegc / 10 + 273.15
        ohm = self.uohm * 1e-6 * math.exp(self.kelvin * (1 / kelvin - 1 / 298.15))
        mv = 3700 + ohm * ma + rng.normal(0, self.noise_mv, ma.size)
        late = rng.random(ma.size) < self.late
        mv[1:] = np.where(late[1:], mv[:-1], mv[1:])
        seen = self.sign * (ma * self.gain + rng.normal(0, self.noise_part * self.nominal_mah, ma.size))
        return samples_array(np.rint(mv), np.rint(seen), self.tick_ms, self.ddegc, self.valid)


def watching(graph: IntGraph, config: ResistanceConfig = NEW, nominal_mah: int = NOMINAL_MAH) -> Estimator:
    return Estimator(graph, Config(nominal_mah), resistance=config)


def live(estimator: Estimator, *parts: Samples) -> Result:
    for sample in np.concatenate(parts):
        estimator.push(as_sample(sample))
    estimator.settle()
    return estimator.result()


def deviations(result: Result, uohm: float) -> float:
    """Distance from the truth, in published deviations."""
    return (result.resistance_uohm - uohm) / (uohm * result.resistance_sigma_cpct / 10_000)


# --- what it says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "driven",
    [
        Driven(),
        Driven(uohm=5_000),
        Driven(uohm=150_000),
        Driven(uohm=300, nominal_mah=280_000),
        Driven(noise_mv=2.0, noise_part=0.01),
        Driven(gain=1.02),
        Driven(late=0.25),
        Driven(tick_ms=100, hours=1.0),
    ],
    ids=["usual", "low", "high", "of a large cell", "noise", "gain", "samples that do not match", "ten per second"],
)
def test_resistance_is_right_within_its_deviation(graph: IntGraph, driven: Driven):
    for seed in range(2):
        result = live(watching(graph, nominal_mah=driven.nominal_mah), driven.samples(seed))
        assert abs(deviations(result, driven.uohm)) < 2
        assert 800 <= result.resistance_sigma_cpct < 1200


def test_steps_of_a_charger_alone_tell_it(graph: IntGraph):
    """Current on, current off: steps up from a rest, and down into one."""
    on = samples_array([3700, 3700, 3760, *[3760] * 40, 3700, 3700], [0, 0, *[2000] * 41, 0, 0], 1000)
    result = live(watching(graph), *[on] * 40)
    assert result.resistance_uohm == 30_000


def test_few_steps_say_nothing(graph: IntGraph):
    estimator = watching(graph)
    samples = Driven().samples()
    while estimator.resistance is not None and estimator.resistance.seen < LEAST_SEEN:
        result = live(estimator, samples[:1])
        known = (result.resistance_uohm, result.resistance_sigma_cpct, result.resistance_cpct)
        if estimator.resistance.seen < LEAST_SEEN:
            assert known == (UINT32_MAX, UNKNOWN, UNKNOWN)
        samples = samples[1:]
    assert estimator.result().resistance_uohm != UINT32_MAX
    assert estimator.result().resistance_cpct == UNKNOWN, "what a new cell has takes more of them"
    assert STEPS * LEAST_SEEN == 40
    assert STEPS * USUAL == 320


def test_the_deviation_shrinks_with_steps_and_grows_with_noise(graph: IntGraph):
    early, later = Driven(hours=0.6).samples(), Driven().samples()
    few, many = (live(watching(graph), samples) for samples in (early, later))
    noisy = live(watching(graph), Driven(noise_mv=8).samples())
    assert few.resistance_sigma_cpct > many.resistance_sigma_cpct
    assert noisy.resistance_sigma_cpct > many.resistance_sigma_cpct


@pytest.mark.parametrize("ddegc", [50, 100, 200, 300, 400, 450])
def test_in_the_cold_and_in_the_heat_it_says_what_the_cell_has_at_25_degc(graph: IntGraph, ddegc: int):
    result = live(watching(graph), Driven(ddegc=ddegc).samples())
    assert abs(deviations(result, 30_000)) < 1


def test_an_own_table_of_temperatures_is_used(graph: IntGraph):
    flat = ResistanceConfig(permille=(1000,) * len(PERMILLE))
    result = live(watching(graph, flat), Driven(ddegc=-150, kelvin=0).samples())
    assert abs(deviations(result, 30_000)) < 1


# --- what says nothing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "driven"),
    [
        ("no thermometer", Driven(valid=3)),
        ("a temperature at which nobody knows", Driven(ddegc=-100)),
        ("a hotter one", Driven(ddegc=600)),
        ("a broken thermometer", Driven(ddegc=-700)),
        ("samples too far apart", Driven(tick_ms=4000, hours=6)),
        ("current with the wrong sign", Driven(sign=-1)),
        ("a voltage that is stuck", Driven(uohm=0, noise_mv=0)),
        ("the voltage of a broken wire", Driven(uohm=2_000_000)),
    ],
)
def test_what_is_no_step_says_nothing(graph: IntGraph, reason: str, driven: Driven):
    result = live(watching(graph), driven.samples())
    assert result.resistance_uohm == UINT32_MAX, reason
    assert result.resistance_cpct == UNKNOWN


def test_small_changes_and_holes_say_nothing(graph: IntGraph):
    small = samples_array(np.tile([3700, 3709], 9000), np.tile([0, 300], 9000), 1000)
    assert live(watching(graph), small).resistance_uohm == UINT32_MAX
    holes = Driven().samples()
    holes["dt_ms"] = 70_000
    assert live(watching(graph), holes).resistance_uohm == UINT32_MAX


def test_a_battery_that_is_not_asked_is_what_it_was(graph: IntGraph):
    plain, asked = Estimator(graph, Config(NOMINAL_MAH)), watching(graph)
    for one in (plain, asked):
        live(one, cycles(4), Driven(hours=1).samples())
    ohm = {"resistance_uohm": UINT32_MAX, "resistance_sigma_cpct": UNKNOWN, "resistance_cpct": UNKNOWN}
    assert plain.result() == replace(asked.result(), **ohm)  # type: ignore[arg-type]
    assert len(asked.state()) == len(plain.state()) + 36


# --- growth ----------------------------------------------------------------------------------------------------------


def test_growth_is_said_of_a_cell_that_was_told_to_be_new(graph: IntGraph):
    for seed in range(2):
        estimator = watching(graph)
        fresh = live(estimator, Driven().samples(seed))
        assert abs(fresh.resistance_cpct - 10_000) < 300, "a cell that has not grown"
        grown = live(estimator, Driven(uohm=42_000, hours=20).samples(seed + 10))
        assert abs(grown.resistance_cpct - 14_000) < 400, "one that has"
        fallen = live(estimator, Driven(uohm=27_000, hours=20).samples(seed + 20))
        assert abs(fallen.resistance_cpct - 9_000) < 300, "resistance may fall at first"


def test_a_sensors_gain_leaves_growth(graph: IntGraph):
    estimator = watching(graph)
    live(estimator, Driven(gain=1.05).samples())
    grown = live(estimator, Driven(uohm=42_000, gain=1.05, hours=20).samples(1))
    assert abs(grown.resistance_cpct - 14_000) < 400


def test_of_another_cell_growth_is_not_known(graph: IntGraph):
    estimator = watching(graph, ResistanceConfig())
    assert live(estimator, Driven(hours=20).samples()).resistance_cpct == UNKNOWN
    later = watching(graph)
    later.restore(estimator.state())
    assert live(later, Driven(hours=20).samples()).resistance_cpct == UNKNOWN, (
        "it was used before somebody called it new"
    )


def test_what_a_new_cell_has_may_be_given(graph: IntGraph):
    given = live(watching(graph, ResistanceConfig(new_uohm=24_000)), Driven().samples())
    assert abs(given.resistance_cpct - 12_500) < 300


def test_it_goes_on_after_a_power_cut(graph: IntGraph):
    estimator = watching(graph)
    before = live(estimator, Driven().samples())
    again = watching(graph)
    assert again.restore(estimator.state())
    after = again.result()
    names = ("resistance_uohm", "resistance_sigma_cpct", "resistance_cpct")
    assert all(getattr(before, name) == getattr(after, name) for name in names)


def test_a_board_that_is_off_between_two_steps_adds_them_up(graph: IntGraph):
    on = samples_array([3700, 3700, 3760, *[3760] * 40], [0, 0, *[2000] * 41], 1000)
    saved = None
    for _ in range(60):
        estimator = watching(graph)
        if saved is not None:
            estimator.restore(saved)
        live(estimator, on)
        saved = estimator.state()
    assert estimator.result().resistance_uohm == 30_000


def test_states_without_and_with_a_resistance_are_read_by_firmware_with_and_without(graph: IntGraph):
    plain, asked = Estimator(graph, Config(NOMINAL_MAH)), watching(graph)
    for one in (plain, asked):
        live(one, cycles(4), Driven().samples())
    assert (plain.state()[3], asked.state()[3]) == (3, 4)
    begun, without = watching(graph), Estimator(graph, Config(NOMINAL_MAH))
    assert begun.restore(plain.state())
    assert begun.result().resistance_uohm == UINT32_MAX
    assert without.restore(asked.state())
    assert (without.counter.cycle, without.published) == (asked.counter.cycle, asked.published)


# --- workshop --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [Reset.RESISTANCE, Reset.MODULE])
def test_of_another_module_nothing_is_known_until_it_is_measured(graph: IntGraph, what: Reset):
    estimator = watching(graph)
    live(estimator, Driven().samples())
    reset(estimator, what)
    assert estimator.result().resistance_uohm == UINT32_MAX
    used = live(estimator, Driven(uohm=40_000).samples(1))
    assert abs(deviations(used, 40_000)) < 1
    assert used.resistance_cpct == UNKNOWN, "nobody has said what it had when new"


def test_other_visits_leave_it(graph: IntGraph):
    estimator = watching(graph)
    before = live(estimator, Driven().samples())
    reset(estimator, Reset.HEALTH | Reset.USE | Reset.COUNTING | Reset.WINDOW)
    assert estimator.result().resistance_uohm == before.resistance_uohm


@pytest.mark.parametrize(("new_uohm", "cpct"), [(0, 10_000), (25_000, 16_000)])
def test_a_new_module_begins_anew_and_a_used_one_beside_what_it_had(graph: IntGraph, new_uohm: int, cpct: int):
    estimator = watching(graph, ResistanceConfig())
    live(estimator, Driven().samples())
    assert estimator.resistance is not None
    estimator.resistance.begin(new_uohm)
    assert abs(live(estimator, Driven(uohm=40_000).samples(1)).resistance_cpct - cpct) < 400


def test_another_board_goes_on_beside_what_the_cell_had(graph: IntGraph):
    old, board = watching(graph), watching(graph)
    live(old, Driven().samples())
    adopt(board, use(old))
    result = live(board, Driven(uohm=36_000).samples(1))
    assert abs(result.resistance_cpct - 12_000) < 300


@pytest.mark.parametrize(
    "settings",
    [
        {"new_uohm": 20_000_001},
        {"step_ms": 0},
        {"sigma_cpct": 10_001},
        {"permille": (1000,) * 7},
        {"permille": (*PERMILLE[:4], 900, *PERMILLE[5:])},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(settings: dict[str, object]):
    with pytest.raises(DataError, match="no configuration of a resistance"):
        ResistanceConfig(**settings)  # type: ignore[arg-type]


# --- C ---------------------------------------------------------------------------------------------------------------


def test_c_equals_python_over_drives_faults_restarts_and_visits(graph: IntGraph, tmp_path: Path):
    config, ohm = Config(NOMINAL_MAH, full_mv=4100, empty_mv=3050), ResistanceConfig(is_new=True)
    flags = ["-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    host = HostFirmware(graph, config, tmp_path / "build", flags, resistance=ohm, frame_ms=0, steps_per_tick=1)
    twin = Twin(graph, config, resistance=ohm)
    assert host.power_on() == 0
    rng = np.random.default_rng(5)
    known = 0
    for visit in range(12):
        ddegc, uohm = int(rng.integers(60, 400)), float(rng.uniform(5_000, 90_000))
        driven = Driven(uohm=uohm, hours=2.0, ddegc=ddegc, noise_mv=2.0)
        drive = driven.samples(visit)
        drive["valid"][rng.random(len(drive)) < 0.01] = rng.integers(0, 8)
        drive["dt_ms"][rng.random(len(drive)) < 0.003] = rng.choice([0, 1999, 2000, 2001, 61_000])
        drive["temperature_ddegc"] += np.rint(rng.normal(0, 30, len(drive))).astype(np.int16)
        assert_equal(host, twin, np.concatenate([drive, wild(visit, 1), cycles(1)]))
        assert twin.estimator.resistance is not None
        known += twin.estimator.result().resistance_cpct != UNKNOWN
        if visit % 3 == 1:
            twin.power_on(twin.saved[-1])
            assert host.power_on() == 0
        if visit == 5:
            assert host._call("vbms_reset", Reset.RESISTANCE) == 0
            reset(twin.estimator, Reset.RESISTANCE)
        if visit in (6, 9):
            assert host._call("vbms_begin_resistance", 0 if visit == 6 else 21_000) == 0
            twin.estimator.resistance.begin(0 if visit == 6 else 21_000)
        if visit == 10:
            assert host._call("vbms_adopt", 7) == 0
            adopt(twin.estimator, replace(use(twin.estimator), serial=7))
    assert known >= 4
    assert host._call("vbms_begin_resistance", 20_000_001, signed=True) < 0


def test_c_refuses_what_makes_no_sense(graph: IntGraph, tmp_path: Path):
    host = HostFirmware(graph, Config(NOMINAL_MAH), tmp_path, resistance=ResistanceConfig())
    sound = host._control
    assert host.power_on() == 0
    for offset, size, value in ((0, 4, 20_000_001), (4, 4, 0), (8, 2, 0), (10, 2, 10_001), (20, 2, 900), (28, 1, 2)):
        at = len(sound) - 32 + offset
        host._control = sound[:at] + value.to_bytes(size, "little") + sound[at + size :]
        assert host.power_on() == -5, f"{value} at byte {offset} of edgebat_resistance_config_t"
