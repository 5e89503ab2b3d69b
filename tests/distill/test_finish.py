"""The last part of a student's training: measured windows alone, and a teacher that no gate silences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from edgebat.cells import CapacityHistory, Condition  # noqa: E402
from edgebat.distill.gate import Gated  # noqa: E402
from edgebat.distill.train import DistillSettings, Finish, train_student  # noqa: E402
from edgebat.errors import RecipeError  # noqa: E402
from edgebat.tasks.base import task  # noqa: E402
from edgebat.tasks.forecast.windows import ForecastSpec, forecast_windows  # noqa: E402
from edgebat.teachers.base import Teacher  # noqa: E402
from edgebat.training.run import Run  # noqa: E402
from edgebat.training.settings import FitSettings  # noqa: E402

SPEC = ForecastSpec(context=16, horizon=8, seen_cycles=16, group=4, min_history=8, stride=2)
FORECAST = task("forecast")
FIT = FitSettings(
    epochs=6, batch_size=32, samples_per_epoch=640, learning_rate=5e-3, patience=6, keep="last", accelerator="cpu"
)
SETTINGS = DistillSettings(blends=0, made_up_share=0.5, fit=FIT)
OFF = 0.05
"""By how much made-up cells drop, and the teacher too, where measured ones go on as before."""


def bench(dataset: str, cells: int, drop: float):
    """Windows of cells that fade evenly; what is to come lies ``drop`` lower."""
    cycle = np.arange(1, 81)
    made = [CapacityHistory((dataset, str(n)), "", Condition(dataset), 1.0, cycle, 1.0 - (2 + n) * 2e-4 * cycle)
            for n in range(cells)]  # fmt: skip
    windows = forecast_windows(made, SPEC)
    return replace(windows, y=windows.y - np.float32(drop))


MEASURED, VAL, MADE_UP = bench("OWN", 6, 0.0), bench("VAL", 3, 0.0), bench("synthetic", 6, OFF)


class Dropping(Teacher):
    """Says what the made-up cells say."""

    name, task = "dropping", "forecast"

    def __init__(self) -> None:
        super().__init__()
        self.settings = {}

    def predict(self, windows):
        """Of every window."""
        return {"trajectory": np.repeat(windows.x[:, -1:], SPEC.horizon, axis=1) - np.float32(OFF)}


def drop_of(folder, teacher=None, **settings) -> float:
    """By how much a student lets the validation cells drop."""
    student, _ = train_student(
        "mlp",
        FORECAST,
        MEASURED.join(MADE_UP),
        VAL,
        teacher,
        replace(SETTINGS, **settings),
        Run(folder),
        {"hidden": [8]},
    )
    return float(np.mean(VAL.y - student.predict(VAL.inputs())["trajectory"]))


def test_measured_cells_have_the_last_word(tmp_path) -> None:
    assert drop_of(tmp_path / "mixed") > 0.3 * OFF
    assert drop_of(tmp_path / "finished", finish=Finish(epochs=4, learning_rate=5e-3)) < 0.15 * OFF


def test_the_teacher_is_heard_where_a_gate_silences_it(tmp_path) -> None:
    gated = Gated(Dropping(), ("OWN",))
    quiet = Finish(epochs=4, learning_rate=5e-3, share=0.0)
    assert drop_of(tmp_path / "quiet", gated, finish=quiet) < 0.15 * OFF
    assert drop_of(tmp_path / "heard", gated, finish=replace(quiet, share=1.0)) > 0.7 * OFF


def test_without_a_finish_nothing_changes(tmp_path) -> None:
    assert drop_of(tmp_path / "a") == drop_of(tmp_path / "b", finish=Finish(epochs=0, share=0.9))


@pytest.mark.parametrize("wrong", [{"epochs": -1}, {"learning_rate": 0.0}, {"share": 1.5}])
def test_a_finish_that_cannot_be_meant_is_refused(wrong) -> None:
    with pytest.raises(RecipeError, match=r"distill\.finish"):
        Finish(**wrong)
