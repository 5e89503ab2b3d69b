"""One cell, aged by PyBaMM: an SPM or SPMe with SEI growth, lithium plating and loss of active material in both electrodes.

Ageing is accelerated by the stride: every simulated cycle ages the cell as much as ``stride`` cycles do, because the rate of
each mechanism is multiplied by it. That is exact as long as one simulated cycle changes the cell little, since all
mechanisms depend on the state of the cell and not on the number of its cycles; a stride of 1 simulates every cycle.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebat.arrays import Float64
from edgebat.assemble.cell import QV_POINTS
from edgebat.assemble.curves import charge_curve, discharge_curve, voltage_grid
from edgebat.cells import SECONDS_PER_HOUR
from edgebat.errors import ToolError, require
from edgebat.physics.chemistries import CHEMISTRIES, REFERENCE_CYCLES, Chemistry
from edgebat.physics.ladder import LOWEST_SOH, Ladder
from edgebat.physics.settings import CellPlan

KELVIN = 273.15
ROOM_K = 25.0 + KELVIN
FARADAY = 96485.33212
GAS = 8.314462618
REFERENCE_HOURS = 4.5
"""A cycle's length for which ``Ageing.sei`` is stated."""
SEI_J_MOL = 35_000.0
"""Activation energies: of the SEI's growth, of diffusion in particles where a parameter set has none, of the resistance."""
DIFFUSION_J_MOL, RESISTANCE_J_MOL = 20_000.0, 12_000.0
REFERENCE_RATE_C = 0.5
"""Charging current for which loss of active material is stated."""
WITHOUT_ARRHENIUS = {"Chen2020", "Prada2013"}
"""Parameter sets whose diffusivities know no temperature."""
LAM_EXPONENT = 3.0
"""Power of the stress with which active material is lost. PyBaMM's sets of O'Kane and of Ai have 2; measured cells fade nine
times as fast per cycle when charged four times as fast, which is more."""
CHUNK = 10
"""Cycles that are simulated before it is asked whether the cell is worn out."""
PERIOD_S = 30.0
"""Between samples, at 1C; longer at lower currents, so that a charge has as many."""


def pybamm_module() -> Any:
    """PyBaMM, which sends nothing anywhere and prints nothing but errors. Raises MissingExtra without it."""
    os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
    pybamm = require("pybamm", extra="physics")
    pybamm.set_logging_level("ERROR")
    return pybamm


def simulate_cell(plan: CellPlan) -> Ladder:
    """Its life: every ``stride``-th cycle, the first of them ``stride`` cycles old, until it is worn out.

    Raises ToolError when PyBaMM finds none, MissingExtra without it.
    """
    pybamm = pybamm_module()
    chemistry = CHEMISTRIES[plan.chemistry]
    lowest_ah = LOWEST_SOH * chemistry.nominal_ah
    numbers = list(range(plan.stride, plan.cycles + 1, plan.stride))
    chunk = min(CHUNK, len(numbers) + 1)
    simulation = _simulation(pybamm, plan, chemistry, chunk)
    solution, found, full, going = None, list[_Cycle](), None, True
    while going and len(found) < len(numbers) and not (found and found[-1].capacity_ah < lowest_ah):
        try:
            solution = simulation.solve(starting_solution=solution, calc_esoh=False)
        except pybamm.SolverError:  # of a cell so worn that a step has no solution
            break
        # A cycle begins with the discharge of the charge before, for parameter sets begin at any charge.
        for discharging, _, charging, holding, _ in (cycle.steps for cycle in solution.cycles[-chunk:]):
            if full is not None:
                if not _done(discharging):
                    going = False
                    break
                found.append(_read(*full, discharging, plan, chemistry))
            going = _done(charging) and _done(holding)
            if not going:
                break
            full = charging, holding
        solution = solution.cycles[-1]
    if len(found) < 2:
        raise ToolError(
            f"cell {plan.cell_id}: PyBaMM ends in its first cycles; other rates or temperatures may be possible"
        )
    found = found[: len(numbers)]
    return _ladder(found, numbers[: len(found)], chemistry).until(lowest_ah)


