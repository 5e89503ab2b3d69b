"""The forecaster: what enters its history, when it speaks, and C and Python as one."""

from __future__ import annotations

import ctypes
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.forecaster import Forecaster
from edgebat.bms.results import Result, Source, Status
from edgebat.errors import DataError, ModelFileError
from edgebat.formats.c.bms import write_bms
from edgebat.formats.c.bms_models import describe, forecast_model, health_model
from edgebat.formats.c.program import lower
from edgebat.formats.c.slices import slice_count
from edgebat.formats.c.write import write_c
from edgebat.graph import IntGraph, load_graph
from edgebat.paths import firmware_dir
from edgebat.tasks.base import task
from edgebat.tasks.forecast.score import cycles_to_eol
from edgebat.tasks.health.charge_types import UNKNOWN, ChargeEnd
from tests.c_forecaster import SOURCE, CForecaster
from tests.c_host import WARNINGS, c_compiler, call
from tests.tiny_forecast import CYCLES, HORIZON, POINTS, TASK, forecast_graph

BLANK, FORMAT, DAMAGED, OTHER, LENGTH = -8, -9, -10, -11, -7
FADE = 0.8  # 0.01 % per cycle


@pytest.fixture(scope="module")
def graph() -> IntGraph:
    return forecast_graph()


def health(cycle: int, cpct: int = UNKNOWN, age: int = 0, status: Status = Status.OK) -> Result:
    """What an estimator says in ``cycle``: its model has measured ``cpct``, ``age`` cycles ago."""
    known = cpct != UNKNOWN
    return Result(
        soh_cpct=9999,
        sigma_cpct=100,
        rul_cycles=UNKNOWN,
        model_cpct=cpct,
        counting_cpct=5000,
        age_cycles=age if known else UNKNOWN,
        age_s=0,
        cycle=cycle,
        revision=0,
        points_cpct=(UNKNOWN,) * 8,
        points=0,
        warmup=0,
        status=status,
        source=Source.MODEL if known else Source.COUNTING,
        charge=ChargeEnd.OK,
    )


def faded(cycle: int, start: int = 10_000) -> int:
    """SOH of a cell that fades steadily."""
    return start - round(FADE * cycle)


def aged(graph: IntGraph, cycles: int, step: int = 1, start: int = 10_000) -> Forecaster:
    """A forecaster that has seen every ``step``-th of so many cycles."""
    forecaster = Forecaster(graph, SOURCE)
    for cycle in range(1, cycles + 1, step):
        forecaster.push(health(cycle, faded(cycle, start)))
    forecaster.settle()
    return forecaster


# --- what it promises -----------------------------------------------------------------------------------------------


def test_it_is_unknown_until_49_cycles_are_covered(graph: IntGraph):
    before = aged(graph, 48).result()
    assert (before.status, before.covered, before.missing) == (Status.WARMUP, 48, 1)
    assert (before.points, before.eol_cycles, before.age_cycles) == (0, UNKNOWN, UNKNOWN)
    assert set(before.points_cpct) == {UNKNOWN}
    after = aged(graph, 49).result()
    assert (after.status, after.covered, after.missing, after.points) == (Status.OK, 49, 0, POINTS)
    assert (after.cycle, after.age_cycles, after.horizon) == (49, 0, HORIZON)


def test_a_steady_fade_goes_on(graph: IntGraph):
    result = aged(graph, 200).result()
    steps = HORIZON // POINTS * np.arange(1, POINTS + 1)
    wanted = faded(200) - FADE * steps
    assert np.abs(np.array(result.points_cpct) - wanted).max() < 12
    assert result.eol_cycles == UNKNOWN, "it does not reach 80 % within its horizon"
    assert result.covered == CYCLES


