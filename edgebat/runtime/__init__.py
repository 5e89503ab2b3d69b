"""Pure-NumPy execution of integer graphs."""

from edgebat.runtime.border import input_clipped, outputs_in_units, quantize_input
from edgebat.runtime.engine import Engine
from edgebat.runtime.gru import GruState
from edgebat.runtime.lstm import LstmState

__all__ = ["Engine", "GruState", "LstmState", "input_clipped", "outputs_in_units", "quantize_input"]
