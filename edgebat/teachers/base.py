"""What every teacher looks like from outside."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from edgebat.arrays import FloatArray


@runtime_checkable
class Teacher(Protocol):
    """A trained network that labels windows.

    name: its key in the registry of ``edgebat.teachers.store``. settings: JSON-able constructor arguments.
    """

    name: str
    settings: dict[str, Any]

    def predict(self, windows: Any) -> dict[str, FloatArray]:
        """Physical predictions for N windows, one array per head with N rows (``health``: soh [N], trajectory
        [N, horizon], rul [N]). ``windows`` is what the teacher's task calls windows, or its input array alone."""
        ...
