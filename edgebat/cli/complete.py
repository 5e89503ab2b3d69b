"""What a shell offers for an argument that was begun: names of recipes, models, targets, ports, data sets, and files."""

from __future__ import annotations

import csv
import glob
from collections.abc import Iterable
from pathlib import Path

import typer

import edgebat.tasks
from edgebat.errors import EdgebatError
from edgebat.paths import firmware_dir, lives_dir, recipes_dir, students_dir, targets_dir, teachers_dir

MODELS = (".ebat", ".tflite", ".onnx", ".safetensors")


def recipes(incomplete: str) -> list[str]:
    """Shipped recipes, and YAML files."""
    return _begun(incomplete, (path.stem for path in recipes_dir().glob("*.yaml"))) + _files(
        incomplete, (".yaml", ".yml")
    )


def models(incomplete: str) -> list[str]:
    """Ready students, and files of models."""
    return _begun(incomplete, _students()) + _files(incomplete, MODELS)


def models_and_recipes(incomplete: str) -> list[str]:
    """Both."""
    return sorted({*models(incomplete), *recipes(incomplete)})


def zoo(incomplete: str) -> list[str]:
    """Students and trained teachers."""
    trained = (f"{path.parent.name}/{path.stem}" for path in teachers_dir().glob("*/*.safetensors"))
    return _begun(incomplete, [*_students(), *trained])


def targets(incomplete: str) -> list[str]:
    """Boards."""
    return _begun(incomplete, [*(path.stem for path in targets_dir().glob("*.yaml")), "all"])


def lives(incomplete: str) -> list[str]:
    """Lives of a battery, and YAML files."""
    names = [*(path.stem for path in lives_dir().glob("*.yaml")), "all"]
    return _begun(incomplete, names) + _files(incomplete, (".yaml", ".yml"))


def ports(incomplete: str) -> list[str]:
    """Firmware that a model is exported for."""
    return _begun(incomplete, [*(path.parent.name for path in firmware_dir().glob("ports/*/port.yaml")), "list"])


def adapters(incomplete: str) -> list[str]:
    """Public protocols that a firmware speaks as well."""
    return _begun(incomplete, [*(path.parent.name for path in firmware_dir().glob("adapters/*/README.md")), "list"])


def datasets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Those of the corpus that ``--corpus`` or EDGEBAT_CORPUS names."""
    return _begun(incomplete, (row.get("dataset", "") for row in _cells(ctx)))


def cells(ctx: typer.Context, incomplete: str) -> list[str]:
    """Cells of the corpus, as dataset/cell."""
    return _begun(incomplete, (f"{row.get('dataset')}/{row.get('cell_id')}" for row in _cells(ctx)))


def tasks(incomplete: str) -> list[str]:
    """Tasks; their folders are listed, for importing them needs more than the command line does."""
    return _begun(incomplete, (path.parent.name for path in Path(edgebat.tasks.__path__[0]).glob("*/task.py")))


def public_sets(incomplete: str) -> list[str]:
    """Data sets that ``edgebat data fetch`` knows."""
    from edgebat.assemble.public_sets import known_sets

    return _begun(incomplete, known_sets())


def sections(incomplete: str) -> list[str]:
    """Sections of a recipe; none where what they are settings of is not installed."""
    try:
        from edgebat.runs.settings import find_sections

        return _begun(incomplete, (section.name for section in find_sections()))
    except (ImportError, EdgebatError):
        return []


def _begun(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if name and name.startswith(incomplete)})


def _files(incomplete: str, endings: tuple[str, ...]) -> list[str]:
    """Files with these endings and folders, whose path begins so."""
    found = sorted(glob.glob(f"{glob.escape(incomplete)}*"))
    return [
        f"{path}/" if Path(path).is_dir() else path for path in found if path.endswith(endings) or Path(path).is_dir()
    ]


def _students() -> list[str]:
    return [path.parent.name for path in students_dir().glob("*/entry.json")]


def _cells(ctx: typer.Context) -> list[dict[str, str]]:
    """Rows of ``cells.csv``; none where there is no corpus, for a shell has no place for an error."""
    corpus = ctx.params.get("corpus")
    try:
        with (Path(corpus or "") / "cells.csv").open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error):
        return []
