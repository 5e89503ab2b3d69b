"""A step depends on the code its action reaches: all of it, and nothing else. Found in the source, nothing is imported."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from edgebat import paths
from edgebat.runs import closure as closures
from edgebat.runs.closure import WHOLE, closure, digest, entry_of, modules_of, resources
from edgebat.runs.folder import RunFolder
from edgebat.runs.plan import plan
from edgebat.runs.recipe import check_recipe
from edgebat.runs.steps import Pipeline

EDGEBAT = Path(closures.__file__).parents[1]


def forget() -> None:
    """Source files are parsed once per process; a test that changes them starts again."""
    for name in ("_module", "_is_module", "_reached", "_source_digest", "digest"):
        getattr(closures, name).cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A little edgebat: a.train uses b through the package's re-export, c inside a function, and has a neighbour."""
    root = tmp_path / "edgebat"
    for name, text in {
        "__init__.py": "",
        "a/__init__.py": "from edgebat.a.train import train\nfrom edgebat.a.draw import draw\n",
        "a/train.py": "from edgebat.b import fit, unused\n\n\ndef train():\n    from edgebat.c import weigh\n\n"
        "    return fit(weigh)\n\n\ndef other():\n    return unused\n",
        "a/draw.py": "def draw():\n    return 1\n",
        "b/__init__.py": "from edgebat.b.loop import fit\nfrom edgebat.b.spare import unused\n",
        "b/loop.py": "RATE = 3\nTABLE = {}\nTABLE['x'] = 1\n\n\ndef fit(x):\n    return x * RATE\n",
        "b/spare.py": "unused = 2\n",
        "c.py": "def weigh():\n    return 1\n",
        "run.py": "import functools\n\nfrom edgebat.a import draw, train\n\n\nclass Run:\n    def learn(self):\n"
        "        return self._both()\n\n    def _both(self):\n        return train()\n\n    def show(self):\n"
        "        return draw()\n",
        "find.py": "from importlib import import_module\n\n\ndef find(name):\n"
        "    return import_module(f'edgebat.b.{name}')\n\n\nNAMED = {'c': 'edgebat.c'}\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(closures, "ROOT", root)
    forget()
    yield root
    forget()


def test_it_follows_re_exports_imports_in_functions_and_constants(package: Path) -> None:
    assert closure(["edgebat.a.train:train"]) == {
        *(("edgebat.a.train", name) for name in ("", "train")),
        *(("edgebat.b.loop", name) for name in ("", "fit", "RATE", "TABLE")),
        *(("edgebat.c", name) for name in ("", "weigh")),
    }


def test_a_method_reaches_what_its_own_methods_reach_and_not_what_the_class_does(package: Path) -> None:
    assert "edgebat.b.loop" in modules_of(closure(["edgebat.run:Run.learn"]))
    assert modules_of(closure(["edgebat.run:Run.show"])) == {"edgebat.run", "edgebat.a.draw"}


def test_a_module_reaches_all_it_imports(package: Path) -> None:
    assert {"edgebat.b.spare", "edgebat.b.loop", "edgebat.c"} <= modules_of(closure(["edgebat.a.train"]))


def test_what_decides_nothing_can_be_kept_apart(package: Path) -> None:
    assert modules_of(closure(["edgebat.a.train:train"], ("edgebat.b",))) == {"edgebat.a.train", "edgebat.c"}
    assert digest(("edgebat.a.train:train",), ("edgebat.b",)) != digest(("edgebat.a.train:train",))


def test_modules_found_by_name_count(package: Path) -> None:
    assert {"edgebat.b.loop", "edgebat.b.spare", "edgebat.b"} <= modules_of(closure(["edgebat.find:find"]))
    assert ("edgebat.c", WHOLE) in closure(["edgebat.find:NAMED"])


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("b/loop.py", "RATE = 3", "RATE = 4", True),
        ("b/loop.py", "TABLE['x'] = 1", "TABLE['x'] = 2", True),
        ("c.py", "return 1", "return 2", True),
        ("a/train.py", "fit(weigh)", "fit(fit)", True),
        ("a/train.py", "return unused", "return None", False),
        ("a/draw.py", "return 1", "return 2", False),
        ("b/spare.py", "unused = 2", "unused = 3", False),
    ],
)
def test_the_digest_changes_with_what_is_reached(package: Path, file: str, old: str, new: str, counts: bool) -> None:
    before = digest(("edgebat.run:Run.learn",))
    (package / file).write_text((package / file).read_text().replace(old, new))
    forget()
    assert (digest(("edgebat.run:Run.learn",)) != before) == counts


def test_an_entry_that_does_not_exist_is_refused(package: Path) -> None:
    with pytest.raises(ValueError, match=r"no module edgebat\.nowhere"):
        closure(["edgebat.nowhere"])
    with pytest.raises(ValueError, match="defines no tran"):
        closure(["edgebat.a.train:tran"])


def test_an_action_names_its_entry() -> None:
    assert entry_of(partial(Pipeline.student, None)) == "edgebat.runs.steps:Pipeline.student"
    assert entry_of(lambda: None) is None  # not edgebat's: a test's own action
    with pytest.raises(ValueError, match="has no name to start from"):
        entry_of(nameless_of_edgebat())


