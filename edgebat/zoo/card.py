"""``card.md`` of a ready student: for whom it is and for whom not, what it has learnt from, its figures, how it was made.

Every figure is one of the run's ``card.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgebat.files import Json
from edgebat.report.results import Card
from edgebat.tasks.base import AnyTask, task

RECIPE = "recipe.yaml"
LIKE = "cells like those of the table below: their chemistry, temperatures and rates."
TRYING = "trying the tools: its cells are simulated."
NO_DATA = (
    "The files hold weights, scales and normalization, no measurement; the inputs of the golden vectors are drawn."
)
COSTS = ("flash_bytes", "ram_bytes", "instructions")
GROUND = ("data set", "chemistry", "cells learnt from", "validation", "held out", "temperatures", "charging")
NAMED = 4
"""Charge protocols of a data set that are named; of more, their number and two of them."""


@dataclass(frozen=True)
class Ground:
    """What is known of one cell; "" for what is not."""

    chemistry: str
    temperature: str
    charging: str


@dataclass(frozen=True)
class Made:
    """A student of a run on its way into the zoo."""

    name: str
    """Of the entry."""
    model: str
    """Key of the student in the run, as ``lstm`` or ``lstm_alone``."""
    card: Card
    ground: Mapping[str, Ground]
    """By ``dataset/cell``, where it is known."""
    stated: Sequence[tuple[str, str]] = ()
    """What its file says of its ground and interval, as (what, text)."""

    @property
    def of(self) -> AnyTask:
        """The task."""
        return task(self.card["task"]["name"])

    @property
    def row(self) -> Json:
        """The int8 student's figures among those of the run."""
        return next(row for row in self.card["accuracy"] if row["key"] == f"{self.model}_int8")

    def cells(self, *parts: str) -> list[str]:
        """The cells of some parts of the split, as ``dataset/cell``."""
        return [cell for part in parts for cell in self.card["data"]["split"][part]]

    @property
    def data(self) -> str:
        """What it has learnt from, in a few words."""
        learnt, held_out = self.cells("train", "val"), self.cells("test")
        if self.card["data"]["synthetic"]:
            return f"{len(learnt)} simulated cells; {len(held_out)} held out"
        tested, names = datasets_of(held_out), datasets_of(learnt)
        others = f" of {', '.join(tested)}" if set(tested) - set(names) else ""
        return f"{len(learnt)} cells of {', '.join(names)}; {len(held_out)} held out{others}"


VAL_TOO = (
    " Validation cells taught as well; the error that the model states is that of a student which had not seen them."
)


def datasets_of(cells: Iterable[str]) -> list[str]:
    """Names of the data sets of cells, sorted."""
    return sorted({cell.split("/", 1)[0] for cell in cells})


def card_text(made: Made) -> str:
    """The card as Markdown."""
    card, of, row = made.card, made.of, made.row
    spec = of.spec(card["task"])
    taught = row["learned_from"] == "teacher"
    blocks = [
        f"# {made.name}",
        f"{row['kind'].upper()}, int8, {row['parameters']:,} weights: {of.summary(spec)}.",
        "; ".join(f"{name}: {text}" for name, text in of.facts(spec)) + ".",
        f"**For** {TRYING if card['data']['synthetic'] else LIKE}",
        "\n".join(["**Not for, and to know:**", "", *(f"* {limit}" for limit in (*_better(made), *card["limits"]))]),
        f"## Data\n\n{card['data']['statement']}{VAL_TOO if card['recipe']['distill']['learn_from_val'] else ''}",
        table(GROUND, [_ground(made, dataset) for dataset in datasets_of(made.cells("train", "val", "test"))]),
        f"## Figures on held-out cells\n\n{card['explanation']}",
        _figures(made),
        f"Learnt from measurements{' and its teacher' if taught else ' alone, without a teacher'}. Does the teacher help?",
        *(one for one in card["taught_or_not"] if one.startswith(f"{row['kind'].upper()}:")),
        *_stated(made),
        *_sizes(made),
        f"## Made by\n\n{_commands(made)}",
        f"[{RECIPE}]({RECIPE}) is the whole recipe of the run, defaults included. edgebat {card['edgebat']}, split "
        f"{card['data']['split_hash'][:16]}, seeds: {_seeds(card)}.",
        f"## Terms\n\n{card['licence']} {NO_DATA}",
    ]
    return "\n\n".join(blocks) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows))


