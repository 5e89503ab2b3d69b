"""What stands around a model in a firmware project, generated from the model: CAN database, measurement description,
Kconfig defaults, and an integration checklist with this very model's flash, RAM, stack and instructions."""

from __future__ import annotations

from dataclasses import replace

from edgebat.bms.a2l import a2l_text
from edgebat.bms.can import FIRST_ID, dbc_text
from edgebat.bms.resistance import MOST_UOHM, ResistanceConfig
from edgebat.errors import MissingExtra, ToolError
from edgebat.formats.c.any_window import starts_text
from edgebat.formats.c.bms_models import ANY_TEMPERATURE_DDEGC, UNKNOWN, BmsModel, health_model
from edgebat.graph import IntGraph
from edgebat.tasks.health.charge_types import Config


def integration_files(
    graph: IntGraph,
    name: str,
    nominal_mah: int,
    *,
    measure: bool = True,
    big_endian: bool = False,
    resistance: bool = False,
) -> dict[str, str]:
    """File name -> text: ``<name>.dbc``, ``<name>.a2l``, ``Kconfig.<name>``, ``<name>-checklist.md``.

    nominal_mah: of the cell. ``measure`` runs the model on simulated cores for the checklist; without a compiler or a
    simulator the checklist says so instead. ``big_endian``: byte order of the
    core, for the ``.a2l``. ``resistance``: what a firmware that is compiled with EDGEBAT_RESISTANCE sends and measures as
    well. Raises ModelFileError when the graph cannot serve an estimator.
    """
    model = health_model(graph)
    checklist = checklist_text(graph, name, nominal_mah, measure=measure)
    return {
        f"{name}.dbc": dbc_text(model, resistance=resistance),
        f"{name}.a2l": a2l_text(model, name, big_endian=big_endian, resistance=resistance),
        f"Kconfig.{name}": kconfig_text(name, nominal_mah),
        f"{name}-checklist.md": with_note(checklist, model.note),
    }


def with_note(markdown: str, note: str) -> str:
    """``markdown`` with ``note`` under its first heading; unchanged without a note."""
    if not note:
        return markdown
    heading, _, rest = markdown.partition("\n")
    return f"{heading}\n\n> **{note}**\n{rest}"


_KCONFIG = (
    ("NOMINAL_MAH", "nominal_mah", "Nominal capacity of the cell, mAh", 10, 2_000_000),
    ("REFERENCE_MAH", "reference_mah", "Capacity that counts as 100 % for counting, mAh", 10, 2_000_000),
    ("MAX_CURRENT_MA", "max_current_ma", "A larger current is a fault of the sensor, mA", 1, 2_000_000),
    ("MIN_MV", "min_mv", "A lower cell voltage is a fault of the sensor, mV", 0, 10_000),
    ("MAX_MV", "max_mv", "A higher cell voltage is a fault of the sensor, mV", 1, 10_000),
    ("FULL_MV", "full_mv", "Voltage of a full cell for counting, mV; 0: no counting", 0, 10_000),
    ("CUTOFF_MA", "cutoff_ma", "Charging current below which a full cell is full, mA", 0, 2_000_000),
    ("EMPTY_MV", "empty_mv", "Voltage of an empty cell for counting, mV; 0: no counting", 0, 10_000),
    ("MAX_DROP_MV", "max_drop_mv", "A charge whose voltage falls by more is none, mV", 1, 10_000),
    ("MAX_GAP_MS", "max_gap_ms", "A longer hole between samples ends a measurement, ms", 1, 120_000),
    ("STUCK_PPM", "stuck_ppm", "Charge after which an unchanging voltage counts as stuck, ppm", 1, 1_000_000),
    ("INVALID_MS", "invalid_ms", "Status INPUT_INVALID after so long without a sample, ms", 1, 2_147_483_647),
    ("STALE_CYCLES", "stale_cycles", "Status STALE when the estimate is older, cycles", 0, 65_535),
    ("SLEW_CPCT_H", "slew_cpct_h", "Published SOH moves at most so much, 0.01 % per hour; 0: at once", 0, 65_535),
    ("RATED_CYCLES", "rated_cycles", "Full cycles to end of life in the data sheet; 0: not known", 0, 65_535),
    ("COUNTING_CPCT", "counting_cpct", "Standard deviation of an SOH by counting, 0.01 %", 0, 65_535),
)


