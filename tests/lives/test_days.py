"""What a life consists of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebat.errors import EdgebatError
from edgebat.lives.cell import CurvesCell
from edgebat.lives.days import DayOver, Idle, Living, PowerOn, Samplings, shortened
from edgebat.lives.settings import Life, list_lives, load_life


def changed(life: Life, **sections: object) -> Life:
    return Life.model_validate({**life.model_dump(), **sections})


def samples_of(life: Life, cell: CurvesCell, seed: int) -> np.ndarray:
    return np.concatenate([s.samples for s in Living(life, cell, seed).steps() if isinstance(s, Samplings)])


@pytest.mark.parametrize("name", list_lives())
def test_every_shipped_life_can_be_led(name: str, cell: CurvesCell):
    _, life = load_life(name)
    living = Living(shortened(life, 20), cell, 1)
    steps = list(living.steps())
    days = [step for step in steps if isinstance(step, DayOver)]
    assert len(days) == 20
    assert all(0 <= day.soc <= 1 for day in days)
    clocks = [step.begins_s for step in steps if isinstance(step, Samplings)]
    assert clocks == sorted(clocks)
    mv = np.concatenate([step.samples["cell_mv"] for step in steps if isinstance(step, Samplings)])
    assert np.percentile(mv, 1) > 2500
    assert mv.max() < 4300


def test_a_seed_decides_everything(deep: Life, cell: CurvesCell):
    life = changed(shortened(deep, 3), sensors={"noise_mv": 2})
    first, again, other = (samples_of(life, cell, seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_time_without_samples_is_told_or_costs_the_power(deep: Life, cell: CurvesCell):
    def slept(asleep: str) -> tuple[float, float, float]:
        life = changed(shortened(deep, 3), board={"asleep": asleep})
        steps = list(Living(life, cell, 1).steps())
        seconds = sum(float(s.samples["dt_ms"].sum()) / 1000 for s in steps if isinstance(s, Samplings))
        idle = sum(s.seconds for s in steps if isinstance(s, Idle))
        return seconds, idle, sum(s.seconds for s in steps if isinstance(s, PowerOn))

    awake, off = slept("never"), slept("off")
    assert awake == (pytest.approx(3 * 86400, abs=60), 0, 0)
    assert off[1] == 0 < off[2]
    idle = slept("idle")
    assert idle[0] + idle[1] == pytest.approx(3 * 86400, abs=60)


def test_a_power_cut_splits_what_was_under_way(deep: Life, cell: CurvesCell):
    life = changed(shortened(deep, 5), board={"asleep": "never", "cuts_per_year": 365})
    steps = list(Living(life, cell, 1).steps())
    assert any(isinstance(step, PowerOn) and step.seconds == 0 for step in steps)
    whole = samples_of(changed(shortened(deep, 5), board={"asleep": "never"}), cell, 1)
    cut = np.concatenate([step.samples for step in steps if isinstance(step, Samplings)])
    assert abs(len(whole) - len(cut)) < len(whole) / 5


def test_sensors_have_offset_gain_and_faults(deep: Life, cell: CurvesCell):
    plain = shortened(deep, 1)
    offset = changed(plain, sensors={"noise_ma_per_ah": 0, "noise_mv": 0, "offset_ma_per_ah": 10, "thermometer": False})
    exact = changed(plain, sensors={"noise_ma_per_ah": 0, "noise_mv": 0})
    a, b = samples_of(offset, cell, 1), samples_of(exact, cell, 1)
    assert np.unique(a["current_ma"] - b["current_ma"]).tolist() in ([35], [34, 35], [35, 36])
    assert set(a["valid"]) == {3}
    glitches = samples_of(changed(plain, sensors={"glitches_per_day": 50, "lost": 0.01}), cell, 1)
    assert (glitches["cell_mv"] == 0).any()
    assert 0.005 < (glitches["valid"] == 0).mean() < 0.02


def test_a_cell_ages_by_use_and_by_the_calendar(deep: Life, cell: CurvesCell):
    def age(**values: object) -> float:
        living = Living(changed(shortened(deep, 10), **values), cell, 1)
        begins = living.battery.age_cycles
        list(living.steps())
        return living.battery.age_cycles - begins

    assert age(pace=1.0) == pytest.approx(9.5, abs=1)
    assert age(pace=0.5) == pytest.approx(age(pace=1.0) / 2, rel=0.01)
    assert age(pace=1.0, calendar=365) == pytest.approx(age(pace=1.0) + 10 * 2**0.5, rel=0.02)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("summary: x\nday: [{kind: use, at_h: 25, soc: 0.1, rate_c: 1, speed: 3}]\n", "day.0.use.speed"),
        ("summary: x\n", "day: Field required"),
        ("day: [\n", "cannot be read"),
        ("summary: x\nday: []\nevents: [{day: 1, what: flood}]\n", "events.0.what"),
    ],
)
def test_a_wrong_life_says_what_is_wrong(tmp_path: Path, text: str, names: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(EdgebatError, match=names):
        load_life(path)


def test_an_unknown_life_names_the_shipped_ones():
    with pytest.raises(EdgebatError, match="commuter, ebike, solar, storage, taxi"):
        load_life("airliner")
