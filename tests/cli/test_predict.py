"""`edgebat predict`: a cycler file in, SOH, trajectory and remaining life out.

The model of these tests answers SOH = 10 x the mean increment, so the expected numbers follow from the input alone.
"""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.graph import load_graph, save_graph
from edgebat.runtime.refusal import row_limits
from edgebat.tasks.health import HealthSpec, HealthWindows

Command = Callable[..., tuple[int, str, str]]


def write_cycler_file(
    path: Path, header: list[str], cycles: int, increment: float, scale: float = 1.0, every: int = 1
) -> None:
    """Charges of a 2 Ah cell whose voltage rises so that each quarter of 3.6 ... 3.7 V takes ``increment`` of 2 Ah; the
    cycle's number rises by ``every``."""
    # 1 A constant: the 0.1 V of the window take 4 * increment * 2 Ah / 1 A hours.
    seconds_per_volt = 4 * increment * 2.0 * 3600 / 0.1
    rows = []
    clock = 0.0
    for cycle in range(1, every * cycles + 1, every):
        for volts in np.linspace(3.5, 3.8, 121):
            rows.append([clock + (volts - 3.5) * seconds_per_volt, volts, 1.0 * scale, cycle])
        clock = rows[-1][0] + 60
        for step, volts in enumerate(np.linspace(3.75, 3.45, 30)):
            rows.append([clock + 60.0 * step, volts, -1.0 * scale, cycle])
        clock = rows[-1][0] + 60
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


BDF = ["Test Time / s", "Voltage / V", "Current / A", "Cycle Count / 1"]


def test_a_bdf_file_needs_no_mapping(command: Command, model_file: Path, tmp_path: Path) -> None:
    write_cycler_file(tmp_path / "cell.csv", BDF, cycles=5, increment=0.084)
    code, out, _ = command("predict", model_file, tmp_path / "cell.csv", "--nominal-ah", "2", "--json")
    assert code == 0
    found = json.loads(out)["windows"]
    # Three cycles make a window: the first one ends at cycle 3.
    assert [w["cycle"] for w in found] == [3, 4, 5]
    for window in found:
        assert window["soh_percent"] == pytest.approx(84.0, abs=0.3)
        assert window["rul_cycles"] == 100
        assert list(window["trajectory_percent"]) == ["+5", "+10"]


def test_other_columns_are_mapped_with_their_unit(command: Command, model_file: Path, tmp_path: Path) -> None:
    write_cycler_file(tmp_path / "a.csv", BDF, cycles=4, increment=0.084)
    write_cycler_file(tmp_path / "b.csv", ["t", "U", "I_mA", "n"], cycles=4, increment=0.084, scale=1000)
    expected = command("predict", model_file, tmp_path / "a.csv", "--nominal-ah", "2")
    options = [f"--map={m}" for m in ("time=t", "voltage=U", "current=I_mA:1e-3", "cycle=n")]
    found = command("predict", model_file, tmp_path / "b.csv", "--nominal-ah", "2", *options)
    assert found[0] == expected[0] == 0
    assert found[1].partition("Read as")[0] == expected[1].partition("Read as")[0]


def test_the_newest_window_alone(command: Command, model_file: Path, tmp_path: Path) -> None:
    write_cycler_file(tmp_path / "cell.csv", BDF, cycles=5, increment=0.084)
    _, out, _ = command("predict", model_file, tmp_path / "cell.csv", "--nominal-ah", "2", "--last", "--json")
    assert [w["cycle"] for w in json.loads(out)["windows"]] == [5]


def test_charges_unlike_the_training_cells_get_no_estimate_and_a_code_of_their_own(
    command: Command, model_file: Path, tmp_path: Path
) -> None:
    write_cycler_file(tmp_path / "cell.csv", BDF, cycles=3, increment=0.2)
    code, out, err = command("predict", model_file, tmp_path / "cell.csv", "--nominal-ah", "2")
    assert (code, out) == (3, "")
    assert "3 cycles: a charge unlike those of the training cells" in err
    assert "Suspected: a cell of another chemistry or make" in err


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_ready_windows(command: Command, model_file: Path, tmp_path: Path, windows: HealthWindows, suffix: str) -> None:
    path = tmp_path / f"windows.{suffix}"
    if suffix == "npy":
        np.save(path, windows.x)
    else:
        np.savetxt(path, windows.x.reshape(len(windows), -1), delimiter=",")
    _, out, _ = command("predict", model_file, path, "--json")
    soh = np.array([w["soh_percent"] for w in json.loads(out)["windows"]])
    assert soh == pytest.approx(windows.soh * 100, abs=0.3)


