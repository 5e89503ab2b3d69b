"""From cycles to windows: charge increments, their windows and the targets. NumPy only."""

from edgebat.cells import CellHistory, CellKey
from edgebat.tasks.health.increments import WindowStatus, charge_increments, increments_from_curve
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import HealthWindows, health_windows, input_windows

__all__ = [
    "CellHistory",
    "CellKey",
    "HealthSpec",
    "HealthWindows",
    "WindowStatus",
    "charge_increments",
    "health_windows",
    "increments_from_curve",
    "input_windows",
]

KEY = "window_start_v"
"""Of this task's definition and no other; files written before definitions carried a name are known by it."""
