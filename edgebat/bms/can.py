"""The CAN frames of ``firmware_stubs/bms/edgebat_can.c`` described for the rest of the vehicle: a ``.dbc`` database."""

from __future__ import annotations

from struct import pack

from edgebat.bms.estimator import ChargeEnd, Result, Source, Status
from edgebat.formats.c.bms import UNKNOWN, BmsModel

FIRST_ID = 0x6E0
HEALTH, DETAILS, FORECAST, MODEL = range(4)
"""Frames, by their distance from the first identifier."""
NODE = "EDGEBAT"
POINTS_PER_FRAME = 3


def dbc_text(model: BmsModel, first_id: int = FIRST_ID) -> str:
    """The database of one battery's frames, standard identifiers from ``first_id`` on, readable by any CAN tool."""
    messages = [
        _message(
            first_id + HEALTH,
            "Health",
            [
                _signal("SOH", 0, 16, 0.01, "%"),
                _signal("SOH_Sigma", 16, 16, 0.01, "%"),
                _signal("RUL", 32, 16, 1, "cycles"),
                _signal("Status", 48, 4, 1, ""),
                _signal("Source", 52, 4, 1, ""),
                _signal("Alive", 56, 4, 1, ""),
            ],
        ),
        _message(
            first_id + DETAILS,
            "Details",
            [
                _signal("SOH_Model", 0, 16, 0.01, "%"),
                _signal("SOH_Counting", 16, 16, 0.01, "%"),
                _signal("Age_Cycles", 32, 16, 1, "cycles"),
                _signal("Age_Minutes", 48, 16, 1, "min"),
            ],
        ),
        _message(first_id + FORECAST, "Forecast", _forecast(model)),
        _message(
            first_id + MODEL,
            "Model",
            [
                _signal("Fingerprint", 0, 32, 1, ""),
                _signal("Cycle", 32, 16, 1, "cycles"),
                _signal("Last_Charge", 48, 8, 1, ""),
                _signal("Charges_Missing", 56, 8, 1, ""),
            ],
        ),
    ]
    unknown = {UNKNOWN: "unknown"}
    values = [
        *(_values(first_id + HEALTH, name, unknown) for name in ("SOH", "SOH_Sigma", "RUL")),
        _values(first_id + HEALTH, "Status", {int(s): s.name for s in Status}),
        _values(first_id + HEALTH, "Source", {int(s): s.name for s in Source}),
        *(_values(first_id + DETAILS, name, unknown) for name in ("SOH_Model", "SOH_Counting", "Age_Cycles")),
        _values(first_id + DETAILS, "Age_Minutes", {UNKNOWN: "unknown_or_45_days"}),
        *(_values(first_id + FORECAST, name, unknown) for name in point_names(model)),
        _values(first_id + MODEL, "Last_Charge", {int(s): s.name for s in ChargeEnd}),
    ]
    comments = [
        _comment(
            first_id + HEALTH, "SOH", f"State of health of the cell, % of {model.soh_reference} capacity, slew-limited"
        ),
        _comment(first_id + HEALTH, "SOH_Sigma", "Standard deviation of SOH"),
        _comment(first_id + HEALTH, "RUL", f"Cycles until SOH falls below {model.eol_cpct / 100:g} %"),
        _comment(first_id + HEALTH, "Source", "Who says SOH: the model, or the counting of ampere-hours"),
        _comment(first_id + DETAILS, "SOH_Model", "What the model said last, without slew limit"),
        _comment(first_id + MODEL, "Fingerprint", f"First 32 bits of the model's SHA-256: 0x{model.fingerprint:08X}"),
    ]
    return "\n".join(
        [
            'VERSION "edgebat"',
            "",
            "NS_ :",
            "",
            "BS_:",
            "",
            f"BU_: {NODE}",
            "",
            *messages,
            *comments,
            'BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;',
            'BA_DEF_DEF_ "GenMsgCycleTime" 1000;',
            *(f'BA_ "GenMsgCycleTime" BO_ {first_id + frame} 1000;' for frame in (HEALTH, DETAILS, FORECAST, MODEL)),
            *values,
            "",
        ]
    )


def pack_frames(model: BmsModel, result: Result, alive: int) -> list[tuple[int, bytes]]:
    """(identifier, eight bytes) of all frames in the order in which the virtual board sends them: what
    ``edgebat_can_pack`` makes of a result. ``alive``: 0 to 15."""
    parts = range(-(-model.points // POINTS_PER_FRAME))
    points = [*result.points_cpct, UNKNOWN]
    health = pack(
        "<3HBB", result.soh_cpct, result.sigma_cpct, result.rul_cycles, result.status | result.source << 4, alive
    )
    minutes = min(result.age_s // 60, UNKNOWN)
    details = pack("<4H", result.model_cpct, result.counting_cpct, result.age_cycles, minutes)
    about = pack("<IHBB", model.fingerprint, min(result.cycle, UNKNOWN), result.charge, result.warmup)
    return [
        (FIRST_ID + HEALTH, health),
        (FIRST_ID + DETAILS, details),
        *(
            (FIRST_ID + FORECAST, pack("<BB3H", part, result.points, *points[3 * part : 3 * part + 3]))
            for part in parts
        ),
        (FIRST_ID + MODEL, about),
    ]


def point_names(model: BmsModel) -> list[str]:
    """Names of the trajectory's signals: "SOH_in_10" is the SOH ten cycles ahead."""
    ahead = [round((i + 1) * model.horizon / model.points) for i in range(model.points)]
    if len(set(ahead)) < len(ahead):  # more points than cycles ahead: their numbers would not tell them apart
        return [f"SOH_point_{i + 1}" for i in range(model.points)]
    return [f"SOH_in_{cycles}" for cycles in ahead]


def _forecast(model: BmsModel) -> list[str]:
    lines = [_signal("Part", 0, 8, 1, "", mux="M"), _signal("Points", 8, 8, 1, "")]
    for i, name in enumerate(point_names(model)):
        part, place = divmod(i, POINTS_PER_FRAME)
        lines.append(_signal(name, 16 + 16 * place, 16, 0.01, "%", mux=f"m{part}"))
    return lines


def _message(identifier: int, name: str, signals: list[str]) -> str:
    return "\n".join([f"BO_ {identifier} {NODE}_{name}: 8 {NODE}", *signals, ""])


def _signal(name: str, start: int, length: int, factor: float, unit: str, mux: str = "") -> str:
    selector = f" {mux}" if mux else ""
    top = ((1 << length) - 1) * factor
    return f' SG_ {name}{selector} : {start}|{length}@1+ ({factor:g},0) [0|{top:.10g}] "{unit}" Vector__XXX'


def _values(identifier: int, name: str, words: dict[int, str]) -> str:
    listed = " ".join(f'{number} "{word}"' for number, word in sorted(words.items()))
    return f"VAL_ {identifier} {name} {listed} ;"


def _comment(identifier: int, name: str, text: str) -> str:
    return f'CM_ SG_ {identifier} {name} "{text}";'
