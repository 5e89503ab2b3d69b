"""``<name>_bms.h`` and ``<name>_bms.c``: a model for the estimator of ``edgebat/edgebat.h`` or the forecaster of
``edgebat/edgebat_forecast.h``."""

from __future__ import annotations

from pathlib import Path

from edgebat.files import atomic_write
from edgebat.formats.c.bms_models import ABI, REFERENCES, BmsModel, ForecastModel, describe
from edgebat.formats.c.tables import array
from edgebat.formats.c.write import CModel
from edgebat.graph.model import IntGraph
from edgebat.paths import firmware_dir


def estimator_files(*, forecast: bool = False) -> list[Path]:
    """The C of ``firmware_stubs/bms``, sorted: sources and private headers, the forecaster's only where it is wanted."""
    found = sorted((firmware_dir() / "bms").glob("*.[ch]"))
    return [path for path in found if forecast or not _of_forecaster(path)]


def bms_files(graph: IntGraph, name: str) -> dict[str, str]:
    """``<name>_bms.h`` and ``<name>_bms.c`` of a model that is called ``name`` in C.

    Raises ModelFileError when the model can serve neither estimator nor forecaster.
    """
    numbers = describe(graph)
    if isinstance(numbers, ForecastModel):
        texts = forecast_header(numbers, name), forecast_source(numbers, name)
    else:
        texts = health_header(numbers, name), health_source(numbers, name)
    return dict(zip((f"{name}_bms.h", f"{name}_bms.c"), texts, strict=True))


def bms_sources(graph: IntGraph) -> list[Path]:
    """The C of ``firmware_stubs/bms`` that runs ``graph``, with its private headers: forecaster or estimator alone."""
    if isinstance(describe(graph), ForecastModel):
        shared = firmware_dir() / "bms" / "edgebat_bms.h"
        return [shared, *(path for path in estimator_files(forecast=True) if _of_forecaster(path))]
    return estimator_files()


def write_bms(graph: IntGraph, model: CModel, out_dir: str | Path) -> list[Path]:
    """Write ``bms_files`` beside a model that ``write_c`` has written."""
    return _written({name: text.encode() for name, text in bms_files(graph, model.name).items()}, Path(out_dir))


def export_bms(graph: IntGraph, folder: Path, name: str) -> list[Path]:
    """Write ``bms_files`` and what they need of ``firmware_stubs`` to ``folder``; returns the files, sorted.

    The model itself, which ``write_c`` has called ``name``, and its kernels compile beside them. A forecast model gets the
    forecaster alone, any other one the estimator alone, so that both folders fit into one firmware. Raises ModelFileError
    when the model can serve neither.
    """
    files = {path: text.encode() for path, text in bms_files(graph, name).items()}
    sources = bms_sources(graph)
    files |= {path.name: path.read_bytes() for path in sources}
    for path in (firmware_dir() / "include" / "edgebat").glob("*.h"):
        if not _of_forecaster(path) or any(_of_forecaster(source) for source in sources):
            files[f"edgebat/{path.name}"] = path.read_bytes()
    return sorted(_written(files, folder))


def _of_forecaster(path: Path) -> bool:
    return path.name.startswith("edgebat_forecast")


def _written(files: dict[str, bytes], folder: Path) -> list[Path]:
    for path, content in files.items():
        atomic_write(folder / path, content)
    return [folder / path for path in files]


def abi_check(name: str) -> str:
    """Lines of the header that refuse another version of edgebat.h."""
    return f"""#if EDGEBAT_BMS_ABI != {ABI}
#error "{name}_bms.h was generated for another edgebat.h (EDGEBAT_BMS_ABI {ABI}): export the model again"
#endif
"""


def selftest(name: str) -> str:
    """Lines of the source that define SELFTEST, the entry of a description."""
    return f"""#if EDGEBAT_SELFTEST
static int selftest(void *output, void *scratch)
{{
    return {name}_selftest(({name}_output_t *)output, scratch);
}}
#define SELFTEST &selftest
#else
#define SELFTEST NULL
#endif
"""


def health_header(numbers: BmsModel, name: str) -> str:
    """Content of ``<name>_bms.h``."""
    low, high = numbers.level_uv[0] / 1e6, numbers.level_uv[-1] / 1e6
    about = f"""\
 * window      {numbers.increments} increments of charge from {low:g} to {high:g} V, {numbers.context} charges
 * SOH         % of {REFERENCES[numbers.soh_reference]}
 * end of life {numbers.eol_cpct / 100:g} %"""
    saved = f"{numbers.increments}U, {numbers.context}U, {numbers.points}U"
    return _header(name, "", about, (numbers.increments, numbers.context), saved)


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