_KCONFIG_RESISTANCE = (
    ("NEW_UOHM", "new_uohm", "Resistance of a new cell at 25 degC, uOhm; 0: not known", 0, MOST_UOHM),
    ("STEP_MA", "step_ma", "A smaller change of the current tells nothing, mA", 1, 2_000_000),
    ("STEP_MS", "step_ms", "Nor does one between samples further apart, ms", 1, 65_535),
    ("SIGMA_CPCT", "sigma_cpct", "Deviation by sensors and temperatures, 0.01 % of it", 0, 10_000),
)


def _option(label: str, text: str, default: int, low: int, high: int) -> str:
    return f'config EDGEBAT_{label}\n\tint "{text}"\n\tdefault {default}\n\trange {low} {high}'


def kconfig_text(name: str, nominal_mah: int) -> str:
    """Every value of the configuration as a Kconfig option with its default and range; those of the resistance below an
    option that compiles it in. Its table of temperatures is no option."""
    config, upper = Config(nominal_mah), name.upper()
    resistance = ResistanceConfig()
    resistance = replace(resistance, step_ma=resistance.step_of(nominal_mah))
    options = "\n\n".join(
        [
            *(_option(f"{upper}_{x}", text, getattr(config, f), low, high) for x, f, text, low, high in _KCONFIG),
            'config EDGEBAT_RESISTANCE\n\tbool "Resistance from steps of the current, 1.1 kB more"\n\tdefault n',
            f"if EDGEBAT_RESISTANCE\n\nconfig EDGEBAT_{upper}_RESISTANCE_IS_NEW\n"
            '\tbool "The cell is new when the board begins"\n\tdefault n',
            *(
                _option(f"{upper}_RESISTANCE_{x}", text, getattr(resistance, f), low, high)
                for x, f, text, low, high in _KCONFIG_RESISTANCE
            ),
            "endif",
        ]
    )
    return f"""# Configuration of the estimator with model {name}; one option per member of edgebat_config_t.
# Generated by edgebat; source it inside your own menu.

config EDGEBAT_{upper}_DISCHARGE_POSITIVE
\tbool "Current is positive while discharging (foxBMS) instead of charging"
\tdefault n

{options}
"""


