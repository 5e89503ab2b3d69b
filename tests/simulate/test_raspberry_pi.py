"""The runtime on a Raspberry Pi: real PyPI wheels for aarch64 on an emulated Cortex-A72 give this machine's integers.

The everyday run takes a few networks and NumPy alone; EDGEBAT_TEST_SCALE=full takes 20 a family, ONNX Runtime and LiteRT.
"""

import json
import os
import zlib
from pathlib import Path

import pytest

from edgebat.errors import ToolError
from edgebat.formats.onnx.write import write_onnx
from edgebat.formats.tflite.write import write_tflite
from edgebat.graph import save_graph
from edgebat.runtime import Engine
from edgebat.verify.inputs import random_inputs
from edgebat.verify.random_graphs import FAMILIES, random_graph
from tests import raspberry_pi

FULL = os.environ.get("EDGEBAT_TEST_SCALE") == "full"
REPOSITORY = Path(__file__).resolve().parents[2]


def test_numpy_and_foreign_engines_give_the_same_integers_on_aarch64(tmp_path: Path) -> None:
    networks, count = (20, 200) if FULL else (3, 50)
    formats = ("onnx", "tflite") if FULL else ()
    try:
        cache = REPOSITORY / ".venv" / "raspberry-pi"
        root = raspberry_pi.prepare(cache, raspberry_pi.ENGINES if FULL else raspberry_pi.NUMPY)
    except ToolError as error:
        pytest.skip(f"no emulated Raspberry Pi: {error}")
    expected = {}
    for family in FAMILIES:
        for seed in range(networks):
            graph = random_graph(family, seed)
            save_graph(graph, tmp_path / f"{graph.name}.ebat")
            if "onnx" in formats:
                write_onnx(graph, tmp_path / f"{graph.name}.onnx")
                write_tflite(graph, tmp_path / f"{graph.name}.tflite")
            y = Engine(graph).run(random_inputs(graph, count, 1))
            expected[graph.name] = zlib.crc32(y.astype("<i2").tobytes())
    program = [REPOSITORY / "tests" / "pi_program.py", tmp_path, str(count), *formats]
    found = json.loads(raspberry_pi.run_python(root, program, [REPOSITORY]).splitlines()[-1])
    assert {name: row["crc"] for name, row in found.items()} == expected
    for name, row in found.items():
        print(name, row)
        assert row.get("onnx", 0) == 0, f"ONNX Runtime differs on aarch64: {name}"
        if "lstm" not in name:  # LiteRT's own LSTM rounds elsewhere, on every machine
            assert row.get("tflite", 0) == 0, f"LiteRT differs on aarch64: {name}"


def test_a_program_that_fails_on_the_pi_is_a_clear_error() -> None:
    try:
        root = raspberry_pi.prepare(REPOSITORY / ".venv" / "raspberry-pi")
    except ToolError as error:
        pytest.skip(f"no emulated Raspberry Pi: {error}")
    with pytest.raises(ToolError, match="no such thing"):
        raspberry_pi.run_python(root, ["-c", "raise SystemExit('no such thing')"])
