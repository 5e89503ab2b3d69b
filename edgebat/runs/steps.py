"""The road: from cells to a report, step by step. Each method of ``Road`` is one step; ``edgebat.runs.run`` walks them."""

from __future__ import annotations
from edgebat.cells import join_seen, pack_cells

import dataclasses
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from rich.progress import Progress, TaskID

from edgebat.baselines.health import BASELINES, stored_values
from edgebat.errors import DataError, RecipeError
from edgebat.evaluate import (predict_health, score)
from edgebat.formats.export import export_model
from edgebat.tasks.health import HealthWindows, health_windows, to_ppm
from edgebat.quantize.field import field_limits
from edgebat.files import atomic_write, sha256_bytes, sha256_file
from edgebat.graph import IntGraph, load_graph
from edgebat.verify.engines import NUMPY, files_in
from edgebat.verify.equality import require_equal, verify_model
from edgebat.bench.run import Options, bench, require_good
from edgebat.runs.recipe import Recipe, StudentEntry
from edgebat.runs.folder import Outcome, RunFolder, Step
from edgebat.runtime import quantize_input
from edgebat.tasks.windowfile import content_of, load_predictions, load_windows, save_predictions, save_windows

if TYPE_CHECKING:  # torch stays out until a step needs it
    from edgebat.students.base import Student

Told = Callable[[dict[str, float]], None]
STAGES = ("data", "teacher", "students", "quantize", "export", "verify", "simulate", "report")
PARTS = ("train", "val", "test")
SIMULATED = 8
"""Windows that are counted on every target; the step ``verify`` compares many more."""


