"""From a folder of cycler files to a corpus, a recipe and a run: the three commands of ``docs/data.md``, small.

``examples/cycler_folder.py`` writes the folder with everything that goes wrong in one.
"""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from edgebat.assemble.add import add, settings_for
from edgebat.data.corpus import read_corpus
from edgebat.data.qv import life_cells
from edgebat.errors import DataError
from edgebat.lock import only_one
from edgebat.tasks.health import HealthSpec, charge_increments, increments_from_curve
from examples.cycler_folder import CELLS, logs_of, write_folder
from tests.assemble.records import START, records

Command = Callable[..., tuple[int, str, str]]
OPTIONS = ("--nominal-ah", "3.5", "--chemistry", "NCA/graphite", "--name-pattern", "{cell}_*")
ROOT = Path(__file__).parents[2]
FILES, CYCLES, MAX_CYCLES = 12, 4, 20
CELL_IDS = ("alpha", "beta", "pair-1", "pair-2")


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab") / "exports"
    write_folder(folder, files=FILES, cycles=CYCLES, max_cycles=MAX_CYCLES)
    return folder


@pytest.fixture(scope="module")
def corpus(exports: Path) -> Path:
    """The corpus of all files."""
    folder = exports.parent / "cells"
    given = {"nominal_ah": 3.5, "chemistry": "NCA/graphite", "name_pattern": "{cell}_*"}
    result = add([exports], folder, settings_for(folder, given))
    assert result.failed == {}
    return folder


