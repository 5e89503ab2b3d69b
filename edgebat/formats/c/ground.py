"""What a generated model says of its ground: macros for whoever gates its inputs, and the domain score as a function."""

from __future__ import annotations

import re

from edgebat.formats.c import tables
from edgebat.ground import Domain, Ground
from edgebat.interval import Interval

FACT_WIDTH = 400
FACTORS = {"fraction": ("CPCT", 10_000), "cycles": ("CYCLES", 1)}
"""Unit of a head -> that of a macro, and how many of these make one."""


def prototypes(ground: Ground, name: str, upper: str) -> str:
    """For the header; "" for a model that states no ground."""
    if not ground.stated:
        return ""
    # A fact may quote a file from outside: nothing in it may end the comment.
    facts = [re.sub(r"[^\w .:;,()/%+-]", "_", f"{what}: {text}")[:FACT_WIDTH] for what, text in ground.facts()]
    about = "\n".join(f" * {fact}".replace("*/", "_") for fact in facts)
    macros = "".join(f"#define {upper}_{key} {value} /* {text} */\n" for key, value, text in _values(ground))
    return f"""
/**
 * Ground: the cells the model has learnt from. An input from elsewhere gets an answer all the same, and nobody knows how
 * wrong it is: refuse it.
 *
{about}
 */
{macros}{_rate_prototype(name) if ground.rows.rates_mc else ""}{_domain_prototype(name, upper) if ground.domain else ""}"""


def interval_macros(interval: Interval | None, upper: str) -> str:
    """For the header: how often the interval around the estimate held; "" for a model without one."""
    if interval is None:
        return ""
    values = [
        ("NOMINAL_PERMILLE", round(interval.nominal * 1000), "share of windows it was made for"),
        ("CELLS", interval.cells, "calibration cells"),
    ]
    if interval.held_out:
        held, factor = interval.held_out[0], FACTORS[interval.unit]
        values += [
            ("HELD_PERMILLE", round(held.coverage * 1000), f"measured, mean of {held.cells} cells nobody had seen"),
            ("WORST_PERMILLE", round(held.worst * 1000), "the worst of them"),
            (f"WIDTH_{factor[0]}", round(held.width * factor[1]), "median, from low to high"),
        ]
    macros = "".join(f"#define {upper}_INTERVAL_{key} {value} /* {text} */\n" for key, value, text in values)
    return f"""
/** Interval of {re.sub(r"[^A-Za-z0-9_]", "_", interval.head)}: how often it held. It says nothing of what is refused. */
{macros}"""


def _rate_prototype(name: str) -> str:
    return f"""
/** Whether a charge at rate_mC, 0.001 C, is at one of the rates the model has learnt from: 1, else 0. */
int {name}_knows_rate(int32_t rate_mC);
"""


def _values(ground: Ground) -> list[tuple[str, int, str]]:
    """(macro without the model's name, value, comment)."""
    train, rates, degrees = ground.train, ground.rows.rates_mc, ground.rows.temperature_ddegc
    values = [("GROUND_CELLS", train.cells, "trained on")]
    if train.soh:
        low, high = (round(v * 10_000) for v in train.soh)
        values += [("GROUND_MIN_SOH_CPCT", low, "0.01 %"), ("GROUND_MAX_SOH_CPCT", high, "0.01 %")]
    if train.cycles:
        values += [
            ("GROUND_MIN_CYCLE", train.cycles[0], "of a window's end"),
            ("GROUND_MAX_CYCLE", train.cycles[1], ""),
        ]
    if ground.voltage_v:
        low, high = (round(v * 1000) for v in ground.voltage_v)
        values += [("GROUND_MIN_MV", low, "window of the charge"), ("GROUND_MAX_MV", high, "")]
    if rates:
        values += [
            ("GROUND_MIN_RATE_MC", rates[0][0], "charging current, 0.001 C"),
            ("GROUND_MAX_RATE_MC", rates[-1][1], ""),
        ]
    if degrees:
        values += [("GROUND_MIN_DDEGC", degrees[0], "0.1 degC"), ("GROUND_MAX_DDEGC", degrees[1], "")]
    if ground.domain:
        values.append(("DOMAIN_LIMIT", ground.domain.limit, "largest score that is inside"))
    return [(key, value, text or "the largest") for key, value, text in values]


def _domain_prototype(name: str, upper: str) -> str:
    return f"""
/** How far a window of {upper}_INPUT_LEN values is from the training data; above {upper}_DOMAIN_LIMIT it is outside. */
uint32_t {name}_domain(const int8_t *input);
"""


