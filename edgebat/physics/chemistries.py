"""The chemistries that can be simulated: PyBaMM's parameter sets, and how fast their cells age here.

The sets ship with PyBaMM and are of one new cell each, from its publication. Their own degradation parameters, where they
have any, fade a cell within tens of cycles or not at all. So ageing is stated here in terms that can be compared with cells:
which part of the capacity each mechanism takes in ``REFERENCE_CYCLES`` cycles at 25 degC. ``python -m bench.physics_fleet``
compares what comes out with measured cells.
"""

from __future__ import annotations

from dataclasses import dataclass

REFERENCE_CYCLES = 500
"""Cycles that ageing is stated for."""


@dataclass(frozen=True)
class Ageing:
    """What the mechanisms take, as parts of the nominal capacity or of an electrode, in 500 cycles at 25 degC."""

    sei: float
    """Lithium that the growing SEI binds, when a cycle lasts four and a half hours."""
    plating: float
    """Lithium lost per cycle by plating if the anode were at 0 V against lithium for an hour, in 1/1000."""
    lam_negative: float
    """Active material of the anode."""
    lam_positive: float
    """Active material of the cathode."""
    resistance: float
    """Growth of the series resistance, as a part of the new one."""


@dataclass(frozen=True)
class Chemistry:
    """A parameter set as a cell."""

    text: str
    """For ``cells.csv``."""
    parameters: str
    """PyBaMM's name of the parameter set."""
    nominal_ah: float
    """What a new cell delivers at 25 degC and 1C, Ah."""
    lowest_v: float
    highest_v: float
    resistance_ohm_ah: float
    """Series resistance times capacity: what a current of 1C drops, V. An SPM has no electrolyte, whose drop it holds."""
    ageing: Ageing
    """Medians; the cells are drawn around them."""


CHEMISTRIES: dict[str, Chemistry] = {
    "NMC": Chemistry("NMC532/graphite", "Mohtat2020", 4.85, 2.8, 4.2, 0.06, Ageing(0.06, 0.4, 0.20, 0.20, 1.0)),
    "NMC811": Chemistry("NMC811/graphite-SiOx", "Chen2020", 5.1, 2.5, 4.2, 0.03, Ageing(0.06, 0.4, 0.12, 0.22, 2.0)),
    "NCA": Chemistry("NCA/graphite", "NCA_Kim2011", 0.48, 2.7, 4.2, 0.10, Ageing(0.05, 0.5, 0.55, 0.42, 1.0)),
    "LCO": Chemistry("LCO/graphite", "Ai2020", 2.35, 3.0, 4.2, 0.06, Ageing(0.07, 0.4, 0.15, 0.15, 2.0)),
    "LFP": Chemistry("LFP/graphite", "Prada2013", 1.95, 2.5, 3.6, 0.05, Ageing(0.03, 0.2, 0.05, 0.05, 1.0)),
}
"""By the name that ``--chemistry`` takes."""
