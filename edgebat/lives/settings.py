"""A life as a YAML file: what a day consists of, how the battery ages, what its sensors are worth, what happens to it.

``export/lives`` holds the shipped ones; a file of one's own works as well. Every value with two numbers is drawn anew,
evenly between them, whenever it is needed; the seed decides all of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edgebat.errors import EdgebatError
from edgebat.paths import lives_dir

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Hour = Annotated[float, Field(ge=0.0, lt=24.0)]


def _pair(value: object) -> object:
    return (value, value) if isinstance(value, int | float) else value


Between = Annotated[tuple[float, float], BeforeValidator(_pair)]
"""Least and largest; a number alone is both."""
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)


class Section(BaseModel):
    """Unknown keys are errors, values do not change after checking."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Use(Section):
    """The battery is discharged: a drive, a ride, a house in the evening."""

    kind: Literal["use"]
    at_h: Between
    """Hour of the day it begins; later when what comes before it is not over."""
    chance: Fraction = 1.0
    """Of a day on which it happens."""
    weekdays: tuple[Annotated[int, Field(ge=0, le=6)], ...] = EVERY_DAY
    """Days of the week, 0 is Monday."""
    soc: Between
    """State of charge it takes, as a fraction; it ends early when the battery is empty."""
    rate_c: Between
    """Mean current, C."""
    pulses: Fraction = 0.0
    """How uneven the current is: 0 constant, 1 between nothing and three times the mean, as in traffic."""
    regen: Fraction = 0.0
    """Of the time in which braking charges at up to twice the mean current."""
    floor: Fraction = 0.05
    """State of charge at which its user stops."""


class Charge(Section):
    """The battery is charged."""

    kind: Literal["charge"]
    at_h: Between
    """Hour of the day it begins; later when what comes before it is not over."""
    chance: Fraction = 1.0
    """Of a day on which it happens."""
    weekdays: tuple[Annotated[int, Field(ge=0, le=6)], ...] = EVERY_DAY
    """Days of the week, 0 is Monday."""
    below_soc: Between = (1.0, 1.0)
    """It is plugged in only below this state of charge."""
    to_soc: Between = (1.0, 1.0)
    """State of charge at which the charger stops; 1: full, down to a current of C/20."""
    rate_c: Between
    """Current, C; of a solar charge its peak."""
    profile: Literal["current", "power", "sun"] = "current"
    """Constant current, constant power, or the sun's over ``hours``."""
    hours: Between = (24.0, 24.0)
    """So long at most; length of a solar day."""
    clouds: Fraction = 0.5
    """How uneven the sun is."""
    load_c: Between = (0.0, 0.0)
    """Taken from the sun by the house meanwhile, C."""
    pauses: Fraction = 0.0
    """Chance that it is interrupted once for ten minutes to an hour."""


Activity = Annotated[Use | Charge, Field(discriminator="kind")]


class Climate(Section):
    """Where the battery stands."""

    mean_degc: Between = (20.0, 20.0)
    """Mean of the year."""
    season_k: float = 0.0
    """Summer is so much warmer, winter colder."""
    day_k: float = 0.0
    """Afternoon is so much warmer, night colder."""
    weather_k: float = 0.0
    """Standard deviation from one day to the next."""
    heated_degc: float = -40.0
    """A battery in use or being charged is kept at least so warm."""
    warming_k: float = 6.0
    """By a steady one-hour current."""


class Sensors(Section):
    """What the board measures. Drawn once for a life where it is a range."""

    offset_ma_per_ah: Between = (0.0, 0.0)
    """Of the current sensor, mA for each Ah of nominal capacity."""
    gain: Between = (0.0, 0.0)
    """Relative error of the current."""
    noise_ma_per_ah: float = 1.0
    """Standard deviation, mA for each Ah of nominal capacity."""
    offset_mv: Between = (0.0, 0.0)
    """Of the cell's voltage."""
    noise_mv: float = 0.5
    """Standard deviation."""
    offset_k: Between = (0.0, 0.0)
    """Of the temperature."""
    thermometer: bool = True
    """Whether there is one."""
    glitches_per_day: float = 0.0
    """Temperatures of -40 degC for one sample, voltages of nothing for another."""
    lost: Fraction = 0.0
    """Of the samples, flagged invalid."""


class Board(Section):
    """When the board has power, and what it knows of the time without."""

    asleep: Literal["never", "idle", "off"] = "never"
    """After a quarter of an hour at rest: it samples on once a minute, calls ``edgebat_idle``, or loses its power."""
    clock: bool = True
    """After a time without power it knows how long that was."""
    cuts_per_year: float = 0.0
    """Power lost for an instant, at any moment."""


class Event(Section):
    """What happens once."""

    day: Annotated[int, Field(ge=0)]
    """Day of the life."""
    what: Literal["swap", "update", "capacity"]
    """``swap``: another cell of the same kind; ``update``: a new model over the air; ``capacity``: nominal and reference
    capacity of the configuration are edited."""
    told: bool = True
    """Whether service tells the firmware of a swap (``edgebat_seed``)."""
    soh: Between = (0.9, 1.0)
    """Of the other cell."""
    factor: float = 1.0
    """Of the capacity."""


class Life(Section):
    """One kind of life."""

    summary: str
    """One line."""
    days: Annotated[int, Field(ge=1, le=7300)] = 730
    """So long, unless the ages at which the cell was measured end before."""
    begins: Annotated[int, Field(ge=0, le=364)] = 60
    """Day of the year."""
    soh: Between = (1.0, 1.0)
    """Of the cell's first measured capacity when its life begins."""
    pace: Annotated[float, Field(gt=0.0)] = 1.0
    """Cycles of the cell's own test by which an equivalent full cycle of this use ages it."""
    calendar: Annotated[float, Field(ge=0.0)] = 0.0
    """Cycles of the cell's own test by which a year at 20 degC ages it; twice as many 10 K above."""
    drop_v: Annotated[float, Field(gt=0.0)] = 0.12
    """Ohmic drop of a new cell at the one-hour current, V: with it Tongji's cells of three charging currents agree best."""
    slow_tick_s: Annotated[int, Field(ge=1, le=10)] = 1
    """Between samples while charging below C/4."""
    counting: bool = True
    """Whether the configuration has full and empty voltage, so that ampere-hours are counted."""
    ocv: bool = True
    """Whether the firmware has a table of open-circuit voltages, made of other cells of the same data set."""
    rated_cycles: Annotated[int, Field(ge=0, le=65535)] = 0
    """Of the data sheet, for the configuration; 0: not known."""
    day: tuple[Activity, ...]
    """What a day consists of, in its order; the battery rests in between."""
    climate: Climate = Climate()
    """Where the battery stands."""
    sensors: Sensors = Sensors()
    """What the board measures."""
    board: Board = Board()
    """When it has power."""
    events: tuple[Event, ...] = ()
    """What happens once."""


def list_lives() -> list[str]:
    """Names of the shipped lives, sorted."""
    return sorted(path.stem for path in lives_dir().glob("*.yaml"))


def load_life(name: str | Path) -> tuple[str, Life]:
    """A shipped life by its name, or a YAML file; with the name it goes by. Raises EdgebatError when there is none such, or
    it is wrong."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = lives_dir() / f"{name}.yaml"
        if str(name) not in list_lives():
            raise EdgebatError(
                f"there is no life {str(name)!r}; choose one of {', '.join(list_lives())}, or a YAML file"
            )
    try:
        return path.stem, Life.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EdgebatError(f"life {path}: cannot be read: {error}") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors())
        raise EdgebatError(f"life {path}: {wrong}; docs/lives.md lists the keys") from None
