"""The CAN frames of ``firmware_stubs/bms/edgebat_can.c`` described for the rest of the vehicle: a ``.dbc`` database."""

from __future__ import annotations

from binascii import crc_hqx
from struct import pack

from edgebat.bms.results import ForecastResult, Result, Source, Status
from edgebat.formats.c.bms_models import UNKNOWN, BmsModel, ForecastModel
from edgebat.tasks.health.charge_types import UINT32_MAX, ChargeEnd

FIRST_ID = 0x6E0
HEALTH, DETAILS, FORECAST, MODEL, OUTLOOK, TRAJECTORY, FORECASTER, RESISTANCE = range(8)
"""Frames, by their distance from the first identifier; those after MODEL are a forecaster's, the last one that of a firmware
that is compiled with EDGEBAT_RESISTANCE."""
NODE = "EDGEBAT"
POINTS_PER_FRAME = 3


def dbc_text(
    model: BmsModel, first_id: int = FIRST_ID, *, forecast: ForecastModel | None = None, resistance: bool = False
) -> str:
    """The database of one battery's frames, standard identifiers from ``first_id`` on, readable by any CAN tool.

    forecast: the frames of a forecaster as well; resistance: that of a firmware that is compiled with EDGEBAT_RESISTANCE.
    """
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
        _message(first_id + FORECAST, "Forecast", _points(point_names(model))),
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
        _comment(first_id + HEALTH, "Source", "Whose evidence weighs most in SOH"),
        _comment(first_id + DETAILS, "SOH_Model", "Last estimate of the model, without slew limit"),
        _comment(first_id + MODEL, "Fingerprint", f"First 32 bits of the model's SHA-256: 0x{model.fingerprint:08X}"),
    ]
    frames = [HEALTH, DETAILS, FORECAST, MODEL]
    if forecast is not None:
        messages += _forecaster_messages(forecast, first_id)
        values += _forecaster_values(forecast, first_id)
        comments += _forecaster_comments(forecast, first_id)
        frames += [OUTLOOK, TRAJECTORY, FORECASTER]
    if resistance:
        messages.append(_resistance_message(first_id))
        values += _resistance_values(first_id)
        comments += _resistance_comments(first_id)
        frames.append(RESISTANCE)
    note = next((each.note for each in (model, forecast) if each is not None and each.note), "")
    if note:
        comments.insert(0, f'CM_ BU_ {NODE} "{note}";')
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
            *(f'BA_ "GenMsgCycleTime" BO_ {first_id + frame} 1000;' for frame in frames),
            *values,
            "",
        ]
    )


def _forecaster_messages(forecast: ForecastModel, first_id: int) -> list[str]:
    return [
        _message(
            first_id + OUTLOOK,
            "Outlook",
            [
                _signal("Cycles_to_EOL", 0, 16, 1, "cycles"),
                _signal("Outlook_Age", 16, 16, 1, "cycles"),
                _signal("Outlook_Horizon", 32, 16, 1, "cycles"),
                _signal("Cycles_Missing", 48, 8, 1, "cycles"),
                _signal("Outlook_Status", 56, 8, 1, ""),
            ],
        ),
        _message(first_id + TRAJECTORY, "Trajectory", _points(outlook_names(forecast))),
        _message(
            first_id + FORECASTER,
            "Forecaster",
            [
                _signal("Forecaster_Fingerprint", 0, 32, 1, ""),
                _signal("Outlook_Cycle", 32, 16, 1, "cycles"),
                _signal("SOH_Newest", 48, 16, 0.01, "%"),
            ],
        ),
    ]


def _forecaster_values(forecast: ForecastModel, first_id: int) -> list[str]:
    unknown = {UNKNOWN: "unknown"}
    return [
        *(_values(first_id + OUTLOOK, name, unknown) for name in ("Cycles_to_EOL", "Outlook_Age")),
        _values(first_id + OUTLOOK, "Outlook_Status", {int(s): s.name for s in Status}),
        *(_values(first_id + TRAJECTORY, name, unknown) for name in outlook_names(forecast)),
        _values(first_id + FORECASTER, "SOH_Newest", unknown),
    ]


def _forecaster_comments(forecast: ForecastModel, first_id: int) -> list[str]:
    return [
        _comment(
            first_id + OUTLOOK,
            "Cycles_to_EOL",
            f"Cycles until SOH falls below {forecast.eol_cpct / 100:g} %, from the history of SOH",
        ),
        _comment(first_id + OUTLOOK, "Outlook_Age", "Cycles since the one that the forecast begins at"),
        _comment(
            first_id + FORECASTER,
            "Forecaster_Fingerprint",
            f"First 32 bits of the forecast model's SHA-256: 0x{forecast.fingerprint:08X}",
        ),
    ]


def _resistance_message(first_id: int) -> str:
    return _message(
        first_id + RESISTANCE,
        "Resistance",
        [
            _signal("Resistance", 0, 32, 1, "uOhm"),
            _signal("Resistance_Sigma", 32, 16, 0.01, "%"),
            _signal("Resistance_of_New", 48, 16, 0.01, "%"),
        ],
    )