def test_a_refused_window_shows_why_and_no_number(
    command: Command, model_file: Path, tmp_path: Path, windows: HealthWindows
) -> None:
    np.save(tmp_path / "some.npy", np.concatenate([windows.x[:2], windows.x[2:3] * 3]))
    code, out, _ = command("predict", model_file, tmp_path / "some.npy")
    assert code == 0
    assert out.splitlines()[3].split() == ["2", "-", "-", "-", "-", "refused"]
    assert "refused: a charge unlike those of the training cells; a device gives no estimate there." in out
    code, out, _ = command("predict", model_file, tmp_path / "some.npy", "--json")
    good, bad = json.loads(out)["windows"][1:]
    assert good["soh_percent"] is not None
    assert not good["extrapolated"]
    assert (bad["soh_percent"], bad["trajectory_percent"], bad["rul_cycles"]) == (None, None, None)
    assert (bad["extrapolated"], bad["refused"]) == (True, "a charge unlike those of the training cells")
    # The newest window alone is refused: nothing is left to answer.
    code, out, err = command("predict", model_file, tmp_path / "some.npy", "--json", "--last")
    assert code == 3
    assert json.loads(out)["windows"] == [bad]
    assert "no estimate, for a charge unlike those of the training cells" in err


def with_limits(model_file: Path, path: Path, **limits: object) -> Path:
    """The model with a ground that limits the rows so."""
    graph = load_graph(model_file)
    seen = {"cells": 4, "chemistries": ["NCA"], "charge_rates_c": [0.5], "temperatures_degc": [], "soh": [], "cycles": [],
            "silent": {}}  # fmt: skip
    rows = row_limits(graph)
    known = {"low_ppm": list(rows.low_ppm), "high_ppm": list(rows.high_ppm), "rates_mc": [], "temperature_ddegc": None}
    ground = {"train": seen, "val": seen, "voltage_v": [3.6, 3.7], "rows": known | limits}
    save_graph(replace(graph, meta={**graph.meta, "ground": ground}), path)
    return path


def test_a_rate_that_was_not_trained_is_refused_and_named(command: Command, model_file: Path, tmp_path: Path) -> None:
    for rates, expected in (([[450, 550]], 0), ([[225, 275], [900, 1100]], 3), ([], 0)):
        model = with_limits(model_file, tmp_path / "soh.ebat", rates_mc=rates)
        write_cycler_file(tmp_path / "cell.csv", BDF, cycles=4, increment=0.084)
        code, _, err = command("predict", model, tmp_path / "cell.csv", "--nominal-ah", "2")
        assert code == expected
        if code:  # 1 A of 2 Ah lies between two rates that were trained
            assert "charged at another rate than those it has learnt from, 0.225 to 0.275 C, 0.9 to 1.1 C" in err
            assert "Suspected: the cell is charged at 0.50 C" in err


@pytest.mark.parametrize(
    ("degrees", "answer"),
    [
        ("25.0", ""),
        ("298.2", ""),  # kelvins by their size
        ("-19.0", "charged outside 15 to 35 degC, the temperatures it has learnt from"),
        (None, "no temperature in the file, the model knows 15 to 35 degC"),
    ],
)
def test_the_temperature_of_a_file_counts_as_on_a_device(
    command: Command, model_file: Path, tmp_path: Path, degrees: str | None, answer: str
) -> None:
    model = with_limits(model_file, tmp_path / "soh.ebat", temperature_ddegc=[150, 350])
    write_cycler_file(tmp_path / "cell.csv", BDF, cycles=4, increment=0.084)
    if degrees:
        head, *rows = (tmp_path / "cell.csv").read_text().splitlines()
        lines = [f"{head},Temperature", *(f"{row},{degrees}" for row in rows)]
        (tmp_path / "cell.csv").write_text("\n".join(lines) + "\n")
    code, out, err = command("predict", model, tmp_path / "cell.csv", "--nominal-ah", "2")
    assert code == (3 if answer.startswith("charged") else 0)
    assert (answer or "SOH in %") in out + err
    assert ("no temperature" in out) == (degrees is None)


