"""``import edgebat as eb``: the same answers as the command line, from files, tables, arrays and fleets in memory.

The model of these tests answers SOH = 10 x the mean increment, so the expected numbers follow from the input alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import edgebat as eb
from edgebat.data.synthetic import make_raw_cell
from edgebat.errors import MissingExtra
from edgebat.tasks.health import HealthWindows
from tests.cli.test_predict import BDF, write_cycler_file

ROOT = Path(__file__).parents[2]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Five charges of a 2 Ah cell, each quarter of the window taking 0.084 of it."""
    write_cycler_file(tmp_path / "cell.csv", BDF, cycles=5, increment=0.084)
    return tmp_path / "cell.csv"


def test_a_file_gives_what_the_command_line_gives(command: Command, model_file: Path, log: Path) -> None:
    estimates = eb.load(model_file).predict(log, nominal_ah=2.0)
    _, out, _ = command("predict", model_file, log, "--nominal-ah", "2", "--json")
    rows = json.loads(out)["windows"]
    assert estimates.cycle.tolist() == [row["cycle"] for row in rows] == [3, 4, 5]
    for column in ("soh_percent", "rul_cycles"):
        assert estimates[column].tolist() == [row[column] for row in rows]
    assert estimates.ahead["trajectory_percent"] == (5.0, 10.0)
    assert estimates["trajectory_percent"].tolist() == [list(row["trajectory_percent"].values()) for row in rows]
    assert estimates.extrapolated.tolist() == [row["extrapolated"] for row in rows]


def test_a_table_in_memory_gives_what_its_file_gives(model_file: Path, log: Path) -> None:
    model = eb.load(model_file)
    expected = model.predict(log, nominal_ah=2.0).columns()
    table = pd.read_csv(log)
    other = table.rename(columns={"Current / A": "I", "Test Time / s": "time_s"}).assign(I=lambda t: t.I * 1000)
    for data, columns in (
        (table, {}),
        (other, {"current": "I:1e-3"}),
        ({n: other[n] for n in other}, ["current=I:1e-3"]),
    ):
        found = model.predict(data, nominal_ah=2.0, columns=columns).columns()
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_ready_windows(model_file: Path, windows: HealthWindows) -> None:
    model = eb.load(model_file)
    every = model.predict(windows.x)
    assert every["soh_percent"] == pytest.approx(windows.soh * 100, abs=0.3)
    assert model.predict(windows.x[7])["soh_percent"].tolist() == every["soh_percent"][7:8].tolist()
    own = model.predict(windows)
    assert own["soh_percent"].tolist() == every["soh_percent"].tolist()
    assert own.cycle.tolist() == windows.cycle.tolist()
    frame = own.to_frame()
    assert list(frame.columns) == ["dataset", "cell_id", "cycle", "soh_percent", "trajectory_percent_+5",
                                   "trajectory_percent_+10", "rul_cycles", "extrapolated"]  # fmt: skip
    assert set(frame["cell_id"]) == {"cell-0", "cell-1", "cell-2", "cell-3"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "not from int"),
        ({"time_s": [0.0, 1.0], "voltage_v": [3.5, 3.6]}, "arrays has no column 'current_a' for the current; it has"),
        ({"time_s": [0.0], "voltage_v": ["x"], "current_a": [1.0]}, "'voltage_v' is no vector of numbers"),
        (np.zeros((2, 4, 4)), r"windows have shape \[2, 4, 4\]"),
    ],
)
def test_mistakes_are_explained(model_file: Path, data: object, message: str) -> None:
    with pytest.raises(eb.EdgebatError, match=message):
        eb.load(model_file).predict(data, nominal_ah=2.0)  # type: ignore[arg-type]


def test_a_current_of_the_wrong_sign_is_refused(model_file: Path, log: Path) -> None:
    with pytest.raises(eb.EdgebatError, match="positive_is_charge"):
        eb.load(model_file).predict(pd.read_csv(log), nominal_ah=2.0, sign="positive_is_discharge")


def test_what_a_model_says_of_itself(model_file: Path) -> None:
    info = eb.load(model_file).info
    assert (info.kind, info.task, info.input_shape) == ("int8 tiny", "health", (3, 4))
    assert info.outputs == ("soh_percent", "trajectory_percent", "rul_cycles")
    assert info.definition["window_start_v"] == 3.6
    assert (info.seen_cells, info.synthetic, info.provenance) == (0, False, {"recipe": "made-up"})


def test_export_writes_what_the_command_line_writes(command: Command, model_file: Path, tmp_path: Path) -> None:
    files = eb.load(model_file).export(tmp_path / "a", to=["c", "ebat"], name="soh")
    code, out, _ = command("export", model_file, "--to", "c,ebat", "--out", tmp_path / "b", "--name", "soh")
    assert code == 0
    assert [path.relative_to(tmp_path / "a") for path in files] == [
        Path(line).relative_to(tmp_path / "b") for line in out.splitlines()
    ]
    assert all(p.read_bytes() == (tmp_path / "b" / p.relative_to(tmp_path / "a")).read_bytes() for p in files)


