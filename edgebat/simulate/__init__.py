"""Simulated microcontrollers: compile a model's C code, run it, and say what it costs.

::

    from edgebat.simulate import measure

    result = measure("build/soh", "soh", "cortex-m4f", windows)       # windows int8 [N, ...]
    result.outputs, result.instructions, result.flash.total, result.ram.total, result.cycles

Three routes: "unicorn" (PyPI only, the usual one), "qemu" (a second opinion on the same image), "host" (native).
"""

from edgebat.simulate.cycles import Cycles
from edgebat.simulate.image import BuildOptions
from edgebat.simulate.measure import Measurement, Ram, measure
from edgebat.simulate.targets import Target, list_targets, load_target

__all__ = ["BuildOptions", "Cycles", "Measurement", "Ram", "Target", "list_targets", "load_target", "measure"]