def _resistance_values(first_id: int) -> list[str]:
    unknown = {"Resistance": UINT32_MAX, "Resistance_Sigma": UNKNOWN, "Resistance_of_New": UNKNOWN}
    return [_values(first_id + RESISTANCE, name, {value: "unknown"}) for name, value in unknown.items()]


def _resistance_comments(first_id: int) -> list[str]:
    return [
        _comment(first_id + RESISTANCE, "Resistance", "From steps of the current, at 25 degC"),
        _comment(first_id + RESISTANCE, "Resistance_Sigma", "Standard deviation of Resistance, % of it"),
        _comment(first_id + RESISTANCE, "Resistance_of_New", "Resistance over that of the cell when it was new"),
    ]


def burst(model: BmsModel, forecast: ForecastModel | None = None, *, resistance: bool = False) -> int:
    """Frames that are sent together."""
    count = 3 + resistance + -(-model.points // POINTS_PER_FRAME)
    return count if forecast is None else count + 2 + -(-forecast.points // POINTS_PER_FRAME)


def pack_frames(model: BmsModel, result: Result, alive: int, *, resistance: bool = False) -> list[tuple[int, bytes]]:
    """(identifier, eight bytes) of all frames in the order in which the virtual board sends them: what
    ``edgebat_can_pack`` makes of a result. ``alive``: 0 to 15; ``resistance``: with EDGEBAT_RESISTANCE."""
    health = pack(
        "<3HBB", result.soh_cpct, result.sigma_cpct, result.rul_cycles, result.status | result.source << 4, alive
    )
    minutes = min(result.age_s // 60, UNKNOWN)
    details = pack("<4H", result.model_cpct, result.counting_cpct, result.age_cycles, minutes)
    about = pack("<IHBB", model.fingerprint, min(result.cycle, UNKNOWN), result.charge, result.warmup)
    ohm = pack("<I2H", result.resistance_uohm, result.resistance_sigma_cpct, result.resistance_cpct)
    return [
        (FIRST_ID + HEALTH, health),
        (FIRST_ID + DETAILS, details),
        *((FIRST_ID + FORECAST, data) for data in _parts(model.points, result.points, result.points_cpct)),
        (FIRST_ID + MODEL, about),
        *([(FIRST_ID + RESISTANCE, ohm)] if resistance else []),
    ]


def pack_forecast(model: ForecastModel, result: ForecastResult) -> list[tuple[int, bytes]]:
    """The same of a forecast, sent after them: what ``edgebat_forecast_can_pack`` makes of it."""
    missing = min(result.missing, 255)
    outlook = pack("<3HBB", result.eol_cycles, result.age_cycles, result.horizon, missing, result.status)
    about = pack("<IHH", model.fingerprint, min(result.cycle, UNKNOWN), result.soh_cpct)
    return [
        (FIRST_ID + OUTLOOK, outlook),
        *((FIRST_ID + TRAJECTORY, data) for data in _parts(model.points, result.points, result.points_cpct)),
        (FIRST_ID + FORECASTER, about),
    ]


def _parts(most: int, known: int, points_cpct: tuple[int, ...]) -> list[bytes]:
    """The frames of a trajectory of ``most`` points, three to a frame."""
    points = [*points_cpct, UNKNOWN]
    starts = range(0, most, POINTS_PER_FRAME)
    return [pack("<BB3H", i, known, *points[start : start + POINTS_PER_FRAME]) for i, start in enumerate(starts)]


def point_names(model: BmsModel) -> list[str]:
    """Names of the trajectory's signals: "SOH_in_10" is the SOH ten cycles ahead."""
    return _ahead("SOH", model.points, model.horizon)


def outlook_names(forecast: ForecastModel) -> list[str]:
    """Names of the forecaster's signals: "Outlook_in_12" is the SOH twelve cycles after ``Outlook_Cycle``."""
    return _ahead("Outlook", forecast.points, forecast.horizon)


def _ahead(what: str, points: int, horizon: int) -> list[str]:
    ahead = [round((i + 1) * horizon / points) for i in range(points)]
    if len(set(ahead)) < len(ahead):  # more points than cycles ahead: their numbers would not tell them apart
        return [f"{what}_point_{i + 1}" for i in range(points)]
    return [f"{what}_in_{cycles}" for cycles in ahead]


def _points(names: list[str]) -> list[str]:
    lines = [_signal("Part", 0, 8, 1, "", mux="M"), _signal("Points", 8, 8, 1, "")]
    for i, name in enumerate(names):
        part, slot = divmod(i, POINTS_PER_FRAME)
        lines.append(_signal(name, 16 + 16 * slot, 16, 0.01, "%", mux=f"m{part}"))
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


def protect(data: bytes, data_id: int, counter: int) -> bytes:
    """``edgebat_can_protect``: a frame of 8 bytes as one of 12, for CAN FD, with AUTOSAR's end-to-end profile 5."""
    body = bytes([counter & 0xFF]) + data + bytes(1)
    return pack("<H", crc_hqx(body + pack("<H", data_id), 0xFFFF)) + body
