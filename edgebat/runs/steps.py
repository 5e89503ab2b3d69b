"""From cells to a report, step by step. Each method of ``Pipeline`` is one step; ``edgebat.runs.run`` walks them.

Nothing here asks which task it serves: windows, heads, scores and charts come from the recipe's task.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edgebat import baselines
from edgebat.bench.run import Options, bench, require_good
from edgebat.cells import cell_key, join_seen, pack_cells, seen_cells
from edgebat.data.splits import CALIBRATION, PARTS, check_no_leak, split_windows
from edgebat.errors import RecipeError
from edgebat.files import Json, atomic_write, sha256_file
from edgebat.formats.export import export_all
from edgebat.graph import IntGraph, load_graph
from edgebat.models import graph_heads, predict_int8, to_ppm
from edgebat.runs.counted import condition_rows, counts_of, enough_inputs
from edgebat.runs.field import field_limits
from edgebat.runs.folder import Outcome, RunFolder
from edgebat.runs.ground import facts, with_ground
from edgebat.runs.interval import Fold, IntervalCells, bounded, with_interval
from edgebat.runs.lessons import MORE, Lessons, measured_part, part_of, teacher_files
from edgebat.runs.more import further_cells, more_statement, more_windows
from edgebat.runs.recipe import Recipe, StudentEntry
from edgebat.runs.trust import trust_of
from edgebat.runtime import quantize_input
from edgebat.tasks.base import Loaded, Predictions
from edgebat.tasks.predictions import load_predictions, save_predictions
from edgebat.tasks.windows import Windows
from edgebat.training.history import histories, read_history
from edgebat.training.run import Run
from edgebat.verify.engines import NUMPY, files_in
from edgebat.verify.equality import require_equal, verify_model
from edgebat.workers import HERE, Machines

if TYPE_CHECKING:  # torch stays out until a step needs it, and the report out of what decides other steps
    from edgebat.data.fleet import Fleet
    from edgebat.distill.teacher import TeacherEntry
    from edgebat.report.results import BaselineResult, DataResult, ModelFile
    from edgebat.runs.progress import StepProgress
    from edgebat.students.base import Student

LEARNT = {"": "with teacher", "_alone": "without teacher", "_measured": "on measured cells alone", "_judge": "as judge"}
"""How a student is trained, by the end of its name."""
LEARNT_FROM = ("train", "val", CALIBRATION)
"""Parts of the split that a model has seen."""
SIMULATED = 8
"""Windows that are counted on every target; the step ``verify`` compares many more."""
SIMULATED_CELLS = (
    "All cells come from edgebat's seeded simulation of ageing, not from measurements. The numbers show that the tools "
    "work; they say nothing about real cells."
)


class Pipeline:
    """The steps of one recipe. ``corpus``, a folder or a fleet in memory, is given when the recipe asks for measured cells,
    and only then. machines: where teachers label."""

    def __init__(
        self,
        recipe: Recipe,
        folder: RunFolder,
        corpus: Path | Fleet | None,
        progress: StepProgress | None = None,
        machines: Machines = HERE,
    ) -> None:
        if recipe.data.source == "corpus" and corpus is None:
            raise RecipeError(
                f"recipe {recipe.name!r} needs measured cells: give --corpus PATH or set EDGEBAT_CORPUS to a folder with "
                "cells.csv, capacity.parquet and segments/"
            )
        if recipe.data.source == "synthetic" and corpus is not None:
            raise RecipeError(
                f"recipe {recipe.name!r} simulates its cells (data.source: synthetic), so the corpus {corpus} would not be "
                "used: learn from it with --set data.source=corpus, or leave --corpus out"
            )
        self.recipe, self.folder, self.corpus, self.progress = recipe, folder, corpus, progress
        self.kinds = [student.kind for student in recipe.students]
        self.task, self.spec, self.machines = recipe.of_task, recipe.spec, machines

    @property
    def teacher_title(self) -> str:
        """What the teacher is called in tables."""
        return f"teacher {' + '.join(entry.title for entry in self.recipe.teacher)}"

    # --- the steps -------------------------------------------------------------------------------------------------

    def data(self) -> Outcome:
        """Cells of the fleet or corpus, their windows, and the split by cell, checked for leaks."""
        loaded, statement = self._loaded()
        split = split_windows(loaded.windows, **self.recipe.data.split.model_dump())
        windows = loaded.windows.select(cells=split.cells)  # a published split need not name every cell
        check_no_leak(split, windows.cells, loaded.fleet)
        files, counts, further = [], {}, []
        for part in split.parts:
            chosen = windows.select(cells=getattr(split, part))
            if part == "train":
                chosen = self._with_made_up(chosen)
            chosen.save(self.folder.file(f"data/{part}.safetensors"))
            files.append(f"data/{part}.safetensors")
            counts[part] = counts_of(chosen)
        if self.recipe.data.more.wanted:
            more = more_windows(self.recipe, loaded, split)
            more.save(self.folder.file(MORE))
            files.append(MORE)
            further = further_cells(more, split)
            statement += more_statement(len(more), len(further))
        result: DataResult = {
            "source": loaded.source,
            "synthetic": loaded.synthetic,
            "statement": statement,
            "fingerprint": loaded.fingerprint,
            "split_hash": split.hash,
            "strategy": split.strategy,
            "split": {part: [f"{d}/{c}" for d, c in getattr(split, part)] for part in split.parts},
            "further": further,
            "counts": counts,
            "conditions": condition_rows(windows, split),
            "left_out": windows.left_out,
            "corpus_notes": list(loaded.fleet.notes) if loaded.fleet else [],
        }
        return Outcome(files, result)

    def teacher(self) -> Outcome:
        """The teacher or teachers, given or trained (or trained on from the last checkpoint), and their predictions."""
        from edgebat.distill.teacher import TeacherData, together

        parts = {part: self.windows(part) for part in PARTS}
        self._set_threads()
        data = TeacherData(
            self.task, parts["train"], measured_part(self.recipe, self.folder), parts["val"], parts["test"]
        )
        found, files = [], [*teacher_files(self.recipe), "predictions/teacher.safetensors"]
        for entry, name in zip(self.recipe.teacher, teacher_files(self.recipe), strict=True):
            scratch = self.folder.scratch("teacher") / Path(name).stem
            run = Run(scratch, progress=self._progress(_epochs(entry)))
            found.append(data.obtain(entry, self.provenance(), self.folder.file(name), run))
            files += self._losses(scratch, Path(name).stem)
            shutil.rmtree(scratch, ignore_errors=True)
        whole = together(found)
        predictions = whole.teacher.predict(parts["test"])
        results = self._predicted("teacher", predictions, parts["test"]) | whole.results
        results |= {"seen": whole.seen, "parameters": sum(p.numel() for p in whole.teacher.parameters())}
        return Outcome(files, results)

    def baselines(self) -> Outcome:
        """What costs nothing, learnt from the same windows."""
        train, val, test = (self.windows(part) for part in PARTS)
        names = self.recipe.baselines or baselines.quick(self.task.name)
        distill = self.recipe.distill
        tune = None if distill.learn_from_val else val
        found, notes = baselines.answers(self.task.name, distill.learnt(train, val), tune, test, names)
        files, results = [], {}
        for name, answer in found.items():
            results[name] = self._predicted(name, answer, test)
            results[name]["parameters"] = baselines.stored_values(self.task.name, name, train)
            files.append(f"predictions/{name}.safetensors")
        whole: BaselineResult = {"rows": results, "order": list(found), "notes": notes}
        return Outcome(files, whole)

    def student(self, entry: StudentEntry) -> Outcome:
        """One student twice: on measured labels alone, and taught, with everything else the same. Where the recipe asks for
        it also on the measured cells alone, and as a judge that has not seen the validation cells."""
        from edgebat.distill.train import train_student
        from edgebat.students.store import save_student

        val, test = self.windows("val"), self.windows("test")
        self._set_threads()
        files, results = [], {}
        distill = self.recipe.distill
        asked = {"_judge": distill.learn_from_val, "_measured": distill.measured_too}
        names = [f"{entry.kind}{end}" for end, wanted in (*asked.items(), ("_alone", True), ("", True)) if wanted]
        epochs = entry.epochs or distill.fit.epochs
        silent: tuple[str, ...] = ()
        for name in names:
            train, settings = self.lessons.of_student(name)
            settings = replace(settings, fit=replace(settings.fit, epochs=epochs))
            guide = self.lessons.guide(name, silent)
            progress = self._progress(epochs, LEARNT[name.removeprefix(entry.kind)])
            run = Run(self.folder.scratch(name), progress=progress, cache=self.lessons.labels, machines=self.machines)
            student, fitted = train_student(
                entry.kind, self.task, train, val, guide, settings, run, student_settings=entry.settings
            )
            save_student(student, self.folder.file(f"models/{name}.safetensors"), self.provenance())
            files += self._losses(run.folder, name)
            shutil.rmtree(run.folder)
            files.append(f"models/{name}.safetensors")
            if name.endswith("_judge" if distill.learn_from_val else "_alone"):
                silent = self.lessons.silent_on(val, student)
            if name.endswith("_judge"):
                continue
            results[name] = self._predicted(name, student.predict(test.inputs()), test)
            results[name] |= {"parameters": student.float_spec().parameters, "best_epoch": fitted.best_epoch}
            files.append(f"predictions/{name}.safetensors")
        results[entry.kind]["silent"] = list(silent)
        return Outcome([*files, *self._students_by_fold(entry, epochs)], results)

    def _students_by_fold(self, entry: StudentEntry, epochs: int) -> list[str]:
        """The student without a teacher and without a fold of the cells, for each fold of the recipe's interval: a teacher
        that knows these cells would tell of them. Returns the files."""
        from edgebat.distill.train import train_student
        from edgebat.students.store import save_student

        files = []
        for number, cells in enumerate(self.lessons.folds(), 1):
            name = f"{entry.kind}_fold{number}"
            train, settings = self.lessons.of_student(name, cells)
            settings = replace(settings, fit=replace(settings.fit, epochs=epochs))
            run = Run(self.folder.scratch(name), progress=self._progress(epochs, f"fold {number}"))
            val = self.windows("val")
            student, _ = train_student(entry.kind, self.task, train, val, None, settings, run, entry.settings)
            files.append(f"models/{name}.safetensors")
            save_student(student, self.folder.file(files[-1]), self.provenance())
            shutil.rmtree(run.folder)
        return files

    def quantize(self) -> Outcome:
        """Integer graphs of all students, calibrated on training windows; their predictions as the device gives them."""
        from edgebat.graph import save_graph
        from edgebat.quantization import quantize_model
        from edgebat.students.store import load_student

        train, val, test = (self.windows(part) for part in PARTS)
        files, results = [], {}
        origin = self.provenance()
        meta = {"task": origin.pop("task"), "training": origin}
        x = train.inputs()

        def quantized(name: str) -> tuple[Student, IntGraph]:
            student = load_student(self.folder.file(f"models/{name}.safetensors"))
            return student, quantize_model(student.float_spec(), x, self.recipe.quantize, name=name, meta=meta)

        ends = ("", "_alone", "_measured") if self.recipe.distill.measured_too else ("", "_alone")
        for name in (f"{kind}{end}" for kind in self.kinds for end in ends):
            student, graph = quantized(name)
            if self.recipe.quantize.qat_epochs:
                graph, written = self._trained_quantized(name, student, graph)
                files += written
            judge = quantized(f"{name.split('_')[0]}_judge")[1] if self.recipe.distill.learn_from_val else graph
            limits = field_limits(judge, graph_heads(graph, self.task, self.spec), train, val)
            graph = with_ground(graph, limits, self.task, (train, val), self.recipe.ground)
            if self.recipe.interval.coverage:
                cells = self._interval_cells(name, quantized)
                graph = with_interval(graph, self.task, cells, self.recipe.interval, self.recipe.ground)
            save_graph(graph, self.folder.file(f"models/{name}.ebat"))
            predictions = predict_int8(graph, test)
            results[name] = self._predicted(f"{name}_int8", predictions, test)
            results[name]["trust"] = trust_of(graph, self.task, test, predictions)
            results[name] |= {"fingerprint": graph.fingerprint, "macs": graph.multiply_accumulates(), **facts(graph)}
            files += [f"models/{name}.ebat", f"predictions/{name}_int8.safetensors"]
        return Outcome(files, results)

    def _interval_cells(self, name: str, quantized: Callable[[str], tuple[Student, IntGraph]]) -> IntervalCells:
        """Whose windows the interval of the student ``name`` is made from."""
        train, test = self.windows("train"), self.windows("test")
        if self.recipe.interval.folds:
            train = self.recipe.distill.learnt(train, self.windows("val"))
        taught = name in self.kinds
        spread = None
        if taught and self.recipe.interval.spread:
            spread = self.lessons.spread(train, bounded(self.task, train).name)
        if self.recipe.interval.folds:
            by_fold = enumerate(self.lessons.folds(), 1)
            folds = (Fold(quantized(f"{name.split('_')[0]}_fold{n}")[1], cells) for n, cells in by_fold)
            return IntervalCells(train, None, test, tuple(folds), spread)
        calibration = self.windows(CALIBRATION)
        known = sum(seen_cells(self.folder.results("teacher")["seen"], calibration.cells)) if taught else 0
        return IntervalCells(train, calibration, test, (), spread, known)

    def _trained_quantized(self, name: str, student: Student, graph: IntGraph) -> tuple[IntGraph, list[str]]:
        """``graph`` after the recipe's epochs of quantization-aware training, with the student's own teacher, if any; and
        where its losses are."""
        self._set_threads()
        from edgebat.distill.qat_train import train_quantized

        epochs = self.recipe.quantize.qat_epochs
        run = Run(self.folder.scratch("quantize") / name, progress=self._progress(epochs), cache=self.lessons.labels)
        silent = self.folder.results(f"student-{name.split('_')[0]}")[name].get("silent", ())
        guide = self.lessons.guide(name, tuple(silent))
        train, settings = self.lessons.of_student(name)
        trained = train_quantized(student, graph, train, self.windows("val"), guide, settings, epochs, run)
        written = self._losses(run.folder, f"{name}_qat")
        shutil.rmtree(run.folder)
        return trained, written

    def export(self) -> Outcome:
        """The taught students as TFLite, ONNX and C99, with what runs them in a BMS; results: why a model has none."""
        files: list[Path] = []
        without: dict[str, str] = {}
        models = self.folder.path / "models"
        for kind in self.kinds:
            written, why = export_all(self.graph(kind), models)
            files += written
            without |= {kind: why} if why else {}
        return Outcome([str(path.relative_to(self.folder.path)) for path in files], {"without_bms": without})

    def verify(self) -> Outcome:
        """Held-out windows, and blends of them where they are few, through every engine; fails when equality is promised and
        not kept."""
        inputs = enough_inputs(self.windows("test"), self.recipe.verify.windows)
        rows = []
        for kind in self.kinds:
            graph = self.graph(kind)
            x = quantize_input(graph, to_ppm(inputs))
            rows += verify_model(graph, x, files_in(self.folder.path / "models", kind))
        require_equal(rows)
        return Outcome([], {"rows": [row.to_row() for row in rows]})

    def simulate(self) -> Outcome:
        """Size and speed of the taught students on the recipe's targets."""
        test, targets = self.windows("test").evenly(SIMULATED), self.recipe.targets
        options = Options(times=(NUMPY.name,) if "host" in targets else ())
        reports = []
        for kind in self.kinds:
            graph = self.graph(kind)
            x = quantize_input(graph, to_ppm(test.inputs()))
            exported = files_in(self.folder.path / "models", kind).c
            reports.append(bench(graph, targets, options, x=x, exported=exported))
        require_good(reports)
        return Outcome([], {"rows": [row for report in reports for row in report.card_rows()]})

    def report(self) -> Outcome:
        """card.json, metrics.json and report.html."""
        from edgebat.report.card import RunResults, build_card
        from edgebat.report.html import render

        models = sorted(p for p in (self.folder.path / "models").rglob("*") if p.is_file())
        files: list[ModelFile] = [
            {"path": str(p.relative_to(self.folder.path)), "bytes": p.stat().st_size, "sha256": sha256_file(p)}
            for p in models
        ]
        predictions = {
            path.stem: load_predictions(path)
            for path in sorted((self.folder.path / "predictions").glob("*.safetensors"))
        }
        results = RunResults(
            steps=self.folder.results_before(),
            versions=json.loads(self.folder.file("versions.json").read_text(encoding="utf-8")),
            files=files,
            windows=self.windows("test"),
            predictions=predictions,
            teacher=self.teacher_title,
            losses={path.stem: read_history(path) for path in sorted((self.folder.path / "losses").glob("*.csv"))},
        )
        card = build_card(self.recipe, results)
        self.folder.write_json("card.json", card)
        self.folder.write_json("metrics.json", {row["key"]: row for row in card["accuracy"]})
        atomic_write(self.folder.file("report.html"), render(card, results.windows, predictions))
        return Outcome(["card.json", "metrics.json", "report.html"])

    # --- what the steps share --------------------------------------------------------------------------------------

    @property
    def lessons(self) -> Lessons:
        """What students learn from."""
        return Lessons(self.recipe, self.folder)

    def windows(self, part: str) -> Windows:
        """Windows of one part of the split, as the step ``data`` left them."""
        return part_of(self.recipe, self.folder, part)

    def provenance(self) -> Json:
        """Task and origin of a model; they travel in every model file. ``seen``: see edgebat.cells.seen_cells."""
        data: Json = self.folder.results("data")
        names = [name for part in LEARNT_FROM for name in data["split"].get(part, ())]
        own = ("source", "synthetic", "split_hash")
        seen = pack_cells(list(map(cell_key, [*names, *data.get("further", ())])))
        taught = self.folder.record("teacher")
        if taught is not None:  # what a given teacher has learnt from reaches its students
            seen = join_seen(seen, taught.results["seen"])
        origin = {"recipe": self.recipe.name, **{name: data[name] for name in own}, "seen": seen}
        return {"task": self.recipe.task, **origin, **self._ground}

    @cached_property
    def _ground(self) -> Json:
        return self.task.ground(self.windows("train"))

    def graph(self, name: str) -> IntGraph:
        """An integer graph the step ``quantize`` left."""
        return load_graph(self.folder.file(f"models/{name}.ebat"))

    def _loaded(self) -> tuple[Loaded[Windows], str]:
        spec = self.recipe.data
        if spec.source == "synthetic":
            made = spec.synthetic
            return self.task.synthetic(self.spec, made.cells, made.max_cycles, made.seed), SIMULATED_CELLS
        assert self.corpus is not None
        loaded = self.task.of_cells(self.corpus, self.spec, spec.datasets or None, spec.quality or None)
        if loaded.synthetic:
            return loaded, SIMULATED_CELLS
        names = ", ".join(sorted({dataset for dataset, _ in loaded.windows.cells}))
        return loaded, f"Data sets {names}; the split is by cell, so no window of a test cell was seen in training."

    def _with_made_up(self, train: Windows) -> Windows:
        made = self.recipe.data.made_up
        if not made.cells:
            return train
        return train.join(self.task.synthetic(self.spec, made.cells, made.max_cycles, made.seed).windows)

    def _predicted(self, name: str, predictions: Predictions, windows: Windows) -> Json:
        save_predictions(predictions, self.folder.file(f"predictions/{name}.safetensors"))
        return dict(self.task.score(windows, predictions))

    def _set_threads(self) -> None:
        import torch

        torch.set_num_threads(self.recipe.threads)

    def _losses(self, trained: Path, name: str) -> list[str]:
        """Keep the losses of the trainings below ``trained`` in the run folder; names of the files."""
        files = []
        for part, path in histories(trained).items():
            files.append(f"losses/{'-'.join(filter(None, (name, part)))}.csv")
            atomic_write(self.folder.file(files[-1]), path.read_bytes())
        return files

    def _progress(self, epochs: int, of: str = "") -> Callable[[dict[str, float]], None]:
        """For a training of so many epochs: what it calls after each. of: which one, of several."""
        return self.progress.epochs(epochs, of) if self.progress else lambda losses: None


def _epochs(entry: TeacherEntry) -> int:
    """Of a teacher's training; 0 when its settings do not say."""
    fit = getattr(entry.settings, "fit", None)
    by_steps = getattr(fit, "steps", 0) // max(getattr(fit, "steps_per_epoch", 0), 1)
    return int(getattr(fit, "epochs", by_steps))
