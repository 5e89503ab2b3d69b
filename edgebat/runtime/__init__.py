"""Pure-NumPy execution of integer graphs."""

from edgebat.runtime.border import input_clipped, outputs_in_units, quantize_input
from edgebat.runtime.engine import Engine
from edgebat.runtime.lstm import LstmState

__all__ = ["Engine", "LstmState", "input_clipped", "outputs_in_units", "quantize_input"]
