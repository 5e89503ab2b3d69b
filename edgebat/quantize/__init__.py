"""Float student in, integer graph out."""

from edgebat.quantize.ptq import QuantizeOptions, quantize_model

__all__ = ["QuantizeOptions", "quantize_model"]