@dataclass(frozen=True)
class _Cycle:
    capacity_ah: float
    charge_ah: float
    charge_s: float
    dq_ah: Float64
    given_ah: Float64


def _grids(chemistry: Chemistry) -> tuple[Float64, Float64]:
    """Voltages of charge and discharge curves."""
    return voltage_grid(chemistry.lowest_v, chemistry.highest_v), np.linspace(
        chemistry.highest_v, chemistry.lowest_v, QV_POINTS
    )


def _ladder(found: list[_Cycle], numbers: list[int], chemistry: Chemistry) -> Ladder:
    up, down = _grids(chemistry)
    return Ladder(
        np.array(numbers, np.int64), np.array([c.capacity_ah for c in found]), np.array([c.charge_ah for c in found]),
        np.array([c.charge_s for c in found]), up, np.array([c.dq_ah for c in found]), down,
        np.array([c.given_ah for c in found]),
    )  # fmt: skip


def _simulation(pybamm: Any, plan: CellPlan, chemistry: Chemistry, cycles: int) -> Any:
    """So many cycles, to be solved again and again."""
    rate, low, high = plan.charge_rate_c, chemistry.lowest_v, chemistry.highest_v
    cycle = (
        pybamm.step.string(f"Discharge at {plan.discharge_rate_c:g}C until {low:g} V", period=f"{PERIOD_S:g} seconds"),
        "Rest for 10 minutes",
        pybamm.step.string(f"Charge at {rate:g}C until {high:g} V", period=f"{PERIOD_S / rate:g} seconds"),
        f"Hold at {high:g} V until 0.05C",
        "Rest for 10 minutes",
    )
    options = {
        "SEI": "solvent-diffusion limited",
        "SEI film resistance": "average" if plan.model == "SPM" else "distributed",
        "lithium plating": "irreversible",
        "loss of active material": "current-driven",
        "contact resistance": "true",
    }
    return pybamm.Simulation(
        getattr(pybamm.lithium_ion, plan.model)(options),
        parameter_values=_parameters(pybamm, plan, chemistry),
        experiment=pybamm.Experiment([cycle] * cycles),
        solver=pybamm.IDAKLUSolver(),
    )


