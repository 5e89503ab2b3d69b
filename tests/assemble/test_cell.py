"""One cell out of its files: cycles as the device counts them, whole discharges, exact curves, and what is refused."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from edgebat.assemble.cell import BuiltCell, build_cell
from edgebat.assemble.joining import Piece
from edgebat.assemble.settings import AddSettings
from edgebat.data.readers.records import Records
from edgebat.errors import DataError
from edgebat.tasks.health import HealthSpec, charge_increments, increments_from_curve
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import Config, Sample
from tests.assemble.records import NOMINAL_AH, PERIOD_S, records

SPEC = HealthSpec()
CELL = records(range(1, 7))


def built(*parts: Records, **settings: object) -> BuiltCell:
    wanted = {"nominal_ah": NOMINAL_AH, **settings}
    return build_cell(("OWN", "cell"), [Piece(part.path.name, part) for part in parts], {}, AddSettings(**wanted))


def findings(cell: BuiltCell) -> str:
    return " | ".join(f"{found.kind} {found.text}" for found in cell.findings)


def some(record: Records, rows: np.ndarray, **other: object) -> Records:
    columns = {name: getattr(record, name)[rows] for name in ("time_s", "voltage_v", "current_a", "cycle")}
    return replace(record, **{**columns, **other})


def test_charge_curves_give_the_increments_that_the_samples_give() -> None:
    cell = built(CELL)
    from_curves = increments_from_curve(cell.voltage_v, cell.charge_dq_ah, NOMINAL_AH, SPEC)
    for row, number in enumerate(cell.charge_cycle):
        rows = CELL.cycle == number
        expected, _ = charge_increments(CELL.time_s[rows], CELL.voltage_v[rows], CELL.current_a[rows], NOMINAL_AH, SPEC)
        assert expected is not None
        assert from_curves[row] == pytest.approx(expected, abs=1e-6)
    assert list(cell.charge_cycle) == [1, 2, 3, 4, 5, 6]


def test_capacity_is_the_charge_of_whole_discharges() -> None:
    cell = built(CELL)
    for number, capacity in zip(cell.table.cycle, cell.table.discharge_ah, strict=True):
        rows = CELL.cycle == number
        given = -np.minimum(CELL.current_a[rows], 0.0)
        assert capacity == pytest.approx(given.sum() * PERIOD_S / 3600.0, rel=1e-9)
    assert cell.measured.all()


def test_cycles_are_those_that_the_charge_counter_of_the_device_counts() -> None:
    # A device that sees the same samples, with pulses and a topping charge among them.
    current = CELL.current_a.copy()
    discharging = np.flatnonzero(current < -1.0)
    current[discharging[5::40]] = 2.0
    record = replace(CELL, current_a=current)
    counter = ChargeCounter([round(v * 1e6) for v in SPEC.levels_v], Config(round(1000 * NOMINAL_AH)))
    seen = []
    for volts, amps in zip(record.voltage_v, current, strict=True):
        counter.push(Sample(round(1000 * volts), round(1000 * amps), round(1000 * PERIOD_S)))
        seen.append(counter.cycle)
    ours = np.repeat(built(record).table.cycle, np.diff([*built(record).table.start, len(seen)]))
    # The device counts when a twentieth is charged, the corpus where that charge begins.
    assert ours[-1] == seen[-1] == 6
    assert np.flatnonzero(np.diff(seen)) - np.flatnonzero(np.diff(ours)) == pytest.approx(np.full(5, 18), abs=4)


def test_the_numbers_of_the_files_are_continued_when_asked_for() -> None:
    later = records(range(7, 10), "b.csv", days=5.0)
    cell = built(CELL, later, cycles="file")
    assert list(cell.table.cycle) == list(range(1, 10))
    assert "the cycle number restarts 1 time; it is continued" in findings(cell)
    constant = replace(CELL, cycle=np.ones_like(CELL.cycle))
    assert len(built(constant).table.cycle) == 6
    assert "6 cycles by the device's rule; the files' numbers would give 1" in findings(built(constant))


def test_partial_discharges_and_those_with_a_gap_are_flagged_not_dropped() -> None:
    discharging = (CELL.current_a < -1.0) & (CELL.cycle == 3)
    last = np.flatnonzero(discharging)
    keep = np.ones(CELL.time_s.size, dtype=bool)
    keep[last[60:]] = False
    cell = built(some(CELL, np.flatnonzero(keep)))
    assert cell.kinds[2] == "partial"
    assert cell.kinds.tolist().count("measured") == 5
    keep[:] = True
    keep[last[20:60]] = False
    cell = built(some(CELL, np.flatnonzero(keep)))
    assert cell.kinds[2] == "gap"
    assert "1 discharges with a gap in the samples" in findings(cell)


def test_pauses_within_a_discharge_add_no_charge() -> None:
    # A rest after every tenth sample of the discharges: what flows between two samples is counted once.
    rows, flows = [], []
    for row, current in enumerate(CELL.current_a):
        pause = 9 * (current < -1.0 and row % 10 == 0)
        rows += [row] * (1 + pause)
        flows += [current] + [0.0] * pause
    time, current = PERIOD_S * np.arange(len(rows)), np.array(flows)
    cell = built(some(CELL, np.array(rows), time_s=time, current_a=current))
    assert cell.measured.tolist() == [True] * 6
    assert cell.table.discharge_ah == pytest.approx(built(CELL).table.discharge_ah, rel=1e-9)


@pytest.mark.parametrize("every", [4, 25])
def test_a_charge_in_pieces_begins_a_cycle_and_costs_the_discharge_before_it_nothing(every: int) -> None:
    # Pieces of a hundredth of the capacity, and of more than begins a cycle.
    rows, flows = [], []
    for row, current in enumerate(CELL.current_a):
        pause = 9 * (current > 1.5 and row % every == 0)
        rows += [row] * (1 + pause)
        flows += [current] + [0.0] * pause
    cell = built(some(CELL, np.array(rows), time_s=PERIOD_S * np.arange(len(rows)), current_a=np.array(flows)))
    assert cell.measured.tolist() == [True] * 6
    assert cell.table.discharge_ah == pytest.approx(built(CELL).table.discharge_ah, rel=1e-9)


def test_many_short_gaps_of_a_discharge_are_one_long_one() -> None:
    # A logger that writes every two minutes in the middle of discharges at C/2: none of those gaps hides 2 %.
    time = np.cumsum(np.diff(CELL.time_s, prepend=0.0) * np.where(CELL.current_a < -1.0, 2.0, 1.0))
    current = np.where(CELL.current_a < -1.0, CELL.current_a / 2.0, CELL.current_a)
    keep = np.ones(time.size, dtype=bool)
    for number in range(1, 7):
        some_of = np.flatnonzero((CELL.cycle == number) & (current < -1.0))[30:90]
        keep[some_of] = np.arange(some_of.size) % 3 == 0
    cell = built(some(replace(CELL, time_s=time, current_a=current), np.flatnonzero(keep)))
    given = -np.minimum(current, 0.0)
    true_ah = np.trapezoid(np.where(CELL.cycle == 1, given, 0.0), time) / 3600.0
    assert cell.table.discharge_ah[0] < 0.7 * true_ah
    assert cell.kinds.tolist() == ["gap"] * 6


def test_a_pause_of_the_logger_inside_a_charge_ends_the_curve_there() -> None:
    inside = np.flatnonzero((CELL.cycle == 2) & (CELL.current_a > 1.0) & (CELL.voltage_v > 3.65))[0]
    time = CELL.time_s.copy()
    time[inside:] += 600.0
    cell = built(replace(CELL, time_s=time))
    increments = increments_from_curve(cell.voltage_v, cell.charge_dq_ah, NOMINAL_AH, SPEC)
    assert list(np.flatnonzero(np.isnan(increments[:, 0]))) == [1]


@pytest.mark.parametrize(
    ("at_v", "minutes", "below_v"), [(3.65, 15, 3.8), (3.5, 15, 3.65), (3.5, 0.5, 3.5), (3.65, 0.5, 3.65)]
)
def test_a_charge_that_paused_has_no_curve_where_it_was_before_and_has_not_recovered(at_v, minutes, below_v) -> None:
    at = int(np.flatnonzero((CELL.cycle == 2) & (CELL.current_a > 1.0) & (CELL.voltage_v > at_v))[0])
    rest = max(1, round(minutes * 60.0 / PERIOD_S))
    rows = np.concatenate([np.arange(at), np.full(rest, at), np.arange(at, CELL.time_s.size)])
    current, volts = CELL.current_a[rows].copy(), CELL.voltage_v[rows].copy()
    current[at : at + rest] = 0.0
    volts[at : at + rest + 1] -= 0.06  # it relaxes, and goes on from there
    record = some(CELL, rows, time_s=PERIOD_S * np.arange(rows.size), current_a=current, voltage_v=volts)
    cell = built(record)
    curve = cell.charge_dq_ah[list(cell.charge_cycle).index(2)]
    assert cell.voltage_v[np.isfinite(curve)][0] == pytest.approx(below_v, abs=0.03)
    whole = np.isfinite(cell.charge_dq_ah[list(cell.charge_cycle).index(3)])
    assert cell.voltage_v[whole][0] < 3.4


def test_a_test_that_goes_on_in_the_next_file_is_one_discharge() -> None:
    at = int(np.flatnonzero((CELL.cycle == 3) & (CELL.current_a < -1.0))[50])
    first, second = some(CELL, np.arange(at)), some(CELL, np.arange(at, CELL.time_s.size))
    start = CELL.start + timedelta(seconds=float(second.time_s[0]) + 1800.0)
    second = replace(second, path=CELL.path.with_name("b.csv"), start=start, time_s=second.time_s - second.time_s[0])
    cell = built(second, first)
    assert len(cell.table.cycle) == 6
    # Half an hour is not known to have been a rest, so what flowed in it is not known either.
    assert cell.kinds[2] == "gap"


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"current_a": CELL.current_a * 1000}, "a value in mAh or mA"),
        ({"voltage_v": CELL.voltage_v * 1000}, "Suspected: mV.*--set voltage_unit=mV"),
        ({"time_s": CELL.time_s / 60}, "a time in min that is taken as s"),
        ({"time_s": CELL.time_s / 3600}, "a time in h that is taken as s"),
        (
            {"discharge_ah": np.cumsum(np.maximum(-CELL.current_a, 0.0)) * PERIOD_S / 3.6},
            "times the discharge capacity",
        ),
    ],
)
def test_units_that_cannot_be_are_refused_and_the_unit_is_named(change: dict[str, object], refused: str) -> None:
    with pytest.raises(DataError, match=refused):
        built(replace(CELL, **change))


def test_a_charger_s_log_is_no_cell() -> None:
    with pytest.raises(DataError, match="charged and never discharged in these files"):
        built(replace(CELL, current_a=np.maximum(CELL.current_a, 0.0)))


def test_a_nominal_capacity_is_asked_for_and_never_assumed() -> None:
    with pytest.raises(DataError, match=r"not stated; about 3.5 Ah flow in its largest discharge; .*--nominal-ah"):
        built(CELL, nominal_ah=None)
    assert built(replace(CELL, nominal_ah=3.5), nominal_ah=None).nominal_ah == 3.5
    with pytest.raises(DataError, match="nominal capacity in mAh"):
        built(CELL, nominal_ah=3500.0)


def test_temperature_protocol_and_discharge_curves_are_kept() -> None:
    cell = built(replace(CELL, temperature_degc=np.full(CELL.time_s.size, 24.2)))
    assert cell.facts["temperature_c"] == 25.0
    assert "median of the samples, 24.2 degC" in findings(cell)
    assert cell.facts["charge_protocol"] == "CC 0.5C to 4.2 V"
    assert cell.table.temperature_degc == pytest.approx(np.full(6, 24.2))
    assert cell.qv_ah.shape == (6, 200)
    assert cell.qv_v[0] > cell.qv_v[-1]
    assert cell.qv_ah[:, -1] == pytest.approx(cell.table.discharge_ah, rel=0.02)
    assert built(CELL, temperature_degc=40.0).facts["temperature_c"] == 40.0


def test_two_cells_one_after_the_other_under_one_name_are_seen() -> None:
    younger = records(range(1, 7), "b.csv", index=1, days=5.0)
    aged = records(range(401, 407), "a.csv", index=1)
    assert "stays: two cells under one name?" in findings(built(aged, younger))
    assert "two cells" not in findings(built(younger, records(range(7, 13), "c.csv", days=9.0)))


def test_capacities_that_a_slow_log_makes_uncertain_are_warned_of() -> None:
    slow = some(CELL, np.arange(0, CELL.time_s.size, 9))
    assert "holds 5.0% of nominal: capacities are known to half of that at best" in findings(built(slow))


def test_pulses_of_charge_in_a_discharge_are_part_of_it() -> None:
    current = CELL.current_a.copy()
    current[np.flatnonzero(current < -1.0)[5::20]] = 2.0
    cell = built(replace(CELL, current_a=current))
    assert cell.measured.all()
    assert len(cell.table.cycle) == 6
