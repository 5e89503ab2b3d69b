"""What every teacher keeps, whichever folder it lies in: found by listing, trained, stored, resumed and refused alike."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from edgebat import baselines, teachers  # noqa: E402
from edgebat.errors import DataError, ModelFileError, RecipeError  # noqa: E402
from edgebat.tasks.forecast.fade import fade_curves  # noqa: E402
from edgebat.tasks.forecast.windows import ForecastSpec, forecast_windows  # noqa: E402
from edgebat.teachers.base import Teacher  # noqa: E402
from edgebat.teachers.batlinet.settings import BatLiNetSettings  # noqa: E402
from edgebat.teachers.battery_timer.settings import TimerSettings  # noqa: E402
from edgebat.teachers.diffbatt.settings import DiffBattSettings, Sampling  # noqa: E402
from edgebat.teachers.ensemble import Ensemble  # noqa: E402
from edgebat.teachers.ic2ml.settings import Ic2mlSettings  # noqa: E402
from edgebat.teachers.learner.learner import LearnerSettings  # noqa: E402
from edgebat.teachers.store import load_teacher, save_teacher, teacher_class, teacher_classes  # noqa: E402
from edgebat.teachers.universal.settings import UniversalSettings  # noqa: E402
from edgebat.training.run import Run  # noqa: E402
from edgebat.training.settings import FitSettings, StepSettings  # noqa: E402
from tests.life_cells import made_up_windows  # noqa: E402
from tests.tiny_windows import tiny_windows  # noqa: E402

EPOCHS = FitSettings(epochs=2, batch_size=16, samples_per_epoch=32, accelerator="cpu")
STEPS = StepSettings(steps=2, steps_per_epoch=1, accelerator="cpu")
SIZES = {"input_token_len": 8, "output_token_len": 8, "hidden_size": 16, "intermediate_size": 24,
         "num_hidden_layers": 1, "num_attention_heads": 2}  # fmt: skip
TIMER = TimerSettings(network={"sizes": SIZES}, fit=EPOCHS)
SMALL: dict[str, Any] = {
    "ic2ml": Ic2mlSettings(width=16, blends=1, fit=EPOCHS),
    "battery_timer": TIMER,
    "universal": UniversalSettings(timer=TIMER, contrast=None),
    "batlinet": BatLiNetSettings(width=4, fit=STEPS),
    "batlinet_ensemble": BatLiNetSettings(width=4, members=2, fit=STEPS),
    "diffbatt": DiffBattSettings(fit=STEPS),
    "diffbatt_ensemble": DiffBattSettings(members=2, fit=STEPS),
    "learner_health": LearnerSettings("nearest"),
    "learner_forecast": LearnerSettings("nearest_curve"),
    "learner_life": LearnerSettings("nearest"),
}
"""One teacher that is trained in seconds for every name; a new teacher adds its own."""
EPOCH_BY_EPOCH = [name for name in SMALL if not name.startswith("learner")]
"""Those whose training can be cut short; the plain learners learn at once."""
HEADS = {"health": {"soh", "trajectory", "rul"}, "forecast": {"trajectory"}, "life": {"life"}}


def forecasts(seed: int) -> Any:
    spec = ForecastSpec(context=48, horizon=8, min_history=24, stride=16, seen_cycles=48)
    return forecast_windows(fade_curves(4, seed=seed), spec)


WINDOWS: dict[str, tuple[Any, Any]] = {
    "health": (tiny_windows(), tiny_windows(seed=1)),
    "forecast": (forecasts(5), forecasts(6)),
    "life": (made_up_windows(5), None),
}
"""Training and validation windows of every task."""


def trained(name: str, folder: Path, settings: Any = None, **run: Any) -> Any:
    kind = teacher_class(name)
    teacher, result = kind.fit(*WINDOWS[kind.task], settings or SMALL[name], Run(folder, **run))
    assert all(np.isfinite(value) for value in result.summary().values())
    teacher.sampling = Sampling(draws=2, steps=2)  # only DiffBatt looks at it
    return teacher


@pytest.fixture(scope="module")
def one_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """A teacher by name, trained once for all tests that only look at it."""
    made: dict[str, Any] = {}

    def one(name: str) -> Any:
        if name not in made:
            made[name] = trained(name, tmp_path_factory.mktemp(name))
        return made[name]

    return one


def stored(teacher: Any, path: Path) -> bytes:
    save_teacher(teacher, path, {"made": "here"})
    return path.read_bytes()


def test_every_teacher_stands_in_this_table() -> None:
    assert set(SMALL) == set(teacher_classes()) - {"ensemble", "cross_fitted"}


@pytest.mark.parametrize("name", SMALL)
def test_it_trains_predicts_and_comes_back_from_its_file(
    name: str, one_of: Callable[[str], Any], tmp_path: Path
) -> None:
    teacher = one_of(name)
    assert isinstance(teacher, Teacher)
    assert (teacher.name, teacher.task in HEADS) == (name, True)
    assert not teacher.training
    windows = WINDOWS[teacher.task][0]
    predictions = teacher.predict(windows)
    assert HEADS[teacher.task] <= predictions.keys()
    for head, values in predictions.items():
        assert len(values) == len(windows), head
        assert np.issubdtype(values.dtype, np.floating), head
        assert np.isfinite(values).all(), head
        assert not head.endswith("_spread") or (values >= 0).all(), head
    content = stored(teacher, tmp_path / "a.safetensors")
    again = load_teacher(tmp_path / "a.safetensors")
    again.sampling = teacher.sampling
    assert type(again) is type(teacher)
    assert stored(again, tmp_path / "b.safetensors") == content
    for head, values in again.predict(windows).items():
        np.testing.assert_array_equal(values, predictions[head])


@pytest.mark.parametrize("name", SMALL)
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(
    name: str, one_of: Callable[[str], Any], tmp_path: Path
) -> None:
    first = stored(one_of(name), tmp_path / "a.safetensors")
    second = stored(trained(name, tmp_path / "b"), tmp_path / "b.safetensors")
    assert first == second
    other = trained(name, tmp_path / "c", reseeded(SMALL[name], 7))
    assert stored(other, tmp_path / "c.safetensors") != first


def reseeded(settings: Any, seed: int) -> Any:
    """``settings`` whose ``fit``, their own or their forecaster's, has another seed; of a plain learner another learner."""
    if isinstance(settings, LearnerSettings):
        return LearnerSettings({"nearest": "mean", "nearest_curve": "mean_curve"}[settings.kind])
    if isinstance(settings, UniversalSettings):
        return dataclasses.replace(settings, timer=reseeded(settings.timer, seed))
    return dataclasses.replace(settings, fit=dataclasses.replace(settings.fit, seed=seed))


