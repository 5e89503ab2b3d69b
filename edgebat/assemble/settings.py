"""What a user states about the files of an ``edgebat data add``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgebat.errors import DataError

CYCLE_RULES = ("device", "file")
ORDERS = ("time", "name")


@dataclass(frozen=True)
class AddSettings:
    """How files become cells. Raises DataError for a value that is not allowed."""

    dataset: str = "OWN"
    """Name of the data set that the cells belong to."""
    profile: str | None = None
    """Layout of the files: a shipped one's name or a YAML file; None: detected file by file."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """Answers to a reader's questions, profile keys to values."""
    nominal_ah: float | None = None
    """Nominal capacity of every cell that the table does not state, Ah."""
    chemistry: str | None = None
    """The same for the chemistry, such as ``NMC/graphite``."""
    temperature_degc: float | None = None
    """The same for the temperature the cells are aged at, degC; None: the median of what was measured."""
    cells: Path | None = None
    """CSV table with the columns ``file`` (name or pattern) and ``cell_id``, and what is known of the cell."""
    name_pattern: str | None = None
    """Where the cell's name stands in a file's: ``{cell}_*``, or a regular expression with ``(?P<cell>...)``."""
    cycles: str = "device"
    """Who numbers the cycles: ``device``, the rule of the BMS's charge counter; ``file``, the cycler's own number."""
    order: str = "time"
    """Order of the files of a cell: ``time``, their clocks; ``name``, for files without one."""
    skip: tuple[str, ...] = ()
    """Patterns of file names to leave out."""
    skip_unreadable: bool = False
    """Leave out files that cannot be read instead of stopping."""

    def __post_init__(self) -> None:
        for name, allowed in (("cycles", CYCLE_RULES), ("order", ORDERS)):
            if getattr(self, name) not in allowed:
                raise DataError(f"{name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}")
        if self.nominal_ah is not None and not 0.0 < self.nominal_ah < 10_000.0:
            raise DataError(f"nominal capacity {self.nominal_ah} Ah; it must be above 0 and below 10000")
        if not self.dataset or "/" in self.dataset:
            raise DataError(f"the data set's name is {self.dataset!r}; a name without a slash is needed")
