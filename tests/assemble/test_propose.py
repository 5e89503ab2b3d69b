"""Recipes that ``edgebat init`` proposes for capacities and early discharge curves: they run as they are, or are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.evaluate.test_teachers import write_corpus

Command = Callable[..., tuple[int, str, str]]
TINY = (
    "teacher.fit.epochs=1", "teacher.fit.samples_per_epoch=64", "teacher.fit.steps_per_epoch=1", "teacher.fit.steps=1",
    "distill.fit.epochs=1", "distill.fit.samples_per_epoch=64", "distill.blends=1", "quantize.qat_epochs=0",
    "verify.windows=8", "students=[{kind: mlp, settings: {hidden: [8]}}]", "targets=[host]",
)  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Twelve cells of 430 to 870 cycles with discharge curves of the first 120."""
    return write_corpus(tmp_path / "own cells", range(12))


def changed(corpus: Path, most_cycles: int, every: int = 1, kind: str = "measured") -> Path:
    """The corpus with fewer cycles, and rows of a kind."""
    table = pd.read_parquet(corpus / "capacity.parquet")
    table = table[(table["cycle"] <= most_cycles) & (table["cycle"] % every == 0)]
    table.assign(label_kind=kind).to_parquet(corpus / "capacity.parquet")
    return corpus


@pytest.mark.parametrize(
    ("task", "cycles"),
    [("forecast", 900), ("forecast", 100), ("life", 900)],
    ids=["forecast", "forecast of short cells", "life"],
)
def test_a_recipe_for_own_cells_runs_as_it_is(
    task: str, cycles: int, corpus: Path, tmp_path: Path, command: Command
) -> None:
    recipe = tmp_path / "my recipe.yaml"
    code, out, error = command("init", recipe, "--task", task, "--corpus", changed(corpus, cycles))
    assert (code, error) == (0, "")
    assert f"edgebat run '{recipe}' --corpus '{corpus}'" in out
    proposed = yaml.safe_load(recipe.read_text())
    words = [word for change in TINY if _fits(change, proposed["teacher"]) for word in ("--set", change)]
    code, _, error = command("run", recipe, "--corpus", corpus, "--runs", tmp_path / "runs", "-q", *words)
    assert (code, error) == (0, "")
    card = json.loads((tmp_path / "runs/my-recipe/card.json").read_text())
    assert card["accuracy"]
    model = tmp_path / "runs/my-recipe/models/mlp.ebat"
    code, out, error = command("evaluate", model, "--corpus", corpus, "--json")
    assert (code, error) == (0, "")
    assert json.loads(out)["task_kind"] == task


def _fits(change: str, teacher: object) -> bool:
    """Whether a change is of something the proposed teacher has."""
    key = change.partition("=")[0].rpartition(".")[2]
    own = teacher["fit"] if isinstance(teacher, dict) else {}
    return not change.startswith("teacher") or key in own or (key == "steps_per_epoch" and "steps" in own)


def test_windows_follow_the_length_of_the_cells(corpus: Path, tmp_path: Path, command: Command) -> None:
    seen = {}
    for cycles in (900, 100, 70):
        recipe = tmp_path / f"c{cycles}.yaml"
        assert command("init", recipe, "--task", "forecast", "--corpus", changed(corpus, cycles))[0] == 0
        task = yaml.safe_load(recipe.read_text())["task"]
        seen[cycles] = (task["context"], task["horizon"])
    assert seen == {900: (192, 96), 100: (48, 24), 70: (32, 16)}


@pytest.mark.parametrize(
    ("task", "most_cycles", "every", "kind", "why"),
    [
        ("forecast", 40, 1, "measured", "half of the 12 cells have 40 cycles or fewer; a forecast needs 64"),
        ("forecast", 900, 50, "measured", "capacities stand 50 cycles apart"),
        ("forecast", 900, 1, "resampled10", "0 of 12 cells have measured capacities, .* the rows are resampled10"),
        ("life", 300, 1, "measured", "0 of 12 cells with discharge curves reach 80 % of their nominal capacity"),
    ],
)
def test_cells_that_do_not_do_are_refused_with_the_reason(
    task: str, most_cycles: int, every: int, kind: str, why: str, corpus: Path, tmp_path: Path
) -> None:
    from edgebat.assemble.propose import propose_recipe
    from edgebat.errors import DataError

    with pytest.raises(DataError, match=why):
        propose_recipe(changed(corpus, most_cycles, every, kind), tmp_path / "my.yaml", task)
