"""A further kind of model for a BMS is one class: what differs between kinds stands there, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import pytest

from edgebat.errors import ModelFileError
from edgebat.formats.c import bms, bms_models
from edgebat.formats.c.bms import bms_files, bms_sources, kind_sources
from edgebat.formats.c.bms_description import Description
from edgebat.graph import IntGraph
from tests.tiny_forecast import forecast_graph


@dataclass(frozen=True, kw_only=True)
class HeatModel(Description):
    """Models that a part called "heater" would run, with the C files ``edgebat_heat*``."""

    key: ClassVar[str] = "heat_w"
    part: ClassVar[str] = "heater"
    reads: ClassVar[str] = "reads heat"
    header: ClassVar[str] = "edgebat_heat"
    owner: ClassVar[str] = "battery's heater"
    saved: ClassVar[str] = "temperature"

    @classmethod
    def of(cls, graph: IntGraph) -> Self:
        return cls(
            name=graph.name,
            fingerprint=1,
            data_fingerprint=2,
            multiply_accumulates=3,
            low_ppm=(4,),
            high_ppm=(5,),
            max_gap=6,
            points=7,
            horizon=8,
            eol_cpct=9,
        )

    @property
    def saved_bytes(self) -> int:
        return 10

    def work_sizes(self) -> tuple[int, int]:
        return 1, 11

    def saved_sizes(self) -> tuple[int, ...]:
        return 12, 13

    def about(self) -> str:
        return " * heat of a battery"

    def checks(self) -> dict[str, str]:
        return {"one_column": "COLUMNS == 1"}

    def functions(self, name: str) -> str:
        return f"/* {name} reads watts */"

    def members(self, upper: str) -> str:
        return f"    {upper}_WATTS,"


@pytest.fixture
def heat(monkeypatch: pytest.MonkeyPatch) -> IntGraph:
    """A model whose task has a number that only a HeatModel knows."""
    for module in (bms, bms_models):
        monkeypatch.setattr(module, "KINDS", (*bms_models.KINDS, HeatModel))
    graph = forecast_graph()
    return replace(graph, meta={**graph.meta, "task": {"name": "heat", "heat_w": 5}})


def test_its_numbers_and_its_c_stand_in_the_files_of_all_kinds(heat: IntGraph):
    header, source = bms_files(heat, "warm").values()
    for line in (
        " * warm_bms.h - model warm for the heater of edgebat/edgebat_heat.h.",
        " * heat of a battery",
        "/** Working memory of one battery's heater, aligned as it must be. */",
        "#define WARM_SAVED_BYTES EDGEBAT_HEAT_SAVED_BYTES(12U, 13U)",
        "extern const edgebat_heat_model_t warm_model;",
    ):
        assert line in header.splitlines()
    assert "EDGEBAT_HEAT_WORK_BYTES(WARM_SCRATCH_BYTES, 1U, sizeof(warm_output_t) * WARM_OUTPUT_LEN, 11U)" in header
    for line in (
        "EDGEBAT_STATIC_ASSERT(WARM_COLUMNS == 1, warm_one_column);",
        "EDGEBAT_STATIC_ASSERT(WARM_SCRATCH_BYTES % 4 == 0, warm_row_is_aligned);",
        "/* warm reads watts */",
        "    3U, /* multiply-accumulates */",
        "    WARM_WATTS,",
    ):
        assert line in source.splitlines()


def test_it_takes_no_sources_of_another_kind(heat: IntGraph):
    shared = {"edgebat_any_window.h", "edgebat_bms.h", "edgebat_state.h"}
    assert {path.name for path in bms_sources(heat)} == shared
    estimator, forecaster = ({path.name for path in kind_sources(kind)} for kind in bms_models.KINDS[:2])
    assert {"edgebat_estimate.c", "edgebat_bms.h"} <= estimator
    assert {"edgebat_forecast.c", "edgebat_forecast_bms.h", "edgebat_bms.h"} <= forecaster
    assert estimator & forecaster == shared


def test_it_serves_neither_estimator_nor_forecaster(heat: IntGraph):
    for wanted, part in ((bms_models.health_model, "estimator"), (bms_models.forecast_model, "forecaster")):
        with pytest.raises(ModelFileError, match=f"reads heat; the {part} needs one that reads"):
            wanted(heat)
