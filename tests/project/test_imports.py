"""`pip install edgebat` brings NumPy alone, and that is enough to run a model."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch",
    "lightning",
    "onnx",
    "onnxruntime",
    "tensorflow",
    "pandas",
    "typer",
    "rich",
    "yaml",
    "pydantic",
    "safetensors",
)


def modules_after(code: str) -> set[str]:
    """Top-level modules a fresh interpreter has loaded after ``code``."""
    code += "\nimport sys, json; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "module",
    ["edgebat", "edgebat.predict", "edgebat.graph", "edgebat.runtime", "edgebat.tasks.health", "edgebat.evaluate",
     "edgebat.formats.tflite.read", "edgebat.formats.onnx.read", "edgebat.data.readers", "edgebat.zoo", "edgebat.bms.ports",
     "edgebat.__main__"],
)  # fmt: skip
def test_importing_needs_numpy_alone(module: str) -> None:
    assert not modules_after(f"import {module}") & set(HEAVY)


def test_running_a_model_needs_numpy_alone(model_file: Path) -> None:
    # Every other package is made unimportable, as in an environment that has NumPy only.
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in HEAVY)
    code = f"import sys; {blocked}from edgebat.predict import load_model; print(load_model({str(model_file)!r}).name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "tiny\n"


def test_numpy_is_the_only_requirement_and_every_extra_is_in_all() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [d.split(">")[0] for d in project["dependencies"]] == ["numpy"]
    extras = project["optional-dependencies"]
    (everything,) = extras["all"]
    joined = set(everything.removeprefix("edgebat[").removesuffix("]").split(","))
    assert joined == set(extras) - {"all", "dev", "tflm", "ray", "keras", "physics"}


def test_every_requirement_has_a_pinned_version() -> None:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            pins[name.lower().replace("_", "-")] = version
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for requirements in extras.values():
        for requirement in requirements:
            name = requirement.split(">")[0].split("=")[0].split("[")[0].strip()
            assert name == "edgebat" or name in pins, f"{name} is not in constraints.txt"


def test_the_version_is_written_once_in_two_places() -> None:
    import edgebat

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == edgebat.__version__