@pytest.mark.parametrize("name", EPOCH_BY_EPOCH)
def test_a_resumed_training_equals_an_uninterrupted_one(
    name: str, one_of: Callable[[str], Any], tmp_path: Path
) -> None:
    def stop_in_the_second_epoch(row: dict[str, float]) -> None:
        if row["epoch"] == 1.0:
            raise KeyboardInterrupt

    whole = stored(one_of(name), tmp_path / "whole.safetensors")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        trained(name, tmp_path / "cut", progress=stop_in_the_second_epoch)
    seen: list[float] = []
    resumed = trained(name, tmp_path / "cut", progress=lambda row: seen.append(row["epoch"]))
    assert seen[0] == 1.0  # the first epoch was not run again
    assert stored(resumed, tmp_path / "cut.safetensors") == whole


@pytest.mark.parametrize("name", SMALL)
def test_windows_of_another_task_are_refused(name: str, one_of: Callable[[str], Any]) -> None:
    teacher = one_of(name)
    for task, (windows, _) in WINDOWS.items():
        if task != teacher.task:
            with pytest.raises(DataError):
                teacher.predict(windows)


@pytest.mark.parametrize("name", [n for n in EPOCH_BY_EPOCH if teacher_class(n).task != "life"])
def test_who_watches_validation_windows_says_that_it_needs_them(name: str, tmp_path: Path) -> None:
    kind = teacher_class(name)
    with pytest.raises(RecipeError, match="validation windows"):
        kind.fit(WINDOWS[kind.task][0], None, SMALL[name], Run(tmp_path))


def fields_without_docstring(kind: type[Any]) -> list[str]:
    """Fields of a settings class, its bases and the settings in it that no string literal follows."""
    bare = []
    for owner in (c for c in kind.__mro__ if dataclasses.is_dataclass(c)):
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, after in zip(body.body, [*body.body[1:], None], strict=True):
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and not documented:
                bare.append(f"{owner.__name__}.{ast.unparse(field.target)}")
    for hint in get_type_hints(kind).values():
        for part in (hint, *getattr(hint, "__args__", ())):
            if isinstance(part, type) and dataclasses.is_dataclass(part):
                bare += fields_without_docstring(part)
    return bare


def test_a_plain_learner_answers_as_the_table_of_baselines_does(one_of: Callable[[str], Any]) -> None:
    train, other = WINDOWS["health"]
    expected = baselines.answers("health", train, None, other, {"nearest"})[0]["nearest"]
    for head, values in one_of("learner_health").predict(other).items():
        np.testing.assert_allclose(values, expected[head], rtol=1e-6)


def test_a_learner_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    for kind in ("oracle", "random_tree"):
        with pytest.raises(RecipeError, match=f"'{kind}' is no baseline of the task health"):
            trained("learner_health", tmp_path, LearnerSettings(kind))


SETTINGS = dict.fromkeys([*(teacher_class(n).Settings for n in SMALL), Sampling])
"""Each once, in a fixed order: workers of a parallel run must see the same list."""


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda k: k.__name__)
def test_every_setting_is_explained_under_its_field(kind: type[Any]) -> None:
    assert fields_without_docstring(kind) == []


