"""Charging current over state of charge, read out of a protocol's text as ``cells.csv`` states it.

What is understood, all rates in C (multiples of nominal capacity per hour):

* ``5.4C(60%)-3C``: 5.4C up to 60 %, then 3C, and 1C from 80 % on (Severson et al., Nature Energy 4, 383, 2019);
  ``A or B``: the mean of both, where a source does not tell which of two a cell had;
* ``5C to 80% SOC, 1C to 3.6 V, CV``: each current up to its percentage, the last one to the end;
* ``CC-CV 0.5C to 4.2 V (0.05C)``, ``CC 1C to 4.2 V, CV to 0.05C``, ``6C CC-CV to 4.1 V``: one current.

The falling current of a constant-voltage phase is not modelled. Anything else is not known, rather than guessed.
"""

from __future__ import annotations

import re

import numpy as np

from edgebat.arrays import Float64

STATES_OF_CHARGE: Float64 = np.linspace(0.0, 1.0, 101)
"""Where a charging current is given, as fractions of nominal capacity."""

_NUMBER = r"(\d+(?:\.\d+)?)"
_VOLTS = r"(?: (?:to )?\d+(?:\.\d+)? V)?"
# How a charge ends: constant voltage down to a small current, and remarks after a semicolon.
_END = r"(?:,? CV(?: to \d+(?:\.\d+)?C)?| \(\d+(?:\.\d+)?C\)|, cut \d+(?:\.\d+)? A)?(?:;.*)?"
_TWO_STEPS = re.compile(rf"{_NUMBER}C\({_NUMBER}%\)-{_NUMBER}C")
_STEP = rf"{_NUMBER}C to {_NUMBER} ?% SOC, "
_STEPS = re.compile(rf"((?:{_STEP})+){_NUMBER}C{_VOLTS}{_END}")
_ONE_STEP = re.compile(rf"(?:CC-CV |CC )?{_NUMBER}C(?: CC-CV)?{_VOLTS}{_END}")


def charge_rate_c(protocol: object) -> Float64:
    """C-rate at each of ``STATES_OF_CHARGE``, float64 [101]; NaN throughout for a text that is not understood."""
    if not isinstance(protocol, str):
        return np.full(STATES_OF_CHARGE.size, np.nan)
    mean: Float64 = np.mean([_one_rate(text.strip()) for text in protocol.split(" or ")], axis=0)
    return mean


def constant_rate_c(protocol: object) -> float | None:
    """The C-rate of a protocol that charges at one current; None for steps and for a text that is not understood."""
    rates = charge_rate_c(protocol)
    return float(rates[0]) if np.isfinite(rates).all() and (rates == rates[0]).all() else None


def _one_rate(text: str) -> Float64:
    if match := _TWO_STEPS.fullmatch(text):
        first, until, second = (float(part) for part in match.groups())
        return _stairs([(until, first), (80.0, second)], 1.0)
    if match := _STEPS.fullmatch(text):
        steps = [(float(until), float(rate)) for rate, until in re.findall(_STEP, match.group(1))]
        return _stairs(steps, float(match.groups()[-1]))
    if match := _ONE_STEP.fullmatch(text):
        return _stairs([], float(match.group(1)))
    return np.full(STATES_OF_CHARGE.size, np.nan)


def _stairs(steps: list[tuple[float, float]], last: float) -> Float64:
    """``steps``: (up to this state of charge in percent, C-rate) in order; ``last`` from there on."""
    percent = np.arange(STATES_OF_CHARGE.size)
    rates = np.full(STATES_OF_CHARGE.size, last)
    for until, rate in reversed(steps):
        rates[percent < until] = rate
    return rates