def _parameters(pybamm: Any, plan: CellPlan, chemistry: Chemistry) -> Any:
    """The parameter set with the plan's temperature, size, resistance and ageing, all rates of ageing times the stride."""
    values = pybamm.ParameterValues(chemistry.parameters)
    # Sets without ageing take that of a common one: what is not given below tells volumes and concentrations alone.
    common = pybamm.ParameterValues("Chen2020")
    taken = {key: common[key] for key in common.keys() if "SEI" in key or key.startswith(("EC ", "Bulk solvent"))}  # noqa: SIM118
    kelvin = plan.temperature_degc + KELVIN
    nominal, ageing, stride = chemistry.nominal_ah, plan.ageing, plan.stride
    width = values["Electrode width [m]"] * plan.size
    parallel = values["Number of electrodes connected in parallel to make a cell"]
    sheet_m2 = width * values["Electrode height [m]"] * parallel
    active = values["Negative electrode active material volume fraction"]
    surface_m2 = (
        3.0 * active / values["Negative particle radius [m]"] * values["Negative electrode thickness [m]"] * sheet_m2
    )
    volume, lithium = taken["SEI partial molar volume [m3.mol-1]"], taken["Ratio of lithium moles to SEI moles"]
    thin, solvent = taken["Initial SEI thickness [m]"], taken["Bulk solvent concentration [mol.m-3]"]
    # A film that binds so much lithium is so thick; growth through diffusion goes with the square root of time.
    thick = thin + volume * ageing.sei * nominal * SECONDS_PER_HOUR / FARADAY / (lithium * surface_m2)
    seconds = REFERENCE_CYCLES * REFERENCE_HOURS * SECONDS_PER_HOUR
    diffusivity = lithium * (thick**2 - thin**2) / (2.0 * volume * solvent * seconds)
    plating = 1e-3 * ageing.plating * nominal / surface_m2 * stride
    resistance = plan.resistance * chemistry.resistance_ohm_ah / nominal
    taken |= {
        "SEI solvent diffusivity [m2.s-1]": diffusivity * stride,
        "SEI growth activation energy [J.mol-1]": SEI_J_MOL,
        "SEI resistivity [Ohm.m]": ageing.resistance * resistance * surface_m2 / (thick - thin),
        "Exchange-current density for plating [A.m-2]": _constant(plating),
        "Exchange-current density for stripping [A.m-2]": _constant(plating),
        "Lithium plating transfer coefficient": 0.65,
        "Lithium metal partial molar volume [m3.mol-1]": 1.3e-5,
        "Typical plated lithium concentration [mol.m-3]": 1000.0,
        "Initial plated lithium concentration [mol.m-3]": 0.0,
        "Contact resistance [Ohm]": resistance / _arrhenius(RESISTANCE_J_MOL, kelvin),
        "Nominal cell capacity [A.h]": nominal,
        "Electrode width [m]": width,
        "Lower voltage cut-off [V]": chemistry.lowest_v - 0.1,
        "Upper voltage cut-off [V]": chemistry.highest_v + 0.1,
        "Ambient temperature [K]": kelvin,
        "Initial temperature [K]": kelvin,
    }
    # Stress goes with the gradients in a particle, so with current / diffusivity; a charge at 0.5C lasts two hours.
    stress = nominal / sheet_m2 * _arrhenius(DIFFUSION_J_MOL, kelvin)
    per_charge = REFERENCE_RATE_C**LAM_EXPONENT * SECONDS_PER_HOUR / REFERENCE_RATE_C
    for electrode, part in (("Negative", ageing.lam_negative), ("Positive", ageing.lam_positive)):
        fraction = values[f"{electrode} electrode active material volume fraction"]
        taken[f"{electrode} electrode current-driven LAM rate"] = _loss(
            part * fraction / REFERENCE_CYCLES / per_charge * stride, stress
        )
        if chemistry.parameters in WITHOUT_ARRHENIUS:
            name = f"{electrode} particle diffusivity [m2.s-1]"
            taken[name] = values[name] * _arrhenius(DIFFUSION_J_MOL, kelvin)
    values.update(taken, check_already_exists=False)
    return values


def _arrhenius(joule_per_mol: float, kelvin: float) -> float:
    """How much faster than at 25 degC."""
    return float(np.exp(joule_per_mol / GAS * (1.0 / ROOM_K - 1.0 / kelvin)))


def _constant(value: float) -> Callable[..., Any]:
    return lambda *_: pybamm_module().Scalar(value)


def _loss(per_second: float, stress: float) -> Callable[[Any, Any], Any]:
    """Loss of active material per second, at a current density, A/m2, that charges the cell: below 0."""
    return lambda current, temperature: -per_second * (current < 0) * (abs(current) / stress) ** LAM_EXPONENT


def _done(step: Any) -> bool:
    """Whether a step was simulated; PyBaMM leaves out one that would end where it begins."""
    return hasattr(step, "t") and len(step.t) > 1


def _read(charging: Any, holding: Any, discharging: Any, plan: CellPlan, chemistry: Chemistry) -> _Cycle:
    """What a cycler would see of one cycle."""
    up, down = _grids(chemistry)
    volts, counted = _series(charging)
    amps = np.full(volts.size, plan.charge_rate_c * chemistry.nominal_ah)
    dq, _ = charge_curve(volts, amps, counted, np.zeros(volts.size, np.bool_), up)
    fall, given = _series(discharging)
    held = _series(holding)[1]
    return _Cycle(
        capacity_ah=float(given[0] - given[-1]),
        charge_ah=float(held[-1] - counted[0]),
        charge_s=float(holding.t[-1] - charging.t[0]),
        dq_ah=dq,
        given_ah=discharge_curve(fall, given, down),
    )


def _series(step: Any) -> tuple[Float64, Float64]:
    """Voltage, V, and charge counted, Ah, of a step's samples."""
    return np.asarray(step["Voltage [V]"].entries), -np.asarray(step["Discharge capacity [A.h]"].entries)
