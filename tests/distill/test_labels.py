"""Labels of a teacher: in parts, kept, the same whoever computes them; another way to predict is another teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgebat.distill.gate import Gated
from edgebat.distill.labels import Labelling, in_half, label_rows, labels_of, teacher_fingerprint, teacher_labels
from edgebat.tasks.base import task
from edgebat.tasks.life.windows import LifeWindows
from edgebat.tasks.windows import Windows
from edgebat.teachers.base import Teacher
from edgebat.teachers.diffbatt.network import DiffBatt, DiffBattEnsemble
from edgebat.teachers.ensemble import Ensemble
from edgebat.teachers.ic2ml.network import Ic2ml
from edgebat.training.settings import FitSettings
from edgebat.workers import Workers
from tests.tiny_windows import tiny_windows

WINDOWS = tiny_windows(cells=4, cycles=24)  # 60 windows


class Counting(Teacher[Any]):
    """SOH is the mean increment; counts the windows it is asked about."""

    name = "counting"
    task = "health"
    part = 16

    def __init__(self) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {}
        self.asked_about = 0

    def predict(self, windows: Any) -> dict[str, Any]:
        self.asked_about += len(windows)
        return {"soh": windows.x.mean(axis=(1, 2))}


class Dying(Workers[Labelling, range, dict[str, Any]]):
    """Whoever labels is lost after so many parts; they come back in the wrong order."""

    def __init__(self, last: int) -> None:
        super().__init__(label_rows)
        self.last = last

    def run(self, jobs: Sequence[range]) -> Iterator[tuple[int, dict[str, Any]]]:
        for count, index in enumerate(reversed(range(len(jobs)))):
            if count == self.last:
                raise ConnectionError("the machine is gone")
            yield index, self.function(self.common, jobs[index])


@pytest.fixture(scope="module")
def life() -> LifeWindows:
    """A few early-life windows of made-up cells."""
    found = task("life")
    windows: Any = found.synthetic(found.spec({}), cells=6, max_cycles=400, seed=1).windows
    return windows  # type: ignore[no-any-return]


def test_labels_are_computed_once(tmp_path: Path) -> None:
    teacher = Counting()
    first, again = (teacher_labels(teacher, WINDOWS, tmp_path) for _ in range(2))
    np.testing.assert_array_equal(first["soh"], WINDOWS.x.mean(axis=(1, 2)))
    np.testing.assert_array_equal(again["soh"], first["soh"])
    assert teacher.asked_about == len(WINDOWS)


def test_a_cut_off_labelling_goes_on_after_its_last_part(tmp_path: Path) -> None:
    teacher = Counting()
    with pytest.raises(ConnectionError):
        teacher_labels(teacher, WINDOWS, tmp_path, workers=Dying(2))
    found = teacher_labels(teacher, WINDOWS, tmp_path, workers=Dying(9))
    np.testing.assert_array_equal(found["soh"], WINDOWS.x.mean(axis=(1, 2)))
    assert teacher.asked_about == len(WINDOWS), "no part twice"
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"], "no parts are left"


def test_a_damaged_part_is_computed_anew(tmp_path: Path) -> None:
    teacher = Counting()
    with pytest.raises(ConnectionError):
        teacher_labels(teacher, WINDOWS, tmp_path, workers=Dying(2))
    for part in tmp_path.rglob("*.safetensors"):
        part.write_bytes(part.read_bytes()[:20])
    np.testing.assert_array_equal(teacher_labels(teacher, WINDOWS, tmp_path)["soh"], WINDOWS.x.mean(axis=(1, 2)))


def test_members_of_an_ensemble_are_kept_one_by_one(tmp_path: Path) -> None:
    members = [Ic2ml(width=16).eval() for _ in range(2)]
    both = Gated(Ensemble.of(members), ())
    found = teacher_labels(both, WINDOWS, tmp_path)
    for head, values in both.predict(WINDOWS).items():
        np.testing.assert_array_equal(found[head], values)
    teacher_labels(members[0], WINDOWS, tmp_path)  # another ensemble may ask it too
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("kind", [DiffBatt, DiffBattEnsemble])
def test_draws_do_not_depend_on_which_windows_are_asked_about(kind: Any, life: LifeWindows) -> None:
    network = {"spec": life.spec.to_dict(), "first": 8}
    teacher = (DiffBatt(**network) if kind is DiffBatt else DiffBattEnsemble(2, network)).eval()
    # Two windows are drawn together: rows 1 to 3 begin in the middle of a batch and end in the next.
    teacher.configure({"sampling": {"draws": 2, "steps": 2, "batch": 4}})
    whole, some = teacher.predict(life), teacher.predict_rows(life, range(1, 4))
    for head, values in whole.items():
        np.testing.assert_allclose(some[head], values[1:4], rtol=1e-4, atol=1e-5)


def test_other_draws_are_another_teacher(tmp_path: Path) -> None:
    teacher = DiffBatt()
    before = teacher_fingerprint(teacher)
    teacher.configure({"sampling": {"draws": 3}})
    assert teacher_fingerprint(teacher) != before


def test_only_a_gpu_labels_in_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert in_half(FitSettings(precision="bf16-mixed")) == there
        assert not in_half(FitSettings(precision="bf16-mixed", accelerator="cpu"))
        assert not in_half(FitSettings())


def test_labels_in_bfloat16_are_others_and_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No GPU here: autocast of the CPU stands in for it, and a network for the one that is sent there.
    autocast, labelled = torch.autocast, []
    monkeypatch.setattr(torch, "autocast", lambda device, **how: labelled.append(device) or autocast("cpu", **how))
    monkeypatch.setattr(Counting, "to", lambda self, device: self)
    teacher = Counting()
    for half in (False, True):
        teacher_labels(teacher, WINDOWS, tmp_path, half=half)
    assert teacher.asked_about == 2 * len(WINDOWS)
    assert set(labelled) == {"cuda"}


def test_all_sets_of_windows_are_labelled(tmp_path: Path) -> None:
    sets: list[Windows] = [WINDOWS, WINDOWS.take(range(20))]
    found = labels_of(Counting(), sets, tmp_path, FitSettings())
    assert [len(labels["soh"]) for labels in found] == [60, 20]
