"""Cycler files: columns by name, units by factor, the sign checked, and no code run from a file."""

from __future__ import annotations

import collections
import gzip
import os
import pickle

import numpy as np
import pytest

from edgebat.data.readers import CurrentSign, RawCell, check_sign, read_cell
from edgebat.data.readers.batteryml import load_plain_pickle
from edgebat.data.readers.raw import number_cycles
from edgebat.data.synthetic import make_raw_cell
from edgebat.errors import DataError


@pytest.fixture(scope="module")
def cell() -> RawCell:
    return make_raw_cell(cycles=[1, 2, 3], period_s=60.0)


def write_csv(path, header, *columns):
    lines = [",".join(header)] + [",".join(map(repr, row)) for row in zip(*(c.tolist() for c in columns), strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def same(read: RawCell, cell: RawCell) -> bool:
    return all(
        np.allclose(getattr(read, name), getattr(cell, name), atol=1e-9)
        for name in ("time_s", "voltage_v", "current_a", "cycle")
    )


@pytest.mark.parametrize(
    "header",
    [
        ("Test Time / s", "Voltage / V", "Current / A", "Cycle Count / 1"),
        ("test_time_second", "voltage_volt", "current_ampere", "cycle_count"),
    ],
)
def test_bdf_by_label_and_by_machine_name(tmp_path, cell, header):
    path = write_csv(
        tmp_path / "cell07.bdf.csv", header, cell.time_s, cell.voltage_v, cell.current_a, cell.cycle.astype(float)
    )
    read = read_cell(path, nominal_ah=3.0)
    assert same(read, cell)
    assert (read.cell_id, read.nominal_ah, read.source) == ("cell07", 3.0, "cell07.bdf.csv")
    (tmp_path / "cell07.bdf.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert same(read_cell(tmp_path / "cell07.bdf.csv.gz"), cell)


def test_csv_with_a_column_map(tmp_path, cell):
    path = write_csv(
        tmp_path / "log.csv",
        ("n", "t_min", "U:mV", "I_mA", "cyc"),
        np.arange(cell.time_s.size),
        cell.time_s / 60.0,
        cell.voltage_v * 1e3,
        -cell.current_a * 1e3,
        cell.cycle,
    )
    columns = ["time=t_min:60", "voltage=U:mV:1e-3", "current=I_mA:1e-3", "cycle=cyc"]
    assert same(read_cell(path, columns, "positive_is_discharge"), cell)
    # Without a factor the unit in the name counts; a name without a unit is in s, V, A.
    assert same(read_cell(path, ["time=t_min", "voltage=U:mV:1e-3", "current=I_mA"], "positive_is_discharge"), cell)


def test_cycles_are_numbered_where_the_file_does_not():
    current = np.array([0, 1, 1, 0, -1, 0, -1, 0.001, 0, 1, -1, 1.0])
    assert list(number_cycles(current)) == [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3]


def test_flipped_current_is_refused(tmp_path, cell):
    header = ("Test Time / s", "Voltage / V", "Current / A", "Cycle Count / 1")
    path = write_csv(
        tmp_path / "flipped.csv", header, cell.time_s, cell.voltage_v, -cell.current_a, cell.cycle.astype(float)
    )
    told = r"flipped.csv.*voltage falls while the current says charging.*other sign: --sign positive_is_"
    with pytest.raises(DataError, match=f"{told}discharge$"):
        read_cell(path)
    assert same(read_cell(path, sign=CurrentSign.POSITIVE_IS_DISCHARGE), cell)
    with pytest.raises(DataError, match="current sign 'plus' is unknown; allowed"):
        read_cell(path, sign="plus")


def test_current_without_a_sign_is_refused(cell):
    unsigned = RawCell("x", cell.time_s, cell.voltage_v, np.abs(cell.current_a), cell.cycle)
    with pytest.raises(DataError, match="agree in one part and contradict in another"):
        check_sign(unsigned)


@pytest.mark.parametrize("piece", ["charge only", "discharge only", "rest only"])
def test_the_sign_of_a_piece_of_data(cell, piece):
    rows = {"charge only": cell.current_a > 0, "discharge only": cell.current_a < 0, "rest only": cell.current_a == 0}
    keep = rows[piece] & (cell.cycle == 1)
    part = RawCell("x", cell.time_s[keep], cell.voltage_v[keep], cell.current_a[keep], cell.cycle[keep])
    check_sign(part)
    flipped = RawCell("x", part.time_s, part.voltage_v, -part.current_a, part.cycle)
    if piece == "rest only":
        check_sign(flipped)  # nothing moves, nothing can be said
    else:
        with pytest.raises(DataError, match="flipped"):
            check_sign(flipped)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "U,I_mA\n1,2\n",
            r"cell.csv: no column is the time by its name; say --set time=NAME",
        ),
        ("", "is empty"),
        ("Test Time / s,Voltage / V,Current / A\n", "no rows"),
        ("Test Time / s,Voltage / V,Current / A\n0,abc,1\n1,def,1\n", "no sample with a voltage and a current"),
        ("Test Time / s,Voltage / V,Current / A\n0,3.5\n", "rows have 2 values and the header 3 names"),
        ("Test Time / s,Voltage / V,Current / A\n0,3.5,nan\n", "no sample with a voltage and a current"),
        ("Test Time / s,Voltage / V,Current / A\n5,3.5,1\n4,3.6,1\n", "time falls from 0.0 s to -1.0 s at sample 1"),
    ],
)
def test_bad_csv_is_told_by_column_and_line(tmp_path, text, message):
    path = tmp_path / "cell.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_cell(path)


