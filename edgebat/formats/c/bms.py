"""``<name>_bms.h`` and ``<name>_bms.c``: what the estimator or the forecaster in ``firmware_stubs/bms`` has to know of a
model. Which of them a model is for stands in its border: a model that reads changes from the last value of a history is
fed by the estimator's own SOH, any other one by charges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgebat.errors import ModelFileError
from edgebat.files import atomic_write
from edgebat.formats.c.bms_forecast import ForecastModel, describe_forecast, forecast_header, forecast_source
from edgebat.formats.c.bms_health import (
    ANY_TEMPERATURE_DDEGC,
    SAVED_HEADER,
    BmsModel,
    describe_health,
    health_header,
    health_source,
)
from edgebat.formats.c.bms_parts import ABI, POINTS_MAX, UNKNOWN
from edgebat.formats.c.write import CModel
from edgebat.graph.model import IntGraph
from edgebat.paths import firmware_dir

__all__ = [
    "ABI",
    "ANY_TEMPERATURE_DDEGC",
    "POINTS_MAX",
    "SAVED_HEADER",
    "UNKNOWN",
    "BmsModel",
    "ForecastModel",
    "describe",
    "estimator_files",
    "forecast_model",
    "health_model",
    "write_bms",
]


def describe(graph: IntGraph) -> BmsModel | ForecastModel:
    """The numbers a BMS needs of ``graph``, by its kind; raises ModelFileError when it can serve neither place."""
    source: Any = graph.meta.get("input")
    follows_history = isinstance(source, dict) and "relative_to" in source
    return describe_forecast(graph) if follows_history else describe_health(graph)


def health_model(graph: IntGraph) -> BmsModel:
    """The numbers of a model for the estimator. Raises ModelFileError for any other one."""
    found = describe(graph)
    if not isinstance(found, BmsModel):
        raise ModelFileError(f"model {graph.name!r} reads a history of SOH; the estimator needs one that reads charges")
    return found


def forecast_model(graph: IntGraph) -> ForecastModel:
    """The numbers of a model for the forecaster. Raises ModelFileError for any other one."""
    found = describe(graph)
    if not isinstance(found, ForecastModel):
        raise ModelFileError(
            f"model {graph.name!r} reads charges; the forecaster needs one that reads a history of SOH"
        )
    return found


def estimator_files(*, forecast: bool = False) -> list[Path]:
    """The C of ``firmware_stubs/bms``, sorted: sources and private headers, the forecaster's only where it is wanted."""
    found = sorted((firmware_dir() / "bms").glob("*.[ch]"))
    return [path for path in found if forecast or not path.name.startswith("edgebat_forecast")]


def write_bms(graph: IntGraph, model: CModel, out_dir: str | Path) -> list[Path]:
    """Write ``<name>_bms.h`` and ``<name>_bms.c`` beside a model that ``write_c`` has written.

    Raises ModelFileError when the model can serve neither estimator nor forecaster.
    """
    numbers = describe(graph)
    if isinstance(numbers, ForecastModel):
        texts = forecast_header(numbers, model.name), forecast_source(numbers, model.name)
    else:
        texts = health_header(numbers, model.name), health_source(numbers, model.name)
    files = [Path(out_dir) / f"{model.name}_bms.{suffix}" for suffix in "hc"]
    for path, text in zip(files, texts, strict=True):
        atomic_write(path, text)
    return files
