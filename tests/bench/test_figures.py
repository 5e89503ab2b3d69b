"""The bench harness: what is measured adds up, is the same in every format, and says how it was obtained."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bench import Options, bench, reference_net
from edgebat.bench.host import EngineTime, time_engines
from edgebat.bench.layers import split_layers
from edgebat.bench.nets import NETS, random_net
from edgebat.bench.render import to_html, to_json, to_markdown
from edgebat.bench.run import KINDS, Report, Row, require_good
from edgebat.bench.tables import heading, notes, tables
from edgebat.errors import EdgebatError, TargetError
from edgebat.formats.c.program import lower
from edgebat.formats.export import export_model
from edgebat.runtime import Engine
from edgebat.simulate.targets import load_target
from edgebat.simulate.unicorn_run import Call
from edgebat.verify.inputs import random_inputs


@pytest.fixture(scope="module")
def report() -> Report:
    """A small LSTM on two cores."""
    return bench(
        random_net("lstm", (6, 4), (8,), 3), ["cortex-m4f", "cortex-m0plus"], Options(compilers=("zig",), confirm=False)
    )


def test_the_reference_nets_are_the_ones_the_peers_were_measured_on():
    shapes = {net: (reference_net(net).input_tensor.shape, reference_net(net).output_tensor.shape) for net in NETS}
    assert shapes == {"mlp": ((10, 4), (1,)), "cnn": ((32, 4), (50,)), "lstm": ((32, 4), (50,))}
    macs = {net: reference_net(net).multiply_accumulates() for net in NETS}
    assert macs == {
        "mlp": 40 * 32 + 32 * 16 + 16,
        "cnn": 32 * 8 * 3 * 4 + 32 * 16 * 3 * 8 + 16 * 16 * 50,
        "lstm": 32 * 4 * 16 * (4 + 16) + 16 * 50,
    }


def test_inputs_are_seeded_and_of_every_kind():
    graph = reference_net("mlp")
    x = random_inputs(graph, 16, kinds=KINDS)
    np.testing.assert_array_equal(x, random_inputs(graph, 16, kinds=KINDS))
    np.testing.assert_array_equal(x[0], random_inputs(graph, 16, kinds=("uniform",))[0])
    assert [set(np.unique(window)) for window in x[-3:]] == [{-128}, {0}, {127}]
    assert x[0].std() > 1.5 * x[1].std()


def test_outputs_equal_numpy_on_every_row(report):
    assert [row.target for row in report.rows] == ["cortex-m4f", "cortex-m0plus"]
    x = random_inputs(random_net("lstm", (6, 4), (8,), 3), report.windows, kinds=KINDS)
    expected = Engine(random_net("lstm", (6, 4), (8,), 3)).run(x)
    for row in report.rows:
        assert row.equal
        np.testing.assert_array_equal(row.measurement.outputs, expected)
        assert row.measurement.crc32_inputs == report.crc32_inputs
        assert row.measurement.crc32_outputs == report.crc32_outputs


@pytest.mark.parametrize("net", NETS)
def test_layers_add_up_and_every_layer_with_weights_is_there(net):
    graph = reference_net(net)
    row = bench(graph, ["cortex-m4f"], Options(compilers=("zig",), windows=1, confirm=False)).rows[0]
    low, high = row.measurement.instructions
    assert sum(layer.instructions for layer in row.layers) == low == high
    assert sum(layer.macs for layer in row.layers) == graph.multiply_accumulates()
    named = [layer.name for layer in row.layers if layer.macs]
    assert named == [node.name for node in graph.nodes if hasattr(node, "bias")]
    # A dual multiply-accumulate per instruction is the best the core can do.
    assert all(layer.per_mac > 0.5 for layer in row.layers if layer.macs)


def test_a_loop_whose_first_round_is_peeled_off_is_one_layer():
    graph = random_net("lstm", (6, 4), (8, 8), 3)
    first, second = (node.name for node in graph.nodes[:2])
    calls = [Call(site, "edgebat_lstm_step", times, times * 10) for site, times in ((4, 1), (8, 1), (20, 5), (24, 5))]
    layers = split_layers(graph, lower(graph, "balanced"), [*calls, Call(30, "helper", 1, 7)], 150)
    assert [(layer.name, layer.instructions) for layer in layers] == [
        (first, 60),
        (second, 60),
        ("memory", 7),
        ("calls", 23),
    ]


def test_running_time_that_depends_on_data_is_shown(report):
    measured = replace(report.rows[0].measurement, instructions=(1000, 1040))
    shown = replace(report, rows=[replace(report.rows[0], measurement=measured)])
    assert "| cortex-m4f | zig | 1,000 to 1,040 |" in to_markdown([shown])
    record = shown.to_rows()[0]
    assert (record["instructions_min"], record["instructions"]) == (1000, 1040)


def test_facts_stand_before_the_first_number(report):
    text = to_markdown([report])
    first_table = text.index("###")
    for fact in (
        report.sha256,
        f"{report.crc32_inputs:08x}",
        f"{report.crc32_outputs:08x}",
        report.rows[0].measurement.compiler,
        "-mcpu=cortex_m4",
        "-O2",
        "no microcontroller was measured",
        "Unicorn",
    ):
        assert 0 < text.index(fact) < first_table


def test_flash_and_ram_add_up_to_their_totals(report):
    sizes = {table.title: table for table in tables(report)}
    flash, ram = sizes["Flash by section, bytes"], sizes["RAM by kind, bytes"]
    for row, done in zip(flash.rows, report.rows, strict=True):
        parts = [int(cell.replace(",", "")) for cell in row[2:]]
        assert sum(parts[:6]) == parts[6] == done.measurement.flash.total
    for row, done in zip(ram.rows, report.rows, strict=True):
        parts = [int(cell.replace(",", "")) for cell in row[3:]]
        assert sum(parts[:-1]) == parts[-1] == done.measurement.ram.total
        assert parts[0] == done.measurement.state_bytes > 0


def test_markdown_html_and_json_hold_the_same_figures(report):
    records = json.loads(to_json([report]))
    page, text = to_html([report]), to_markdown([report])
    for record in records:
        for figure in (record["instructions"], record["flash_bytes"], record["ram_bytes"], record["cycles"]):
            assert f"{figure:,}" in text
            assert f"{figure:,}" in page
    assert records[0]["instructions_tag"] == "instructions (simulator)"
    assert records[0]["ms_tag"] == "cycles (model) at 120 MHz"
    assert to_json([report]) == to_json([report])


def test_the_rows_of_a_card_hold_what_its_tables_show(report):
    timed = replace(report, times=[EngineTime("NumPy runtime", "NumPy 2", 0.001, 0.0009)])
    *rows, host = timed.card_rows()
    for row, record in zip(rows, report.to_rows(), strict=True):
        assert set(row) == set(host)
        assert row.items() <= record.items()
        assert (row["label"], row["core"], row["equal"]) == ("LSTM", load_target(row["target"]).core, True)
        assert row["confirmed"] is None  # QEMU was not asked
        assert row["skipped"] == ""
    assert (host["target"], host["built_by"], host["ms"], host["instructions"]) == ("host", "NumPy runtime", 1.0, None)
    known = replace(report.rows[0], measurement=replace(report.rows[0].measurement, confirmed_by="QEMU 9"))
    again = replace(report, rows=[known]).card_rows()[0]["confirmed"]
    assert again == {"simulator": "QEMU 9", "instructions": report.to_rows()[0]["instructions"], "equal": True}


def test_windows_and_exported_c_of_others_are_measured_as_they_are(tmp_path):
    graph = random_net("mlp", (2, 4), (4,), 1, name="given")
    export_model(graph, tmp_path, ("c",))
    x = random_inputs(graph, 5, seed=9)
    given = bench(graph, ["cortex-m4f"], Options(("zig",)), x=x, exported=tmp_path / "c" / "given")
    own = bench(graph, ["cortex-m4f"], Options(("zig",)), x=x)
    assert given.windows == 5
    assert given.to_rows() == own.to_rows()


def test_text_from_a_model_cannot_break_a_page(report):
    odd = replace(report, model="<script>|a|")
    assert "<script>" not in to_html([odd])
    rows = [line for line in to_markdown([odd]).splitlines() if line.startswith("* model")]
    assert rows == [f"* model: <script>\\|a\\|, sha256 {report.sha256}"]


def test_cycles_only_where_their_error_is_stated():
    report = bench(
        random_net("mlp", (2, 4), (4,), 1), ["cortex-m3", "cortex-m4f"], Options(compilers=("zig",), windows=1)
    )
    text = to_markdown([report])
    m3, m4 = (re.search(rf"\| {core} \| zig \| .*", text)[0].split(" | ") for core in ("cortex-m3", "cortex-m4f"))
    assert m3[4:6] == ["–", "–"]
    assert m4[4].endswith("±7%")


def test_a_missing_tool_is_a_line_and_a_broken_one_an_error(monkeypatch):
    graph = random_net("mlp", (2, 4), (4,), 1)
    monkeypatch.setattr("edgebat.simulate.toolchain.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")
    report = bench(graph, ["cortex-m4f"], Options(compilers=("zig", "gcc"), windows=1))
    assert "no C compiler for cortex-m4f" in notes(report)[0]
    assert tables(report) == []
    require_good([report])
    broken = replace(report, rows=[Row("cortex-m4f", "zig", "-O2", "balanced", note="clang crashed", failed=True)])
    with pytest.raises(EdgebatError, match=r"mlp on cortex-m4f \(zig -O2\): clang crashed"):
        require_good([broken])


def test_other_integers_than_numpy_are_an_error(report):
    wrong = replace(report, rows=[replace(report.rows[0], equal=False)])
    assert "DIFFERENT on cortex-m4f (zig)" in dict(heading(wrong))["outputs"]
    with pytest.raises(EdgebatError, match="gives other integers than the NumPy runtime"):
        require_good([wrong])


def test_a_compiler_that_fails_leaves_the_other_rows():
    wrong = replace(load_target("cortex-m4f"), zig=("-target", "thumb-freestanding-eabi", "-mcpu=no_such_core"))
    report = bench(random_net("mlp", (2, 4), (4,), 1), [wrong, "cortex-m3"], Options(compilers=("zig",), windows=1))
    assert [row.failed for row in report.rows] == [True, False]
    assert "no_such_core" in report.rows[0].note
    with pytest.raises(TargetError, match="no target 'cortex-m9'"):
        bench(random_net("mlp", (2, 4), (4,), 1), ["cortex-m9"])


@pytest.mark.parametrize("net", NETS)
def test_big_endian_computers_give_the_same_outputs(net):
    for program in ("qemu-armeb", "qemu-mips"):
        if not (shutil.which(program) or shutil.which(f"{program}-static")):
            pytest.skip(f"{program} is not installed")
    report = bench(reference_net(net), ["cortex-r5f-be", "mips-be"], Options(windows=40))
    assert [(row.target, row.equal, row.note) for row in report.rows] == [
        ("cortex-r5f-be", True, ""),
        ("mips-be", True, ""),
    ]


def test_the_command_writes_every_format(command, tmp_path):
    files = tmp_path / "bench.md", tmp_path / "bench.html"
    code, out, _ = command(
        "bench", "--net", "mlp", "-t", "cortex-m4f", "--compiler", "zig", "--windows", "2", "--json",
        "--markdown", files[0], "--html", files[1],
    )  # fmt: skip
    assert code == 0
    instructions = json.loads(out)[0]["instructions"]
    assert all(f"{instructions:,}" in path.read_text() for path in files)
    code, out, _ = command("bench", "--net", "mlp", "-t", "cortex-m4f", "--compiler", "zig", "--windows", "2")
    assert code == 0
    assert "not measured" not in out
    assert "2_dense" not in out


def test_wrong_use_of_the_command_is_explained(command):
    assert "nothing to measure: give a model file, or --net mlp | --net cnn" in command("bench")[2]
    assert "there is no reference net rnn; choose mlp, cnn, lstm" in command("bench", "--net", "rnn")[2]
    assert "compiler 'icc' is unknown" in command("bench", "--net", "mlp", "--compiler", "icc")[2]
    code, _, err = command("bench", "--net", "mlp", "--mode", "tiny")
    assert code == 2
    assert "mode 'tiny' is unknown; allowed: balanced" in err


def test_every_installed_engine_is_timed_on_this_computer():
    # No time is judged here: only that each engine ran, and that a missing one says so.
    graph = random_net("mlp", (2, 4), (4,), 1)
    times = time_engines(graph, random_inputs(graph, 1)[0], rounds=2)
    assert [time.engine for time in times] == ["C", "NumPy runtime", "ONNX Runtime", "LiteRT", "TFLite Micro"]
    for time in times:
        assert (time.median is None) == bool(time.note)
        assert time.median is None or 0 < time.minimum <= time.median
    text = to_markdown([replace(bench(graph, [], Options(windows=1)), times=times)])
    assert "Measured here, one thread" in text
    assert "| NumPy runtime | NumPy " in text


def test_an_engine_that_is_not_installed_is_a_note(without_module):
    without_module("onnxruntime")
    graph = random_net("mlp", (2, 4), (4,), 1)
    times = {time.engine: time for time in time_engines(graph, random_inputs(graph, 1)[0], rounds=1)}
    assert times["ONNX Runtime"].note == (
        """the Python package 'onnxruntime' is not installed; run: pip install "edgebat[onnx]\""""
    )


def test_the_commands_in_the_manual_exist(command):
    text = (Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md").read_text("utf-8")
    for verb in ("bench", "bench peers", "bench check", "bench accept", "export"):
        whole = "bench model" if verb == "bench" else verb  # `bench MODEL` is short for it
        shown = command(*whole.split(), "--help")[1]
        lines = re.findall(rf"edgebat {verb} ((?!peers|check|accept)[^`#\n]*(?:\n +--[^`#\n]*)?)", text)
        used = {option for line in lines for option in re.findall(r"--[a-z-]+", line)}
        assert used
        assert [option for option in sorted(used) if option not in shown] == []
