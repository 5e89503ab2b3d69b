"""Studies: recipes with ``study:``, which train one published teacher and score it beside the baselines, without a device at
the end."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from edgebat.distill.entry import teacher_entry
from edgebat.errors import EdgebatError, RecipeError, require
from edgebat.files import Json, atomic_write
from edgebat.tasks.base import task
from edgebat.teachers.store import teacher_class, teacher_classes

if TYPE_CHECKING:
    from edgebat.studies.runner import Kind, StudyRecipe

KEYS = ("name", "title", "task", "teacher", "study")
"""Of a recipe."""
NOTE = "study.json"
"""The recipe that a folder's results are of."""


def check_study(document: Json, where: str = "recipe") -> StudyRecipe[Any]:
    """A checked study from plain data. Raises RecipeError, MissingExtra."""
    teacher = document.get("teacher")
    name = str(teacher.get("name", "ensemble" if "of" in teacher else None) if isinstance(teacher, dict) else teacher)
    if unknown := sorted(set(document) - set(KEYS)):
        raise RecipeError(f"{where}: a study knows no {', '.join(unknown)}; allowed are {', '.join(KEYS)}")
    require("lightning", extra="train")
    from edgebat.studies.runner import StudyRecipe

    kind = study_kind(_study_of(name, where))
    try:
        entry, described = teacher_entry(teacher), document.get("task") or {}
        own = task(str(getattr(teacher_class(name), "task", "") or described.get("name", "")))
        spec = own.spec(described)
        section = TypeAdapter(kind.section).validate_python(document.get("study") or {})
    except ValidationError as error:
        raise RecipeError(f"{where}: study: {error}") from None
    except EdgebatError as error:
        raise RecipeError(f"{where}: {error}") from None
    return StudyRecipe(str(document.get("name", "")), name, entry.settings or entry, own, spec, section, kind)


def study_kind(study: str) -> Kind:
    """What ``Teacher.study`` names, a ``Kind`` of a module in ``edgebat/studies``."""
    module, _, name = study.partition(".")
    kind: Kind = getattr(importlib.import_module(f"edgebat.studies.{module}"), name)
    return kind


def _study_of(name: str, where: str) -> str:
    """``Teacher.study`` of the teacher ``name``. Raises RecipeError when it has none, or there is no such teacher."""
    with contextlib.suppress(EdgebatError):
        if study := teacher_class(name).study:
            return study
    known = sorted(teacher.name for teacher in teacher_classes().values() if teacher.study)
    raise RecipeError(f"{where}: there is no study of the teacher {name!r}; teacher.name is one of {', '.join(known)}")


def _silent_but_for_the_first() -> contextlib.AbstractContextManager[Any]:
    """Every process of a distributed training goes through the whole study; one of them prints."""
    from lightning.pytorch.utilities import rank_zero_only

    # Before a Trainer is made, Lightning knows the process of a node, but not the node.
    if getattr(rank_zero_only, "rank", 0) or int(os.environ.get("NODE_RANK", "0")):
        return contextlib.redirect_stdout(io.StringIO())
    return contextlib.nullcontext()


def refuse_other_results(folder: Path, document: Json) -> None:
    """Raise RecipeError when ``folder`` holds results of another recipe; title, seeds, released predictions and variants
    that only one of the two has apart."""
    if not (folder / NOTE).exists():
        return
    own, other = _same_study(document), json.loads((folder / NOTE).read_text(encoding="utf-8"))
    sections = [part.get("study") or {} for part in (own, other)]
    common = sections[0].get("variants", {}).keys() & sections[1].get("variants", {}).keys()
    for section in sections:
        if "variants" in section:
            section["variants"] = {name: section["variants"][name] for name in sorted(common)}
    changed = sorted(key for key in own.keys() | other.keys() if own.get(key) != other.get(key))
    if changed:
        raise RecipeError(
            f"{folder} holds results of the same study with another {', '.join(changed)}; choose another --runs, or "
            "delete the folder"
        )


def _same_study(part: Any) -> Any:
    """What makes a study the same: plain data as JSON gives it back, less titles, ``seeds`` and ``released``."""
    if isinstance(part, dict):
        return {str(k): _same_study(v) for k, v in part.items() if k not in ("seeds", "title", "released")}
    return [_same_study(v) for v in part] if isinstance(part, list | tuple) else part


def results_json(folder: Path) -> Json:
    """What a study came to, for other programs: its records by the name of their file."""
    records = sorted(path for path in folder.glob("*.json") if path.name != NOTE)
    return {
        "folder": str(folder),
        "results": {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in records},
    }


def run_study(document: Json, corpus: Path | None, runs: Path, only: Sequence[str] = ()) -> Path:
    """Run a study, or the parts of it named in ``only``, into ``runs/<name>`` and print its tables; what is done there is
    kept. Raises RecipeError, DataError, MissingExtra."""
    study = check_study(document)
    if corpus is None:
        raise RecipeError(f"recipe {study.name!r} needs measured cells: give --corpus PATH or set EDGEBAT_CORPUS")
    from edgebat.studies.runner import run_experiments

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    folder = runs / study.name
    refuse_other_results(folder, document)
    try:
        with _silent_but_for_the_first():
            run_experiments([experiment(study, corpus, folder) for experiment in study.kind.experiments], only)
    finally:
        # Interrupted or not: what lies there now is of this recipe.
        if folder.is_dir():
            atomic_write(folder / NOTE, json.dumps(_same_study(document), indent=1, sort_keys=True) + "\n")
    return folder
