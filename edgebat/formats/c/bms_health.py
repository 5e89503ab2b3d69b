"""A health model for the estimator of ``edgebat/edgebat.h``: ``edgebat_model_t`` and what surrounds it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats.c.bms_parts import (
    POINTS_MAX,
    UNKNOWN,
    TaskNumbers,
    abi_check,
    data_fingerprint,
    range_ppm,
    selftest,
)
from edgebat.formats.c.border import read_border
from edgebat.formats.c.tables import array
from edgebat.graph.model import IntGraph

SAVED_HEADER = 72
MOST_V = 10.0
REFERENCES = {
    "nominal": "the nominal capacity",
    "first": "the cell's first capacity: set reference_mAh",
    "rated_min": "the rated minimum capacity: set reference_mAh",
    "mean_first_k": "the cell's first capacities: set reference_mAh",
}
ANY_TEMPERATURE_DDEGC = (-32768, 32767)


@dataclass(frozen=True)
class BmsModel:
    """The numbers of ``edgebat_model_t``; see ``firmware_stubs/include/edgebat/edgebat.h``.

    ``level_uv`` [increments + 1]; ``low_ppm``, ``high_ppm`` [increments]: the inputs that are not clipped.
    """

    name: str
    fingerprint: int
    data_fingerprint: int
    multiply_accumulates: int
    level_uv: tuple[int, ...]
    low_ppm: tuple[int, ...]
    high_ppm: tuple[int, ...]
    increments: int
    context: int
    max_gap: int
    points: int
    horizon: int
    eol_cpct: int
    sigma_cpct: int
    soh_reference: str
    min_ddegc: int
    max_ddegc: int

    @property
    def saved_bytes(self) -> int:
        """Bytes of a saved state."""
        return SAVED_HEADER + 2 * self.points + self.increments * self.context + 4


def describe_health(graph: IntGraph) -> BmsModel:
    """The numbers an estimator needs; raises ModelFileError when ``graph`` is not a health model it can serve."""
    task, border = TaskNumbers(graph), read_border(graph)
    if border is None:
        raise ModelFileError(
            f"model {graph.name!r} does not say in which units it reads and answers; export it with edgebat"
        )
    outputs = {output.name: output for output in border.outputs}
    if not {"soh", "trajectory", "rul"} <= outputs.keys():
        raise ModelFileError(f"model {graph.name!r} says {sorted(outputs)}; a BMS needs soh, trajectory and rul")
    points = outputs["trajectory"].size
    if points > POINTS_MAX:
        raise ModelFileError(
            f"model {graph.name!r} has {points} points of trajectory; a BMS carries {POINTS_MAX} at most"
        )
    context, increments = graph.input_tensor.shape
    if (task.whole("context"), task.whole("increments")) != (context, increments):
        raise ModelFileError(f"model {graph.name!r} reads {graph.input_tensor.shape}, its task says otherwise")
    window_v = np.linspace(task.number("window_start_v", MOST_V), task.number("window_end_v", MOST_V), increments + 1)
    level_uv = tuple(int(v) for v in np.rint(window_v * 1e6))
    if any(upper <= lower for lower, upper in pairwise(level_uv)):
        raise ModelFileError(f"model {graph.name!r} carries an unusable task: its voltages {level_uv} do not ascend")
    low, high = range_ppm(border, graph.input_tensor.zero_point)
    sigma, cold, hot = _field(graph)
    return BmsModel(
        name=graph.name,
        fingerprint=int(graph.fingerprint[:8], 16),
        data_fingerprint=data_fingerprint(graph),
        multiply_accumulates=graph.multiply_accumulates(),
        level_uv=level_uv,
        low_ppm=low,
        high_ppm=high,
        increments=increments,
        context=context,
        max_gap=task.whole("max_gap"),
        points=points,
        horizon=task.whole("horizon"),
        eol_cpct=round(task.number("eol", 1.0) * 10000),
        sigma_cpct=sigma,
        soh_reference=task.word("soh_reference", REFERENCES),
        min_ddegc=cold,
        max_ddegc=hot,
    )


def _field(graph: IntGraph) -> tuple[int, int, int]:
    """Error and temperatures out of ``meta["field"]`` (``edgebat.runs.field``), checked: they come from a file."""
    field: Any = graph.meta.get("field", {})
    try:
        cold, hot = field.get("temperature_ddegc", ANY_TEMPERATURE_DDEGC)
        sigma = field.get("sigma_cpct", UNKNOWN)
        if not all(isinstance(v, int) for v in (sigma, cold, hot)):
            raise ValueError("its numbers are not whole")
        if not (0 <= sigma <= UNKNOWN and -32768 <= cold <= hot <= 32767):
            raise ValueError(f"sigma {sigma}, temperatures {cold} to {hot}")
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelFileError(f"model {graph.name!r} carries an unusable entry 'field': {error}") from None
    return sigma, cold, hot


def health_header(numbers: BmsModel, name: str) -> str:
    """Content of ``<name>_bms.h``."""
    upper = name.upper()
    scratch, output = f"{upper}_SCRATCH_BYTES", f"sizeof({name}_output_t) * {upper}_OUTPUT_LEN"
    low, high = numbers.level_uv[0] / 1e6, numbers.level_uv[-1] / 1e6
    return f"""/*
 * {name}_bms.h - model {name} for the estimator of edgebat/edgebat.h.
 *
 * Generated by edgebat. Do not edit: export the model again.
 *
 * window      {numbers.increments} increments of charge from {low:g} to {high:g} V, {numbers.context} charges
 * SOH         % of {REFERENCES[numbers.soh_reference]}
 * end of life {numbers.eol_cpct / 100:g} %
 */