class Road:
    """The steps of one recipe. ``corpus`` is needed when the recipe asks for measured cells."""

    def __init__(
        self, recipe: Recipe, folder: RunFolder, corpus: Path | None, progress: Progress | None = None
    ) -> None:
        if recipe.data.source == "corpus" and corpus is None:
            raise RecipeError(
                f"recipe {recipe.name!r} needs measured cells: give --corpus PATH or set EDGEBAT_CORPUS to a folder with "
                "cells.csv, capacity.parquet and segments/"
            )
        self.recipe, self.folder, self.corpus, self.progress = recipe, folder, corpus, progress
        self.kinds = [student.kind for student in recipe.students]
        self.task: TaskID | None = None

    def steps(self) -> list[Step]:
        """All steps in order."""
        r = self.recipe
        task = r.task.to_dict()
        data_config = {"task": task, "data": r.data.model_dump(mode="json"), "corpus": _corpus_digest(self.corpus, r)}
        teacher_config = {"teacher": dataclasses.asdict(r.teacher), "threads": r.threads}
        teacher_config["given"] = _given_digest(r.teacher.file)
        distill_config = dataclasses.asdict(r.distill)
        students = tuple(f"student-{kind}" for kind in self.kinds)
        return [
            Step("data", "data", "cells, windows, split", self.data, data_config, (), ("data", "tasks")),
            Step("teacher", "teacher", "teacher IC2ML", self.teacher, teacher_config, ("data",), ("teachers",)),
            Step("baselines", "students", "baselines", self.baselines, None, ("data",), ("baselines",)),
            *(
                Step(
                    f"student-{entry.kind}",
                    "students",
                    f"student {entry.kind.upper()}, with and without teacher",
                    lambda entry=entry: self.student(entry),  # type: ignore[misc]
                    {"distill": distill_config, "student": entry.model_dump(mode="json"), "threads": r.threads},
                    ("data", "teacher"),
                    ("distill", "students", "training"),
                )
                for entry in r.students
            ),
            Step(
                "quantize",
                "quantize",
                "int8 integer graphs",
                self.quantize,
                # Quantization-aware training, where the recipe asks for it, distils with the same settings.
                {
                    "options": dataclasses.asdict(r.quantize),
                    "task": task,
                    "distill": distill_config,
                    "threads": r.threads,
                },
                ("data", "teacher", *students),
                ("quantize", "graph", "runtime", "predict.py", "quantize/field.py"),
            ),
            Step(
                "export", "export", "TFLite, ONNX, C99", self.export, None, ("quantize",), ("formats", "formats/export.py")
            ),
            Step(
                "verify",
                "verify",
                "equality of all engines",
                self.verify,
                r.verify.model_dump(),
                ("data", "quantize", "export"),
                ("verify", "runtime", "simulate", "formats"),
            ),
            Step(
                "simulate",
                "simulate",
                "size and speed on targets",
                self.simulate,
                {"targets": r.targets, "files": [_target_digest(t) for t in r.targets]},
                ("export",),
                ("simulate", "bench"),
            ),
            Step(
                "report",
                "report",
                "card and report",
                self.report,
                {"recipe": r.model_dump(mode="json")},
                ("data", "teacher", "baselines", *students, "quantize", "export", "verify", "simulate"),
                ("report",),
            ),
        ]

    # --- the steps -------------------------------------------------------------------------------------------------

    def data(self) -> Outcome:
        """Cells of the fleet or corpus, their windows, and the split by cell, checked for leaks."""
        from edgebat.data.splits import check_no_leak, stratified_split

        fleet, statement = self._fleet()
        windows = health_windows(fleet, self.recipe.task)
        split_spec = self.recipe.data.split
        split = stratified_split(fleet, split_spec.seed, split_spec.val, split_spec.test, windows.cells)
        check_no_leak(split, windows.cells, fleet)
        files, counts, rows = [], {}, []
        for part in PARTS:
            chosen = windows.select(cells=getattr(split, part))
            save_windows(chosen, self.folder.file(f"data/{part}.safetensors"))
            files.append(f"data/{part}.safetensors")
            counts[part] = content_of(chosen)
        part_of = {cell: part for part in PARTS for cell in getattr(split, part)}
        per_cell = np.bincount(windows.cell, minlength=len(windows.cells))
        conditions = [str(condition) for condition in windows.conditions]
        for condition in sorted(set(conditions)):
            members = [i for i, c in enumerate(conditions) if c == condition]
            row: dict[str, Any] = {"condition": condition, "cells": len(members)}
            row |= {part: sum(part_of[windows.cells[i]] == part for i in members) for part in PARTS}
            row["windows"] = int(per_cell[members].sum())
            row["eol"] = int(np.isfinite(windows.eol_cycle[members]).sum())
            rows.append(row)
        return Outcome(
            files,
            {
                "source": fleet.source,
                "synthetic": fleet.synthetic,
                "statement": statement,
                "fingerprint": fleet.fingerprint,
                "split_hash": split.hash,
                "strategy": split.strategy,
                "split": {part: [f"{d}/{c}" for d, c in getattr(split, part)] for part in PARTS},
                "counts": counts,
                "conditions": rows,
                "left_out": windows.left_out,
            },
        )

    def teacher(self) -> Outcome:
        """The teacher, given or trained (or trained on from its last checkpoint), and its predictions."""
        test = self.windows("test")
        self._set_threads()
        teacher, results = self._given_teacher(test) if self.recipe.teacher.file else self._trained_teacher()
        results |= self._predicted("teacher", teacher.predict(test), test)
        results["parameters"] = sum(p.numel() for p in teacher.parameters())
        return Outcome(["models/teacher.safetensors", "predictions/teacher.safetensors"], results)

    def _given_teacher(self, test: HealthWindows) -> tuple[Any, dict[str, Any]]:
        """The recipe's ``teacher.file``, copied as it is, and where it came from."""
        from edgebat.distill.given import given_teacher

        file = Path(self.recipe.teacher.file)
        teacher, seen = given_teacher(file, self.recipe.task, test.cells)
        atomic_write(self.folder.file("models/teacher.safetensors"), file.read_bytes())
        return teacher, {"given": file.name, "seen": seen}

    def _trained_teacher(self) -> tuple[Any, dict[str, Any]]:
        from edgebat.teachers.store import save_teacher
        from edgebat.teachers.ic2ml.train import train_ic2ml

        settings = self.recipe.teacher
        scratch = self._scratch("teacher")
        told = self._bar(settings.fit.epochs)
        train, val = self.windows("train"), self.windows("val")
        learnt = train.join(val) if settings.learn_from_val else train
        teacher, fitted = train_ic2ml(learnt, val, settings, scratch, resume=True, progress=told)
        save_teacher(teacher, self.folder.file("models/teacher.safetensors"), self.provenance())
        shutil.rmtree(scratch)
        return teacher, {"best_epoch": fitted.best_epoch, "epochs": fitted.epochs}

    def baselines(self) -> Outcome:
        """What costs nothing: the mean, ridge on the same window, the nearest neighbour among the training windows."""
        train, val, test = (self.windows(part) for part in PARTS)
        files, results = [], {}
        for name, baseline in BASELINES.items():
            results[name] = self._predicted(name, baseline(train, val, test), test)
            results[name]["parameters"] = stored_values(name, train)
            files.append(f"predictions/{name}.safetensors")
        return Outcome(files, results)

    def student(self, entry: StudentEntry) -> Outcome:
        """One student twice: taught, and on measured labels alone with everything else the same."""
        from edgebat.distill.train import train_student
        from edgebat.students.store import save_student
        from edgebat.teachers.store import load_teacher

        train, val, test = (self.windows(part) for part in PARTS)
        self._set_threads()
        settings = self.recipe.distill
        if entry.epochs:
            settings = dataclasses.replace(settings, fit=dataclasses.replace(settings.fit, epochs=entry.epochs))
        teacher = load_teacher(self.folder.file("models/teacher.safetensors"))
        files, results = [], {}
        told = self._bar(2 * settings.fit.epochs)
        for name, guide in ((entry.kind, teacher), (f"{entry.kind}_alone", None)):
            scratch = self._scratch(name)
            student, fitted = train_student(
                entry.kind,
                train,
                val,
                guide,
                settings,
                scratch,
                entry.settings,
                cache=self.folder.path / "checkpoints" / "labels",
                resume=True,
                progress=told,
            )
            save_student(student, self.folder.file(f"models/{name}.safetensors"), self.provenance())
            shutil.rmtree(scratch)
            results[name] = self._predicted(name, student.predict(test.x), test)
            results[name] |= {"parameters": student.float_spec().parameters, "best_epoch": fitted.best_epoch}
            files += [f"models/{name}.safetensors", f"predictions/{name}.safetensors"]
        return Outcome(files, results)

    def quantize(self) -> Outcome:
        """Integer graphs of all students, calibrated on training windows; their predictions as the device gives them."""
        from edgebat.graph import save_graph
        from edgebat.quantize import quantize_model
        from edgebat.students.store import load_student

        train, val, test = (self.windows(part) for part in PARTS)
        files, results = [], {}
        origin = self.provenance()
        meta = {"task": origin.pop("task"), "training": origin}
        for name in (n for kind in self.kinds for n in (kind, f"{kind}_alone")):
            student = load_student(self.folder.file(f"models/{name}.safetensors"))
            graph = quantize_model(student.float_spec(), train.x, self.recipe.quantize, name=name, meta=meta)
            if self.recipe.quantize.qat_epochs:
                graph = self._trained_quantized(name, student, graph)
            graph = replace(graph, meta={**graph.meta, "field": field_limits(graph, train, val)})
            save_graph(graph, self.folder.file(f"models/{name}.ebat"))
            results[name] = self._predicted(f"{name}_int8", predict_health(graph, test.x), test)
            results[name]["fingerprint"] = graph.fingerprint
            files += [f"models/{name}.ebat", f"predictions/{name}_int8.safetensors"]
        return Outcome(files, results)

    def _trained_quantized(self, name: str, student: Student, graph: IntGraph) -> IntGraph:
        """``graph`` after the recipe's epochs of quantization-aware training, with the student's own teacher, if any."""
        self._set_threads()
        from edgebat.quantize.qat_train import train_quantized
        from edgebat.teachers.store import load_teacher

        alone = name.endswith("_alone")
        epochs = self.recipe.quantize.qat_epochs
        scratch = self._scratch("quantize") / name
        trained = train_quantized(
            student,
            graph,
            self.windows("train"),
            self.windows("val"),
            None if alone else load_teacher(self.folder.file("models/teacher.safetensors")),
            self.recipe.distill,
            epochs,
            scratch,
            cache=self.folder.path / "checkpoints" / "labels",
            resume=True,
            progress=self._bar(epochs),
        )
        shutil.rmtree(scratch)
        return trained

    def export(self) -> Outcome:
        """The taught students as TFLite, ONNX and C99."""
        files = []
        for kind in self.kinds:
            files += export_model(self.graph(kind), self.folder.path / "models")
        return Outcome([str(path.relative_to(self.folder.path)) for path in files])

    def verify(self) -> Outcome:
        """Held-out windows through every engine; fails when equality is promised and not kept."""
        test = self.windows("test")
        rows = []
        for kind in self.kinds:
            graph = self.graph(kind)
            x = quantize_input(graph, to_ppm(_evenly(test.x, self.recipe.verify.windows)))
            rows += verify_model(graph, x, files_in(self.folder.path / "models", kind))
        require_equal(rows)
        return Outcome([], {"rows": [row.to_row() for row in rows]})

    def simulate(self) -> Outcome:
        """Size and speed of the taught students on the recipe's targets."""
        test, targets = self.windows("test"), self.recipe.targets
        options = Options(times=(NUMPY.name,) if "host" in targets else ())
        reports = []
        for kind in self.kinds:
            graph = self.graph(kind)
            x = quantize_input(graph, to_ppm(_evenly(test.x, SIMULATED)))
            exported = files_in(self.folder.path / "models", kind).c
            reports.append(bench(graph, targets, options, x=x, exported=exported))
        require_good(reports)
        return Outcome([], {"rows": [row for report in reports for row in report.card_rows()]})

    def report(self) -> Outcome:
        """card.json, metrics.json and report.html."""
        from edgebat.report.card import build_card
        from edgebat.report.html import render

        test = self.windows("test")
        steps = {step.name: self.folder.results(step.name) for step in self.steps() if step.name != "report"}
        versions_ = json.loads(self.folder.file("versions.json").read_text(encoding="utf-8"))
        models = sorted(p for p in (self.folder.path / "models").rglob("*") if p.is_file())
        files = [
            {"path": str(p.relative_to(self.folder.path)), "bytes": p.stat().st_size, "sha256": sha256_file(p)}
            for p in models
        ]
        predictions = {
            path.stem: load_predictions(path)
            for path in sorted((self.folder.path / "predictions").glob("*.safetensors"))
        }
        card = build_card(self.recipe, steps, versions_, files, test, predictions)
        self.folder.write_json("card.json", card)
        self.folder.write_json("metrics.json", {row["key"]: row for row in card["accuracy"]})
        atomic_write(self.folder.file("report.html"), render(card, test, predictions))
        return Outcome(["card.json", "metrics.json", "report.html"])

    # --- what the steps share --------------------------------------------------------------------------------------

    def windows(self, part: str) -> HealthWindows:
        """Windows of one part of the split, as the step ``data`` left them."""
        return load_windows(self.folder.file(f"data/{part}.safetensors"))

    def provenance(self) -> dict[str, Any]:
        """Task and origin of a model; they travel in every model file. ``seen``: see edgebat.evaluate.seen_cells."""
        data = self.folder.results("data")
        cells = [tuple(name.split("/", 1)) for part in ("train", "val") for name in data["split"][part]]
        names = ("source", "synthetic", "split_hash")
        seen = pack_cells(cells)
        if self.recipe.teacher.file:  # what a given teacher has learnt from reaches its students
            seen = join_seen(seen, self.folder.results("teacher")["seen"])
        origin = {"recipe": self.recipe.name, **{name: data[name] for name in names}, "seen": seen}
        return {"task": self.recipe.task.to_dict(), **origin}

    def graph(self, name: str) -> IntGraph:
        """An integer graph the step ``quantize`` left."""
        return load_graph(self.folder.file(f"models/{name}.ebat"))

    def _fleet(self) -> tuple[Any, str]:
        spec = self.recipe.data
        if spec.source == "synthetic":
            from edgebat.data.synthetic import make_fleet

            fleet = make_fleet(spec.synthetic.seed, spec.synthetic.cells, spec.synthetic.max_cycles)
            return fleet, (
                "All cells come from edgebat's seeded simulation of ageing, not from measurements. The numbers show that "
                "the tools work; they say nothing about real cells."
            )
        from edgebat.data.corpus import read_corpus

        assert self.corpus is not None
        fleet = read_corpus(self.corpus, spec.datasets or None).select(quality=spec.quality or None)
        names = ", ".join(sorted(set(fleet.cells["dataset"])))
        return fleet, f"Data sets {names}; the split is by cell, so no window of a test cell was seen in training."

    def _predicted(self, name: str, predictions: dict[str, Any], windows: HealthWindows) -> dict[str, Any]:
        save_predictions(predictions, self.folder.file(f"predictions/{name}.safetensors"))
        return score(windows, predictions)

    def _set_threads(self) -> None:
        import torch

        torch.set_num_threads(self.recipe.threads)

    def _scratch(self, name: str) -> Path:
        """Folder for checkpoints of the present fingerprint: a changed recipe never resumes another one's training."""
        step = next(s for s in self.steps() if s.name in (name, f"student-{name.removesuffix('_alone')}"))
        return self.folder.path / "checkpoints" / f"{name}-{self.folder.fingerprint(step)[:12]}"

    def _bar(self, epochs: int) -> Told:
        """A progress bar of so many epochs, as a function that training calls after each."""
        progress, task = self.progress, self.task
        if progress is None or task is None:
            return lambda losses: None
        progress.update(task, total=epochs)

        def told(losses: dict[str, float]) -> None:
            progress.update(task, advance=1, detail=f"validation loss {losses['val_loss']:.4f}")

        return told


