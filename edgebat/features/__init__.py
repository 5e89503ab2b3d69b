"""From cycles to windows: charge increments, their windows and the targets. NumPy only."""

from edgebat.features.health import CellHistory, CellKey, HealthWindows, health_windows, input_windows
from edgebat.features.increments import WindowStatus, charge_increments, increments_from_curve, to_ppm
from edgebat.features.spec import HealthSpec

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
    "to_ppm",
]