#ifndef {upper}_BMS_H
#define {upper}_BMS_H

#include "edgebat/edgebat.h"
#include "{name}.h"

{abi_check(name)}
/** Working memory of one battery, aligned as it must be. */
#define {upper}_WORK_BYTES EDGEBAT_WORK_BYTES({scratch}, {numbers.increments}U, {output}, {numbers.context}U)
typedef struct {{
    uint32_t words[({upper}_WORK_BYTES + 3U) / 4U];
}} {name}_work_t;

/** Bytes of a saved state. */
#define {upper}_SAVED_BYTES EDGEBAT_SAVED_BYTES({numbers.increments}U, {numbers.context}U, {numbers.points}U)

#ifdef __cplusplus
extern "C" {{
#endif

extern const edgebat_model_t {name}_model;

#ifdef __cplusplus
}}
#endif

#endif
"""


def health_source(numbers: BmsModel, name: str) -> str:
    """Content of ``<name>_bms.c``."""
    upper = name.upper()
    which = ", what - EDGEBAT_READ_POINTS" if numbers.points > 1 else ""
    points = f"{name}_trajectory(y{which})"
    tables = "\n".join(
        array("int32_t", label, [str(v) for v in values])
        for label, values in (
            ("level_uV", numbers.level_uv),
            ("low_ppm", numbers.low_ppm),
            ("high_ppm", numbers.high_ppm),
        )
    )
    return f"""/*
 * {name}_bms.c - model {name} for the estimator of edgebat/edgebat.h.
 *
 * Generated by edgebat. Do not edit: export the model again.
 */
#include "{name}_bms.h"

#include <stddef.h>

EDGEBAT_STATIC_ASSERT({upper}_COLUMNS == {numbers.increments}, {name}_columns_are_increments);
EDGEBAT_STATIC_ASSERT({upper}_SCRATCH_BYTES % 4 == 0, {name}_row_is_aligned);

{tables}
static void quantize(const int32_t *ppm, int8_t *row)
{{
    {name}_quantize(ppm, row, 1U);
}}

static int32_t read_output(const void *output, uint32_t what)
{{
    const {name}_output_t *const y = (const {name}_output_t *)output;
    int32_t value;
    switch (what) {{
    case EDGEBAT_READ_SOH:
        value = {name}_soh(y);
        break;
    case EDGEBAT_READ_RUL:
        value = {name}_rul(y);
        break;
    default:
        value = {points};
        break;
    }}
    return value;
}}

{selftest(name)}
const edgebat_model_t {name}_model = {{
    "{name}",
    UINT32_C(0x{numbers.fingerprint:08X}),
    UINT32_C(0x{numbers.data_fingerprint:08X}), /* training data */
    {numbers.multiply_accumulates}U, /* multiply-accumulates */
    level_uV,
    low_ppm,
    high_ppm,
    {numbers.increments}U, /* increments */
    {numbers.context}U, /* context */
    {upper}_SLICES,
    {numbers.max_gap}U, /* max_gap, cycles */
    {numbers.points}U, /* points */
    {numbers.horizon}U, /* horizon, cycles */
    {numbers.eol_cpct}U, /* end of life, 0.01 % */
    {numbers.sigma_cpct}U, /* deviation on validation cells, 0.01 % */
    {numbers.min_ddegc}, /* temperatures of the training cells, 0.1 degC */
    {numbers.max_ddegc},
    sizeof({name}_output_t) * {upper}_OUTPUT_LEN,
    {upper}_SCRATCH_BYTES,
    &quantize,
    &{name}_run_slice,
    &read_output,
    SELFTEST,
}};
"""
