"""What the steps of a run leave for its card, and the card itself: JSON documents whose keys are known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NotRequired, TypedDict

from edgebat.files import Json


class Counts(TypedDict):
    """Of one part of the split; ends_known: windows before an end of life that was observed."""

    cells: int
    windows: int
    ends_known: int


class ConditionRow(TypedDict):
    """Cells of one condition, how many of them are in each part and were watched to their end of life; their windows."""

    condition: str
    cells: int
    train: int
    val: int
    test: int
    calibration: NotRequired[int]
    """Where an interval is calibrated."""
    windows: int
    eol: int


class Origin(TypedDict):
    """Where the windows come from. ``split``: by part, cells as ``dataset/cell``."""

    source: str
    synthetic: bool
    statement: str
    fingerprint: str
    split_hash: str
    strategy: str
    split: dict[str, list[str]]
    conditions: list[ConditionRow]
    left_out: dict[str, int]
    corpus_notes: list[str]
    """What the reader of a corpus mended or left out."""


class DataResult(Origin):
    """What the step ``data`` leaves; ``counts`` by part, ``further``: cells of ``data.more`` that are none of the split."""

    counts: dict[str, Counts]
    further: list[str]


class BaselineResult(TypedDict):
    """What the step ``baselines`` leaves: ``rows`` by name with scores and ``parameters``; ``order`` of the tables."""

    rows: dict[str, Json]
    order: list[str]
    notes: list[str]


class StageErrors(TypedDict):
    """One stage of life; errors by model."""

    stage: str
    windows: int
    errors: dict[str, float | None]


class DomainPoints(TypedDict):
    """Held-out windows, an even sample: domain score and absolute error of each. what: of which quantity, in its unit."""

    limit: int
    score: list[int]
    error: list[float]
    what: str


class Trust(TypedDict):
    """Of one int8 student on the held-out windows: how often its interval held (rows of ``edgebat.interval.Covered``), what
    it refuses by reason, errors over the domain score; None for a model that states no domain."""

    held: list[Json]
    windows: int
    refused: dict[str, int]
    domain: DomainPoints | None


class CellErrors(TypedDict):
    """One held-out cell; errors in the order of the models."""

    dataset: str
    cell: str
    windows: int
    errors: list[float | None]


class PerCell(TypedDict):
    """Labels of models, and a row per held-out cell."""

    models: list[str]
    rows: list[CellErrors]


class LossCurve(TypedDict):
    """One training: losses of its epochs, counted from 1; None where there was none."""

    label: str
    epoch: list[int]
    train: list[float | None]
    val: list[float | None]


class ModelFile(TypedDict):
    """A file below ``models/``; path from the run folder."""

    path: str
    bytes: int
    sha256: str


class CardData(Origin):
    """Cells and windows by part; ``windows`` has ``ends_known`` of the test part too."""

    cells: dict[str, int]
    windows: dict[str, int]


FIGURES = ("flash_bytes", "ram_bytes", "stack_bytes", "instructions", "cycles", "ms")
"""What a row of ``targets`` can hold."""


def with_figures(rows: Iterable[Json]) -> list[Json]:
    """Rows of ``targets`` that hold a figure, or say why there is none; a row of dashes says nothing."""
    return [row for row in rows if row["skipped"] or any(row.get(name) is not None for name in FIGURES)]


class Card(TypedDict):
    """``card.json``. ``accuracy``, ``equality`` and ``targets`` are rows of tables: their columns depend on the task, on
    ``edgebat.verify.equality`` and on ``edgebat.bench.run``."""

    card_version: int
    edgebat: str
    name: str
    title: str
    summary: str
    task: Json
    columns: list[Json]
    explanation: str
    data: CardData
    ground: list[list[str]]
    """What the students have learnt from and take, as (what, text): ``edgebat.ground``; empty in older runs."""
    trust: dict[str, Trust]
    """By key of the int8 students; empty in older runs."""
    interval: float
    """Share of windows that intervals were made for; 0: there are none."""
    seeds: Json
    accuracy: list[Json]
    best_student: str
    best_taught: str
    which_to_take: str
    taught_or_not: list[str]
    teacher: str
    baselines_shown: list[str]
    shown_models: list[str]
    by_life: list[StageErrors]
    per_cell: PerCell
    losses: list[LossCurve]
    cells_shown: int
    equality: list[Json]
    equality_windows: int
    targets: list[Json]
    headline_target: str
    files: list[ModelFile]
    versions: Json
    licence: str
    limits: list[str]
    recipe: Json
