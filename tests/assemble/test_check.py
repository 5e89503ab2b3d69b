"""``edgebat data check``: corpora with one mistake each, which is named with file, cell and remedy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from edgebat.assemble.check import Fault, check_corpus
from edgebat.data.synthetic import make_fleet

Command = Callable[..., tuple[int, str, str]]
Tables = dict[str, Any]
Change = Callable[[Tables], Tables]


@pytest.fixture(scope="module")
def tables() -> Tables:
    """A healthy corpus of four cells: its tables and its arrays."""
    fleet = make_fleet(seed=7, cells=4, max_cycles=60)
    charge = fleet.charge
    assert charge is not None
    wanted = (charge.voltage_v > 3.59) & (charge.voltage_v < 4.01)
    dq = charge.dq_ah[:, wanted] - charge.dq_ah[:, wanted][:, :1]
    return {
        "cells": fleet.cells.drop(columns="condition").assign(dataset="LAB"),
        "capacity": fleet.cycles.assign(dataset="LAB"),
        "voltage": charge.voltage_v[wanted],
        "dq_ah": dq,
        "cell_id": charge.cell_id.astype(str),
        "cycle": charge.cycle,
        "dataset": np.full(len(charge), "LAB"),
    }


def write(folder: Path, tables: Tables, file: str = "LAB.npz") -> Path:
    (folder / "segments").mkdir(parents=True)
    tables["cells"].to_csv(folder / "cells.csv", index=False)
    tables["capacity"].to_parquet(folder / "capacity.parquet", index=False)
    arrays = {name: value for name, value in tables.items() if isinstance(value, np.ndarray)}
    if arrays:
        np.savez(folder / "segments" / file, **arrays)
    return folder


def scaled(name: str, column: str, factor: float) -> Change:
    return lambda t: t | {name: t[name].assign(**{column: t[name][column] * factor})}


def totals(t: Tables) -> Tables:
    total = t["capacity"].groupby("cell_id")["discharge_capacity_ah"].cumsum()
    return t | {"capacity": t["capacity"].assign(discharge_capacity_ah=total)}


def twice(t: Tables) -> Tables:
    again = {name: np.concatenate([t[name], t[name][:5]]) for name in ("dq_ah", "cell_id", "cycle", "dataset")}
    return t | again


MISTAKES: dict[str, tuple[Change, str, str, str]] = {
    "capacity in mAh": (
        scaled("capacity", "discharge_capacity_ah", 1000),
        "capacity.parquet",
        "0.2 to 1.3",
        "value in mAh",
    ),
    "nominal capacity in mAh": (
        scaled("cells", "nominal_capacity_ah", 1000),
        "capacity.parquet",
        "0.2 to 1.3",
        "in mAh",
    ),
    "nominal capacity of a pack": (
        scaled("cells", "nominal_capacity_ah", 10),
        "capacity.parquet",
        "0.2 to 1.3",
        "ten times",
    ),
    "SOH in percent": (
        lambda t: t | {"capacity": t["capacity"].assign(discharge_capacity_ah=95.0)},
        "capacity.parquet",
        "0.2 to 1.3",
        "percent",
    ),
    "numbers with a decimal comma": (
        lambda t: t | {"capacity": t["capacity"].assign(discharge_capacity_ah="3,45")},
        "capacity.parquet",
        "numbers",
        "point",
    ),
    "a unit in the nominal capacity": (
        lambda t: t | {"cells": t["cells"].assign(nominal_capacity_ah="3.5 Ah")},
        "cells.csv",
        "numbers",
        "without a unit",
    ),
    "capacity added up": (totals, "capacity.parquet", "0.2 to 1.3", "running total"),
    "no nominal capacity": (
        lambda t: t | {"cells": t["cells"].drop(columns="nominal_capacity_ah")},
        "cells.csv",
        "above 0",
        "data sheet",
    ),
    "curves in mAh": (lambda t: t | {"dq_ah": t["dq_ah"] * 1000}, "LAB.npz", "at most 1.5", "charge in mAh"),
    "grid in mV": (lambda t: t | {"voltage": t["voltage"] * 1000}, "LAB.npz", "0.5 to 5 V", "mV"),
    "grid reversed": (lambda t: t | {"dq_ah": t["dq_ah"][:, ::-1]}, "LAB.npz", "rises", "Reverse the columns"),
    "cycles from 0": (
        lambda t: t | {"capacity": t["capacity"].assign(cycle=t["capacity"]["cycle"] - 1)},
        "capacity.parquet",
        "from 1",
        "Add 1",
    ),
    "another column name": (
        lambda t: t | {"capacity": t["capacity"].rename(columns={"discharge_capacity_ah": "capacity"})},
        "capacity.parquet",
        "discharge_capacity_ah",
        "Rename 'capacity' to 'discharge_capacity_ah'",
    ),
    "another array name": (
        lambda t: {("V" if n == "voltage" else n): v for n, v in t.items()},
        "LAB.npz",
        "voltage",
        "Rename 'V' to 'voltage'",
    ),
    "cell ids as numbers": (
        lambda t: t | {"cell_id": np.array([f"{i % 4}.0" for i in range(len(t["cell_id"]))])},
        "LAB.npz",
        "listed",
        "List it",
    ),
    "cell ids in small letters": (
        lambda t: t | {"cells": t["cells"].assign(cell_id=t["cells"]["cell_id"].str.lower())},
        "capacity.parquet",
        "listed",
        "differs in case",
    ),
    "a cycle twice": (
        lambda t: t | {"capacity": pd.concat([t["capacity"], t["capacity"].iloc[:10]])},
        "capacity.parquet",
        "once",
        "Delete",
    ),
    "a curve twice": (twice, "LAB.npz", "once", "Delete"),
    "a cell twice": (
        lambda t: t | {"cells": pd.concat([t["cells"], t["cells"].iloc[:1]])},
        "cells.csv",
        "one row",
        "Delete",
    ),
    "curves numbered apart": (lambda t: t | {"cycle": t["cycle"] - 1}, "LAB.npz", "one numbering", "from 1"),
}


def test_a_healthy_corpus_has_no_fault(tables: Tables, tmp_path: Path, command: Command) -> None:
    assert command("data", "check", write(tmp_path / "lab", tables)) == (0, f"{tmp_path / 'lab'}: no fault found\n", "")
    # Without an array that says so, the file's name says whose curves they are; without that, the cells do.
    bare = {name: value for name, value in tables.items() if name != "dataset"}
    assert check_corpus(write(tmp_path / "named", bare)) == []
    assert check_corpus(write(tmp_path / "by-cells", bare, "curves.npz")) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_named(tables: Tables, tmp_path: Path, mistake: str) -> None:
    change, file, allowed, remedy = MISTAKES[mistake]
    faults = check_corpus(write(tmp_path / "lab", change(dict(tables))))
    found = [f for f in faults if f.error and file in f.file and allowed in f.allowed and remedy in f.remedy]
    assert found, "\n".join(map(str, faults))
    if "name" not in mistake:
        assert all(f.cell.lower().startswith("lab/") for f in found) or mistake in (
            "grid in mV",
            "a unit in the nominal capacity",
        )


def test_what_is_no_error_is_a_note(tables: Tables, tmp_path: Path, command: Command) -> None:
    two = tables["cells"].iloc[:2]
    few = {"cells": two, "capacity": tables["capacity"][tables["capacity"]["cell_id"].isin(two["cell_id"])]}
    folder = write(tmp_path / "lab", few)
    faults = check_corpus(folder)
    assert [fault.error for fault in faults] == [False, False]
    assert "2 cells" in str(faults[0])
    assert "no charge curves" in str(faults[1])
    code, out, _ = command("data", "check", folder, "--json")
    assert (code, len(json.loads(out))) == (0, 2)


def test_capacities_relative_to_the_first_are_worth_a_look(tables: Tables, tmp_path: Path) -> None:
    relative = tables["capacity"].assign(discharge_capacity_ah=tables["capacity"]["discharge_capacity_ah"] / 3.4)
    faults = check_corpus(write(tmp_path / "lab", tables | {"capacity": relative}))
    assert [fault.error for fault in faults] == [False] * 4
    assert all("capacities relative to the first (they are Ah here)" in fault.remedy for fault in faults)


def test_a_table_with_semicolons_is_named(tables: Tables, tmp_path: Path) -> None:
    folder = write(tmp_path / "lab", tables)
    tables["cells"].to_csv(folder / "cells.csv", index=False, sep=";")
    assert "columns separated by commas" in check_corpus(folder)[0].allowed


def test_what_is_missing_or_damaged_is_named(tmp_path: Path, command: Command) -> None:
    code, _, error = command("data", "check", tmp_path / "nothing")
    assert (code, "is no folder" in error) == (2, True)
    (tmp_path / "cells.csv").write_text("dataset,cell_id\nLAB,1\n")
    (tmp_path / "capacity.parquet").write_bytes(b"no parquet")
    faults = check_corpus(tmp_path)
    assert ("capacity.parquet", True) in [(fault.file, fault.error) for fault in faults]
    assert isinstance(faults[0], Fault)
    assert command("data", "check", tmp_path)[0] == 2
