"""What to do about layers that the integer graph does not have; by the name they have in any kind of file.

An operator that is added to the graph leaves this list and becomes a method of the readers.
"""

from __future__ import annotations

import re

from edgebat.errors import ModelFileError
from edgebat.formats.tflite.model import FileModel

_DIVIDES = "it normalizes each window by its own numbers; use batch normalization, which folds into the layer before it"
_PRODUCT = "attention multiplies layers with each other; distil it into an LSTM or a convolution"
_CELL = (
    "a loop over time with a cell cannot be read; use the layer, whose weights have the same shapes: nn.LSTM, nn.GRU"
)
_RECURRENT = "of plain recurrent layers those with tanh are read; use tanh, an LSTM or a GRU"
ONE_INPUT = "a device fills one window: give the network one input, [N, T, C] or [N, F], and take it apart inside"
REMEDIES = {
    "rnn": _RECURRENT,
    "rnn_relu": _RECURRENT,
    "lstm_cell": _CELL,
    "gru_cell": _CELL,
    "rnn_tanh_cell": _CELL,
    "rnn_relu_cell": _CELL,
    "unidirectional_sequence_rnn": "a plain recurrent layer in TFLite cannot be read; give the .keras file, ONNX or torch",
    "while": "a recurrent layer as a loop cannot be read; convert with a batch of 1 and unroll=False, or give the .keras",
    "bidirectional_sequence_lstm": "both directions in one operator cannot be read; give the .keras file instead",
    "layer_norm": _DIVIDES,
    "layernorm": _DIVIDES,
    "layernormalization": _DIVIDES,
    "group_norm": _DIVIDES,
    "groupnormalization": _DIVIDES,
    "instance_norm": _DIVIDES,
    "instancenormalization": _DIVIDES,
    "unitnormalization": _DIVIDES,
    "l2_normalization": _DIVIDES,
    "log_softmax": "the integer graph has no logarithm of a softmax; end before it, the largest output stays the largest",
    "logsoftmax": "the integer graph has no logarithm of a softmax; end before it, the largest output stays the largest",
    "scaled_dot_product_attention": _PRODUCT,
    "multiheadattention": _PRODUCT,
    "attention": _PRODUCT,
    "additiveattention": _PRODUCT,
    "unflatten": f"it takes an axis apart, as attention does for its heads; {_PRODUCT}",
    "batch_matmul": _PRODUCT,
    "bmm": _PRODUCT,
    "matmul": "it multiplies matrices of two layers, as attention does; allowed: constant weights",
    "einsum": "use dense layers with constant weights",
    "embedding": "inputs are numbers, not indices; give the network its features",
    "conv2d": "it works over two dimensions; write it as a convolution over time with the other dimension as channels",
    "convtranspose": "outputs of a BMS model are shorter than its inputs; use a convolution",
    "conv_transpose1d": "outputs of a BMS model are shorter than its inputs; use a convolution",
    "conv1dtranspose": "outputs of a BMS model are shorter than its inputs; use a convolution",
    "upsampling1d": "outputs of a BMS model are shorter than its inputs; leave the decoder out",
    "upsample_nearest1d": "outputs of a BMS model are shorter than its inputs; leave the decoder out",
    "resize": "outputs of a BMS model are shorter than its inputs; leave the decoder out",
    "repeatvector": "a vector within the network cannot become a sequence again; predict all steps by one dense layer",
    "convlstm1d": "it has a convolution within an LSTM; use a convolution before an LSTM",
    "lambda": "its function is code, which is never run; use layers of Keras, e.g. Rescaling",
    "tfoplambda": "its function is code, which is never run; use layers of Keras, e.g. Rescaling",
}
"""Name in lower case -> what to do."""


def remedy(name: str) -> str:
    """What to do about the operator or layer ``name``; "" for one that is not listed."""
    return REMEDIES.get(name.lower(), "") or REMEDIES.get(re.sub(r"[^a-z0-9]", "", name.lower()), "")


def require_float(model: FileModel, what: str) -> None:
    """Refuse a quantized file as what it is."""
    made = [model.tensors[i] for operator in model.operators for i in operator.outputs if i >= 0]
    weights = [
        tensor for operator in model.operators for i in operator.inputs if i >= 0
        for tensor in [model.tensors[i]] if tensor.data is not None and tensor.dtype in ("int8", "uint8", "int16")
    ]  # fmt: skip
    kinds_made = {tensor.dtype for tensor in made if len(tensor.scale)}
    take = "edgebat quantize takes the float model it was made from"
    if kinds_made & {"int8", "uint8"}:
        raise ModelFileError(
            f"{what} is int8 already; {take}. As it is: edgebat info, verify and export; native scales: --requantize"
        )
    if "int16" in kinds_made:
        raise ModelFileError(f"{what} has 16-bit activations and 8-bit weights (16x8); {take}")
    if weights:
        raise ModelFileError(
            f"{what} has {weights[0].dtype} weights and float activations (dynamic range quantization); {take}. Convert it "
            "without converter.optimizations"
        )