def test_end_of_life_is_where_the_trajectory_falls_below_it(graph: IntGraph):
    for start in (8_050, 8_070, 8_090):
        result = aged(graph, 60, start=start).result()
        knots = np.array([0, *(HORIZON // POINTS * np.arange(1, POINTS + 1))])
        values = np.array([result.soh_cpct, *result.points_cpct[:POINTS]])
        crossing = float(np.interp(-8_000, -values, knots))
        # The level the trajectory begins at is the newest value without its noise, and so not exactly that value.
        assert abs(result.eol_cycles - crossing) < 3
    assert aged(graph, 60, start=8_000).result().eol_cycles == 1, "below it already"


def test_predictions_of_a_file_reach_the_end_of_life_in_the_same_cycle(graph: IntGraph):
    rng = np.random.default_rng(5)
    found = []
    for _ in range(300):
        forecaster = Forecaster(graph, SOURCE)
        level, fade = rng.uniform(8_000, 8_120), rng.uniform(0.2, 1.2)
        for cycle in range(1, CYCLES + 1):
            forecaster.push(health(cycle, round(level - fade * (cycle - CYCLES) + rng.normal(0, 2))))
        forecaster.settle()
        result = forecaster.result()
        assert forecaster.forecast is not None
        knots = HORIZON // POINTS * np.arange(POINTS + 1)
        trajectory = np.interp(np.arange(1, HORIZON + 1), knots, np.array(forecaster.forecast.curve) / 10_000)[None]
        (predicted,) = cycles_to_eol(trajectory, 0.8)
        found.append(result.eol_cycles)
        assert result.eol_cycles == (UNKNOWN if np.isnan(predicted) else predicted)
    assert 50 < sum(eol != UNKNOWN for eol in found) < 280, "both kinds are tried"


def test_gaps_are_bridged_by_straight_lines_and_longer_ones_begin_anew(graph: IntGraph):
    forecaster = Forecaster(graph, SOURCE)
    forecaster.push(health(1, 10_000))
    forecaster.push(health(5, 9_990))
    assert forecaster.history == [10_000, 9_998, 9_995, 9_993, 9_990]
    forecaster.push(health(29, 9_966))
    assert forecaster.history[5:] == list(range(9_989, 9_965, -1))
    assert len(forecaster.history) == 29
    forecaster.push(health(54, 9_950))
    assert forecaster.history == [9_950]


def test_a_cell_measured_now_and_then_gets_the_forecast_of_one_measured_always(graph: IntGraph):
    sparse, dense = aged(graph, 193, 24), aged(graph, 193)
    away = np.abs(np.array(sparse.result().points_cpct) - np.array(dense.result().points_cpct))
    assert away.max() <= 5


def test_only_what_the_model_has_measured_itself_enters(graph: IntGraph):
    forecaster = Forecaster(graph, SOURCE)
    assert not forecaster.push(health(3)), "counting and data sheet are not measurements of the model"
    assert not forecaster.push(health(4, 9_900, status=Status.MODEL_CORRUPT))
    assert not forecaster.push(health(4, 900))
    assert not forecaster.history
    assert forecaster.push(health(7, 9_900, age=2))
    assert forecaster.newest == 5, "an estimate belongs to the cycle in which it was made"
    assert not forecaster.push(health(8, 9_900, age=3)), "once is enough"


def test_a_forecast_ages_counts_down_and_is_dropped(graph: IntGraph):
    forecaster = aged(graph, 60, start=8_100)
    fresh = forecaster.result()
    forecaster.push(health(70, faded(60, 8_100), age=10))
    old = forecaster.result()
    assert (old.age_cycles, old.eol_cycles) == (10, fresh.eol_cycles - 10)
    assert old.points_cpct == fresh.points_cpct
    forecaster.push(health(85, faded(60, 8_100), age=25))
    stale = forecaster.result()
    assert (stale.status, stale.points, stale.eol_cycles, stale.age_cycles) == (Status.STALE, 0, UNKNOWN, 25)


def test_a_history_unlike_the_training_data_is_not_forecast(graph: IntGraph):
    forecaster = aged(graph, 60)
    before = forecaster.result()
    forecaster.push(health(61, faded(60) - 2000))
    forecaster.settle()
    odd = forecaster.result()
    assert odd.status == Status.OUT_OF_DOMAIN
    assert (odd.points_cpct, odd.age_cycles) == (before.points_cpct, 1), "the forecast before it stays"


def test_a_counter_that_goes_back_belongs_to_another_battery(graph: IntGraph):
    forecaster = aged(graph, 60)
    forecaster.push(health(3, 9_990))
    assert forecaster.history == [9_990]
    assert forecaster.result().status == Status.WARMUP


def test_a_corrupt_model_is_not_asked(graph: IntGraph):
    forecaster = aged(graph, 60)
    forecaster.corrupt = True
    forecaster.push(health(61, faded(61)))
    assert not forecaster.step()
    assert (forecaster.result().status, forecaster.result().eol_cycles) == (Status.MODEL_CORRUPT, UNKNOWN)


def test_a_model_is_what_its_task_says(graph: IntGraph, model_file: Path):
    charges = load_graph(model_file)
    assert describe(graph) == forecast_model(graph)
    assert describe(charges) == health_model(charges)
    with pytest.raises(
        ModelFileError, match="estimator needs one that reads charges; beside such a one it is given as --forecast"
    ):
        health_model(graph)
    with pytest.raises(ModelFileError, match="forecaster needs one that reads a history"):
        Forecaster(charges, SOURCE)


def test_a_task_that_no_bms_runs_is_refused_whatever_its_input_is_relative_to(graph: IntGraph):
    life = task("life")
    absolute = {key: value for key, value in graph.meta["input"].items() if key != "relative_to"}
    for source in (graph.meta["input"], absolute):
        with pytest.raises(ModelFileError, match="of the task life cannot run in a BMS"):
            describe(replace(graph, meta={**graph.meta, "input": source, "task": life.described(life.spec(None))}))


def test_a_health_model_whose_input_is_relative_is_refused(model_file: Path):
    charges = load_graph(model_file)
    with pytest.raises(ModelFileError, match="in which units it reads"):
        describe(replace(charges, meta={**charges.meta, "input": charges.meta["input"] | {"relative_to": "last"}}))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"horizon": None}, "horizon is None"),
        ({"min_history": "48"}, "min_history is '48'"),
        ({"max_gap": 0}, "max_gap is 0"),
        ({"max_gap": 5000}, "not one that a BMS can carry"),
        ({"min_history": 96}, "not one that a BMS can carry"),
        ({"seen_cycles": 48}, "says otherwise"),
        ({"group": 2}, "says otherwise"),
        ({"eol": 80}, "eol is 80"),
    ],
)
def test_a_task_that_does_not_fit_is_refused(graph: IntGraph, changed: dict[str, object], reason: str):
    with pytest.raises(ModelFileError, match=reason):
        describe(replace(graph, meta={**graph.meta, "task": TASK | changed}))