def _corpus_digest(corpus: Path | None, recipe: Recipe) -> str | None:
    """What decides the content of a corpus without reading all of it: tables by hash, curve files by name and size."""
    if corpus is None or recipe.data.source != "corpus":
        return None
    tables = [corpus / "cells.csv", corpus / "capacity.parquet"]
    missing = [path.name for path in tables if not path.is_file()]
    if missing:
        raise DataError(f"{corpus} is not a corpus folder: {', '.join(missing)} is missing")
    curves = [(path.name, path.stat().st_size) for path in sorted((corpus / "segments").glob("*.npz"))]
    return sha256_bytes(json.dumps([[sha256_file(path) for path in tables], curves]).encode())


def _given_digest(name: str) -> str | None:
    """sha256 of the recipe's ``teacher.file``, None when there is none. Raises RecipeError when it does not exist."""
    if not name:
        return None
    if not Path(name).is_file():
        raise RecipeError(f"teacher.file {name} does not exist; give a trained teacher's .safetensors, such as one of "
                          "export/zoo/teachers/ic2ml, or leave it out to train one")  # fmt: skip
    return sha256_file(Path(name))


def _target_digest(name: str) -> str:
    from edgebat.paths import targets_dir

    path = Path(name) if name.endswith((".yaml", ".yml")) else targets_dir() / f"{name}.yaml"
    return sha256_file(path) if path.is_file() else ""


def _evenly(x: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    """``count`` windows spread evenly over all of them (all, when there are fewer)."""
    return np.asarray(x[np.linspace(0, len(x) - 1, min(count, len(x))).astype(int)])
