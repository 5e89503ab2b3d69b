"""Distillation: labels from measurement and teacher, head by head; the teacher is asked once; training repeats."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgebat.errors import RecipeError
from edgebat.tasks.base import Head, even_knots, task
from tests.tiny_windows import health_student, tiny_windows

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from edgebat.distill.labels import teacher_fingerprint, teacher_labels  # noqa: E402
from edgebat.distill.losses import distillation_loss, head_losses  # noqa: E402
from edgebat.distill.train import DistillSettings, fit_student, train_student, validation_loss  # noqa: E402
from edgebat.students.store import save_student  # noqa: E402
from edgebat.teachers.base import Teacher  # noqa: E402
from edgebat.training.blend import draw_blend  # noqa: E402
from edgebat.training.run import Run  # noqa: E402
from edgebat.training.settings import FitSettings  # noqa: E402

FIT = FitSettings(epochs=3, batch_size=16, samples_per_epoch=64, learning_rate=5e-3, noise=0.05, accelerator="cpu")
SETTINGS = DistillSettings(blends=1, fit=FIT)
HEALTH = task("health")


class KnowingTeacher(Teacher):
    """Reads SOH off the mean increment, adds ``offset``, and counts how often it is asked."""

    name = "knowing"
    task = "health"

    def __init__(self, offset=0.0):
        super().__init__()
        self.settings = {"offset": offset}
        self.asked = 0

    def predict(self, windows):
        x = windows.x
        self.asked += 1
        soh = (0.8 + (x[:, -1].mean(axis=1) - 0.01) * 20 + self.settings["offset"]).astype(np.float32)
        return {"soh": soh, "trajectory": np.repeat(soh[:, None], 50, axis=1), "rul": np.full(len(x), 30, np.float32)}


def student_and_windows(kind="mlp"):
    windows = tiny_windows()
    torch.manual_seed(0)
    student = health_student(kind)
    student.set_normalization(windows.inputs(), windows.targets())
    return student, windows


def targets(windows):
    return {head: torch.from_numpy(values) for head, values in windows.targets().items()}


def test_head_losses_are_squared_errors_in_normalized_units():
    student, windows = student_and_windows()
    student = student.eval()
    x = torch.from_numpy(windows.x)
    outputs = student(x)
    losses = head_losses(student, outputs, x, targets(windows))
    said = student.predict(windows.x)
    soh_std, rul_std = windows.soh.std(), np.nanstd(windows.rul)
    assert losses["soh"].item() == pytest.approx(np.mean(((said["soh"] - windows.soh) / soh_std) ** 2), rel=1e-4)
    error = (said["trajectory"] - windows.trajectory) / soh_std
    assert np.isnan(error).any()  # unknown futures are left out of the mean
    assert losses["trajectory"].item() == pytest.approx(np.nanmean(error**2), rel=1e-4)
    raw = outputs[:, -1].detach().numpy() * rul_std + np.nanmean(windows.rul)
    assert losses["rul"].item() == pytest.approx(np.nanmean(((raw - windows.rul) / rul_std) ** 2), rel=1e-4)


def test_shares_divide_each_head_between_measurement_and_teacher():
    student, windows = student_and_windows()
    x, measured = torch.from_numpy(windows.x), targets(windows)
    taught = {
        "soh": measured["soh"] + 0.1,
        "trajectory": measured["trajectory"].nan_to_num(0.8),
        "rul": torch.full_like(measured["rul"], 10.0),
    }
    hard = head_losses(student, student(x), x, measured)
    soft = head_losses(student, student(x), x, taught)
    weights = {"soh": 1.0, "trajectory": 2.0, "rul": 0.5}
    share = {"soh": 0.0, "trajectory": 1.0, "rul": 0.25}
    parts = distillation_loss(student, x, measured, taught, weights, share)
    assert parts["soh"].item() == pytest.approx(hard["soh"].item())
    assert parts["trajectory"].item() == pytest.approx(soft["trajectory"].item())
    assert parts["rul"].item() == pytest.approx(0.75 * hard["rul"].item() + 0.25 * soft["rul"].item())
    total = parts["soh"] + 2.0 * parts["trajectory"] + 0.5 * parts["rul"]
    assert parts["loss"].item() == pytest.approx(total.item())
    alone = distillation_loss(student, x, measured, None, weights, weights)
    assert alone["soh"].item() == pytest.approx(hard["soh"].item())


def test_labels_are_computed_once_per_teacher_and_windows(tmp_path):
    windows, teacher = tiny_windows(), KnowingTeacher()
    first = teacher_labels(teacher, windows, tmp_path)
    again = teacher_labels(teacher, windows, tmp_path)
    assert teacher.asked == 1
    for head, values in first.items():
        assert np.array_equal(values, again[head])
    teacher_labels(teacher, windows.take(range(len(windows) - 1)), tmp_path)
    assert teacher.asked == 2
    other = KnowingTeacher(offset=0.1)
    teacher_labels(other, windows, tmp_path)
    assert other.asked == 1


def test_damaged_labels_are_computed_anew(tmp_path):
    windows, teacher = tiny_windows(), KnowingTeacher()
    expected = teacher_labels(teacher, windows, tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:50])
    assert np.array_equal(teacher_labels(teacher, windows, tmp_path)["soh"], expected["soh"])
    assert teacher.asked == 2


def test_the_fingerprint_knows_the_weights():
    torch.manual_seed(0)
    from edgebat.teachers.ic2ml.network import Ic2ml

    network = Ic2ml(width=16)
    before = teacher_fingerprint(network)
    with torch.no_grad():
        network.soh_head[0].bias[0] += 1
    assert teacher_fingerprint(network) != before


def test_blends_lie_between_measured_windows():
    windows = tiny_windows()
    blends = windows.blended(draw_blend(windows.cell, copies=3, same_cell=1.0, seed=5))
    assert len(blends) == 3 * len(windows)
    for cell in range(len(windows.cells)):
        inside = windows.x[windows.cell == cell]
        made = blends.x[blends.cell == cell]
        assert (made >= inside.min(axis=0) - 1e-6).all()
        assert (made <= inside.max(axis=0) + 1e-6).all()
    # These cells fade in a straight line, so the blend of two labels belongs to the blend of two windows.
    slope = np.polyfit(windows.x[:, -1].mean(axis=1), windows.soh, 1)
    np.testing.assert_allclose(np.polyval(slope, blends.x[:, -1].mean(axis=1)), blends.soh, atol=0.01)
    # The last cell's RUL is unknown: blended inside the cell it stays unknown.
    assert np.isnan(blends.rul[blends.cell == len(windows.cells) - 1]).all()
    again = windows.blended(draw_blend(windows.cell, copies=3, same_cell=1.0, seed=5))
    assert np.array_equal(blends.x, again.x)
    assert not np.array_equal(blends.x, windows.blended(draw_blend(windows.cell, 3, 1.0, seed=6)).x)


@pytest.mark.parametrize("kind", ["mlp", "cnn", "lstm"])
def test_training_is_repeatable_byte_for_byte(kind, tmp_path):
    windows, val = tiny_windows(), tiny_windows(seed=1)
    files = []
    for name in ("a", "b"):
        student, _ = train_student(kind, HEALTH, windows, val, KnowingTeacher(), SETTINGS, Run(tmp_path / name))
        files.append(tmp_path / f"{name}.safetensors")
        save_student(student, files[-1])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path):
    windows, val = tiny_windows(), tiny_windows(seed=1)
    whole, result = train_student("lstm", HEALTH, windows, val, None, SETTINGS, Run(tmp_path / "whole"))

    def stop_after_second(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train_student("lstm", HEALTH, windows, val, None, SETTINGS, Run(tmp_path / "cut", progress=stop_after_second))
    resumed, again = train_student("lstm", HEALTH, windows, val, None, SETTINGS, Run(tmp_path / "cut"))
    assert again.history == result.history
    assert np.array_equal(whole.predict(val.x)["soh"], resumed.predict(val.x)["soh"])


def test_students_learn(tmp_path):
    windows = tiny_windows()
    settings = dataclasses.replace(SETTINGS, fit=dataclasses.replace(FIT, epochs=15, samples_per_epoch=256))
    student, _ = train_student("mlp", HEALTH, windows, windows, None, settings, Run(tmp_path))
    error = np.sqrt(np.mean((student.predict(windows.x)["soh"] - windows.soh) ** 2))
    assert error < 0.25 * windows.soh.std()


def test_a_student_follows_a_teacher_who_is_wrong(tmp_path):
    """Share 1: the student says what the teacher says, not what was measured."""
    windows, teacher = tiny_windows(), KnowingTeacher(offset=0.05)
    student, _ = student_and_windows()
    all_taught = {"soh": 1.0, "trajectory": 1.0, "rul": 1.0}
    settings = dataclasses.replace(SETTINGS, share=all_taught, fit=dataclasses.replace(FIT, epochs=30))
    # The best epoch is chosen by what was measured, so the labels of this validation are the teacher's own.
    said = teacher.predict(windows)
    val = dataclasses.replace(windows, soh=said["soh"], trajectory=said["trajectory"], rul=said["rul"])
    fit_student(student, windows, val, teacher, settings, Run(tmp_path))
    found = student.predict(windows.x)["soh"]
    assert np.abs(found - said["soh"]).mean() < 0.3 * np.abs(found - windows.soh).mean()


def test_validation_loss_is_what_training_watches(tmp_path):
    windows, val = tiny_windows(), tiny_windows(seed=1)
    student, result = train_student("mlp", HEALTH, windows, val, KnowingTeacher(), SETTINGS, Run(tmp_path))
    assert validation_loss(student, val, SETTINGS) == pytest.approx(result.best_loss, rel=1e-5)


def test_the_expansion_inside_torch_is_the_one_of_the_knots():
    student, _ = student_and_windows()
    outputs = torch.arange(7, dtype=torch.float32)[None]
    trajectory = Head("trajectory", "fraction", ahead=even_knots(50, 5), grid=tuple(range(1, 51)), start="soh")
    expected = trajectory.expansion() @ np.arange(6, dtype=np.float32)
    np.testing.assert_allclose(student.expanded(outputs, 1)[0].numpy(), expected, rtol=1e-6)


def test_a_head_the_teacher_does_not_know_is_learnt_from_the_measurement():
    student, windows = student_and_windows()
    x, measured = torch.from_numpy(windows.x), targets(windows)
    share = dict.fromkeys(measured, 0.5)
    parts = distillation_loss(student, x, measured, {"soh": measured["soh"] + 0.1}, dict.fromkeys(measured, 1.0), share)
    alone = head_losses(student, student(x), x, measured)
    assert parts["rul"].item() == pytest.approx(alone["rul"].item())
    assert parts["soh"].item() != pytest.approx(alone["soh"].item())


@pytest.mark.parametrize("settings", [DistillSettings(weights={"soc": 1.0}), DistillSettings(share={"soc": 1.0})])
def test_a_head_that_is_none_is_named(settings, tmp_path):
    windows = tiny_windows()
    with pytest.raises(RecipeError, match=r"names the heads \['soc'\]; this task's are \['soh', 'trajectory', 'rul'\]"):
        train_student("mlp", HEALTH, windows, windows, None, settings, Run(tmp_path))
