"""A measurement description (ASAM MCD-2 MC, ``.a2l``) of the published result, for calibration tools on a bench.

The tool reads a variable of type ``edgebat_result_t`` out of the running firmware. Its address is known once the
firmware is linked: ``a2l_text(..., elf=path)`` looks it up, else it is written as 0 and left to the tool's ELF import,
which finds it by SYMBOL_LINK.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgebat.bms.results import Source, Status
from edgebat.errors import ToolError
from edgebat.formats.c.bms_models import POINTS_MAX, UNKNOWN, BmsModel
from edgebat.tasks.health.charge_types import ChargeEnd

VARIABLE = "edgebat_result_values"
"""Name of the firmware's variable of type ``edgebat_result_t`` unless another one is given."""


@dataclass(frozen=True)
class _Field:
    name: str
    offset: int
    kind: str
    factor: float
    unit: str
    text: str


def _fields(model: BmsModel, resistance: bool) -> list[_Field]:
    """The members of ``edgebat_result_t`` with their offsets, as compilers lay them out."""
    shorts = [
        ("soh_cpct", 0.01, "%", f"State of health, % of {model.soh_reference} capacity, slew-limited"),
        ("sigma_cpct", 0.01, "%", "Standard deviation of soh_cpct"),
        ("rul_cycles", 1, "cycles", f"Cycles until {model.eol_cpct / 100:g} %"),
        ("model_cpct", 0.01, "%", "Last estimate of the model"),
        ("counting_cpct", 0.01, "%", "What the counting of ampere-hours says"),
        ("age_cycles", 1, "cycles", "Age of the model's estimate"),
    ]
    fields = [_Field(name, 2 * i, "UWORD", factor, unit, text) for i, (name, factor, unit, text) in enumerate(shorts)]
    fields.append(_Field("age_s", 12, "ULONG", 1, "s", "Age of the model's estimate in seconds of operation"))
    fields.append(_Field("cycle", 16, "ULONG", 1, "cycles", "Charges so far"))
    fields.append(_Field("revision", 20, "ULONG", 1, "", "Counts on whenever there is something worth saving"))
    fields.append(_Field("throughput_mAh", 24, "ULONG", 1, "mAh", "Charge in and out, ever"))
    fields.append(_Field("window_ppm", 28, "ULONG", 1, "ppm", "Charge of the last row of the window, of nominal"))
    offset = 32
    for i in range(model.points):
        ahead = round((i + 1) * model.horizon / model.points)
        fields.append(_Field(f"points_cpct_{i}", offset + 2 * i, "UWORD", 0.01, "%", f"SOH {ahead} cycles ahead"))
    offset += 2 * POINTS_MAX
    fields.append(_Field("efc_quarters", offset, "UWORD", 0.25, "cycles", "Equivalent full cycles"))
    offset += 2
    fields.append(_Field("points", offset, "UBYTE", 1, "", "Points of the trajectory that are known"))
    fields.append(_Field("warmup", offset + 1, "UBYTE", 1, "", "Charges missing before the model speaks"))
    offset += 2
    for name, text in (
        ("status", "What the result is worth"),
        ("source", "Whose evidence weighs most in soh_cpct"),
        ("charge", "How the last charge ended"),
    ):
        fields.append(_Field(name, offset, "UBYTE", 1, name, text))
        offset += 1
    return [*fields, *_resistance(-(-offset // 4) * 4)] if resistance else fields


def _resistance(offset: int) -> list[_Field]:
    """What a firmware that is compiled with EDGEBAT_RESISTANCE has behind the others."""
    return [
        _Field("resistance_uOhm", offset, "ULONG", 1, "uOhm", "Resistance from steps of the current, at 25 degC"),
        _Field(
            "resistance_sigma_cpct", offset + 4, "UWORD", 0.01, "%", "Standard deviation of resistance_uOhm, % of it"
        ),
        _Field("resistance_cpct", offset + 6, "UWORD", 0.01, "%", "Resistance over that when new"),
    ]


_TOP = {"UBYTE": 0xFF, "UWORD": 0xFFFF, "ULONG": 0xFFFFFFFF}


def a2l_text(
    model: BmsModel,
    name: str,
    *,
    variable: str = VARIABLE,
    elf: Path | None = None,
    big_endian: bool = False,
    resistance: bool = False,
) -> str:
    """The description; ``resistance``: of a firmware that is compiled with EDGEBAT_RESISTANCE.

    Raises ToolError when ``elf`` does not hold ``variable``.
    """
    base = 0
    if elf is not None:
        from edgebat.simulate.elf import Image

        symbols = Image(elf).symbols
        if variable not in symbols:
            raise ToolError(
                f"{elf} has no variable {variable!r}; declare `edgebat_result_t {variable};` in the firmware"
            )
        base = symbols[variable].address
    fields = _fields(model, resistance)
    measurements = "\n".join(_measurement(field, variable, base) for field in fields)
    order = "MSB_FIRST" if big_endian else "MSB_LAST"
    note = f"/* {model.note} */\n" if model.note else ""
    return f"""ASAP2_VERSION 1 71
{note}/begin PROJECT {name} "edgebat: learned state of health"
  /begin HEADER "model {name}, fingerprint {model.fingerprint:08X}" /end HEADER
  /begin MODULE {name} "estimator of one battery; {UNKNOWN} means unknown in every 16-bit value"
    /begin MOD_COMMON "" BYTE_ORDER {order} ALIGNMENT_BYTE 1 ALIGNMENT_WORD 2 ALIGNMENT_LONG 4 /end MOD_COMMON
{_tables()}
    /begin COMPU_METHOD CM_1 "as it is" RAT_FUNC "%10.0" "" COEFFS 0 1 0 0 0 1 /end COMPU_METHOD
    /begin COMPU_METHOD CM_percent "0.01 %" RAT_FUNC "%7.2" "%" COEFFS 0 100 0 0 0 1 /end COMPU_METHOD
{measurements}
    /begin GROUP {name}_result "{name}: result" ROOT
      /begin REF_MEASUREMENT
{chr(10).join(f"        {variable}.{field.name}" for field in fields)}
      /end REF_MEASUREMENT
    /end GROUP
  /end MODULE
/end PROJECT
"""


def _tables() -> str:
    parts = []
    for label, words in (("status", Status), ("source", Source), ("charge", ChargeEnd)):
        rows = "\n".join(f'      {int(word)} "{word.name}"' for word in words)
        parts.append(
            f'    /begin COMPU_METHOD CM_{label} "" TAB_VERB "%3.0" "" COMPU_TAB_REF VT_{label} /end COMPU_METHOD\n'
            f'    /begin COMPU_VTAB VT_{label} "" TAB_VERB {len(words)}\n{rows}\n    /end COMPU_VTAB'
        )
    return "\n".join(parts)


def _measurement(field: _Field, variable: str, base: int) -> str:
    method = {"%": "CM_percent", "status": "CM_status", "source": "CM_source", "charge": "CM_charge"}.get(
        field.unit, "CM_1"
    )
    top = _TOP[field.kind] * field.factor
    full = f"{variable}.{field.name}"
    return f"""    /begin MEASUREMENT {full} "{field.text}" {field.kind} {method} 1 0 0 {top:.10g}
      ECU_ADDRESS 0x{base + field.offset if base else 0:08X}
      SYMBOL_LINK "{variable}" {field.offset}
    /end MEASUREMENT"""