def test_outputs_that_do_not_fit_are_refused(graph: IntGraph):
    without = [entry for entry in graph.meta["outputs"] if entry["name"] != "level"]
    with pytest.raises(ModelFileError, match="needs level and trajectory"):
        describe(replace(graph, meta={**graph.meta, "outputs": without}))
    absolute = [entry | {"relative": False} for entry in graph.meta["outputs"]]
    with pytest.raises(ModelFileError, match="relative to the last value"):
        describe(replace(graph, meta={**graph.meta, "outputs": absolute}))


def test_a_saved_history_continues_and_a_strange_one_is_refused(graph: IntGraph):
    forecaster = aged(graph, 80)
    saved = forecaster.state()
    other = Forecaster(graph, SOURCE)
    other.restore(saved)
    other.settle()
    assert replace(other.result(), revision=0) == replace(forecaster.result(), revision=0)
    assert other.state() == forecaster.state()
    for broken in (saved[:-1], bytes(len(saved)), saved[:40] + bytes([saved[40] ^ 1]) + saved[41:]):
        with pytest.raises(DataError):
            Forecaster(graph, SOURCE).restore(broken)
    with pytest.raises(DataError, match="another health model"):
        Forecaster(graph, SOURCE + 1).restore(saved)


# --- C --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library(graph: IntGraph, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("forecast")
    model = write_c(graph, folder, "trend")
    generated = [path for path in (*model.files, *write_bms(graph, model, folder)) if path.suffix == ".c"]
    sources = [*generated, *model.kernel_sources, *sorted((firmware_dir() / "bms").glob("edgebat_forecast*.c"))]
    flags = ["-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-fPIC", "-shared"]
    include = [f"-I{folder}", f"-I{firmware_dir() / 'include'}"]
    call([c_compiler(), *WARNINGS, *flags, *include, *sources, "-o", folder / "trend.so"])
    return ctypes.CDLL(str(folder / "trend.so"))


