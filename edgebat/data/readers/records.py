"""Any cycler file to samples: which layout it is, which column is what, in which unit; guesses are listed, never hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edgebat.arrays import Float64, Int64, StrArray
from edgebat.data.readers.ambiguous import AmbiguousFile

__all__ = ["AmbiguousFile", "Records", "read_records"]


@dataclass(frozen=True)
class Records:
    """Samples of one channel of one file, in file order, as the file has them: SI units, current's sign not yet judged."""

    path: Path
    channel: str
    """"" where the file has one."""
    layout: str
    """Name of the profile that read it."""
    time_s: Float64
    """[S] since the first sample of the file; strictly what the file says (never mended)."""
    start: datetime | None
    """Wall clock of the first sample (naive), where the file has one."""
    voltage_v: Float64
    """[S]"""
    current_a: Float64
    """[S] sign as in the file, or made by the step kind where the layout states it."""
    sign: str
    """"positive_is_charge", "positive_is_discharge", "by_step" (charging positive by then) or "unknown"."""
    temperature_degc: Float64 | None
    """[S], NaN where a sample has none."""
    cycle: Int64 | None
    """[S] the file's own number."""
    step: Int64 | None
    """[S] the file's own number."""
    step_kind: StrArray | None
    """[S] "charge_cc", "charge_cv", "discharge", "rest" or "other", where the file states it."""
    charge_ah: Float64 | None
    """[S] the file's own counter, NaN where a sample has none."""
    discharge_ah: Float64 | None
    """[S] the file's own counter, NaN where a sample has none."""
    nominal_ah: float | None
    """Where the file states it."""
    guesses: tuple[str, ...]
    """Every guess, in words: "delimiter ';', decimal comma", "column 'I/mA' is the current in mA"."""
    notes: tuple[str, ...]
    """What was dropped and why: "half a last line", "3 rows of text"."""


def read_records(
    path: Path, profile: Path | str | None = None, answers: Mapping[str, str] | None = None
) -> list[Records]:
    """The channels of a cycler file.

    profile: name of a shipped layout, or a YAML file of the user's; None detects it. answers: profile keys that
    override, as ``--set`` gives them (``{"time_unit": "min"}``).
    Raises AmbiguousFile when a guess is not safe, DataError when the file cannot be used, MissingExtra for a kind of file
    whose reader is not installed.
    """
    raise NotImplementedError
