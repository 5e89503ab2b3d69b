"""Errors of curves: their slopes, their means over blocks, and labels that are not all trusted alike."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from edgebat.distill.losses import PLAIN, Terms, head_error, trusted_error  # noqa: E402
from edgebat.distill.train import DistillSettings, train_student  # noqa: E402
from edgebat.distill.trust import trust, validation_errors  # noqa: E402
from edgebat.errors import RecipeError  # noqa: E402
from edgebat.students.store import save_student  # noqa: E402
from edgebat.tasks.base import Head, task  # noqa: E402
from edgebat.teachers.base import Teacher  # noqa: E402
from edgebat.training.run import Run  # noqa: E402
from edgebat.training.settings import FitSettings  # noqa: E402
from tests.tiny_windows import tiny_windows  # noqa: E402

FIT = FitSettings(epochs=2, batch_size=16, samples_per_epoch=64, learning_rate=5e-3, noise=0.05, accelerator="cpu")
SETTINGS = DistillSettings(blends=1, fit=FIT)
CURVE = Head("trajectory", "fraction", ahead=(2.0, 4.0), grid=(1.0, 2.0, 3.0, 4.0))
NAN = float("nan")
PREDICTED = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
TARGET = torch.tensor([[1.0, 1.0, NAN, 2.0], [1.0, -1.0, 2.0, NAN]], dtype=torch.float64)
ERRORS = np.array([[0.0, 1.0, np.nan, 2.0], [-1.0, 1.0, -2.0, np.nan]])


def bytes_of(settings: DistillSettings, teacher, folder, name: str) -> bytes:
    """The file of a student of tiny cells."""
    windows, val = tiny_windows(), tiny_windows(seed=1)
    student, _ = train_student("mlp", task("health"), windows, val, teacher, settings, Run(folder / name))
    save_student(student, folder / f"{name}.safetensors")
    return (folder / f"{name}.safetensors").read_bytes()


class Unsure(Teacher):
    """SOH with noise, and a spread."""

    name, task = "unsure", "health"

    def __init__(self, spread: float, noise: float = 1.0) -> None:
        super().__init__()
        self.settings = {"spread": spread, "noise": noise}

    def predict(self, windows):
        noise = self.settings["noise"] * np.random.default_rng(0).standard_normal(len(windows))
        soh = (windows.soh + noise).astype(np.float32)
        ahead = (np.nan_to_num(windows.trajectory, nan=0.5) + noise[:, None]).astype(np.float32)
        rul = (np.nan_to_num(windows.rul, nan=5.0) + noise).astype(np.float32)
        labels = {"soh": soh, "trajectory": ahead, "rul": rul}
        spreads = {f"{head}_spread": np.full_like(values, self.settings["spread"]) for head, values in labels.items()}
        return labels | spreads


def test_without_terms_a_curve_has_the_error_of_its_values() -> None:
    assert head_error(CURVE, PREDICTED, TARGET).item() == pytest.approx(np.nanmean(ERRORS**2), rel=1e-12)
    one = head_error(CURVE, PREDICTED, TARGET, Terms(scales=(1,)))
    assert one.item() == pytest.approx(np.nanmean(ERRORS**2), rel=1e-12)


def test_slopes_are_differences_of_neighbours_over_the_whole_curve() -> None:
    slopes = 4 * np.array([1.0, 2.0, -3.0])  # of the pairs whose two values are known: 1-0, 1-(-1), -2-1
    expected = np.nanmean(ERRORS**2) + 0.25 * np.mean(slopes**2)
    found = head_error(CURVE, PREDICTED, TARGET, Terms(differences=0.25))
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_blocks_are_compared_by_the_means_of_what_is_known() -> None:
    pairs = np.array([0.5, 2.0, 0.0, -2.0])  # (0, 1), (., 2) and (-1, 1), (-2, .)
    triples = np.array([0.5, 2.0, -2.0 / 3.0])  # the last block is shorter, and unknown in the second window
    for scale, means in ((2, pairs), (3, triples)):
        found = head_error(CURVE, PREDICTED, TARGET, Terms(scales=(scale,)))
        assert found.item() == pytest.approx(np.mean(means**2), rel=1e-12)
    both = head_error(CURVE, PREDICTED, TARGET, Terms(scales=(1, 2)))
    assert both.item() == pytest.approx((np.nanmean(ERRORS**2) + np.mean(pairs**2)) / 2, rel=1e-12)


def test_an_absolute_error_stays_one() -> None:
    head = dataclasses.replace(CURVE, absolute_error=True)
    found = head_error(head, PREDICTED, TARGET, Terms(scales=(2,)))
    assert found.item() == pytest.approx(np.mean([0.5, 2.0, 0.0, 2.0]), rel=1e-12)


def test_what_is_not_known_has_no_gradient() -> None:
    predicted = PREDICTED.clone().requires_grad_()
    head_error(CURVE, predicted, TARGET, Terms(0.5, (1, 2))).backward()
    gradient = predicted.grad
    assert torch.isfinite(gradient).all()
    assert (gradient[~torch.isfinite(TARGET)] == 0).all()
    assert (gradient[torch.isfinite(TARGET)] != 0).any()


def test_the_share_of_a_label_shrinks_with_its_trust() -> None:
    head = Head("soh", "fraction")
    predicted = torch.zeros(4, 1, dtype=torch.float64)
    measured = torch.tensor([[1.0], [1.0], [NAN], [NAN]], dtype=torch.float64)
    taught = torch.tensor([[3.0], [3.0], [2.0], [2.0]], dtype=torch.float64)
    degrees = torch.tensor([[1.0], [0.5], [1.0], [0.25]], dtype=torch.float64)
    found = trusted_error(head, predicted, measured, taught, (0.5, degrees))
    sizes = [0.5 * 1 + 0.5 * 9, 0.75 * 1 + 0.25 * 9, 4.0, 0.25 * 4]
    assert found.item() == pytest.approx(sum(sizes) / (1 + 1 + 1 + 0.25), rel=1e-12)


def test_trust_is_one_half_where_the_spread_is_the_scale() -> None:
    windows = tiny_windows()
    soh = windows.soh + np.where(np.arange(len(windows)) % 2, 0.02, -0.02).astype(np.float32)
    errors = validation_errors(windows, {"soh": soh, "trajectory": windows.trajectory})
    assert errors["soh"] == pytest.approx(0.02, rel=1e-4)
    spread = np.array([0.0, 0.04, 0.08, np.inf, np.nan])
    found = trust({"soh": soh[:5], "soh_spread": spread}, errors, 2.0)
    np.testing.assert_allclose(found["soh"][:, 0], [1.0, 0.5, 0.2, 0.0, 0.0], rtol=1e-3)
    with pytest.raises(RecipeError, match="needs a teacher that knows its spread, such as several"):
        trust({"soh": soh}, errors, 1.0)


def test_a_teacher_that_is_lost_teaches_nothing(tmp_path) -> None:
    """Labels of noise whose spread says so: the student is the one without a teacher, byte for byte."""
    wary = dataclasses.replace(SETTINGS, trust_spread=1.0)
    alone = bytes_of(SETTINGS, None, tmp_path, "alone")
    assert bytes_of(wary, Unsure(np.inf), tmp_path, "lost") == alone
    assert bytes_of(wary, Unsure(0.5), tmp_path, "unsure") != alone
    assert bytes_of(SETTINGS, Unsure(np.inf), tmp_path, "believed") != alone


@pytest.mark.parametrize("terms", [{"differences": 0.5}, {"scales": (1, 4, 16)}, {"trust_spread": 1.0}])
def test_each_term_changes_a_student_and_repeats_byte_for_byte(terms, tmp_path) -> None:
    teacher = Unsure(0.01, noise=0.01)
    changed = dataclasses.replace(SETTINGS, **terms)
    first = bytes_of(changed, teacher, tmp_path, "first")
    assert first == bytes_of(changed, teacher, tmp_path, "again")
    assert first != bytes_of(SETTINGS, teacher, tmp_path, "plain")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"differences": -1.0}, "distill.differences is -1.0"), ({"hidden": float("inf")}, "distill.hidden is inf"),
     ({"trust_spread": 0.0}, "larger than 0, or null"), ({"scales": (1, 0)}, "1 or larger")],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(wrong, reason) -> None:
    with pytest.raises(RecipeError, match=reason):
        DistillSettings(**wrong)


def test_nothing_of_this_is_on_by_default() -> None:
    assert DistillSettings().terms == PLAIN
    assert (DistillSettings().hidden, DistillSettings().trust_spread) == (0.0, None)
