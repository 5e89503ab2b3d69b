"""Tables out of stored records, equal to those that the three runners before this one wrote for the same trainings.

``golden/<study>.json``: small trainings on made-up cells, their results and, as ``tables``, what was printed of them then.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightning")

from pydantic import TypeAdapter

from edgebat.studies.command import check_study
from edgebat.studies.runner import Record, Result, read_kept, write_kept

CONDITIONS = {
    "first": {"dataset": "M", "stem": "c", "train": [0], "published": {"windows": 12, "soh_rmse_ah": 0.5}},
    "second": {"dataset": "M", "stem": "c", "train": [1]},
    "absent": {"dataset": "M", "stem": "none", "train": [1]},
}
VARIANTS = {"all": {}, "first alone": {"conditions": ["first"]}, "with val": {}, "half": {}, "short": {}}
STUDIES: dict[str, tuple[str, dict[str, Any]]] = {
    "forecast": ("battery_timer", {}),
    "rest": ("battery_timer", {"leave_out": "rest"}),
    "folds": ("batlinet", {"hold_out": 2}),
    "life": ("diffbatt", {}),
    "conditions": ("ic2ml", {"conditions": CONDITIONS, "variants": VARIANTS}),
    "transfer": ("batlinet", {"transfer": [{"target": "NMC"}]}),
}


def cells(lines: list[str]) -> list[list[str]]:
    """Columns of every line, without the spaces around them."""
    return [[cell.strip() for cell in line.split("|")] for line in lines]


@pytest.mark.parametrize("name", STUDIES)
def test_tables_of_stored_results_are_those_of_before(name: str, tmp_path: Path) -> None:
    golden = json.loads((Path(__file__).parent / "golden" / f"{name}.json").read_text(encoding="utf-8"))
    results = TypeAdapter(list[Result]).validate_python(golden["results"])
    teacher, section = STUDIES[name]
    study = check_study({"name": name, "teacher": {"name": teacher}, "study": section})
    tables: dict[str, str] = {}
    for experiment in study.kind.experiments:
        own = experiment(study, tmp_path, tmp_path)
        if (name == "transfer") == (type(own).__name__ == "Transfers"):
            tables |= own.tables(results)
    assert golden["tables"].keys() <= tables.keys()
    for file, lines in golden["tables"].items():
        assert cells(tables[file].splitlines()) == cells(lines), file


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    golden = json.loads((Path(__file__).parent / "golden" / "life.json").read_text(encoding="utf-8"))
    scored = TypeAdapter(list[Result]).validate_python(golden["results"])[0].seeds[1]
    record = Record(1, 2.5, {"best_loss": 0.5}, scored)
    write_kept(tmp_path / "x.json", asdict(record))
    assert read_kept(tmp_path / "x.json", Record) == record
    assert read_kept(tmp_path / "y.json", Record) is None