def test_opening_a_file_imports_the_folder_of_its_teacher_and_no_other(
    one_of: Callable[[str], Any], tmp_path: Path
) -> None:
    path = tmp_path / "t.safetensors"
    stored(one_of("batlinet_ensemble"), path)
    code = (
        f"import sys; from edgebat.teachers.store import load_teacher; load_teacher({str(path)!r}); "
        "print(*(m for m in sys.modules if m.startswith('edgebat.teachers.') or m == 'lightning'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    folders = {module.split(".")[2] for module in done.stdout.split() if module != "lightning"}
    assert folders == {"base", "store", "ensemble", "batlinet"}
    assert "lightning" not in done.stdout.split()  # training needs it, predicting does not


TOY = """
import numpy as np, torch
from edgebat.teachers.base import Teacher

class Toy(Teacher):
    name = "toy_mean"
    task = "life"
    def __init__(self, width=1):
        super().__init__()
        self.settings = {"width": width}
        self.register_buffer("life", torch.full((width,), 500.0))
    def predict(self, windows):
        return {"life": np.full(len(windows), float(self.life[0]), dtype=np.float32)}

TEACHERS = (Toy,)
"""


def test_a_new_folder_is_found_by_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").write_text(TOY)
    with pytest.raises(ModelFileError, match=r"no teacher 'toy_mean'.*batlinet, batlinet_ensemble"):
        teacher_class("toy_mean")
    monkeypatch.setattr(teachers, "__path__", [*teachers.__path__, str(tmp_path)])
    try:
        toy = teacher_class("toy_mean")(width=2)
        save_teacher(toy, tmp_path / "toy.safetensors")
        assert load_teacher(tmp_path / "toy.safetensors").predict(range(3))["life"].tolist() == [500.0] * 3
        assert "toy_mean" in teacher_classes()
        with pytest.raises(RecipeError, match="'toy_mean' is not trained"):
            type(toy).fit(None, None, None, Run(tmp_path))
    finally:
        sys.modules.pop("edgebat.teachers.toy", None)


def test_several_files_are_one_teacher_that_knows_how_far_they_are_apart(
    one_of: Callable[[str], Any], tmp_path: Path
) -> None:
    files, windows = [], WINDOWS["life"][0]
    for name in ("batlinet", "diffbatt"):
        files.append(tmp_path / f"{name}.safetensors")
        save_teacher(one_of(name), files[-1])
    both = Ensemble.of([load_teacher(file) for file in files])
    assert (both.name, both.task) == ("ensemble", "life")
    first, second = (member.predict(windows) for member in both.members)
    one, other = first["life"], second["life"]
    predictions = both.predict(windows)
    # DiffBatt alone draws curves: they stay as they are, and agree with nobody.
    np.testing.assert_array_equal(predictions["soh_curve"], second["soh_curve"])
    assert not predictions["soh_curve_spread"].any()
    np.testing.assert_allclose(predictions["life"], (one + other) / 2, rtol=1e-6)
    np.testing.assert_allclose(predictions["life_spread"], np.abs(one - other) / 2, rtol=1e-6)
    save_teacher(both, tmp_path / "both.safetensors")
    again = load_teacher(tmp_path / "both.safetensors")
    assert isinstance(again, Ensemble)
    np.testing.assert_array_equal(again.predict(windows)["life"], predictions["life"])


def test_an_ensemble_is_of_one_task_and_of_somebody(one_of: Callable[[str], Any], tmp_path: Path) -> None:
    ic2ml, batlinet = one_of("ic2ml"), one_of("batlinet")
    with pytest.raises(RecipeError, match=r"one task; seen: ic2ml \(health\), batlinet \(life\)"):
        Ensemble.of([ic2ml, batlinet])
    with pytest.raises(RecipeError, match="seen: none"):
        Ensemble.of([])
    with pytest.raises(RecipeError, match="not trained, but put together"):
        Ensemble.fit(None, None, None, Run(tmp_path))
    with pytest.raises(RecipeError, match="members is 2; the teacher 'diffbatt' is one network"):
        trained("diffbatt", tmp_path, SMALL["diffbatt_ensemble"])


def test_a_forecaster_can_start_from_a_file_of_its_own_kind(one_of: Callable[[str], Any], tmp_path: Path) -> None:
    file = tmp_path / "start.safetensors"
    first = one_of("battery_timer")
    save_teacher(first, file)
    still = dataclasses.replace(TIMER, start=str(file), fit=dataclasses.replace(EPOCHS, learning_rate=1e-12))
    second = trained("battery_timer", tmp_path / "b", still)
    windows = WINDOWS["forecast"][0]
    np.testing.assert_allclose(second.predict(windows)["trajectory"], first.predict(windows)["trajectory"], atol=1e-5)
    with pytest.raises(RecipeError, match="holds the teacher 'battery_timer'; 'universal' is needed"):
        trained("universal", tmp_path / "c", dataclasses.replace(SMALL["universal"], timer=still))


def test_the_second_task_of_the_universal_forecaster_asks_where_the_charges_stand(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="set corpus to a corpus folder, or contrast: null"):
        trained("universal", tmp_path, UniversalSettings(timer=TIMER))
