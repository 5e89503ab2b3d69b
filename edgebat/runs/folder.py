"""A run folder: what was asked (config), with what (versions), what came out, and which steps are finished.

::

    runs/<recipe>/
        config.yaml      the complete recipe        versions.json   Python, packages, tools, machine
        steps/*.json     one record per finished step: fingerprint, outputs with sha256, seconds, results
        data/ models/ c/ predictions/               what the steps made
        metrics.json     card.json  report.html     what people read

A step's fingerprint is the sha256 over its configuration, the source code its action reaches (``edgebat.runs.closure``)
and the contents its predecessors left. A step whose record carries the same fingerprint, whose outputs are unchanged on
disk and which missed no tool that is there now is not run again, so an interrupted run continues where it stopped and an
edited recipe redoes exactly what the edit touches.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from edgebat import __version__
from edgebat.errors import EdgebatError
from edgebat.files import Json, atomic_write, sha256_bytes, sha256_file
from edgebat.runs.closure import digest, entry_of

PACKAGES = ("numpy", "pandas", "torch", "lightning", "onnx", "onnxruntime", "ai-edge-litert", "unicorn", "ziglang")


class StepFailed(EdgebatError):
    """A step of a run stopped with an error; the text names the step and how to go on."""


@dataclass
class Outcome:
    """What a step leaves: files (relative to the run folder) and results (JSON-able, for later steps, metrics and card)."""

    files: list[str] = field(default_factory=list)
    results: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Record:
    """What is kept of a finished step. outputs: file -> sha256; missing: tools it did without."""

    step: str
    fingerprint: str
    seconds: float
    outputs: dict[str, str]
    results: Any
    """JSON; whoever reads it gives it its type."""
    missing: Sequence[str] = ()


def nothing_missing() -> set[str]:
    """For steps that need no tools."""
    return set()


@dataclass(frozen=True)
class Step:
    """One step: ``action`` runs when the fingerprint of ``config``, of the code and of the steps in ``needs`` is new.

    The code is what ``action``, a function or method of edgebat or a ``functools.partial`` of one, reaches.
    """

    name: str
    """Unique; also the record's file name."""
    stage: str
    """The verb that ends with this step."""
    title: str
    """What a person reads."""
    action: Callable[[], Outcome]
    config: Any = None
    needs: tuple[str, ...] = ()
    """Names of the steps whose outputs and results this one reads."""
    entry: tuple[str, ...] = ()
    """Where code starts that ``action`` reaches in a way the source does not show: ``edgebat.module[:name]``."""
    apart: tuple[str, ...] = ()
    """Packages and modules that ``action`` reaches but that decide nothing of its outcome, as ``edgebat.formats``."""
    missing: Callable[[], set[str]] = nothing_missing
    """Names of the tools that are not installed now and whose work the step leaves out."""

    @property
    def code(self) -> str:
        """sha256 of the source that decides the outcome."""
        return digest(tuple(filter(None, (entry_of(self.action), *self.entry))), self.apart)


class RunFolder:
    """Keeps the records of one run folder and decides what is finished."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.running: tuple[Step, str] | None = None
        """The step that runs now and its fingerprint."""

    def file(self, *parts: str) -> Path:
        """Path inside the run folder; its parent exists afterwards."""
        target = self.path.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def record(self, step: str) -> Record | None:
        """The record of a finished step, or None when there is none (or it was cut off)."""
        try:
            return Record(**json.loads(self._record_path(step).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def results(self, step: str) -> Any:
        """The results of a finished step; raises StepFailed when it has not been run."""
        record = self.record(step)
        if record is None:
            raise StepFailed(f"{self.path} holds no result of step {step!r}; run the recipe first: edgebat run RECIPE")
        return record.results

    def fingerprint(self, step: Step) -> str:
        """sha256 over everything that decides the step's outcome."""
        before = {}
        for name in step.needs:
            record = self.record(name)
            before[name] = {"outputs": record and record.outputs, "results": record and record.results}
        document = {"step": step.name, "config": step.config, "code": step.code, "before": before}
        return sha256_bytes(json.dumps(document, sort_keys=True, default=str).encode())

    def finished(self, step: Step) -> bool:
        """Whether the record carries the present fingerprint, every output still has the recorded content, and every
        tool that was missing is missing still."""
        record = self.record(step.name)
        if record is None or record.fingerprint != self.fingerprint(step):
            return False
        if not set(record.missing) <= step.missing():
            return False
        return all(
            (self.path / name).is_file() and sha256_file(self.path / name) == digest
            for name, digest in record.outputs.items()
        )

    def run(self, step: Step) -> Record:
        """Run the step, write its record, return it. Errors become StepFailed with a way to go on."""
        fingerprint = self.fingerprint(step)
        started = time.perf_counter()
        self.running = step, fingerprint
        try:
            missing = sorted(step.missing())
            outcome = step.action()
        except EdgebatError as error:
            raise StepFailed(
                f"step {step.name!r} ({step.title}) failed: {error}\n"
                f"Finished steps are kept in {self.path}; run the same command again to go on from here."
            ) from error
        finally:
            self.running = None
        seconds = round(time.perf_counter() - started, 2)
        outputs = {name: sha256_file(self.path / name) for name in sorted(set(outcome.files))}
        record = Record(step.name, fingerprint, seconds, outputs, outcome.results, missing)
        self.write_json(f"steps/{step.name}.json", vars(record))
        return record

    def scratch(self, name: str) -> Path:
        """Folder for checkpoints of the step that runs now: a changed recipe never resumes another one's training.

        Raises RuntimeError when no step runs.
        """
        if self.running is None:
            raise RuntimeError("checkpoints belong to a step; call this from the action of one")
        return self.path / "checkpoints" / f"{name}-{self.running[1][:12]}"

    def results_before(self) -> Json:
        """The results of the steps that the running one needs, by name. Raises RuntimeError and StepFailed."""
        if self.running is None:
            raise RuntimeError("no step runs; ask for the results of one by its name")
        return {name: self.results(name) for name in self.running[0].needs}

    def write_json(self, name: str, content: Any) -> None:
        """Write ``content`` as JSON with sorted keys to ``name`` in the run folder."""
        atomic_write(self.file(name), json.dumps(content, indent=1, sort_keys=True) + "\n")

    def _record_path(self, step: str) -> Path:
        return self.path / "steps" / f"{step}.json"


def versions(tools: Iterable[tuple[str, str]] = ()) -> Json:
    """Versions of edgebat, Python, the machine and the installed packages; ``tools`` adds (name, version) pairs."""
    installed: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            installed[package] = None
    return {
        "edgebat": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "packages": installed,
        "tools": dict(tools),
    }
