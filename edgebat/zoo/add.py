"""A student of a finished run becomes an entry of the zoo: files, golden vectors, card, and ``entry.json``."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

from edgebat.errors import EdgebatError
from edgebat.files import Json, atomic_write, sha256_file
from edgebat.formats.export import export_model
from edgebat.graph import load_graph
from edgebat.graph.origin import graph_ground, graph_interval
from edgebat.paths import students_dir
from edgebat.report.results import Card
from edgebat.tasks.base import task
from edgebat.zoo.card import RECIPE, Ground, Made, card_text
from edgebat.zoo.entries import ENTRY
from edgebat.zoo.golden import GOLDEN, golden

FORMATS = ("ebat", "tflite", "onnx")


def add(run: Path, model: str, name: str, corpus: Path | None = None, zoo: Path | None = None) -> Path:
    """Write the entry ``name`` below ``zoo``, by default the zoo of edgebat itself; returns its folder.

    run: a finished run folder. model: key of one of its students, ``lstm``, or ``lstm_alone`` for the one without a teacher.
    corpus: the folder the cells are of, unless they are simulated. All figures are those of the run's ``card.json``.
    Raises EdgebatError for a run that is not finished or has no such model.
    """
    card = _card(run)
    students = [row["key"].removesuffix("_int8") for row in card["accuracy"] if row["form"] == "int8"]
    if model not in students:
        raise EdgebatError(f"{run} has no student {model!r}; its students are {', '.join(students)}")
    graph = replace(load_graph(run / "models" / f"{model}.ebat"), name=name)
    interval = graph_interval(graph)
    stated = [*graph_ground(graph).facts(), *(interval.facts() if interval else ())]
    ground = _simulated(run, card) if card["data"]["synthetic"] else _ground(corpus)
    made = Made(name, model, card, ground, stated)
    folder = (zoo or students_dir()) / name
    files = export_model(graph, folder, FORMATS)
    texts = {GOLDEN: json.dumps(golden(graph), separators=(",", ":")) + "\n", "card.md": card_text(made)}
    texts[RECIPE] = (run / "config.yaml").read_text(encoding="utf-8")
    for file, text in texts.items():
        atomic_write(folder / file, text)
    files += [folder / file for file in texts]
    first = made.of.columns[0]
    entry: Json = {
        "name": name,
        "task": made.of.name,
        "family": made.row["kind"],
        "weights": made.row["parameters"],
        "bytes": (folder / f"{name}.ebat").stat().st_size,
        "data": made.data,
        "error": round(made.row[first.key], first.digits),
        "error_of": f"{first.unit} {first.title.removesuffix(' %')}",
        "fingerprint": graph.fingerprint,
        "files": {path.name: sha256_file(path) for path in sorted(files)},
    }
    atomic_write(folder / ENTRY, json.dumps(entry, indent=1) + "\n")
    return folder


def _card(run: Path) -> Card:
    path = run / "card.json"
    try:
        card: Card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EdgebatError(f"{path} cannot be read: {error}; finish the run first: edgebat run RECIPE") from None
    return card


def _simulated(run: Path, card: Card) -> dict[str, Ground]:
    """What the simulation knows of each cell, as the run keeps it beside its windows."""
    from edgebat.data.splits import PARTS  # a run is there by then, and pandas with it

    found = {}
    for part in PARTS:
        windows = task(card["task"]["name"]).Windows.load(run / "data" / f"{part}.safetensors")
        for cell, condition in zip(windows.cells, windows.conditions, strict=True):
            degrees = condition.temperature_degc
            temperature = "" if degrees is None else f"{degrees:g} degC"
            found["/".join(cell)] = Ground(condition.chemistry, temperature, condition.charge_protocol)
    return found


def _ground(corpus: Path | None) -> dict[str, Ground]:
    """What the corpus knows of each cell."""
    if corpus is None:
        raise EdgebatError(
            "the card says of which chemistries the cells are: give the corpus they are of, --corpus PATH"
        )
    found = {}
    try:
        with (corpus / "cells.csv").open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                temperature = f"{float(row['temperature_c']):g} degC" if row["temperature_c"] else ""
                ground = Ground(row["chemistry"], temperature, row["charge_protocol"])
                found[f"{row['dataset']}/{row['cell_id']}"] = ground
    except (OSError, KeyError, ValueError) as error:
        raise EdgebatError(f"{corpus / 'cells.csv'} cannot be read: {error!r}; give the corpus of the run") from None
    return found
