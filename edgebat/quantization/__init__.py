"""Float student in, integer graph out."""

from edgebat.quantization.ptq import QuantizeOptions, quantize_model

__all__ = ["QuantizeOptions", "quantize_model"]