def _commands(made: Made) -> str:
    corpus = "" if made.card["data"]["synthetic"] else " --corpus PATH"
    run = f"runs/{made.card['name']}"
    commands = [f"edgebat run {RECIPE}{corpus}", f"edgebat zoo add {run} {made.model} {made.name}{corpus}"]
    return "\n".join(["```console", *(f"$ {command}" for command in commands), "```"])


def _seeds(card: Card) -> str:
    return ", ".join(f"{name} {seed}" for name, seed in card["seeds"].items() if isinstance(seed, int))


def _ground(made: Made, dataset: str) -> list[object]:
    """Chemistries and cells by part; temperatures and charging of the cells it has learnt from."""
    own = {part: [c for c in made.cells(part) if c.startswith(f"{dataset}/")] for part in ("train", "val", "test")}
    everything = [made.ground[cell] for cells in own.values() for cell in cells if cell in made.ground]
    learnt = [made.ground[cell] for cell in (*own["train"], *own["val"]) if cell in made.ground]
    return [
        dataset,
        _named(one.chemistry for one in everything),
        *map(len, own.values()),
        _named(one.temperature for one in learnt),
        _named(one.charging for one in learnt),
    ]


def _named(texts: Iterable[str]) -> str:
    """All there are of them, or their number and two."""
    found = sorted(set(filter(None, texts)))
    if len(found) > NAMED:
        return f"{len(found)}, from {found[0]} to {found[-1]}"
    return "; ".join(found) or "–"


def _figures(made: Made) -> str:
    """The student, the same one in float and without or with teacher, the teacher, and plain baselines."""
    own, kind = f"{made.model}_int8", made.row["kind"]
    twin = f"{kind}_int8" if made.model != kind else f"{kind}_alone_int8"
    columns = [column for column in made.card["columns"] if column["brief"]]
    rows = {row["key"]: row for row in made.card["accuracy"]}
    lines = []
    for key in (own, made.model, twin, "teacher", *made.card["baselines_shown"]):
        row, label = rows[key], _label(rows[key])
        figures = [_number(row.get(column["key"]), column["digits"]) for column in columns]
        lines.append([f"**{label}**" if key == own else label, _number(row["parameters"], 0), *figures])
    return table(["", "weights", *(column["title"] for column in columns)], lines)


def _better(made: Made) -> list[str]:
    """Which plain baselines beat the student by the first figure, if any."""
    first = made.of.columns[0].key
    better = [
        f"{row['label'].lower()} ({row[first]:.{made.of.columns[0].digits}f})"
        for row in made.card["accuracy"]
        if row["role"] == "baseline" and row[first] is not None and row[first] < made.row[first]
    ]
    return [f"On the held-out cells {', '.join(better)} did better." for _ in better[:1]]


def _label(row: Json) -> str:
    if row["role"] != "student":
        return str(row["label"])
    return f"{row['label']} {row['form']}, {'with' if row['learned_from'] == 'teacher' else 'without'} teacher"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _stated(made: Made) -> list[str]:
    """What the model's file says that it has learnt from, takes and promises."""
    if not made.stated:
        return []
    return ["## What the file states", "`edgebat predict` and a device refuse what lies outside.", table(
        ("", "stated"), made.stated)]  # fmt: skip


def _sizes(made: Made) -> list[str]:
    """What the C costs on the boards that the run measured. It exports taught students; twins have the same layers."""
    rows = [row for row in made.card["targets"] if row["model"] == made.row["kind"] and row.get("flash_bytes")]
    head = ["target", "compiler", "flash, B", "RAM, B", "instructions (simulator)"]
    lines = [[row["target"], row["built_by"], *(_number(row[key], 0) for key in COSTS)] for row in rows]
    of_twin = "" if made.model == made.row["kind"] else ", of the taught student, whose layers are the same"
    return [f"## In C{of_twin}", table(head, lines)] if rows else []
