"""``edgebat search`` as a user calls it: tiny, once whole, once again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgebat.__main__ import main
from edgebat.bench.budget import Limits
from edgebat.errors import TargetError
from edgebat.runs.recipe import load_recipe
from edgebat.search.command import Asked, limits_asked
from edgebat.simulate.targets import load_target

RECIPE = """
name: tiny
data: {synthetic: {cells: 16, max_cycles: 120, seed: 3}, split: {test: 0.3, val: 0.2, seed: 1}}
task: {name: health, context: 10, horizon: 20}
teacher: {name: ic2ml, width: 32, fit: {epochs: 1, samples_per_epoch: 256}}
students: [{kind: mlp, settings: {hidden: [96]}}]
distill: {blends: 1, fit: {epochs: 1, samples_per_epoch: 256, batch_size: 64}}
"""
BUDGET = ("-t", "cortex-m0plus", "--flash", "6k", "--ram", "1k", "--time", "2ms")
EFFORT = ("--trials", "2", "--finalists", "1", "--seeds", "1", "--jobs", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a recipe and its finished search."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "tiny.yaml").write_text(RECIPE)
    assert main(["search", str(folder / "tiny.yaml"), "--runs", str(folder / "runs"), *BUDGET, *EFFORT]) == 0
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def found(folder: Path) -> Path:
    return folder / "runs" / "tiny" / "search" / "cortex-m0plus-6k-1k-2ms"


def test_a_search_writes_a_table_pictures_and_a_recipe_that_can_be_run(found: Path) -> None:
    recipe = load_recipe(found / "best.yaml")
    assert recipe.name == "tiny-cortex-m0plus-6k-1k-2ms"
    assert len(recipe.students) == 1
    assert recipe.data == load_recipe(found.parents[3] / "tiny.yaml").data
    for name in ("pareto-flash.svg", "pareto-instructions.svg"):
        assert ElementTree.parse(found / name).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert "budget: 6,144 bytes" in (found / "pareto-flash.svg").read_text()  # one student is above it


def test_the_table_shows_what_the_recipe_s_own_student_has_too_much(found: Path) -> None:
    rows = (found / "table.md").read_text().splitlines()
    (own,) = [row for row in rows if "the recipe's own" in row]
    assert own.startswith("| mlp hidden 96 mse |")
    assert "over budget: flash" in own
    assert "priced at" not in "".join(rows)  # every price was exact


def test_a_finished_search_says_so_and_changes_nothing(
    folder: Path, found: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    before = {path: path.read_bytes() for path in found.iterdir()}
    code, out, _ = command("search", folder / "tiny.yaml", "--runs", folder / "runs", *BUDGET, *EFFORT)
    assert code == 0
    assert "all of it was done before" in " ".join(out.split())
    assert {path: path.read_bytes() for path in found.iterdir()} == before


def test_amounts_have_units() -> None:
    board = load_target("cortex-m0plus")
    assert limits_asked(Asked("", "8k", "1.5k", "500us"), board) == Limits(8192, 1536, 0.5)
    assert limits_asked(Asked("", "8000", "1000", "2 ms"), board) == Limits(8000, 1000, 2.0)
    # The board's own budget is a quarter of its memory, and 100 ms.
    assert limits_asked(Asked(""), board) == Limits(131072, 36864, 100)


@pytest.mark.parametrize(("asked", "message"), [
    (Asked("", "much"), r"--flash 'much' is no amount; give one such as 2, 2k, 2m"),
    (Asked("", "", "-1k"), r"--ram '-1k' is no amount"),
    (Asked("", time="2"), r"--time '2' is no amount; give one such as 2us, 2ms, 2s"),
])  # fmt: skip
def test_what_is_no_amount_is_refused(asked: Asked, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        limits_asked(asked, load_target("cortex-m0plus"))


def test_a_computer_has_no_budget() -> None:
    with pytest.raises(TargetError, match="needs a microcontroller"):
        limits_asked(Asked("host"), load_target("host"))
