"""The first hour of a user: the wheel as pip installs it, with the extras that were chosen and nothing else."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.ports import list_ports
from edgebat.cli.main import app
from edgebat.errors import MissingExtra
from edgebat.extras import EXTRAS, VERBS, extras_for, missing_for
from edgebat.tasks.health import HealthWindows
from tests.generic_port import self_tested
from tests.project.installed import ROOT, Installed, environment, install_wheel, normal, packed_bytes

Env = Callable[..., Installed]
Command = Callable[..., tuple[int, str, str]]
ADVICE = re.compile(r'run: pip install "edgebat\[([a-z,]+)\]"$')
CORPUS = ("--corpus", "nowhere")
OTHER_ERRORS = (
    "is not a known key|no discharge curves|a corpus folder|differ from the baselines|answer with --set|"
    "finish the run first|could be used"
)


@pytest.fixture
def user(tmp_path: Path, model_file: Path, windows: HealthWindows) -> Path:
    """An empty folder but for a model, windows and a recipe with a mistake, which ends a run before it trains."""
    np.savetxt(tmp_path / "windows.csv", windows.x[:2].reshape(2, -1), delimiter=",")
    shutil.copy(ROOT / "tests" / "files" / "float_mlp.onnx", tmp_path / "net.onnx")
    (tmp_path / "mine.yaml").write_text("name: mine\ntask: {name: health}\nteacher: {name: ic2ml}\nwrong: 1\n")
    return model_file.parent


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Env:
    """``env("cli", "sim")``: what ``pip install "edgebat[cli,sim]"`` gives."""
    folder = tmp_path_factory.mktemp("installed")
    wheel = install_wheel(folder)
    return lambda *extras: environment(wheel, folder / "packages", extras)


def test_it_is_the_wheel_that_is_run_and_pip_has_compiled_it(env: Env, user: Path) -> None:
    found = Path(env().python("import edgebat; print(edgebat.__file__)", cwd=user).stdout.strip())
    assert found.parents[1] == env().wheel
    assert list(found.parent.glob("_share/firmware_stubs/ports/foxbms/__pycache__/*.pyc"))
    assert env().python("import torch", cwd=user).returncode == 1


def test_with_numpy_alone_a_model_predicts(env: Env, user: Path) -> None:
    assert "context = 3" in env().edgebat("info", "tiny.ebat", cwd=user).stdout
    done = env().edgebat("predict", "tiny.ebat", "windows.csv", cwd=user)
    assert (done.returncode, done.stderr) == (0, "")
    assert "soh" in done.stdout.lower()


def test_with_numpy_alone_a_ready_student_becomes_c_that_passes_its_self_test(env: Env, user: Path) -> None:
    done = env().edgebat("zoo", "get", "health-lstm-small", "--port", "generic", "--out", "soh", cwd=user)
    assert (done.returncode, done.stderr) == (0, "")
    assert self_tested(user / "soh").startswith("SOH ")


def test_the_wheel_is_small_and_teachers_come_with_a_package_of_their_own(env: Env, user: Path, tmp_path: Path) -> None:
    assert packed_bytes(env().wheel) < 2_000_000
    alone = env("train")
    recipe = "from edgebat.distill.teacher import TeacherEntry as T; print(T(file='export/zoo/teachers/{}').path)"
    digest = recipe.replace(").path", ").digest()")
    for done in (
        alone.edgebat("zoo", "get", "ic2ml/tongji", cwd=user),
        alone.python(digest.format("ic2ml/tongji.safetensors"), cwd=user),
    ):
        assert "pip install ./export/zoo/teachers" in done.stderr
    package = install_wheel(tmp_path, ROOT / "export" / "zoo" / "teachers")
    both = alone.beside(package)
    assert both.edgebat("zoo", "get", "ic2ml/tongji", cwd=user).returncode == 0
    shipped = ROOT / "export" / "zoo" / "teachers"
    assert (user / "ic2ml-tongji" / "tongji.safetensors").read_bytes() == (
        shipped / "ic2ml/tongji.safetensors"
    ).read_bytes()
    for file in shipped.glob("*/*.safetensors"):
        done = both.python(recipe.format(file.relative_to(shipped)), cwd=user)
        assert Path(done.stdout.strip()) == package / "edgebat_teachers" / file.relative_to(shipped)


def test_the_first_minute_of_the_readme_needs_numpy_alone(env: Env, tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The first minute")[2].partition("\n## ")[0]
    for block in re.findall(r"```console\n(.*?)```", section, re.S):
        for command, shown in re.findall(r"^\$ edgebat (.*)\n((?:[^$].*\n)*)", block, re.M):
            done = env().edgebat(*shlex.split(command.partition("  #")[0]), cwd=tmp_path)
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith(shown)
    assert (tmp_path / "soh" / "soh_edgebat.c").is_file()
    code = re.search(r"```python\n(.*?)```", section, re.S)
    assert code is not None
    assert env().python(code[1], cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("port", list_ports())
def test_every_port_is_exported_more_than_once(env: Env, user: Path, port: str) -> None:
    written = []
    for _ in range(2):
        done = env("cli", "report").edgebat("export", "tiny.ebat", "--port", port, "--out", port, cwd=user)
        assert done.returncode == 0, done.stderr
        written.append({user / line: (user / line).read_bytes() for line in done.stdout.splitlines()})
    assert written[0] == written[1]
    assert not [path for path in (user / port).rglob("*") if path.suffix == ".pyc"]


COMMANDS = [
    ("run", "mine.yaml"), ("report", "mine.yaml"), ("data", "mine.yaml"), ("train", "mine.yaml"), ("distill", "mine.yaml"),
    ("quantize", "mine.yaml"), ("quantize", "net.onnx", "-c", "windows.csv"),
    ("export", "mine.yaml"), ("verify", "mine.yaml"), ("bench", "mine.yaml"),
    ("search", "mine.yaml", "-t", "cortex-m0plus"),
    ("data", "add", "windows.csv", "--out", "cells"), ("data", "check", "nowhere"), ("data", "fetch"),
    ("data", "simulate", "--out", "simulated", "--cells", "1", "--cycles", "2", "--stride", "1"),
    ("init", "own.yaml", *CORPUS),
    ("evidence", "mine.yaml", "--seeds", "1"),
    ("run", "life-batlinet", *CORPUS), ("run", "forecast-battery-timer-lora", *CORPUS), ("run", "life-diffbatt", *CORPUS),
    ("settings", "distill.fit"), ("targets",), ("doctor",), ("info", "tiny.ebat"), ("info", "mine.yaml"),
    ("predict", "tiny.ebat", "windows.csv"),
    ("export", "tiny.ebat"), ("export", "tiny.ebat", "--to", "c,tflite"), ("export", "tiny.ebat", "-t", "cortex-m0plus"),
    ("export", "tiny.ebat", "--port", "list"), ("export", "tiny.ebat", "--port", "foxbms"),
    ("verify", "tiny.ebat", "--windows", "8"), ("verify", "--random", "1", "--windows", "8"),
    ("bench", "tiny.ebat", "-t", "cortex-m0plus"), ("bench", "tiny.ebat", "-t", "host"),
    ("bench", "peers", "--compiler", "zig"),
    ("bench", "accept", "tiny.ebat", "-t", "cortex-m0plus", "--compiler", "zig", "--baselines", "accepted"),
    ("bench", "check", "tiny.ebat", "-t", "cortex-m0plus", "--compiler", "zig", "--baselines", "accepted"),
    ("predict", "tiny.ebat", ".", "--out", "results", "--jobs", "1"),
    ("evaluate", "tiny.ebat", "--logs", ".", "--out", "results", "--jobs", "1"),
    ("zoo", "list"), ("zoo", "get", "health-lstm-small"), ("zoo", "get", "health-lstm-small", "--port", "generic"),
    ("zoo", "get", "health-lstm-small", "--port", "foxbms"), ("zoo", "add", "nowhere", "lstm", "mine"),
    ("evaluate", "tiny.ebat", *CORPUS), ("replay", "tiny.ebat", "--cells", "1", "--cycles", "4"),
    ("replay", "tiny.ebat", "--life", "ebike", "--days", "2", "--twin-days", "0", "--target", "host"),
]  # fmt: skip


STARTS = ((), ("cli",), ("cli", "sim"), ("report",), ("train",))
"""What users have before the advice."""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_one_pip_install_is_enough_for_every_verb(env: Env, user: Path, command: tuple[str, ...]) -> None:
    enough: set[frozenset[str]] = set()
    waiting = [frozenset(start) for start in STARTS]
    while waiting:
        extras = waiting.pop(0)
        if any(fewer <= extras for fewer in enough):
            continue  # a package more takes nothing away
        done = env(*extras).edgebat(*command, cwd=user)
        assert "Traceback" not in done.stderr
        assert "internal error" not in done.stderr
        if advice := ADVICE.search(done.stderr.strip()):
            assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
            assert extras in map(frozenset, STARTS), f"{sorted(extras)} was not enough: {done.stderr}"
            waiting.append(extras | {"cli", *advice[1].split(",")})
        else:
            assert "pip install" not in done.stderr
            assert "not installed" not in done.stderr
            assert done.returncode == 0 or re.search(OTHER_ERRORS, done.stderr)
            enough.add(extras)
    assert enough


def test_every_extra_and_verb_is_known() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    def packages(extra: str) -> set[str]:
        found = set()
        for requirement in extras[extra]:
            own = re.match(r"edgebat\[([\w,]+)\]", requirement)
            found |= packages(own[1]) if own else {normal(re.split("[><=]", requirement)[0])}
        return found

    assert {extra: set(known) for extra, known in EXTRAS.items()} == {
        extra: packages(extra) for extra in extras if extra not in ("all", "dev")
    }
    commands = {info.name or info.callback.__name__ for info in app.registered_commands if info.callback is not None}
    assert set(VERBS) == commands | {group.name for group in app.registered_groups}


@pytest.mark.parametrize("module", sorted({m for packages in EXTRAS.values() for m in packages.values()}))
def test_the_absence_of_any_optional_package_is_explained(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgebat.extras.installed", lambda name: name != module)
    error = missing_for(["doctor"], ModuleNotFoundError(name=f"{module}.part"))
    assert isinstance(error, MissingExtra)
    assert module in EXTRAS[error.extra].values()


def test_what_no_extra_brings_stays_a_fault_of_edgebat() -> None:
    assert missing_for(["run", "demo"], ModuleNotFoundError(name="edgebat.nowhere")) is None
    assert missing_for(["run", "demo"], ModuleNotFoundError(name="numpy.nowhere")) is None
    assert missing_for(["run", "demo"], ImportError("cannot import name", name="torch")) is None


def test_settings_that_need_more_are_seen_in_recipe_and_command() -> None:
    assert extras_for(["run", "forecast-battery-timer-lora"]) == ["cli", "lora", "train"]
    assert extras_for(["run", "life-diffbatt"]) == ["baselines", "cli", "train"]
    assert "tensorboard" in extras_for(["train", "demo", "--set", "teacher.fit.tensorboard=true"])


@pytest.mark.parametrize("verb", ["export", "verify", "bench"])
def test_a_model_file_that_is_not_there_is_no_recipe(command: Command, verb: str) -> None:
    code, _, err = command(verb, "nowhere.ebat")
    assert code == 2
    assert "there is no model file nowhere.ebat" in err


def test_a_mistyped_verb_gets_a_suggestion_without_any_extra(env: Env, user: Path) -> None:
    done = env().edgebat("predic", "tiny.ebat", cwd=user)
    assert done.returncode == 2
    assert "there is no such verb; did you mean predict?" in done.stderr
    assert "pip install" not in done.stderr
