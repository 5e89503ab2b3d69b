"""Every error ends at one boundary: what the system refuses names the path, Ctrl-C says how to go on."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from edgebat.errors import explain_os_error
from edgebat.files import atomic_write
from tests.cli.test_run import RECIPE
from tests.project.test_imports import modules_after

Command = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[2]


def one_line(err: str) -> str:
    """The message, which is one, without a trace."""
    assert "Traceback" not in err
    assert "internal error" not in err
    return " ".join(err.split())


def test_a_folder_given_as_a_file_is_named(command: Command, model_file: Path, tmp_path: Path) -> None:
    code, _, err = command("predict", tmp_path, "windows.csv")
    assert (code, str(tmp_path) in one_line(err)) == (2, True)
    code, _, err = command("bench", model_file, "-t", "host", "--windows", "1", "--markdown", tmp_path)
    assert code == 2
    assert f"{tmp_path} is a folder; a file is needed here" in one_line(err)
    code, _, err = command("run", tmp_path)
    assert code == 2
    assert f"{tmp_path} is a folder; a recipe is a YAML file" in one_line(err)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_one_may_not_write_to_is_named(command: Command, model_file: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    code, _, err = command("export", model_file, "--to", "ebat", "--out", tmp_path / "out")
    tmp_path.chmod(0o700)
    assert code == 2
    assert re.search(rf"{tmp_path}\S* cannot be used: permission denied", one_line(err))


def test_a_file_where_a_folder_is_needed_is_named(command: Command, model_file: Path) -> None:
    code, _, err = command("export", model_file, "--to", "ebat", "--out", model_file / "out")
    assert code == 2
    assert str(model_file) in one_line(err)


def test_a_full_disk_names_the_file_and_leaves_nothing(
    command: Command, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def full(source: str, target: Path) -> None:
        if Path(target).is_relative_to(tmp_path / "out"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr("edgebat.files.os.replace", full)
    code, _, err = command("export", model_file, "--to", "ebat", "--out", tmp_path / "out")
    assert code == 2
    assert f"{tmp_path / 'out' / 'tiny.ebat'} cannot be written, the disk is full; free some space" in one_line(err)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_behind_standard_output_is_an_error(model_file: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "edgebat", "info", str(model_file)], stdout=full,
                              stderr=subprocess.PIPE, text=True, cwd=ROOT)  # fmt: skip
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_what_the_system_says_is_kept_where_we_know_no_better() -> None:
    assert explain_os_error(OSError(errno.EIO, "Input/output error", "x.csv")) == "x.csv: Input/output error"
    assert explain_os_error(OSError("pyarrow has no number")) == "a file: pyarrow has no number"


def test_writing_names_the_file_that_was_meant(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        atomic_write(tmp_path / "there", "text")
    assert caught.value.filename == str(tmp_path / "there")


@pytest.mark.parametrize("verb", ["run", "train", "distill", "data", "report", "evidence"])
def test_a_model_file_is_no_recipe(command: Command, verb: str) -> None:
    model = ROOT / "tests/files/keras_lstm.tflite"
    code, _, err = command(verb, model)
    assert code == 2
    assert f"{model} is not text; a recipe is a YAML file" in one_line(err)
    assert f"edgebat info {model}" in one_line(err)


def test_a_recipe_that_is_not_there_needs_no_torch() -> None:
    code = (
        "import sys; from edgebat.__main__ import main\nsys.stderr = sys.stdout\nassert main(['run', 'demmo']) == 2\n"
        "assert main(['search', 'demmo', '-t', 'cortex-m4f']) == 2\nassert main(['bench', 'demmo']) == 2"
    )
    assert not modules_after(code) & {"torch", "lightning", "pandas", "onnx"}


def test_a_misspelt_recipe_gets_a_suggestion(command: Command) -> None:
    assert one_line(command("run", "dmeo")[2]).endswith("Did you mean demo?")
    assert "Did you mean" not in command("run", "something-else-altogether")[2]


def test_misspelt_verbs_and_sections_get_suggestions(command: Command) -> None:
    assert "Did you mean 'settings'?" in one_line(command("setings")[2].replace("│", ""))
    assert "Did you mean 'check'?" in one_line(command("bench", "chek")[2].replace("│", ""))
    assert "did you mean distill?" in one_line(command("settings", "distil")[2])
    assert "did you mean distill.fit?" in one_line(command("settings", "distil.fit")[2])
    assert "did you mean distill.share?" in one_line(command("settings", "distil.share")[2])


def test_a_package_that_is_there_but_broken_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> NoReturn:
        raise ImportError("libonnx.so: cannot open shared object file", name="onnx.onnx_cpp2py_export")

    monkeypatch.setattr("edgebat.describe.describe", broken)
    code, _, err = command("info", "x.ebat")
    assert code == 2
    assert "the Python package 'onnx' is installed but cannot be imported: libonnx.so" in one_line(err)
    assert 'pip install --force-reinstall "edgebat[onnx]"' in one_line(err)


def interrupted(folder: Path, recipe: Path, when: str) -> tuple[int, str, str]:
    """A run in a process of its own that gets Ctrl-C as soon as a line of its log holds ``when``."""
    arguments = ["run", str(recipe), "--runs", str(folder / "runs")]
    # Whoever starts the tests in the background of a shell has them, and what they start, ignore Ctrl-C.
    heard = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.executable, sys.argv[1:])"
    )
    own = [sys.executable, "-m", "edgebat", *arguments]
    with subprocess.Popen([sys.executable, "-c", heard, *own], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None
        seen = []
        for line in process.stdout:
            seen.append(line)
            if when in line:
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate()
    return process.returncode, "".join(seen) + out, err


@pytest.mark.parametrize("when", ["epoch 4 of 20", "> baselines"])
def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(tmp_path: Path, command: Command, when: str) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(RECIPE.replace("fit: {epochs: 1, ", "fit: {epochs: 20, "))
    code, out, err = interrupted(tmp_path, recipe, when)
    assert when in out, err
    assert code == 130
    assert "Traceback" not in err
    assert f"the same command goes on from there: edgebat run {recipe} --runs {tmp_path / 'runs'}" in one_line(err)
    code, out, err = command("data", recipe, "--runs", tmp_path / "runs")
    assert (code, err) == (0, "")
    assert "= cells, windows, split  (kept)" in out
    code, out, err = command("train", recipe, "--runs", tmp_path / "runs")
    assert (code, err) == (0, "")
    if "epoch" in when:
        assert "epoch 2 of 20" not in out  # trained on from the last checkpoint
        assert "epoch 20 of 20" in out
    assert (tmp_path / "runs/tiny/models/teacher.safetensors").is_file()
