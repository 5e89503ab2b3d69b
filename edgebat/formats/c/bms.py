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
    "bms_files",
    "bms_sources",
    "describe",
    "estimator_files",
    "export_bms",
    "forecast_model",
    "health_model",
    "write_bms",
]


def describe(graph: IntGraph) -> BmsModel | ForecastModel:
    """The numbers a BMS needs of ``graph``, by its kind; raises ModelFileError when it can serve neither estimator nor
    forecaster."""
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