def checklist_text(graph: IntGraph, name: str, nominal_mah: int, *, measure: bool = True) -> str:
    """The steps from the exported folder to a trusted value on CAN, with this model's numbers."""
    model = health_model(graph)
    sigma = "not known" if model.sigma_cpct == UNKNOWN else f"{model.sigma_cpct / 100:.2f} points (validation cells)"
    any_temperature = (model.min_ddegc, model.max_ddegc) == ANY_TEMPERATURE_DDEGC
    temperature = "not known" if any_temperature else f"{model.min_ddegc / 10:g} to {model.max_ddegc / 10:g} degC"
    return f"""# {name}: integration checklist

Model fingerprint {model.fingerprint:08X}. Figures are for a cell of {nominal_mah} mAh and this very model.

## What it costs

{_cost(graph, nominal_mah) if measure else "Not measured."}

## Does it fit your battery?

{_windows(model)}
- [ ] The charging current inside the window stays within 5 % of its middle, or within C/40, averaged over some eight
      samples: noise of the current sensor of up to 3 % of the charging current passes.
- [ ] `reference_mAh` is what the model calls 100 % ({model.soh_reference} capacity): counting and model share one scale.
{_pauses(model)}
- [ ] The chemistry is one of the training cells'. Temperature of the training cells: {temperature}.
      Error to expect: {sigma}.
- [ ] 100 % SOH means {model.soh_reference} capacity; end of life is {model.eol_cpct / 100:g} %.

## Wiring

- [ ] Sign of the current: `EDGEBAT_CHARGE_POSITIVE` or `EDGEBAT_DISCHARGE_POSITIVE`. Charge the cell through the window:
      `edgebat_result_t.charge` becomes `EDGEBAT_CHARGE_OK` and `warmup` falls by one. With the wrong sign neither happens.
- [ ] `dt_ms` is measured, not assumed. At least one sample per second while charging: half a mV of rounding at every
      voltage level is what a slower rate costs.
- [ ] Invalid flags of voltage, current and temperature arrive in `valid`.
- [ ] One task calls `edgebat_push`, `edgebat_step` and `edgebat_result`, or a lock guards them.
- [ ] `edgebat_step` is called until it stops returning EDGEBAT_BUSY; any time later is fine.
- [ ] `edgebat_selftest` runs once after every start; its code goes into the diagnostics.

## State

- [ ] Two slots of {model.saved_bytes} bytes in non-volatile memory, written in turn, whenever
      `edgebat_result_t.revision` has moved, and once more before the power goes.
- [ ] `edgebat_state_newest` at start; cut the power while it writes, and see the old or the new state come back.
- [ ] A write that failed is tried again.
- [ ] A new battery: erase both slots, or the old one's state comes back at the next start. A new module or cell:
      `edgebat_seed` with its SOH.
- [ ] `edgebat_state_check` on both slots at start: a state that was there and is damaged is worth a trouble code.

## CAN

- [ ] `{name}.dbc`: identifiers 0x{FIRST_ID:03X} to 0x{FIRST_ID + 3:03X}; change them there and in your CAN stack.
- [ ] Receivers look at Status and SOH_Sigma before they use SOH, and at Alive: when nothing of the estimator is called any
      more, Status cannot know. Call `edgebat_idle` when samples stop, and after a sleep.

## Safety

- [ ] The value is for information (QM). No contactor opens on it, no limit is widened by it.
- [ ] The fallback is configured: full_mV and empty_mV for counting, or rated_cycles of the data sheet.
"""


def _windows(model: BmsModel) -> str:
    low, high = model.level_uv[0] / 1e6, model.level_uv[-1] / 1e6
    if model.starts is None:
        return f"""\
- [ ] The cell is charged at constant current through {low:g} to {high:g} V, at least now and then; {model.context} such
      charges, a few full cycles apart ({model.max_gap} in training; {10 * model.max_gap} at most, with a larger error),
      make an estimate."""
    return f"""\
- [ ] The cell is charged at constant current through {high - low:g} V {starts_text(model.starts, low)}, at
      least now and then: one such window makes an estimate, the newest {model.context} that are up to
      {model.starts.max_age} cycles old make it better. A charge is read once a tenth of nominal has flowed."""


def _pauses(model: BmsModel) -> str:
    if model.starts is None:
        return "- [ ] A pause or a restart inside the window costs that charge; the next one counts."
    return """\
- [ ] A pause or a restart costs the window that is under way, and another tenth of nominal; later windows count."""


def _cost(graph: IntGraph, nominal_mah: int) -> str:
    from edgebat.bms.measure import cost_table, measure_bms

    costs, missing = [], ""
    for target in ("cortex-m4f", "cortex-m0plus"):
        try:
            costs.append(measure_bms(graph, target, nominal_mah=nominal_mah))
        except (MissingExtra, ToolError) as error:
            missing = str(error).splitlines()[0]
    if not costs:
        return f"Not measured: {missing}."
    return (
        f"{cost_table(costs)}\n\nInstructions and stack in bytes per call, counted in a simulator ({costs[0].compiler}); "
        "RAM is edgebat_t and its working memory."
    )
