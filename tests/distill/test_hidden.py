"""Hidden states as targets: asked for once, imitated in training, and nowhere in the student's file."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from safetensors.numpy import load  # noqa: E402

from edgebat.arrays import FloatArray  # noqa: E402
from edgebat.distill.gate import Gated  # noqa: E402
from edgebat.distill.hidden import WITH_STATE, States, normalized, projection  # noqa: E402
from edgebat.distill.labels import HIDDEN, KnownLabels, teacher_labels  # noqa: E402
from edgebat.distill.qat_train import train_quantized  # noqa: E402
from edgebat.distill.train import DistillSettings, fit_student, train_student  # noqa: E402
from edgebat.errors import RecipeError  # noqa: E402
from edgebat.quantization import quantize_model  # noqa: E402
from edgebat.students.store import save_student  # noqa: E402
from edgebat.tasks.base import task  # noqa: E402
from edgebat.tasks.life.windows import LifeSpec  # noqa: E402
from edgebat.teachers.base import Teacher  # noqa: E402
from edgebat.teachers.batlinet.network import BatLiNet  # noqa: E402
from edgebat.teachers.battery_timer.network import BatteryTimer  # noqa: E402
from edgebat.teachers.ensemble import Ensemble  # noqa: E402
from edgebat.teachers.ic2ml.network import Ic2ml  # noqa: E402
from edgebat.teachers.store import teacher_classes  # noqa: E402
from edgebat.training.run import Run  # noqa: E402
from edgebat.training.settings import FitSettings  # noqa: E402
from tests.tiny_windows import health_student, tiny_windows  # noqa: E402

FIT = FitSettings(epochs=2, batch_size=16, samples_per_epoch=64, learning_rate=5e-3, noise=0.05, accelerator="cpu")
SETTINGS = DistillSettings(blends=1, hidden=1.0, fit=FIT)
HEALTH, WINDOWS = task("health"), tiny_windows()


def teacher() -> Ic2ml:
    """A small network as it is before training."""
    torch.manual_seed(0)
    return Ic2ml(width=16).eval()


class Stateless(Teacher):
    """Knows SOH and has no state."""

    name, task = "stateless", "health"

    def __init__(self):
        super().__init__()
        self.settings = {}

    def predict(self, windows):
        return {"soh": windows.soh}


class Elsewhere(Stateless):
    """Knows SOH, and holds an increment of the oldest cycle that has nothing to do with it."""

    name = "elsewhere"

    def hidden(self, windows):
        return windows.x[:, 0, :2]


@pytest.mark.parametrize("kind", ["mlp", "cnn", "lstm"])
def test_the_projection_changes_a_student_and_is_not_in_its_file(kind, tmp_path) -> None:
    files = {}
    for name, weight in (("first", 1.0), ("again", 1.0), ("without", 0.0)):
        settings = dataclasses.replace(SETTINGS, hidden=weight)
        student, _ = train_student(kind, HEALTH, WINDOWS, WINDOWS, teacher(), settings, Run(tmp_path / name))
        save_student(student, tmp_path / f"{name}.safetensors")
        files[name] = (tmp_path / f"{name}.safetensors").read_bytes()
        assert not hasattr(student, "projection")
    assert files["first"] == files["again"]
    assert files["first"] != files["without"]
    assert load(files["first"]).keys() == load(files["without"]).keys()


def test_a_student_comes_to_hold_what_its_teacher_holds(tmp_path) -> None:
    """A state that no label depends on is read off, by a linear layer, the student that was to imitate it, and no other."""
    x = np.random.default_rng(0).normal(0.01, 0.002, WINDOWS.x.shape).astype(np.float32)
    windows = dataclasses.replace(WINDOWS, x=x, soh=0.9 + 5 * (x[:, -1].mean(axis=1) - 0.01))
    fit = dataclasses.replace(FIT, epochs=20, samples_per_epoch=320, learning_rate=2e-2, noise=0.0, keep="last")
    left = {}
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        student = health_student("mlp", hidden=[6])
        student.set_normalization(windows.inputs(), windows.targets())
        labels = {"soh": 1.0, "trajectory": 0.0, "rul": 0.0}
        settings = dataclasses.replace(SETTINGS, blends=0, hidden=weight, weights=labels, fit=fit)
        fit_student(student, windows, windows, Elsewhere(), settings, Run(tmp_path / str(weight)))
        with projection(student, torch.from_numpy(x), 1, 0) as found, torch.no_grad():
            student(torch.from_numpy(x))
            state = np.column_stack([found.state.numpy(), np.ones(len(x))])
        target = normalized([Elsewhere().hidden(windows)])[0]
        left[weight] = np.square(target - state @ np.linalg.lstsq(state, target, rcond=None)[0]).mean()
    assert left[5.0] < 0.3 * left[0.0]


def test_it_works_under_quantization_too(tmp_path) -> None:
    student, _ = train_student("lstm", HEALTH, WINDOWS, WINDOWS, teacher(), SETTINGS, Run(tmp_path / "float"))
    graph = quantize_model(student.float_spec(), WINDOWS.inputs())
    trained = train_quantized(student, graph, WINDOWS, WINDOWS, teacher(), SETTINGS, 1, Run(tmp_path / "int8"))
    assert len(trained.nodes) == len(graph.nodes)


def test_states_are_computed_once(tmp_path) -> None:
    network = teacher()
    first = teacher_labels(States(network), WINDOWS, tmp_path)
    network.hidden = None  # whoever asks again fails
    again = teacher_labels(States(network), WINDOWS, tmp_path)
    np.testing.assert_array_equal(first[HIDDEN], again[HIDDEN])
    known = KnownLabels("health", {WINDOWS.digest(): first})
    np.testing.assert_array_equal(teacher_labels(States(known), WINDOWS)[HIDDEN], first[HIDDEN])


def test_a_teacher_is_silent_in_its_states_too() -> None:
    windows = dataclasses.replace(WINDOWS, cells=(("HOME", "a"), ("AWAY", "b"), ("AWAY", "c"), ("AWAY", "d")))
    states = teacher_labels(States(Gated(teacher(), ("HOME",))), windows)[HIDDEN]
    assert np.isnan(states[windows.dataset == "HOME"]).all()
    assert np.isfinite(states[windows.dataset == "AWAY"]).all()
    shown = normalized([states])[0]
    np.testing.assert_allclose(shown[windows.dataset == "AWAY"].mean(axis=0), 0.0, atol=1e-5)
    nothing = normalized([np.full((3, 2), np.nan, np.float32)])[0]
    assert np.isnan(nothing).all()


def test_what_does_not_vary_is_no_target() -> None:
    states = np.column_stack([np.arange(4.0), np.full(4, 7.0)]).astype(np.float32)
    shown = normalized([states[:2], states[2:]])
    assert np.isnan(np.concatenate(shown)[:, 1]).all()
    np.testing.assert_allclose(np.concatenate(shown)[:, 0].std(), 1.0, rtol=1e-6)


def test_a_teacher_without_a_state_is_refused_with_those_that_have_one(tmp_path) -> None:
    with pytest.raises(RecipeError, match=r"stateless has none; those with one are batlinet, .*ic2ml"):
        train_student("mlp", HEALTH, WINDOWS, WINDOWS, Stateless(), SETTINGS, Run(tmp_path))


def test_the_teachers_with_a_state_are_the_named_ones() -> None:
    own = {name for name, kind in teacher_classes().items() if kind.hidden is not Teacher.hidden}
    assert own - {"ensemble", "diffbatt_ensemble", "cross_fitted"} == set(WITH_STATE)


def test_an_ensemble_joins_the_states_of_its_members() -> None:
    one, other = Ic2ml(width=16).eval(), Ic2ml(width=32).eval()
    found = Ensemble.of([one, other]).hidden(WINDOWS)
    np.testing.assert_array_equal(found, np.concatenate([one.hidden(WINDOWS), other.hidden(WINDOWS)], axis=1))


def states_of_each() -> list[tuple[FloatArray, tuple[int, ...]]]:
    """The states of a small network of each task, and their shape."""
    curves = task("forecast").synthetic(task("forecast").spec(), 2, 400, 1).windows.evenly(7)
    cells = task("life").synthetic(LifeSpec(), 6, 400, 1).windows
    own = BatLiNet(spec=LifeSpec().to_dict()).hidden(cells)
    return [
        (teacher().hidden(WINDOWS), (len(WINDOWS), 16)),
        (BatteryTimer().hidden(curves), (7, 64)),
        (own, (len(cells), own.shape[1])),
    ]


def test_states_have_a_row_per_window() -> None:
    for found, shape in states_of_each():
        assert found.shape == shape


def test_states_are_given_in_float32_by_a_teacher_in_bfloat16_too() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):  # stands in for a GPU
        for found, _ in states_of_each():
            assert found.dtype == np.float32
