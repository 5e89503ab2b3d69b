"""A teacher is heard where it knows better than its student, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning")

from edgebat.distill.gate import Gated, heard, not_heard_on
from edgebat.distill.labels import KnownLabels, teacher_labels
from edgebat.distill.train import DistillSettings
from edgebat.errors import RecipeError
from edgebat.tasks.base import task
from edgebat.training.labels import cell_weights, with_share
from edgebat.training.settings import FitSettings
from tests.tiny_windows import tiny_windows

HOME, AWAY = "HOME", "AWAY"
WINDOWS = tiny_windows(cells=4)
WINDOWS = replace(WINDOWS, cells=((HOME, "a"), (HOME, "b"), (AWAY, "c"), (AWAY, "d")))
AT_HOME = WINDOWS.dataset == HOME


def predicted(home: float, away: float) -> dict[str, np.ndarray]:
    """Predictions that err by ``home`` and ``away``."""
    wrong = np.where(AT_HOME, home, away).astype(np.float32)
    return {"soh": WINDOWS.soh + wrong, "trajectory": WINDOWS.trajectory, "rul": WINDOWS.rul}


def test_it_is_silent_where_its_student_does_better_alone() -> None:
    health = task("health")
    assert not_heard_on(health, WINDOWS, predicted(0.03, 0.01), predicted(0.02, 0.02)) == (HOME,)
    assert not_heard_on(health, WINDOWS, predicted(0.01, 0.01), predicted(0.02, 0.02)) == ()


def test_where_it_is_silent_measured_labels_stand_in_the_place_of_its_own() -> None:
    labels = heard(WINDOWS, predicted(0.03, 0.01), (HOME,))
    np.testing.assert_array_equal(labels["soh"][AT_HOME, 0], WINDOWS.soh[AT_HOME])
    np.testing.assert_array_equal(labels["soh"][~AT_HOME, 0], predicted(0.03, 0.01)["soh"][~AT_HOME])


def test_students_share_the_labels_of_a_teacher_they_hear_differently(tmp_path) -> None:
    teacher = KnownLabels("health", {WINDOWS.digest(): predicted(0.03, 0.01)})
    for silent in ((HOME,), (AWAY,), ()):
        found = teacher_labels(Gated(teacher, silent), WINDOWS, tmp_path)["soh"].ravel()
        np.testing.assert_array_equal(found, heard(WINDOWS, predicted(0.03, 0.01), silent)["soh"].ravel())
    assert len(list(tmp_path.iterdir())) == 1


def test_made_up_windows_are_drawn_as_often_as_asked() -> None:
    named = replace(WINDOWS, cells=((HOME, "a"), ("SYNTHETIC", "b"), ("synthetic", "c"), ("SYN_NCA", "d")))
    assert named.made_up.tolist() == [c > 0 for c in named.cell]
    weights = with_share(cell_weights(named.cell, 0.5), named.made_up, 0.25).numpy()
    assert weights.sum() == pytest.approx(1.0)
    assert weights[named.made_up].sum() == pytest.approx(0.25)
    alike = cell_weights(WINDOWS.cell, 0.5)
    np.testing.assert_array_equal(with_share(alike, WINDOWS.made_up, 0.25), alike)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"listen": "never"}, "choose everywhere or where_better"), ({"made_up_share": 1.0}, "between 0 and 1"),
     ({"learn_from_val": True, "fit": FitSettings(keep="best")}, "needs keep: last")],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(wrong: dict, reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        DistillSettings(**wrong)