def test_a_hole_longer_than_the_device_allows_ends_a_measurement(
    command: Command, model_file: Path, tmp_path: Path
) -> None:
    write_cycler_file(tmp_path / "cell.csv", BDF, cycles=4, increment=0.084)
    # 2419 s per 0.1 V in steps of 2.5 mV: 60 s between samples.
    given = ("predict", model_file, tmp_path / "cell.csv", "--nominal-ah", "2", "--max-gap-ms")
    assert command(*given, "61000")[0] == 0
    code, _, err = command(*given, "60000")
    assert code == 2
    assert "4 cycles: samples are missing inside the window" in err


def test_the_table_explains_its_columns(command: Command, model_file: Path, tmp_path: Path) -> None:
    write_cycler_file(tmp_path / "cell.csv", BDF, cycles=4, increment=0.084)
    _, out, _ = command("predict", model_file, tmp_path / "cell.csv", "--nominal-ah", "2")
    head, *rows = out.splitlines()
    assert head.split() == ["cycle", "SOH", "%", "+5", "+10", "RUL"]
    assert rows[0].split()[0] == "3"
    assert "SOH in % of the nominal capacity; +n: SOH n cycles ahead; RUL: cycles until 80 %." in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nominal-ah", "2", "--sign", "positive_is_discharge"], "positive_is_charge"),
        (["--nominal-ah", "2", "--sign", "upwards"], "current sign 'upwards' is unknown"),
        (
            ["--nominal-ah", "2", "--map", "current=I_mA:1e-3"],
            "there is no column 'I_mA' for the current; the columns are",
        ),
        (["--nominal-ah", "2", "--map", "current"], "not of the form quantity=column:factor"),
        ([], "give it with --nominal-ah"),
        (["--nominal-ah", "200"], "gives no complete window"),
    ],
)
def test_mistakes_are_explained(
    command: Command, model_file: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    write_cycler_file(tmp_path / "cell.csv", BDF, cycles=4, increment=0.084)
    code, out, err = command("predict", model_file, tmp_path / "cell.csv", *arguments)
    assert (code, out) == (2, "")
    assert message in err.replace("\n", " ")


def test_cycle_numbers_that_lie_too_far_apart_are_named(
    command: Command, model_file: Path, tmp_path: Path, windows: HealthWindows
) -> None:
    gap = windows.spec.max_gap
    write_cycler_file(tmp_path / "cell.csv", BDF, cycles=5, increment=0.084, every=gap + 2)
    code, _, error = command("predict", model_file, tmp_path / "cell.csv", "--nominal-ah", "2")
    assert code == 2
    assert f"cycle numbers lie up to {gap + 2} apart, the model allows {gap} (max_gap)" in " ".join(error.split())
    assert f"train one with task.max_gap: {gap + 2}" in " ".join(error.split())
    # As far apart as the model allows, there are windows.
    write_cycler_file(tmp_path / "near.csv", BDF, cycles=5, increment=0.084, every=gap)
    assert command("predict", model_file, tmp_path / "near.csv", "--nominal-ah", "2")[0] == 0
    # Too few charges are too few, wherever they stand.
    write_cycler_file(tmp_path / "few.csv", BDF, cycles=windows.spec.context - 1, increment=0.084, every=gap + 2)
    error = command("predict", model_file, tmp_path / "few.csv", "--nominal-ah", "2")[2]
    assert f"{windows.spec.context} neighbouring ones are needed" in " ".join(error.split())
    assert "max_gap" not in error


def test_windows_of_another_task_are_refused(
    command: Command, model_file: Path, tmp_path: Path, spec: HealthSpec
) -> None:
    np.save(tmp_path / "windows.npy", np.zeros((2, spec.context + 1, spec.increments)))
    _, _, err = command("predict", model_file, tmp_path / "windows.npy")
    assert "windows have shape [2, 4, 4]; this model reads [N, 3 time steps, 4 values]" in err


def test_a_pickle_is_never_opened(command: Command, model_file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "windows.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    code, _, err = command("predict", model_file, tmp_path / "windows.npy")
    assert code == 2
    assert "cannot be read as an array of windows" in err


@pytest.mark.parametrize("model", ["tiny.ebat", "demo-lstm"])
def test_a_model_behind_its_file_is_told(command: Command, model: str, tmp_path: Path) -> None:
    code, _, err = command("predict", tmp_path / "cell.csv", model)
    assert (code, f"{model} is a model, where a file of measurements belongs" in " ".join(err.split())) == (2, True)


@pytest.mark.parametrize("name", ["model.pt", "model"])
def test_only_model_files_are_models(command: Command, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    code, _, err = command("info", tmp_path / name)
    assert code == 2
    assert "models end in .ebat, .tflite or .onnx" in err