def forecast_header(numbers: ForecastModel, name: str) -> str:
    """Content of ``<name>_bms.h``."""
    about = f"""\
 * history     SOH of the last {numbers.cycles} cycles, at least {numbers.least_cycles}, gaps of {numbers.max_gap} at most
 * forecast    {numbers.points} points over {numbers.horizon} cycles
 * end of life {numbers.eol_cpct / 100:g} %"""
    return _header(name, "forecast", about, (numbers.columns, numbers.cycles), f"{numbers.cycles}U")


def _header(name: str, kind: str, about: str, work: tuple[int, int], saved: str) -> str:
    """``<name>_bms.h`` for the forecaster (``kind`` "forecast") or the estimator (""); ``work`` and ``saved`` are what the
    macros of its memory take."""
    upper, include = name.upper(), f"edgebat_{kind}" if kind else "edgebat"
    prefix, whose, kept = (
        (f"{include.upper()}_", "battery's forecaster", "history") if kind else ("EDGEBAT_", "battery", "state")
    )
    scratch, output = f"{upper}_SCRATCH_BYTES", f"sizeof({name}_output_t) * {upper}_OUTPUT_LEN"
    return f"""/*
 * {name}_bms.h - model {name} for the {"forecaster" if kind else "estimator"} of edgebat/{include}.h.
 *
 * Generated by edgebat. Do not edit: export the model again.
 *
{about}
 */
#ifndef {upper}_BMS_H
#define {upper}_BMS_H

#include "edgebat/{include}.h"
#include "{name}.h"

{abi_check(name)}
/** Working memory of one {whose}, aligned as it must be. */
#define {upper}_WORK_BYTES {prefix}WORK_BYTES({scratch}, {work[0]}U, {output}, {work[1]}U)
typedef struct {{
    uint32_t words[({upper}_WORK_BYTES + 3U) / 4U];
}} {name}_work_t;

/** Bytes of a saved {kept}. */
#define {upper}_SAVED_BYTES {prefix}SAVED_BYTES({saved})

#ifdef __cplusplus
extern "C" {{
#endif

extern const {include}_model_t {name}_model;

#ifdef __cplusplus
}}
#endif

#endif
"""


def forecast_source(numbers: ForecastModel, name: str) -> str:
    """Content of ``<name>_bms.c``."""
    upper = name.upper()
    which = ", what - EDGEBAT_FORECAST_READ_POINTS" if numbers.points > 1 else ""
    tables = "\n".join(
        array("int32_t", label, [str(v) for v in values])
        for label, values in (("low_ppm", numbers.low_ppm), ("high_ppm", numbers.high_ppm))
    )
    return f"""/*
 * {name}_bms.c - model {name} for the forecaster of edgebat/edgebat_forecast.h.
 *
 * Generated by edgebat. Do not edit: export the model again.
 */
#include "{name}_bms.h"

#include <stddef.h>

EDGEBAT_STATIC_ASSERT({upper}_COLUMNS == {numbers.columns}, {name}_columns_are_cycles);
EDGEBAT_STATIC_ASSERT({upper}_INPUT_LEN == {numbers.cycles}, {name}_input_is_the_history);
EDGEBAT_STATIC_ASSERT({upper}_SCRATCH_BYTES % 4 == 0, {name}_row_is_aligned);

{tables}
static void quantize(const int32_t *ppm, int32_t last_ppm, int8_t *row)
{{
    {name}_quantize(ppm, last_ppm, row, 1U);
}}

static int32_t read_output(const void *output, int32_t last_ppm, uint32_t what)
{{
    const {name}_output_t *const y = (const {name}_output_t *)output;
    return (what == EDGEBAT_FORECAST_READ_LEVEL) ? {name}_level(y, last_ppm) : {name}_trajectory(y, last_ppm{which});
}}

{selftest(name)}
const edgebat_forecast_model_t {name}_model = {{
    "{name}",
    UINT32_C(0x{numbers.fingerprint:08X}),
    UINT32_C(0x{numbers.data_fingerprint:08X}), /* training data */
    {numbers.multiply_accumulates}U, /* multiply-accumulates */
    low_ppm,
    high_ppm,
    {numbers.cycles}U, /* cycles of history */
    {numbers.columns}U, /* columns */
    {numbers.least_cycles}U, /* least_cycles */
    {numbers.max_gap}U, /* max_gap, cycles */
    {upper}_SLICES,
    {numbers.points}U, /* points */
    {numbers.horizon}U, /* horizon, cycles */
    {numbers.eol_cpct}U, /* end of life, 0.01 % */
    sizeof({name}_output_t) * {upper}_OUTPUT_LEN,
    {upper}_SCRATCH_BYTES,
    &quantize,
    &{name}_run_slice,
    &read_output,
    SELFTEST,
}};
"""