def nameless_of_edgebat() -> Callable[[], None]:
    """A function without a name of its own, as if edgebat had made it."""

    def action() -> None:
        pass

    action.__module__ = "edgebat.runs.steps"
    return action


# --- the steps of a recipe ----------------------------------------------------------------------------------------------

MUST = {
    "data": {"data.synthetic", "data.corpus", "data.splits", "tasks.health.windows", "tasks.health.increments"},
    "teacher": {"teachers.ic2ml.train", "teachers.ic2ml.network", "training.fit", "training.blend", "training.tensorfile"},
    "baselines": {"baselines.health"},
    "student-lstm": {"distill.train", "distill.losses", "students.lstm", "training.blend", "training.fit", "teachers.store"},
    "quantize": {"quantization.ptq", "distill.qat_train", "students.store", "students.lstm", "graph.check",
                 "runtime.kernels", "distill.train", "training.fit"},
    "export": {"formats.c.lowering", "formats.tflite.write", "formats.onnx.emit", "graph.store"},
    "verify": {"formats.c.write", "formats.tflite.read", "formats.onnx.read", "runtime.engine", "simulate.measure"},
    "simulate": {"simulate.unicorn_run", "simulate.qemu_run", "simulate.cycles", "simulate.toolchain"},
    "report": {"report.card", "report.html", "report.svg"},
}  # fmt: skip
"""Some modules that each step must notice a change of."""
MUST_NOT = {
    "data": ("teachers", "students", "distill", "quantization", "formats", "simulate", "verify", "report", "cli"),
    "teacher": ("students", "quantization", "formats", "simulate", "verify", "report", "cli", "runs.recipe", "studies"),
    "baselines": ("teachers", "students", "quantization", "formats", "simulate", "verify", "report", "cli"),
    "student-lstm": (
        "quantization",
        "formats.c",
        "formats.tflite",
        "formats.onnx",
        "simulate",
        "report",
        "cli",
        "studies",
    ),
    "quantize": ("formats.c", "formats.tflite", "formats.onnx", "simulate", "verify", "report", "cli", "studies"),
    "export": ("teachers", "distill", "training", "simulate", "verify", "report", "cli", "bms"),
    "verify": ("teachers", "distill", "training", "report.card", "report.html", "cli", "bms"),
    "simulate": ("teachers", "distill", "training", "report.card", "report.html", "cli", "bms"),
    "report": ("teachers", "distill", "training.fit", "training.trainer", "formats", "simulate", "cli"),
}
"""Packages and modules whose changes do not redo a step."""


def reached(name: str, tmp_path: Path) -> frozenset[tuple[str, str]]:
    recipe = check_recipe({"name": "mine", "task": {"name": "health"}, "teacher": {"name": "ic2ml"}})
    steps = plan(Pipeline(recipe, RunFolder(tmp_path), None))
    assert {step.name for step in steps} >= MUST.keys() == MUST_NOT.keys()
    (step,) = (step for step in steps if step.name == name)
    return closure([entry_of(step.action) or "", *step.entry], step.apart)


@pytest.mark.parametrize("name", MUST)
def test_a_step_notices_what_decides_its_outcome_and_nothing_else(name: str, tmp_path: Path) -> None:
    modules = {module.removeprefix("edgebat.") for module in modules_of(reached(name, tmp_path))}
    assert modules >= MUST[name]
    for part in MUST_NOT[name]:
        assert not {module for module in modules if f"{module}.".startswith(f"{part}.")}, part


def test_steps_that_compile_notice_the_c_sources_and_the_report_its_templates(tmp_path: Path) -> None:
    compiled = resources(reached("simulate", tmp_path))
    assert "firmware_stubs/src/edgebat_dense.c" in compiled
    assert "export/targets/cortex-m4f.yaml" in compiled
    assert not any(name.endswith((".o", ".py")) for name in compiled)
    # A task can read a user's cycler file too, by the profiles of its layout.
    own = {
        name: {file for file in resources(reached(name, tmp_path)) if not file.startswith("edgebat.data/profiles/")}
        for name in ("report", "teacher")
    }
    assert own["report"] == {"edgebat.report/templates/report.html.j2", "edgebat.report/templates/report.css"}
    assert not own["teacher"]


def test_a_wheel_has_the_same_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = ("edgebat.runs.steps:Pipeline.verify",)
    here = digest(entries)
    installed = tmp_path / "site-packages" / "edgebat"
    shutil.copytree(EDGEBAT, installed, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(paths.targets_dir(), installed / "_share" / "export" / "targets")
    for folder in closures.FIRMWARE_FOLDERS:
        shutil.copytree(paths.firmware_dir() / folder, installed / "_share" / "firmware_stubs" / folder)
    monkeypatch.setattr(closures, "ROOT", installed)
    monkeypatch.setattr(paths, "_PACKAGE", installed)
    forget()
    assert digest(entries) == here
    (installed / "_share/firmware_stubs/src/edgebat_dense.c").write_text("")
    forget()
    assert digest(entries) != here
    forget()
