"""The steps of a pipeline in order: what each depends on, besides the code it reaches."""

from __future__ import annotations

import dataclasses
from functools import partial

from edgebat.runs.folder import Step
from edgebat.runs.missing import missing_engines, missing_on
from edgebat.runs.origin import corpus_digest, target_digest
from edgebat.runs.steps import Pipeline
from edgebat.teachers.store import module_of


def plan(pipeline: Pipeline) -> list[Step]:
    """All steps in order."""
    r = pipeline.recipe
    data_config = {
        "task": r.task,
        "data": r.data.model_dump(mode="json"),
        "corpus": corpus_digest(pipeline.corpus if r.data.source == "corpus" else None),
    }
    teacher_config = {
        "teacher": [dataclasses.asdict(entry) for entry in r.teacher],
        "given": [entry.digest() for entry in r.teacher],
        "threads": r.threads,
    }
    distill_config = dataclasses.asdict(r.distill)
    students = tuple(f"student-{kind}" for kind in pipeline.kinds)
    # Tasks, families and baselines are found by name, which the source does not show.
    of_task = (f"edgebat.tasks.{pipeline.task.name}.task",)
    return [
        Step(
            "data",
            "data",
            "cells, windows, split",
            pipeline.data,
            data_config,
            entry=of_task,
            # Only who asks for drawn curves depends on who draws them.
            apart=() if r.data.more.drawn else ("edgebat.teachers",),
        ),
        Step(
            "teacher",
            "teacher",
            pipeline.teacher_title,
            pipeline.teacher,
            teacher_config,
            ("data",),
            entry=(*of_task, *(module_of(one.name) for entry in r.teacher for one in entry.each if one.name)),
            # A given file is opened by what opens any model; only teachers pass.
            apart=("edgebat.students", "edgebat.formats"),
        ),
        Step(
            "baselines",
            "students",
            "baselines",
            pipeline.baselines,
            {"names": r.baselines, "learn_from_val": r.distill.learn_from_val},
            ("data",),
            entry=(*of_task, f"edgebat.baselines.{pipeline.task.name}"),
        ),
        *(
            Step(
                f"student-{entry.kind}",
                "students",
                f"student {entry.kind.upper()}, with and without teacher",
                partial(pipeline.student, entry),
                {
                    "distill": distill_config,
                    "student": entry.model_dump(mode="json"),
                    "threads": r.threads,
                    "folds": r.interval.folds,
                },
                ("data", "teacher"),
                entry=(*of_task, f"edgebat.students.{entry.kind}"),
            )
            for entry in r.students
        ),
        Step(
            "quantize",
            "quantize",
            "int8 integer graphs",
            pipeline.quantize,
            # Quantization-aware training, where the recipe asks for it, distils with the same settings.
            {
                "options": dataclasses.asdict(r.quantize),
                "task": r.task,
                "distill": distill_config,
                "threads": r.threads,
                "ground": dataclasses.asdict(r.ground),
                "interval": dataclasses.asdict(r.interval),
            },
            ("data", "teacher", *students),
            entry=(*of_task, *(f"edgebat.students.{kind}" for kind in pipeline.kinds)),
        ),
        Step("export", "export", "TFLite, ONNX, C99", pipeline.export, None, ("quantize",)),
        Step(
            "verify",
            "verify",
            "equality of all engines",
            pipeline.verify,
            r.verify.model_dump(),
            ("data", "quantize", "export"),
            entry=of_task,
            missing=missing_engines,
        ),
        Step(
            "simulate",
            "simulate",
            "size and speed on targets",
            pipeline.simulate,
            {"targets": r.targets, "files": [target_digest(t) for t in r.targets]},
            ("export",),
            entry=of_task,
            missing=partial(missing_on, r.targets),
        ),
        Step(
            "report",
            "report",
            "card and report",
            pipeline.report,
            {"recipe": r.model_dump(mode="json")},
            ("data", "teacher", "baselines", *students, "quantize", "export", "verify", "simulate"),
            entry=of_task,
        ),
    ]
