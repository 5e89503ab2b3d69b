"""Battery-Timer (arXiv 2505.08151): a time-series foundation model that continues capacity curves."""

from edgebat.teachers.battery_timer.network import BatteryTimer

TEACHERS = (BatteryTimer,)
