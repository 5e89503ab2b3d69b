"""`edgebat predict`: a cycler file in, SOH, trajectory and remaining life out.

The model of these tests answers SOH = 10 x the mean increment, so the expected numbers follow from the input alone.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgebat.tasks.health import HealthSpec, HealthWindows

Command = Callable[..., tuple[int, str, str]]


def write_cycler_file(path: Path, header: list[str], cycles: int, increment: float, scale: float = 1.0) -> None:
    """Charges of a 2 Ah cell whose voltage rises so that each quarter of 3.6 ... 3.7 V takes ``increment`` of 2 Ah."""
    # 1 A constant: the 0.1 V of the window take 4 * increment * 2 Ah / 1 A hours.
    seconds_per_volt = 4 * increment * 2.0 * 3600 / 0.1
    rows = []
    clock = 0.0
    for cycle in range(1, cycles + 1):
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


def test_an_input_outside_the_training_range_is_said_to_be_one(
    command: Command, model_file: Path, tmp_path: Path
) -> None:
    write_cycler_file(tmp_path / "cell.csv", BDF, cycles=3, increment=0.2)
    _, out, _ = command("predict", model_file, tmp_path / "cell.csv", "--nominal-ah", "2")
    assert "extrapolated: an input lies outside the range of the training cells" in out


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


@pytest.mark.parametrize("name", ["model.pt", "model"])
def test_only_model_files_are_models(command: Command, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    code, _, err = command("info", tmp_path / name)
    assert code == 2
    assert "models end in .ebat, .tflite or .onnx" in err