def test_the_column_map_is_checked(tmp_path, cell):
    path = write_csv(
        tmp_path / "log.csv", ("a", "b", "c", "n"), cell.time_s, cell.voltage_v, cell.current_a, cell.cycle
    )
    with pytest.raises(DataError, match=r"no line names a voltage and a current; .*'a,b,c,n'.* --set voltage=U"):
        read_cell(path)
    with pytest.raises(DataError, match=r"there is no column 'V' for the voltage; the columns are a, b, c, n"):
        read_cell(path, ["time=a", "voltage=V", "current=c"])
    with pytest.raises(DataError, match=r"--map 'time' is not of the form quantity=column:factor"):
        read_cell(path, ["time"])
    with pytest.raises(DataError, match=r"--set colour=a: there is no such key; allowed: .*time_unit"):
        read_cell(path, ["colour=a"])
    with pytest.raises(DataError, match="cannot be opened"):
        read_cell(tmp_path / "nowhere.csv")
    assert same(read_cell(path, ["time=a", "voltage=b", "current=c", "cycle=n"]), cell)


def batteryml(cell: RawCell, wrap=list) -> dict:
    return {
        "cell_id": "CELL_1",
        "nominal_capacity_in_Ah": 3.0,
        "cycle_data": [
            {
                "cycle_number": number,
                "time_in_s": wrap(cell.time_s[rows]),
                "voltage_in_V": wrap(cell.voltage_v[rows]),
                "current_in_A": wrap(cell.current_a[rows]),
                "temperature_in_C": None,
            }
            for number, rows in cell.cycles()
        ],
        "form_factor": None,
        "charge_protocol": [{"rate_in_C": 0.5}, "text"],
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("wrap", [lambda a: a.tolist(), np.array, np.float32], ids=["lists", "arrays", "float32"])
def test_batteryml_pickles(tmp_path, cell, protocol, wrap):
    path = tmp_path / "CELL_1.pkl"
    path.write_bytes(pickle.dumps(batteryml(cell, wrap), protocol=protocol))
    read = read_cell(path)
    assert read.voltage_v == pytest.approx(cell.voltage_v, rel=1e-6)
    assert read.current_a == pytest.approx(cell.current_a, rel=1e-6)
    assert np.array_equal(read.cycle, cell.cycle)
    assert (read.cell_id, read.nominal_ah) == ("CELL_1", 3.0)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numpy_values_come_through_unchanged(tmp_path, protocol):
    values = {
        "int": np.int64(-3),
        "float": np.float32(1.5),
        "order": np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
        "text": np.array(["a", "bc"]),
        "odd": collections.OrderedDict(a=1, b={1, 2}),
        "bytes": b"\xff\x00",
    }
    path = tmp_path / "values.pkl"
    path.write_bytes(pickle.dumps(values, protocol=protocol))
    read = load_plain_pickle(path)
    assert (read["int"], read["float"], read["odd"], read["bytes"]) == (-3, 1.5, values["odd"], b"\xff\x00")
    assert np.array_equal(read["order"], [[0, 1, 2], [3, 4, 5]])
    assert list(read["text"]) == ["a", "bc"]


class Runs:
    """Pickles as a call of ``function(*arguments)``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_calls_a_function_is_refused_and_not_run(tmp_path, protocol):
    path, trace = tmp_path / "bad.pkl", tmp_path / "trace"
    content = {"cycle_data": [], "cell_id": Runs(os.system, f"touch {trace}")}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(DataError, match=r"bad.pkl: the pickle asks for (posix|nt).system, which is not plain data"):
        read_cell(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "name",
    ["builtins.eval", "builtins.getattr", "numpy.load", "numpy.memmap", "os.system", "numpy.ndarray.tofile"],
)
def test_other_names_are_refused(tmp_path, name):
    module, _, attribute = name.partition(".")
    path = tmp_path / "bad.pkl"
    path.write_bytes(b"\x80\x04\x8c" + bytes([len(module)]) + module.encode() + b"\x8c" + bytes([len(attribute)]) +
                     attribute.encode() + b"\x93.")  # fmt: skip
    with pytest.raises(DataError, match=rf"asks for {name}"):
        load_plain_pickle(path)


def test_objects_inside_arrays_are_not_read(tmp_path):
    path = tmp_path / "scalar.pkl"
    dtype = np.dtype("O")
    scalar = np.float64(1.0).__reduce__()[0]
    path.write_bytes(pickle.dumps({"x": Runs(scalar, dtype, b"\0" * 8)}))
    with pytest.raises(DataError, match="value of type object"):
        load_plain_pickle(path)


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"not a pickle at all", pickle.dumps({"a": [1.0] * 50})[:40]])
def test_damaged_pickles(tmp_path, content):
    path = tmp_path / "damaged.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged.pkl cannot be read as a pickle"):
        read_cell(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds no BatteryML cell"),
        ({"cycle_data": [{"time_in_s": [0.0], "current_in_A": [0.0]}]}, "cycle 1: KeyError 'voltage_in_V'"),
        ({"cycle_data": []}, "no cycle with samples"),
        (
            {"cycle_data": [{"time_in_s": [0.0, 1.0], "voltage_in_V": [3.0], "current_in_A": [0.0, 0.0]}]},
            "the columns differ in length",
        ),
    ],
)
def test_incomplete_batteryml_cells(tmp_path, content, message):
    path = tmp_path / "cell.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=message):
        read_cell(path)
