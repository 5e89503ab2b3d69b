"""What the ``health`` task means: the voltage window, the history, the SOH reference and the end of life."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgebat.errors import DataError
from edgebat.files import Json

VOLT_UNIT = 1e-3
"""A volt as an input: inputs become integers of a millionth, and a device counts in mV."""
CYCLE_UNIT = 1e-6
WINDOWS = ("one", "any")
SOH_REFERENCES = ("nominal", "first", "rated_min", "mean_first_k")
OF_ANY = ("windows", "last_start_v", "start_step_v", "max_age", "draws")
"""What only a definition with any window says."""


@dataclass(frozen=True)
class HealthSpec:
    """Definition of the ``health`` task. Stands in the model's metadata, its card and its C header.

    The window default and the 10 / 50 cycles are IC2ML's (J. Power Sources 666, 239148). For LFP choose 3.40-3.55 V:
    on the plateau a tenth of a volt says nothing.
    """

    window_start_v: float = 3.6
    """Lower end of the voltage window."""
    window_end_v: float = 3.7
    """Upper end of the voltage window."""
    increments: int = 10
    """Equal voltage steps in the window; each increment is the charge taken in one step / nominal capacity."""
    context: int = 10
    """Charged cycles a model sees, oldest first."""
    horizon: int = 50
    """Cycles ahead for which the capacity is a target."""
    soh_reference: str = "nominal"
    """Capacity that counts as 100 %: ``nominal``; ``first`` unflagged row; ``rated_min`` = ``rated_min_fraction`` of
    nominal; ``mean_first_k`` = mean of the first ``reference_rows`` unflagged rows."""
    reference_rows: int = 5
    """Rows whose mean is the reference ``mean_first_k``."""
    rated_min_fraction: float = 0.95
    """Guaranteed part of the nominal capacity, for the reference ``rated_min``."""
    eol: float = 0.8
    """End of life as a fraction of the reference."""
    eol_confirm_rows: int = 5
    """A row below EOL counts when the median of it and the rows after it, this many in all, is below EOL too."""
    max_gap: int = 4
    """Largest step between neighbouring cycle numbers inside a window or across which a trajectory is interpolated.
    Test benches leave out check-up cycles (Tongji: every 25 cycles the number steps by 3)."""
    max_jump: float = 100.0 / 3500.0
    """A row whose capacity differs from the row before by this fraction of nominal or more is dropped as a glitch
    (IC2ML: 100 mAh of 3.5 Ah)."""
    stride: int = 1
    """Rows between the last cycles of neighbouring windows."""
    charge_rate: bool = False
    """Each charge's mean current inside the window is an input behind its increments; 0: not measured."""
    windows: str = "one"
    """``one``: every charge through the same voltage window, cycle after cycle. ``any``: the newest ``context`` windows
    as wide that charges crossed one after the other, each with its voltage and age behind the increments."""
    last_start_v: float = 4.05
    """Of ``any``: the last window begins here or below."""
    start_step_v: float = 0.05
    """Of ``any``: from one window's beginning to the next."""
    max_age: int = 100
    """Of ``any``: a charge that is more cycles old is not read."""
    draws: int = 4
    """Of ``any``: histories that are drawn for each charge of a training cell."""

    def __post_init__(self) -> None:
        checks = (
            (0.0 < self.window_start_v < self.window_end_v < 10.0, "0 < window_start_v < window_end_v < 10"),
            (1 <= self.increments <= 128, "1 <= increments <= 128"),
            (1 <= self.context <= 1000, "1 <= context <= 1000"),
            (1 <= self.horizon <= 5000, "1 <= horizon <= 5000"),
            (self.soh_reference in SOH_REFERENCES, f"soh_reference one of {SOH_REFERENCES}"),
            (self.reference_rows >= 1, "reference_rows >= 1"),
            (0.0 < self.rated_min_fraction <= 1.0, "0 < rated_min_fraction <= 1"),
            (0.0 < self.eol < 1.0, "0 < eol < 1"),
            (self.eol_confirm_rows >= 1, "eol_confirm_rows >= 1"),
            (self.max_gap >= 1, "max_gap >= 1"),
            (math.isfinite(self.max_jump) and self.max_jump > 0.0, "max_jump > 0"),
            (self.stride >= 1, "stride >= 1"),
            (self.windows in WINDOWS, f"windows one of {WINDOWS}"),
            (self.window_start_v <= self.last_start_v < 10.0 or self.one_window, "window_start_v <= last_start_v < 10"),
            (self.start_step_v >= 0.001, "start_step_v >= 0.001"),
            (self.max_age >= 0 and self.draws >= 1, "max_age >= 0, draws >= 1"),
        )
        for ok, rule in checks:
            if not ok:
                raise DataError(f"HealthSpec breaks the rule {rule!r}: {self}")

    @property
    def levels_v(self) -> npt.NDArray[np.float64]:
        """The ``increments + 1`` equally spaced voltages of the window, ascending, V."""
        return np.linspace(self.window_start_v, self.window_end_v, self.increments + 1)

    @property
    def one_window(self) -> bool:
        """Whether all charges are read through the same window."""
        return self.windows == "one"

    @property
    def columns(self) -> int:
        """Inputs per charge: its increments and what is read behind them."""
        return self.increments + int(self.charge_rate) + (0 if self.one_window else 2)

    @property
    def top_v(self) -> float:
        """Where the highest window ends, V."""
        return self.beginning_at(self.starts_v[-1]).window_end_v

    @property
    def starts_v(self) -> tuple[float, ...]:
        """Voltages at which windows begin, ascending."""
        if self.one_window:
            return (self.window_start_v,)
        count = int((self.last_start_v - self.window_start_v) / self.start_step_v + 1e-6) + 1
        return tuple(round(self.window_start_v + n * self.start_step_v, 6) for n in range(count))

    @property
    def chains(self) -> tuple[tuple[bool, ...], ...]:
        """[starts][starts] which windows a charge is read through whose first begins at each start: the next begins where
        that one ends, as long as a window begins there."""
        starts = self.starts_v
        chains = []
        for first in starts:
            read, start = {first}, first
            while (start := self.beginning_at(start).window_end_v) in starts:
                read.add(start)
            chains.append(tuple(each in read for each in starts))
        return tuple(chains)

    def beginning_at(self, start_v: float) -> HealthSpec:
        """The same of the one window that begins at ``start_v``."""
        width_v = self.window_end_v - self.window_start_v
        end_v = self.window_end_v if start_v == self.window_start_v else round(start_v + width_v, 6)
        return dataclasses.replace(self, windows="one", window_start_v=start_v, window_end_v=end_v)

    def to_dict(self) -> Json:
        """Plain JSON-able dictionary, the inverse of ``from_dict``; what a model does not read is not in it."""
        silent = {*(() if self.charge_rate else ("charge_rate",)), *(OF_ANY if self.one_window else ())}
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in silent}

    @classmethod
    def from_dict(cls, values: Json) -> HealthSpec:
        """Rebuild a spec, for instance from a model's metadata. Raises DataError on unknown names or broken rules."""
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise DataError(f"HealthSpec knows no {unknown}; allowed: {sorted(known)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise DataError(f"HealthSpec cannot be made of {values}: {error}") from None
