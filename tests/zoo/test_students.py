"""Every student of the zoo answers its golden vectors in every format, and its card says what it claims."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.graph.origin import graph_ground
from edgebat.models import load_model, open_model
from edgebat.paths import students_dir
from edgebat.runs.recipe import load_recipe
from edgebat.zoo import Entry, students
from edgebat.zoo.get import get_port
from edgebat.zoo.golden import check_golden
from tests.c_host import Kernels, load
from tests.generic_port import self_tested

ROOT = Path(__file__).parents[2]
STUDENTS = students()
every_student = pytest.mark.parametrize("entry", STUDENTS, ids=lambda entry: entry.name)


def test_there_is_one_of_each_family_for_health() -> None:
    names = {entry.name for entry in STUDENTS}
    assert {"health-mlp-small", "health-cnn-small", "health-lstm-small"} <= names


@every_student
def test_the_page_of_the_zoo_has_its_error_and_what_its_card_says_it_costs(entry: Entry) -> None:
    text = (ROOT / "docs/zoo.md").read_text(encoding="utf-8")
    found = re.search(rf"^\| `{entry.name}` \| [^|]+ \| (.+) \|$", text, re.M)
    card = (entry.folder / "card.md").read_text(encoding="utf-8")
    costs = re.search(r"^\| cortex-m4f \| gcc \| (.+) \|$", card, re.M)
    assert found
    assert costs
    assert found[1] == f"{entry.error:g} {entry.error_of} | {costs[1]}"


@every_student
@pytest.mark.parametrize("format_", ["ebat", "tflite", "onnx"])
def test_it_answers_its_golden_vectors(entry: Entry, format_: str) -> None:
    graph = load_model(entry.folder / f"{entry.name}.{format_}")
    assert (graph.name, graph.fingerprint) == (entry.name, entry.fingerprint)
    check_golden(graph, entry.folder / "golden.json")


@every_student
def test_its_c_answers_them_too(entry: Entry, tmp_path: Path) -> None:
    vectors = json.loads((entry.folder / "golden.json").read_text())
    graph = load_model(entry.model)
    net = load(graph, tmp_path, Kernels(tmp_path))
    x = np.asarray(vectors["input_int8"], np.int8)
    assert net.run(x).tolist() == vectors["output_int8"]


@pytest.mark.parametrize("name", [entry.name for entry in STUDENTS if entry.task == "health"])
def test_for_any_firmware_it_compiles_and_passes_its_self_test(name: str, tmp_path: Path) -> None:
    get_port(name, "generic", tmp_path)
    assert self_tested(tmp_path).startswith("SOH ")


@every_student
def test_its_golden_vectors_are_varied_and_hold_no_measurement(entry: Entry) -> None:
    vectors = json.loads((entry.folder / "golden.json").read_text())
    answers = {json.dumps(answer) for answer in vectors["output_int8"]}
    assert len(answers) > len(vectors["output_int8"]) / 2
    assert len(np.unique(vectors["input_int8"])) > 50


def test_another_integer_in_the_golden_vectors_is_seen(tmp_path: Path) -> None:
    entry = STUDENTS[0]
    vectors = json.loads((entry.folder / "golden.json").read_text())
    (first, *_), *_ = vectors["outputs"].values()
    first[0] += 1
    (tmp_path / "golden.json").write_text(json.dumps(vectors))
    with pytest.raises(ModelFileError, match=f"{entry.name} gives other integers: outputs"):
        check_golden(load_model(entry.model), tmp_path / "golden.json")


@every_student
def test_its_card_says_what_it_claims(entry: Entry) -> None:
    card = (entry.folder / "card.md").read_text(encoding="utf-8")
    for word in ("**For**", "**Not for", "chemistry", "held out", "edgebat run recipe.yaml", "## Terms"):
        assert word in card
    assert f"{entry.family.upper()}, int8, {entry.weights:,} weights" in card
    facts = dict(graph_ground(load_model(entry.model)).facts())
    assert facts == {"ground": "not stated"} or all(f"| {name} | {value} |" in card for name, value in facts.items())
    (figures,) = [line for line in card.splitlines() if line.startswith(f"| **{entry.family.upper()} int8")]
    assert float(figures.split("|")[3].replace(",", "")) == entry.error


@every_student
def test_it_is_small_was_measured_and_has_a_recipe(entry: Entry) -> None:
    simulated = entry.name.startswith("demo-")  # the demo's own students, for a cell whose truth is known
    assert entry.weights <= (8000 if simulated else 4000)
    model = open_model(entry.model)
    assert model.task.name == entry.task
    assert model.provenance["synthetic"] is simulated
    card = (entry.folder / "card.md").read_text(encoding="utf-8")
    assert ("simulated" in card and "simulated" in entry.data) is simulated
    assert model.seen
    recipe = load_recipe(entry.folder / "recipe.yaml")
    assert recipe.name == model.provenance["recipe"]
    assert recipe.task == load_recipe(recipe.name).task, "the shipped recipe of that name serves the same definition"


def test_a_card_names_the_plain_learners_that_beat_the_student() -> None:
    small, best = ((students_dir() / name / "card.md").read_text() for name in ("life-lstm-small", "life-mlp-best"))
    assert re.search(r"On the held-out cells ridge \(\d+\.\d\), plsr \(\d+\.\d\) did better", small)
    assert "did better" not in best