def test_every_cell_has_all_its_cycles_in_order(corpus: Path) -> None:
    fleet = read_corpus(corpus)
    assert [cell for _, cell in fleet.keys] == list(CELL_IDS)
    assert fleet.notes == ()  # nothing is mended
    spec = HealthSpec()
    for history, index in zip(fleet, CELLS, strict=True):
        cycles = FILES // 3 * CYCLES
        assert list(history.cycle) == list(range(1, cycles + 1))
        found = increments_from_curve(history.charge_voltage_v, history.charge_dq_ah, history.nominal_ah, spec)
        good = ~history.flagged
        assert good.sum() >= cycles - 1  # all but the discharge in which a test was cut off
        # What the tests of the cell hold before they become files: charge by charge, in the order they were made.
        row = 0
        for log in logs_of(index, FILES // 3, CYCLES, 7, MAX_CYCLES):
            for number in range(1, CYCLES + 1):
                rows = log.cycle == number
                time, volts, amps = log.time_s[rows], log.voltage_v[rows], log.current_a[rows]
                expected, _ = charge_increments(time, volts, amps, 3.5, spec)
                assert found[row] == pytest.approx(expected, abs=2e-5)
                given = np.trapezoid(np.minimum(amps, 0.0), time) / -3600.0
                assert history.capacity_ah[row] == pytest.approx(given, rel=2e-3) or not good[row]
                row += 1


def test_provenance_and_report_say_what_was_done(corpus: Path, command: Command) -> None:
    known = json.loads((corpus / "provenance.json").read_text())
    assert len(known["sources"]) == FILES + 2  # one early export, one that goes on; the copy is none
    assert known["left_out"] == {"alpha_900.xlsx": "same content as alpha_001.xlsx"}
    texts = {f["text"] for cell in known["cells"].values() for f in cell["findings"]}
    for part in ("not of their names", "holds already", "current is discharging"):
        assert any(part in text for text in texts), part
    assert {note["channels"]["2"]["cell"] for note in known["sources"] if "2" in note["channels"]} == {"OWN/pair-2"}
    code, out, _ = command("data", "check", corpus)
    assert (code, out) == (0, f"{corpus}: no fault found\n")
    cells = pd.read_csv(corpus / "cells.csv")
    assert set(cells["temperature_c"]) == {25.0}
    assert set(cells["charge_protocol"]) == {"CC 0.5C to 4.2 V"}
    assert len(life_cells(corpus)) == len(CELLS)


def test_a_dry_run_writes_nothing_and_a_second_call_goes_on(exports: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "cells"
    alpha = sorted(exports.glob("alpha_*"))
    code, text, _ = command("data", "add", *alpha, "--out", out, *OPTIONS, "--dry-run")
    assert (code, out.exists()) == (0, False)
    assert "dry run: nothing is written; without --dry-run 1 cells go into" in text
    assert "alpha_900.xlsx is alpha_001.xlsx" in text
    code, text, _ = command("data", "add", *alpha[:2], "--out", out, *OPTIONS)
    assert (code, "OWN/alpha: 8 cycles" in text) == (0, True)
    written = (out / "cells.csv").stat().st_mtime_ns
    # Options stay as they were; what is known is not built again.
    code, text, _ = command("data", "add", *alpha[:2], "--out", out)
    assert (code, "unchanged: OWN/alpha" in text) == (0, True)
    code, text, _ = command("data", "add", *alpha[2:], "--out", out)
    assert (code, "OWN/alpha: 16 cycles" in text) == (0, True)
    assert (out / "cells.csv").stat().st_mtime_ns > written
    page = (out / "report.html").read_text()
    for shown in ("OWN/alpha", "alpha_001.xlsx", "not of their names", "<svg", "nothing of them is mended"):
        assert shown in page
    # Without what was kept of them, older files are asked for again.
    shutil.rmtree(out / "sources")
    with pytest.raises(DataError, match="give that file again together with the new ones"):
        raise DataError(add(alpha[:1], out, settings_for(out, {"nominal_ah": 3.4})).failed["OWN/alpha"])


def _log(folder: Path, name: str, cycles: range, channels: int = 1) -> Path:
    """A log of one cell, or of several channels of which each beyond the first has no discharge worth the name."""
    record = records(cycles)
    rows = [
        (f"ch{channel}", seconds, volts, amps * (1.0 if channel == 0 else 0.001))
        for channel in range(channels)
        for seconds, volts, amps in zip(record.time_s, record.voltage_v, record.current_a, strict=True)
    ]
    lines = [f"{c},{START + timedelta(days=cycles.start, seconds=s)},{v:.4f},{a:.5f}" for c, s, v, a in rows]
    (folder / name).write_text("\n".join(["channel,date time,voltage_v,current_a", *lines]))
    return folder / name


def test_a_new_answer_reads_a_file_again(tmp_path: Path, command: Command) -> None:
    file, out = _log(tmp_path, "cell.csv", range(1, 4)), tmp_path / "out"
    assert command("data", "add", file, "--out", out, "--nominal-ah", "3.5")[0] == 0
    before = read_corpus(out).cycles["discharge_capacity_ah"]
    code, text, _ = command("data", "add", file, "--out", out, "--set", "current=current_a:0.9")
    assert (code, "unchanged" in text) == (0, False)
    assert read_corpus(out).cycles["discharge_capacity_ah"].to_numpy() == pytest.approx(
        0.9 * before.to_numpy(), rel=1e-3
    )
    assert "unchanged: OWN/cell" in command("data", "add", file, "--out", out)[1]
    # An answer that no file can follow is said once, not of each file.
    code, _, error = command("data", "add", file, "--out", out, "--set", "nosuch=1")
    assert (code, "there is no such key" in error, "--skip" in error) == (2, True, False)


def test_a_file_does_not_move_to_another_cell(tmp_path: Path, command: Command) -> None:
    files, out = [_log(tmp_path, f"cell_{n}.csv", range(n, n + 2)) for n in (1, 4)], tmp_path / "out"
    arguments = ("data", "add", *files, "--out", out, "--nominal-ah", "3.5", "--name-pattern")
    assert command(*arguments, "{cell}")[0] == 0
    code, _, error = command(*arguments, "{cell}_*")
    assert code == 2
    assert "cell_1.csv is of OWN/cell_1 in this corpus and would now be of OWN/cell" in error
    assert [cell for _, cell in read_corpus(out).keys] == ["cell_1", "cell_4"]


def test_cells_whose_curves_would_lie_in_one_file_are_refused(tmp_path: Path, command: Command) -> None:
    first, second = _log(tmp_path, "Zelle_ä.csv", range(1, 4)), _log(tmp_path, "Zelle_ö.csv", range(5, 8))
    arguments = ("--out", tmp_path / "out", "--nominal-ah", "3.5", "--name-pattern", "{cell}")
    assert command("data", "add", first, *arguments)[0] == 0
    code, _, error = command("data", "add", second, *arguments)
    assert (code, "the cells OWN/Zelle_ä and OWN/Zelle_ö would both have their curves in OWN-Zelle-.npz" in error) == (
        2,
        True,
    ), error
    assert [cell for _, cell in read_corpus(tmp_path / "out").keys] == ["Zelle_ä"]


def test_a_channel_that_is_refused_does_not_cost_the_others_their_files(tmp_path: Path, command: Command) -> None:
    first, out = _log(tmp_path, "rig_1.csv", range(1, 4), channels=2), tmp_path / "out"
    arguments = ("--out", out, "--nominal-ah", "3.5", "--name-pattern", "{channel}")
    code, text, _ = command("data", "add", first, *arguments)
    assert (code, "OWN/ch0: 3 cycles" in text, "NOT ADDED: cell ch1" in text) == (2, True, True), text
    code, text, _ = command("data", "add", _log(tmp_path, "rig_2.csv", range(4, 7)), *arguments)
    assert (code, "OWN/ch0: 6 cycles" in text) == (0, True), text


def test_the_capacity_that_is_asked_for_is_proposed_from_one_discharge(tmp_path: Path, command: Command) -> None:
    table = tmp_path / "coarse.csv"
    table.write_bytes((ROOT / "examples" / "cell.csv").read_bytes())  # a sample per minute, 44 cycles
    code, text, _ = command("data", "add", table, "--out", tmp_path / "out")
    assert (code, "about 3.5 Ah flow in its largest discharge" in text) == (2, True), text


def test_a_cell_that_is_refused_leaves_the_others(exports: Path, tmp_path: Path, command: Command) -> None:
    table = tmp_path / "cells.csv"
    table.write_text("file,cell_id,nominal_ah\nalpha_00*,A,3.5\nbeta_*,B,3500\n")
    files = [*sorted(exports.glob("alpha_00*")), *sorted(exports.glob("beta_*"))]
    code, text, _ = command("data", "add", *files, "--out", tmp_path / "out", "--cells", table, "--dataset", "LAB")
    assert code == 2
    assert "LAB/A: 16 cycles" in text
    assert "NOT ADDED: cell B" in text
    assert "nominal capacity in mAh" in text
    assert read_corpus(tmp_path / "out").keys == (("LAB", "A"),)


def test_what_cannot_be_read_stops_the_call_unless_it_is_left_out(
    exports: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(exports / "alpha_001.xlsx", tmp_path / "in")
    (tmp_path / "in" / "alpha_notes.xlsx").write_bytes(b"PK no spreadsheet")
    arguments = ("data", "add", tmp_path / "in", "--out", tmp_path / "out", *OPTIONS)
    code, _, error = command(*arguments)
    assert (code, (tmp_path / "out/cells.csv").exists()) == (2, False)
    assert "1 of 2 files cannot be read" in error
    assert "--skip alpha_notes.xlsx" in error
    assert command(*arguments, "--skip", "*notes*")[0] == 0
    code, text, _ = command(*arguments, "--skip-unreadable", "--json")
    assert (code, list(json.loads(text)["left_out"])) == (0, ["alpha_notes.xlsx"])


def test_a_recipe_is_proposed_and_run_as_it_is(corpus: Path, tmp_path: Path, command: Command) -> None:
    recipe = tmp_path / "my.yaml"
    code, out, error = command("init", recipe, "--corpus", corpus)
    assert (code, error) == (0, "")
    assert "Held out, never seen in training" in out
    assert command("init", recipe, "--corpus", corpus)[0] == 2  # it is there already
    small = (
        "teacher.fit.epochs=1", "teacher.fit.samples_per_epoch=64",
        "distill.fit.epochs=1", "distill.fit.samples_per_epoch=64",
        "quantize.qat_epochs=0", "verify.windows=8", "students=[{kind: mlp, settings: {hidden: [8]}}]", "targets=[host]",
    )  # fmt: skip
    changes = [word for change in small for word in ("--set", change)]
    code, out, error = command("run", recipe, "--corpus", corpus, "--runs", tmp_path / "runs", *changes)
    assert (code, error) == (0, ""), error
    card = json.loads((tmp_path / "runs/my/card.json").read_text())
    labels = {row["label"]: row["soh_rmse_pct"] for row in card["accuracy"]}
    assert {"Ridge", "MLP"} <= {label.split(",")[0].split(" (")[0] for label in labels} or "ridge" in str(
        labels
    ).lower()
    # What came out is scored on the same corpus, and lives in front of a cell of it.
    model = tmp_path / "runs/my/models/mlp.ebat"
    code, out, error = command("evaluate", model, "--corpus", corpus, "--json")
    assert (code, error, json.loads(out)["task_kind"]) == (0, "", "health")
    replayed = ("replay", model, "--corpus", corpus, "--target", "host", "--cells", "1", "--out", tmp_path / "replayed")
    code, _, error = command(*replayed)
    assert code == 0, error
    assert (tmp_path / "replayed/replay.svg").is_file()
    # The run folder is that recipe's: another file of the same name is refused.
    other = tmp_path / "other"
    other.mkdir()
    (other / "my.yaml").write_text(recipe.read_text() + "# another\n")
    code, _, error = command("data", other / "my.yaml", "--corpus", corpus, "--runs", tmp_path / "runs")
    assert (code, "holds the run of another recipe" in error) == (2, True)


def test_one_process_at_a_time_adds_to_a_corpus(exports: Path, tmp_path: Path, command: Command) -> None:
    arguments = ("data", "add", *sorted(exports.glob("alpha_00[12]*")), "--out", tmp_path / "out", *OPTIONS)
    with only_one(tmp_path / "out"):
        code, _, error = command(*arguments)
        assert (code, "is in use by process" in error, "--out CORPUS" in error) == (2, True, True)
        assert command(*arguments, "--dry-run")[0] == 0
    assert not (tmp_path / "out" / "cells.csv").exists()
    assert command(*arguments)[0] == 0
    assert command("data", "check", tmp_path / "out")[0] == 0


def test_a_corpus_of_too_few_cells_gets_no_recipe(exports: Path, tmp_path: Path, command: Command) -> None:
    alpha = sorted(exports.glob("alpha_00*"))
    assert command("data", "add", *alpha, "--out", tmp_path / "out", *OPTIONS)[0] == 0
    code, _, error = command("init", tmp_path / "my.yaml", "--corpus", tmp_path / "out")
    assert (code, "1 cells; at least 3 are needed" in error) == (2, True)
    code, _, error = command("init", tmp_path / "my.yaml", "--corpus", tmp_path / "out", "--task", "nothing")
    assert (code, "there is one for health, forecast, life" in error) == (2, True)