@pytest.fixture
def c_forecaster(library: ctypes.CDLL, graph: IntGraph) -> CForecaster:
    forecaster = CForecaster(library, forecast_model(graph).saved_bytes)
    assert forecaster.init() == 0
    return forecaster


def test_c_equals_python_over_random_histories(c_forecaster: CForecaster, graph: IntGraph):
    """Gaps, jumps, cells that begin anew, steps that come late, starts from saved and from no histories."""
    rng = np.random.default_rng(12)
    slices = slice_count(lower(graph, "balanced"))
    twin = Forecaster(graph, SOURCE, slices)
    cycle, soh, seen = 1, 9_800.0, dict.fromkeys(Status, 0)
    saved: bytes | None = None
    for _ in range(6000):
        cycle += int(rng.choice([0, 1, 1, 1, 2, 5, 24, 25], p=[0.1, 0.3, 0.2, 0.2, 0.1, 0.08, 0.015, 0.005]))
        soh -= float(rng.uniform(0, 2))
        kind = rng.random()
        if kind < 0.004:
            cycle, soh = int(rng.integers(1, 200)), float(rng.integers(8000, 10_500))
        elif kind < 0.01:
            soh = float(rng.choice([0, 999, 1000, 15_000, 15_001, 65_534, 9_500]))
        age = int(rng.choice([0, 0, 0, 1, 30]))
        measured = UNKNOWN if rng.random() < 0.1 else max(round(soh), 0)
        status = Status.MODEL_CORRUPT if rng.random() < 0.02 else Status.OK
        heard = health(cycle, measured, age, status)
        assert c_forecaster.push(heard) == (0 if twin.push(heard) else 2)
        for _ in range(int(rng.integers(0, 2 * slices + 2))):
            assert c_forecaster.step() == int(twin.step())
        if rng.random() < 0.02:
            saved = twin.state()
            assert c_forecaster.state() == saved
        if rng.random() < 0.005:
            twin = Forecaster(graph, SOURCE, slices)
            if saved is not None:
                twin.restore(saved)
            assert c_forecaster.init(saved) == 0
        if not 0 < soh <= 12_000:
            soh = 9_700.0
        assert c_forecaster.result() == twin.result()
        seen[twin.result().status] += 1
    assert c_forecaster.state() == twin.state()
    assert all(seen[status] > 20 for status in (Status.OK, Status.WARMUP, Status.OUT_OF_DOMAIN, Status.STALE)), seen


def filled(c_forecaster: CForecaster) -> bytes:
    for cycle in range(1, 80):
        c_forecaster.push(health(cycle, faded(cycle)))
    return c_forecaster.state()


def test_the_self_test_leaves_the_forecast_right(c_forecaster: CForecaster, graph: IntGraph):
    filled(c_forecaster)
    assert c_forecaster.step() == 1
    assert c_forecaster.step() in (0, 1)
    assert c_forecaster.selftest() == 0
    while c_forecaster.step() == 1:
        pass
    assert c_forecaster.result() == replace(aged(graph, 79).result())


