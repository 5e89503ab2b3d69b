"""The regression guard: what is allowed, what fails, and what is not compared."""

import json
from dataclasses import replace

import pytest

from edgebat.bench import Options, bench
from edgebat.bench.command import run_accept, run_check
from edgebat.bench.guard import Baseline, accept, check, compare, load_baselines
from edgebat.bench.nets import random_net
from edgebat.errors import DataError, EdgebatError
from edgebat.simulate.elf import Flash

OLD = Baseline(
    model="soh",
    mode="balanced",
    optimize="-O2",
    built_by="gcc",
    compiler="arm-none-eabi-gcc 12.2.1",
    sha256="aaaaaaaa11",
    simulator="Unicorn 2.1.4, cortex-m4",
    instructions=10_000,
    flash=4_000,
    ram=300,
)


@pytest.fixture(scope="module")
def report():
    return bench(random_net("mlp", (2, 4), (4,), 1, name="tiny"), ["cortex-m4f"], Options(("zig",), windows=2))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, "same"),
        ({"instructions": 10_100}, "same"),  # 1 % is allowed
        ({"instructions": 10_101}, "changed"),
        ({"instructions": 10_200}, "changed"),
        ({"instructions": 9_899}, "changed"),  # faster: accept it, so that it stays
        ({"flash": 4_015, "ram": 285}, "same"),
        ({"flash": 4_016}, "changed"),
        ({"flash": 3_984}, "changed"),
        ({"ram": 316}, "changed"),
    ],
)
def test_one_percent_of_instructions_and_sixteen_bytes(change, kind):
    assert compare("cortex-m4f", OLD, replace(OLD, **change)).kind == kind


def test_a_failure_says_what_changed_and_what_to_do():
    finding = compare("cortex-m4f", OLD, replace(OLD, instructions=10_200, flash=4_016, ram=304))
    assert finding.fails
    assert finding.text == (
        "soh on cortex-m4f (gcc -O2, balanced): instructions 10,000 to 10,200 (+2.00 %, allowed ±1 %), "
        "flash 4,000 to 4,016 (+16 bytes, allowed less than ±16 bytes), ram 300 to 304 (+4 bytes); "
        "if this is meant, accept it with: edgebat bench accept"
    )


def test_another_compiler_version_is_said_and_not_compared():
    finding = compare("cortex-m4f", OLD, replace(OLD, compiler="arm-none-eabi-gcc 14.2.0", instructions=99_999))
    assert not finding.fails
    assert "baseline was made with arm-none-eabi-gcc 12.2.1, here is arm-none-eabi-gcc 14.2.0" in finding.text


def test_a_changed_model_is_compared_and_said():
    finding = compare("cortex-m4f", OLD, replace(OLD, sha256="bbbbbbbb22"))
    assert finding.kind == "same"
    assert finding.text.endswith("ram 300; the model itself changed (aaaaaaaa to bbbbbbbb)")


def test_accepted_figures_pass_and_keep_other_models(tmp_path, report):
    path = tmp_path / "cortex-m4f.json"
    (other,) = load_baselines_of(report, tmp_path / "other")
    path.write_text(json.dumps({"format": 1, "target": "cortex-m4f", "entries": [vars(replace(other, model="other"))]}))
    assert accept([report], tmp_path) == [path]
    assert [item.model for item in load_baselines(tmp_path, "cortex-m4f")] == ["other", "tiny"]
    before = path.read_bytes()
    accept([report], tmp_path)
    assert path.read_bytes() == before
    assert [finding.kind for finding in check([report], tmp_path)] == ["same"]


def load_baselines_of(report, folder):
    accept([report], folder)
    return load_baselines(folder, "cortex-m4f")


@pytest.mark.parametrize("worse", ["instructions", "flash"])
def test_slower_or_larger_code_fails_the_command(tmp_path, report, worse, capsys):
    accept([report], tmp_path)
    run_check([report], tmp_path)
    assert capsys.readouterr().out.startswith("same ")
    row, done = report.rows[0], report.rows[0].measurement
    if worse == "instructions":
        # Two percent more than before.
        measured = replace(done, instructions=tuple(count + -(-count // 50) for count in done.instructions))
    else:
        measured = replace(done, flash=Flash(**(vars(done.flash) | {"kernel_code": done.flash.kernel_code + 16})))
    with pytest.raises(EdgebatError, match="1 of 1 figures differ from the baselines in"):
        run_check([replace(report, rows=[replace(row, measurement=measured)])], tmp_path)
    assert f"{worse} " in capsys.readouterr().out


def test_a_model_without_baseline_fails_until_one_is_accepted(tmp_path, report, capsys):
    with pytest.raises(EdgebatError, match="1 of 1 figures differ"):
        run_check([report], tmp_path)
    assert (
        "tiny on cortex-m4f (zig -O2, balanced): no baseline; accept one with: edgebat bench accept"
        in capsys.readouterr().out
    )
    run_accept([report], tmp_path)
    run_check([report], tmp_path)


def test_nothing_to_compare_is_not_a_success(tmp_path, report):
    with pytest.raises(EdgebatError, match="nothing could be compared"):
        run_check([replace(report, rows=[])], tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ('{"format": 2, "entries": []}', "format 2, expected 1"),
        ('{"format": 1, "entries": [{"model": "x"}]}', "cannot be read: .*missing"),
        ("[]", "cannot be read"),
    ],
)
def test_a_damaged_baseline_is_named(tmp_path, text, message):
    (tmp_path / "cortex-m4f.json").write_text(text)
    with pytest.raises(DataError, match=message):
        load_baselines(tmp_path, "cortex-m4f")


def test_the_command_accepts_and_checks(command, tmp_path):
    arguments = ["--net", "mlp", "-t", "cortex-m4f", "--compiler", "zig", "--windows", "1", "--baselines", tmp_path]
    assert command("bench", "check", *arguments)[0] == 2
    code, out, _ = command("bench", "accept", *arguments)
    assert code == 0
    assert f"accepted: {tmp_path / 'cortex-m4f.json'}" in out
    code, out, _ = command("bench", "check", *arguments)
    assert code == 0
    assert "same            mlp on cortex-m4f (zig -O2, balanced): instructions" in out