def test_cycler_files_become_a_fleet_with_the_capacity_they_discharge(tmp_path: Path) -> None:
    for index in range(2):
        cell = make_raw_cell(5, index, range(1, 14), period_s=30.0)
        table = {"Test Time / s": cell.time_s, "Voltage / V": cell.voltage_v, "Current / A": cell.current_a,
                 "Cycle Count / 1": cell.cycle}  # fmt: skip
        pd.DataFrame(table).to_csv(tmp_path / f"{cell.cell_id}.csv", index=False)
    fleet = eb.read(tmp_path, nominal_ah=3.0, dataset="SYN")
    assert fleet.keys == (("SYN", "NCA-002"), ("SYN", "NMC-001"))
    with pytest.raises(eb.EdgebatError, match="'current' is not of the form"):
        eb.read(tmp_path, nominal_ah=3.0, columns=["current"])
    truth = {cell.key[1]: cell for cell in eb.synthetic_fleet(5, 2)}
    for cell in fleet:
        known = truth[cell.key[1]]
        assert cell.capacity_ah == pytest.approx(known.capacity_ah[:13], rel=0.01)
        assert cell.charge_cycle.tolist() == list(range(1, 14))


def test_a_fleet_made_in_a_notebook_trains_and_is_evaluated(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    made = eb.synthetic_fleet(3, 16, 120)
    # What a notebook has: tables, and curves as arrays.
    cells, cycles = pd.DataFrame(made.cells), pd.DataFrame(made.cycles)
    fleet = eb.Fleet(cells, cycles, made.charge, source="my notebook")
    recipe = {
        "name": "notebook",
        "task": {"name": "health", "context": 10, "horizon": 20},
        "teacher": {"name": "ic2ml", "width": 32, "fit": {"epochs": 1, "samples_per_epoch": 256}},
        "students": [{"kind": "mlp", "settings": {"hidden": [8]}}],
    }
    changes = {"distill.blends": 1, "distill.fit": {"epochs": 2, "samples_per_epoch": 256, "batch_size": 64}}
    done = eb.run(recipe, fleet, settings=changes, until="quantize", runs=tmp_path, quiet=True)
    assert done.folder == tmp_path / "notebook"
    assert set(done.models) == {"mlp", "mlp_alone"}
    model = done.load("mlp")
    assert model.info.provenance["source"] == "my notebook"
    assert not model.info.synthetic
    found = model.evaluate(fleet)
    assert found.corpus == "my notebook"
    assert {cell.cell for cell in found.cells if not cell.seen}
    assert found.unseen is not None
    assert len(model.predict(fleet)) == found.all["windows"]
    with pytest.raises(eb.EdgebatError, match="has no card"):
        _ = done.card
    # Another fleet is another run: nothing of the first is kept.
    before = (done.folder / "steps" / "data.json").read_text()
    eb.run(recipe, eb.synthetic_fleet(4, 16, 120), settings=changes, until="data", runs=tmp_path, quiet=True)
    after = json.loads((done.folder / "steps" / "data.json").read_text())
    assert after["fingerprint"] != json.loads(before)["fingerprint"]
    assert after["results"]["synthetic"]


def test_every_public_name_is_there_and_no_other() -> None:
    code = "import edgebat as eb\nfor name in eb.__all__: print(name, getattr(eb, name) is not None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == [word for name in eb.__all__ for word in (name, "True")]
    assert set(eb.__all__) <= set(dir(eb))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = eb.nonsense  # type: ignore[attr-defined]
    assert eb.__all__ == sorted(eb.__all__)


def test_the_page_describes_every_public_name() -> None:
    text = (ROOT / "docs/library.md").read_text(encoding="utf-8")
    assert [name for name in eb.__all__ if f"`{name}" not in text and f"eb.{name}" not in text] == []


def test_a_name_that_needs_pandas_says_so(
    without_module: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_module("pandas")
    monkeypatch.delitem(eb.__dict__, "Fleet", raising=False)
    with pytest.raises(MissingExtra, match=r"edgebat\[data\]"):
        _ = eb.Fleet


def test_predicting_from_arrays_needs_numpy_alone(model_file: Path) -> None:
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in ("pandas", "torch", "yaml", "pydantic", "typer"))
    code = (
        f"import sys; {blocked}import numpy as np, edgebat as eb\n"
        f"print(eb.load({str(model_file)!r}).predict(np.full((1, 3, 4), 0.085))['soh_percent'].round().tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[85.0]\n"
