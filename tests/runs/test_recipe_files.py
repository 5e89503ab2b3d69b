"""A recipe is one YAML file; what it does not know, it refuses, and says what was probably meant."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edgebat.errors import RecipeError
from edgebat.paths import recipes_dir
from edgebat.runs.document import find_recipe, find_study
from edgebat.runs.recipe import dump_recipe, load_recipe
from edgebat.studies.command import check_study

Command = Callable[..., tuple[int, str, str]]


SHORTEST = "name: mine\ntask: {name: health}\nteacher: {name: ic2ml}\n"
"""What a recipe must say."""
NAMED = "name: mine\ntask: {name: health}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_the_shortest_recipe_names_itself_its_task_and_its_teacher(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, SHORTEST))
    assert recipe.data.source == "synthetic"
    assert [student.kind for student in recipe.students] == ["mlp", "cnn", "lstm"]
    assert (recipe.of_task.name, recipe.spec.context) == ("health", 10)
    assert recipe.task["context"] == 10


@pytest.mark.parametrize("name", ["demo", "health-tongji"])
def test_shipped_recipes_are_valid_and_named_like_their_file(name: str) -> None:
    assert load_recipe(name).name == name


def test_a_study_of_a_teacher_is_told_from_a_road(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="a study of one teacher, not a pipeline"):
        load_recipe(write(tmp_path, "name: mine\nteacher: {name: universal}\nstudy: {}"))


def test_a_shipped_recipe_is_found_by_name() -> None:
    assert find_recipe("demo") == find_recipe("export/recipes/demo.yaml").resolve()
    with pytest.raises(RecipeError, match="shipped recipes: demo,"):
        find_recipe("demmo")


def test_one_value_given_keeps_the_other_defaults_of_the_section(tmp_path: Path) -> None:
    # The teacher's own defaults count, not those of the class its settings share with the students.
    default = load_recipe(write(tmp_path, SHORTEST)).teacher[0].settings.fit
    text = SHORTEST.replace("ic2ml", "ic2ml, fit: {epochs: 3}")
    fit = load_recipe(write(tmp_path, text)).teacher[0].settings.fit
    assert fit.epochs == 3
    assert (fit.learning_rate, fit.samples_per_epoch) == (default.learning_rate, default.samples_per_epoch)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: mine\ntaks: {}", "taks is not a known key; did you mean 'task'?"),
        (NAMED + "teacher: {name: ic2ml, fit: {epoch: 3}}", "teacher.fit.epoch is not a known key; did you mean 'epochs'?"),
        ("name: mine\ndata: {split: {tests: 0.2}}", "data.split.tests is not a known key; did you mean 'test'?"),
        ("name: mine\nstudents: [{kind: mlp, epoch: 2}]", "students.0.epoch is not a known key; did you mean 'epochs'?"),
        (SHORTEST + "students: [{kind: rnn}]", "there is no student rnn; the students are cnn, gru, lstm, mlp"),
        (SHORTEST + "students: [{kind: mlp}, {kind: mlp}]", "each kind once"),
        (NAMED + "teacher: {name: ic2ml, fit: {epochs: many}}", "teacher.fit.epochs is 'many'"),
        ("name: mine\ndata: {split: {test: 1.5}}", "data.split.test is 1.5"),
        (SHORTEST.replace("health", "health, eol: 2"), "0 < eol < 1"),
        (SHORTEST.replace("name: health", ""), "task needs a name; the tasks are forecast, health, life"),
        (SHORTEST.replace("health", "soc"), "there is no task 'soc'; the tasks are forecast, health, life"),
        (SHORTEST.replace("ic2ml", "oracle"), "there is no teacher 'oracle'"),
        (SHORTEST.replace("{name: ic2ml}", "[]"), "teacher is an empty list"),
        (SHORTEST.replace("{name: ic2ml}", "{width: 8}"), "teacher has name '' and file ''; give one of them"),
        (SHORTEST.replace("ic2ml", "ic2ml, file: t.safetensors"), "give one of them"),
        ("name: mine\nteacher: {name: ic2ml}", "task is missing"),
        ("name: mine\ntask: {name: health}", "teacher is missing"),
        ("title: no name", "name is missing"),
        ("name: Not/a name", "name is 'Not/a name'"),
        ("name: mine\nname: again", "'name' is written twice (again in line 2)"),
        ("- a list", "a recipe is a mapping"),
        ("name: [", "not valid YAML"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, text))
    assert message in str(caught.value)
    assert "mine.yaml" in str(caught.value)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"(?s)taks.*sdeed"):
        load_recipe(write(tmp_path, "name: mine\ntaks: {}\nsdeed: 3"))


def test_overrides_take_yaml_values_and_reach_into_lists(tmp_path: Path) -> None:
    path = write(tmp_path, SHORTEST + "students: [{kind: mlp}, {kind: lstm}]")
    recipe = load_recipe(
        path, ["teacher.fit.epochs=5", "students.1.settings.units=12", "targets=[host]", "data.split.seed=3"]
    )
    assert recipe.teacher[0].settings.fit.epochs == 5
    assert recipe.students[1].settings == {"units": 12}
    assert recipe.targets == ("host",)
    assert recipe.data.split.seed == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("teacher.fit.epochs", "is not of the form section.key=value"),
        ("students.7.kind=mlp", "'7' is not an index into a list of 1 entries"),
        ("name.first=x", "'mine'"),
        ("teacher.fit.epoch=3", "did you mean 'epochs'?"),
    ],
)
def test_overrides_are_checked_like_the_file(tmp_path: Path, override: str, message: str) -> None:
    path = write(tmp_path, SHORTEST + "students: [{kind: mlp}]")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, [override])
    assert message in str(caught.value)


def test_a_written_recipe_reads_back_the_same(tmp_path: Path) -> None:
    recipe = load_recipe("demo", ["teacher.fit.epochs=5"])
    assert load_recipe(write(tmp_path, dump_recipe(recipe))) == recipe


def test_nothing_in_a_recipe_is_executed(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not valid YAML"):
        load_recipe(write(tmp_path, "name: !!python/object/apply:os.getcwd []"))


def test_a_study_is_run_by_the_same_verb_and_refuses_the_others(tmp_path: Path, command: Command) -> None:
    code, _, err = command("run", "life-batlinet", "--runs", tmp_path)
    assert code == 2
    assert "needs measured cells: give --corpus PATH" in " ".join(err.split())
    code, _, err = command("distill", "life-batlinet", "--corpus", tmp_path)
    assert code == 2
    assert "no students to distil" in " ".join(err.split())
    code, _, err = command(
        "run", write(tmp_path, "name: mine\nteacher: {name: oracle}\nstudy: {}"), "--corpus", tmp_path
    )
    assert code == 2
    assert "no study of the teacher 'oracle'; teacher.name is one of batlinet, battery_timer" in " ".join(err.split())
    code, _, err = command("run", "life-batlinet", "--corpus", tmp_path, "--set", "seedz=[1]")
    assert code == 2
    assert "seedz" in err
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.yaml"]


@pytest.mark.parametrize("name", [p.stem for p in sorted(recipes_dir().glob("*.yaml"))])
def test_shipped_studies_are_valid_and_named_like_their_file(name: str) -> None:
    document = find_study(name)
    if document is None:
        assert load_recipe(name).name == name
        return
    assert document["name"] == name
    pytest.importorskip("lightning")
    check_study(document)
