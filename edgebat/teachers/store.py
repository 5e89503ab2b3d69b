"""Teachers by name, and their files: one ``.safetensors`` whose header carries name and settings as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from edgebat.errors import ModelFileError
from edgebat.teachers.base import Teacher
from edgebat.teachers.batlinet.network import BatLiNet, BatLiNetEnsemble
from edgebat.teachers.battery_timer.network import BatteryTimer
from edgebat.teachers.diffbatt.network import DiffBatt, DiffBattEnsemble
from edgebat.teachers.ic2ml.network import Ic2ml
from edgebat.teachers.universal.network import UniversalForecaster
from edgebat.training.tensorfile import StoredNetwork, read_network, save_module

# A new teacher is a module that follows ``edgebat.teachers.base.Teacher`` and one entry here.
TEACHERS: dict[str, type[nn.Module]] = {
    Ic2ml.name: Ic2ml,
    BatteryTimer.name: BatteryTimer,
    UniversalForecaster.name: UniversalForecaster,
    BatLiNet.name: BatLiNet,
    BatLiNetEnsemble.name: BatLiNetEnsemble,
    DiffBatt.name: DiffBatt,
    DiffBattEnsemble.name: DiffBattEnsemble,
}

# What each predicts; the ways to score them differ.
TASKS = {
    Ic2ml.name: "health",
    BatteryTimer.name: "forecast",
    UniversalForecaster.name: "forecast",
    BatLiNet.name: "life",
    BatLiNetEnsemble.name: "life",
    DiffBatt.name: "life",
    DiffBattEnsemble.name: "life",
}


def save_teacher(teacher: Teacher, path: str | Path, provenance: dict[str, Any] | None = None) -> None:
    """Write weights, name and settings to ``path`` (``.safetensors``); same teacher, same bytes."""
    if not isinstance(teacher, nn.Module):
        raise ModelFileError(
            f"teacher {teacher.name!r} is a {type(teacher).__name__}, not a torch module; cannot be saved"
        )
    header = {"format": "edgebat-teacher", "name": teacher.name, "settings": teacher.settings}
    save_module(teacher, path, header | {"provenance": provenance or {}})


def load_teacher(path: str | Path) -> Teacher:
    """Read a teacher written by ``save_teacher``, in eval mode. Raises ModelFileError."""
    return teacher_of(read_network(path, "edgebat-teacher"))


def teacher_of(stored: StoredNetwork) -> Teacher:
    """The teacher in a file that is read already, in eval mode. Raises ModelFileError."""
    name, path = str(stored.header.get("name")), stored.path
    if name not in TEACHERS:
        raise ModelFileError(f"{path} holds the teacher {name!r}; this edgebat knows {', '.join(sorted(TEACHERS))}")
    try:
        teacher = TEACHERS[name](**stored.header.get("settings", {}))
    except TypeError as error:
        raise ModelFileError(f"{path}: settings do not fit the teacher {name!r}: {error}") from None
    stored.fill(teacher)
    teacher.eval()
    assert isinstance(teacher, Teacher)
    return teacher