def test_flipped_bits_are_refused(c_forecaster: CForecaster):
    good = filled(c_forecaster)
    assert c_forecaster.check(good) == 0
    assert c_forecaster.check(bytes(len(good))) == BLANK
    assert c_forecaster.check(b"\xff" * len(good)) == BLANK
    assert c_forecaster.check(good[:20]) == LENGTH
    assert c_forecaster.check(good, SOURCE + 1) == OTHER
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        assert c_forecaster.check(bytes(bad)) in (LENGTH, FORMAT, DAMAGED), bit
    rng = np.random.default_rng(4)
    for _ in range(2000):
        bad = bytearray(good)
        a, b = sorted(int(v) for v in rng.integers(0, len(bad), 2))
        bad[a : b + 1] = rng.bytes(b + 1 - a)
        assert bytes(bad) == good or c_forecaster.check(bytes(bad)) < 0


def test_a_sound_checksum_over_impossible_contents_is_refused(c_forecaster: CForecaster):
    good = filled(c_forecaster)

    def forged(offset: int, content: bytes) -> bytes:
        body = good[:offset] + content + good[offset + len(content) : -4]
        return body + zlib.crc32(body).to_bytes(4, "little")

    assert c_forecaster.check(forged(0, b"E")) == 0
    for offset, content, code in (
        (3, b"\x02", FORMAT),
        (4, b"\x10\x00\x00\x00", DAMAGED),
        (4, b"\xff\xff\xff\xff", LENGTH),
        (8, b"\x01\x02\x03\x04", OTHER),
        (16, b"\x00\x00\x00\x00", OTHER),
        (20, b"\x05\x00\x00\x00", DAMAGED),  # newer than the cycles it covers
        (24, b"\x61\x00\x00\x00", DAMAGED),  # covers more than the model reads
        (24, b"\x00\x00\x00\x00", DAMAGED),
        (28, b"\x00\x00", DAMAGED),  # no SOH
        (28, b"\xff\xff", DAMAGED),
        (28 + 2 * 95, b"\x01\x00", DAMAGED),  # a value that is not covered
    ):
        assert c_forecaster.check(forged(offset, content)) == code, (offset, content)
        assert c_forecaster.init(forged(offset, content)) == code
        assert c_forecaster.result().covered == 0, "what was refused leaves no trace"


def test_of_two_places_the_newer_sound_one_counts(c_forecaster: CForecaster):
    old = filled(c_forecaster)
    new = c_forecaster.state()
    broken = bytes([new[0]]) + b"x" + new[2:]
    assert c_forecaster.newest(old, new) == new
    assert c_forecaster.newest(new, old) == new
    assert c_forecaster.newest(old, broken) == old
    assert c_forecaster.newest(broken, old) == old
    assert c_forecaster.newest(broken, broken) is None


def test_null_and_misaligned_memory_are_refused(c_forecaster: CForecaster):
    lib, null = c_forecaster.library, None
    model = ctypes.c_void_p(c_forecaster.model)
    assert lib.edgebat_forecast_init(null, model, 0, c_forecaster.work, null, 0) == -1
    assert lib.edgebat_forecast_init(c_forecaster.memory, model, 0, null, null, 0) == -1
    assert lib.edgebat_forecast_init(c_forecaster.memory, null, 0, c_forecaster.work, null, 0) == -1
    odd = ctypes.c_void_p(ctypes.addressof(c_forecaster.work) + 1)
    assert lib.edgebat_forecast_init(c_forecaster.memory, model, 0, odd, null, 0) == -2
    for function in ("step", "selftest"):
        assert getattr(lib, f"edgebat_forecast_{function}")(c_forecaster.memory) == -1, "an init that failed"
    assert lib.edgebat_forecast_push(null, null) == -1
    assert lib.edgebat_forecast_result(null, null) == -1
    assert lib.edgebat_forecast_state_get(null, null, 0) == -1
    assert lib.edgebat_forecast_state_bytes(null) == 0
    assert c_forecaster.init() == 0
    assert lib.edgebat_forecast_state_get(c_forecaster.memory, ctypes.create_string_buffer(8), 8) == LENGTH
