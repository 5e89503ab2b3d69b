"""What is simulated, without PyBaMM: settings, draws, keys."""

from dataclasses import replace

import pytest

from edgebat.cells import Condition
from edgebat.data.charge_protocol import constant_rate_c
from edgebat.errors import DataError
from edgebat.physics.chemistries import CHEMISTRIES
from edgebat.physics.command import given_settings
from edgebat.physics.settings import FleetSettings, plan_cells


def test_a_cell_is_drawn_alike_whatever_else_is_in_the_fleet() -> None:
    few, many = plan_cells(FleetSettings(cells=3)), plan_cells(FleetSettings(cells=40))
    assert many[:3] == few
    assert len({plan.key for plan in many}) == 40
    assert plan_cells(FleetSettings(cells=3, seed=1))[0].ageing != few[0].ageing


def test_conditions_are_given_in_turn_until_all_are_there() -> None:
    settings = FleetSettings(cells=8, chemistries=("NMC", "NCA"), rates_c=(0.5, 1.0), temperatures_degc=(10.0, 25.0))
    plans = plan_cells(settings)
    assert len({(plan.chemistry, plan.charge_rate_c, plan.temperature_degc) for plan in plans}) == 8


@pytest.mark.parametrize("rate_c", [0.1, 0.25, 1.0, 1.5])
def test_the_protocol_states_the_rate_as_every_reader_understands_it(rate_c: float) -> None:
    (plan,) = plan_cells(FleetSettings(cells=1, rates_c=(rate_c,)))
    assert constant_rate_c(plan.protocol) == rate_c
    assert str(Condition("SIM_NMC", 15.0, plan.protocol)).startswith("SIM_NMC, 15 degC, CC")


def test_a_finished_cell_is_known_by_all_it_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    (plan,) = plan_cells(FleetSettings(cells=1))
    known = plan.digest("26.1")
    others = [
        replace(plan, cycles=plan.cycles + 1), replace(plan, stride=1), replace(plan, model="SPMe"),
        replace(plan, temperature_degc=26.0), replace(plan, ageing=replace(plan.ageing, sei=0.2)),
    ]  # fmt: skip
    digests = {known, plan.digest("26.2"), *(other.digest("26.1") for other in others)}
    monkeypatch.setitem(CHEMISTRIES, plan.chemistry, replace(CHEMISTRIES[plan.chemistry], nominal_ah=3.0))
    digests.add(plan.digest("26.1"))
    assert len(digests) == 3 + len(others)
    assert plan_cells(FleetSettings(cells=2))[0].digest("26.1") == plan.digest("26.1")
    monkeypatch.undo()
    assert plan.digest("26.1") == known


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        ({"cells": 0}, "cells=0"), ({"cycles": 1}, "cycles=1"), ({"stride": 0}, "stride=0"), ({"seed": -1}, "seed=-1"),
        ({"model": "DFN"}, "SPM, SPMe"), ({"chemistries": ("LTO",)}, "LTO; allowed: NMC"), ({"chemistries": ()}, "chem"),
        ({"rates_c": (9.0,)}, "rates"), ({"rates_c": ()}, "rates"), ({"temperatures_degc": (99.0,)}, "temperatures"),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_is_refused(values: dict[str, object], seen: str) -> None:
    with pytest.raises(DataError, match=seen):
        FleetSettings(**values)  # type: ignore[arg-type]


def test_options_are_lists_with_commas() -> None:
    settings = given_settings({"chemistry": "NCA, LFP", "rates": "0.1,2", "temperatures": "-5", "cells": 7})
    assert settings.chemistries == ("NCA", "LFP")
    assert settings.rates_c == (0.1, 2.0)
    assert settings.temperatures_degc == (-5.0,)
    assert (settings.cells, settings.model) == (7, "SPM")
    with pytest.raises(DataError, match="--rates 'fast' is no list of numbers"):
        given_settings({"rates": "fast"})