def functions(ground: Ground, name: str, rows: int, columns: int) -> str:
    """For the source; "" for a model that states neither rates nor a domain."""
    return _rate_function(ground, name) + _domain_function(ground, name, rows, columns)


def _rate_function(ground: Ground, name: str) -> str:
    ranges = ground.rows.rates_mc
    if not ranges:
        return ""
    inside = " ||\n           ".join(f"((rate_mC >= {low}) && (rate_mC <= {high}))" for low, high in ranges)
    return f"""
int {name}_knows_rate(int32_t rate_mC)
{{
    return ({inside}) ? 1 : 0;
}}
"""


def _domain_function(ground: Ground, name: str, rows: int, stride: int) -> str:
    """``Domain.scores`` is the same in Python."""
    if ground.domain is None:
        return ""
    if ground.domain.empty is not None:
        return _domain_by_start(ground.domain, ground.domain.empty, name, rows, stride)
    table = ground.domain.prototypes
    count, columns = len(table), len(table[0])
    values = [str(v) for row in table for v in row]
    return f"""
/* Rows of the input plus 128 that stand for the training data. */
{tables.array("uint8_t", "domain_prototypes", values)}
uint32_t {name}_domain(const int8_t *input)
{{
    uint8_t mean[{columns}];
    for (uint32_t c = 0; c < {columns}U; c++) {{
        uint32_t sum = 0; /* of values plus 128, which are never negative */
        for (uint32_t r = 0; r < {rows}U; r++) {{
            sum += (uint32_t)((int32_t)input[(r * {stride}U) + c] + 128);
        }}
        mean[c] = (uint8_t)(((2U * sum) + {rows}U) / {2 * rows}U);
    }}
    uint32_t least = UINT32_MAX;
    for (uint32_t p = 0; p < {count}U; p++) {{
        uint32_t squared = 0;
        for (uint32_t c = 0; c < {columns}U; c++) {{
            const int32_t away = (int32_t)mean[c] - (int32_t)domain_prototypes[(p * {columns}U) + c];
            squared += (uint32_t)(away * away);
        }}
        least = (squared < least) ? squared : least;
    }}
    return least;
}}
"""


def _domain_by_start(domain: Domain, empty: int, name: str, rows: int, stride: int) -> str:
    """The same of rows of any window."""
    table = domain.prototypes
    count, width = len(table), len(table[0])
    columns = width - 1
    values = [str(v) for row in table for v in row]
    return f"""
/* Rows of the input plus 128 that stand for the training data; the last value says where a window begins. */
{tables.array("uint8_t", "domain_prototypes", values)}
/* Squared distance of a row to the nearest of those whose windows begin nearest to its own. */
static uint32_t domain_of_row(const int8_t *row)
{{
    const int32_t start = (int32_t)row[{columns}] + 128;
    uint32_t nearest = UINT32_MAX;
    uint32_t least = UINT32_MAX;
    for (uint32_t p = 0; p < {count}U; p++) {{
        const int32_t away = start - (int32_t)domain_prototypes[(p * {width}U) + {columns}U];
        const uint32_t apart = (uint32_t)((away < 0) ? -away : away);
        nearest = (apart < nearest) ? apart : nearest;
    }}
    for (uint32_t p = 0; p < {count}U; p++) {{
        const uint8_t *const known = &domain_prototypes[p * {width}U];
        const int32_t from = start - (int32_t)known[{columns}];
        if ((uint32_t)((from < 0) ? -from : from) == nearest) {{
            uint32_t squared = 0;
            for (uint32_t c = 0; c < {columns}U; c++) {{
                const int32_t away = ((int32_t)row[c] + 128) - (int32_t)known[c];
                squared += (uint32_t)(away * away);
            }}
            least = (squared < least) ? squared : least;
        }}
    }}
    return least;
}}

uint32_t {name}_domain(const int8_t *input)
{{
    uint32_t sum = 0;
    uint32_t rows = 0;
    for (uint32_t r = 0; r < {rows}U; r++) {{
        const int8_t *const row = &input[r * {stride}U];
        if (((int32_t)row[{columns}] + 128) != {empty}) {{ /* there is one */
            sum += domain_of_row(row);
            rows++;
        }}
    }}
    return (rows != 0U) ? (sum / rows) : UINT32_MAX;
}}
"""
