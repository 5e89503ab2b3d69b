"""Charging currents out of the texts that cycling data sets come with."""

from __future__ import annotations

import numpy as np
import pytest

from edgebat.data.charge_protocol import STATES_OF_CHARGE, charge_rate_c


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("5.4C(58%)-3C", {0: 5.4, 57: 5.4, 58: 3.0, 79: 3.0, 80: 1.0, 100: 1.0}),
        ("4.8C(80%)-4.8C", {0: 4.8, 79: 4.8, 80: 1.0}),
        ("5.4C(40%)-3.6C or 5.4C(60%)-3C", {39: 5.4, 40: 4.5, 59: 4.5, 60: 3.3, 80: 1.0}),
        ("5C to 80% SOC, 1C to 3.6 V, CV", {0: 5.0, 79: 5.0, 80: 1.0, 100: 1.0}),
        ("5C to 62.5% SOC, 1C to 3.6 V, CV", {62: 5.0, 63: 1.0}),
        ("5C to 80 % SOC, 3C to 90% SOC, 1C to 3.6 V", {79: 5.0, 80: 3.0, 90: 1.0}),
        ("CC-CV 3C to 4.2 V (0.05C)", {0: 3.0, 100: 3.0}),
        ("1C CC-CV 4.2 V; formation fast", {0: 1.0, 100: 1.0}),
        ("CC-CV 0.5C to 4.2 V, cut 0.05 A", {0: 0.5, 100: 0.5}),
        ("CC 0.25C to 4.2 V, CV to 0.05C", {0: 0.25, 100: 0.25}),
        ("6C CC-CV to 4.1 V", {0: 6.0, 100: 6.0}),
    ],
)
def test_rates_of_protocols_in_use(text, rates):
    rate = charge_rate_c(text)
    assert rate.shape == STATES_OF_CHARGE.shape
    for percent, value in rates.items():
        assert rate[percent] == pytest.approx(value), percent


@pytest.mark.parametrize(
    "text",
    ["1.5 A CC to 4.2 V, CV to 20 mA", "1.2 (A) CC to 4.2 V", "5C(67%)-4C-newstructure", "5.4C(60%)-3C or slow", "",
     "2C to 60%, 1C to 4.2 V", "5C-3C", "1C/2C", "1C to 3.6 V then 4C", "1C or 2C charging", float("nan"), None],
)  # fmt: skip
def test_what_is_not_understood_is_not_guessed(text):
    assert np.isnan(charge_rate_c(text)).all()
