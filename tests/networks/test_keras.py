"""Keras models out of their files, with h5py alone; expected values come from Keras (tests/files/make_float_models.py)."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgebat as eb
from edgebat.errors import MissingExtra, ModelFileError
from edgebat.networks.read import read_network

FILES = Path(__file__).parents[1] / "files"
EXPECTED = np.load(FILES / "float_expected.npz")


@contextmanager
def edited(name: str, path: Path) -> Iterator[Any]:
    """The configuration of a stored file; changed, it is written to ``path`` with the same weights."""
    with zipfile.ZipFile(FILES / name) as source:
        parts = {info.filename: source.read(info) for info in source.infolist()}
    document = json.loads(parts["config.json"])
    yield document["config"]
    with zipfile.ZipFile(path, "w") as target:
        for part, content in parts.items():
            target.writestr(part, json.dumps(document) if part == "config.json" else content)


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"edgebat\[keras\]"):
        eb.quantize(FILES / "float_sequential.keras", EXPECTED["x"])


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", ["sequential", "functional"])
def test_a_file_of_keras_is_read_exactly_and_quantized_closely(name: str, ending: str) -> None:
    pytest.importorskip("h5py")
    path, x = FILES / f"float_{name}{ending}", EXPECTED["x"]
    network = read_network(path, x)
    np.testing.assert_allclose(network.forward(network.windows(x)), EXPECTED[name], atol=1e-5)
    result = eb.quantize(path, x)
    # Untrained LSTMs move by little more than a step of their hidden state, 2**-7.
    assert all(error.rms < max(0.1 * error.spread, 2.0**-8) for error in result.errors)


def test_two_outputs_of_a_file_of_keras_have_its_names(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    with edited("float_functional.keras", tmp_path / "net.keras") as config:
        config["output_layers"] = [["out", 0, 0], ["global_average_pooling1d", 0, 0]]
    network = read_network(tmp_path / "net.keras", EXPECTED["x"])
    found = network.forward(network.windows(EXPECTED["x"]))
    np.testing.assert_allclose(found[:, :2], EXPECTED["functional"], atol=1e-5)
    assert network.output_names[:3] == ("out0", "out1", "global_average_pooling1d0")
    assert len(network.output_names) == found.shape[1]


def test_code_in_a_file_of_keras_is_refused_and_never_run(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    with edited("float_sequential.keras", tmp_path / "net.keras") as config:
        inside = {"class_name": "Lambda", "config": {"name": "code", "function": "raise SystemExit"}}
        config["layers"].insert(1, inside)
    with pytest.raises(ModelFileError, match="Lambda 'code': its function is code, which is never run"):
        eb.quantize(tmp_path / "net.keras", EXPECTED["x"])


@pytest.mark.parametrize(("name", "content"), [("cut.keras", b"PK\3\4 cut"), ("cut.h5", b"\x89HDF\r\n\x1a\n cut")])
def test_a_damaged_file_of_keras_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    pytest.importorskip("h5py")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelFileError, match="cannot be read as a model of Keras"):
        eb.quantize(tmp_path / name, EXPECTED["x"])


def test_what_a_layer_of_keras_is_given_beside_its_inputs_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    changes: dict[str, Any] = {
        "training": lambda node: node["kwargs"].update(training=True),
        "constants": lambda node: node["args"].append(1.0),
    }
    for reason, change in changes.items():
        with edited("float_functional.keras", tmp_path / "net.keras") as config:
            change(next(one for one in config["layers"] if one["class_name"] == "Add")["inbound_nodes"][0])
        with pytest.raises(ModelFileError, match=reason):
            read_network(tmp_path / "net.keras", EXPECTED["x"])


def test_a_product_of_three_layers_of_keras_has_all_of_them(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    found = []
    for count in (2, 3):
        with edited("float_functional.keras", tmp_path / "net.keras") as config:
            sum_of = next(one for one in config["layers"] if one["class_name"] == "Add")
            sum_of["class_name"] = "Multiply"
            first, second = sum_of["inbound_nodes"][0]["args"][0]
            sum_of["inbound_nodes"][0]["args"][0] = [first, second, second][:count]
        found.append(read_network(tmp_path / "net.keras", EXPECTED["x"]))
    assert len(found[1].steps) == len(found[0].steps) + 1
