"""The fused int8 LSTM of TFLite (UNIDIRECTIONAL_SEQUENCE_LSTM, 8x8_16) as an operator of the integer graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats.tflite.foreign import ImporterBase
from edgebat.formats.tflite.model import FileOperator
from edgebat.formats.tflite.schema import ACTIVATION
from edgebat.graph.arithmetic import lstm_multipliers
from edgebat.graph.model import ClippedLstm, Lstm, Lut, Node

# Inputs of the operator: 0 sequence, 1-4 and 5-8 input and recurrent weights (i, f, g, o), 9-11 peepholes, 12-15 biases,
# 16-17 projection, 18 hidden state, 19 cell state, 20-23 layer norm.
_ABSENT = (*range(9, 12), 16, 17, *range(20, 24))


def read_lstm(importer: ImporterBase, operator: FileOperator) -> list[Node]:
    """The Lstm node for ``operator``, and one that renames its scale; its output is declared by ``importer``.

    Raises ModelFileError.
    """
    importer.expect_inputs(operator, 20)
    options, where = operator.options, operator.where
    present = [i for i in _ABSENT if i < len(operator.inputs) and operator.inputs[i] != -1]
    if present or options.get("time_major") or options.get("projection_clip"):
        raise ModelFileError(
            f"{where} uses peepholes, a projection, layer norm or time-major order (inputs {present}); "
            "edgebat runs the plain int8 LSTM"
        )
    if options.get("activation", 0) != ACTIVATION["tanh"] or options.get("diagonal_recurrent"):
        raise ModelFileError(f"{where} has another activation than tanh, or diagonal weights")
    source, target = importer.source(operator), importer.target(operator)
    units = target.shape[-1]
    weights = [importer.constant(operator, position, "int8", rank=2) for position in range(1, 9)]
    for weight, columns in zip(weights, [source.shape[-1]] * 4 + [units] * 4, strict=True):
        if weight.zero_point.any() or len(weight.scale) != 1 or weight.shape != (units, columns):
            raise ModelFileError(
                f"{where}: weights {weight.name!r} have shape {list(weight.shape)} and {len(weight.scale)} scales; "
                f"allowed: [{units}, {columns}], one scale, zero point 0"
            )
    if min(operator.inputs[18:20]) < 0:
        raise ModelFileError(f"{where} has no state tensors")
    hidden, cell = (importer.model.tensors[operator.inputs[i]] for i in (18, 19))
    if len(hidden.scale) != 1 or not -128 <= hidden.zero_point[0] <= 127:
        raise ModelFileError(f"{where}: hidden state {hidden.name!r} is not int8 with one scale and zero point")
    output = target
    if not hidden.quantized_as(target.scale, target.zero_point):
        # A concatenation behind the layer renames its output's scale; engines hand its integers on as they are.
        target = replace(
            target, name=f"{target.name}/hidden", scale=float(hidden.scale[0]), zero_point=int(hidden.zero_point[0])
        )
        importer.tensors[target.name] = target
    exponent = int(np.rint(np.log2(float(cell.scale[0])))) if len(cell.scale) == 1 else 0
    if cell.dtype != "int16" or not cell.quantized_as(2.0**exponent, 0):
        raise ModelFileError(f"{where}: cell state {cell.name!r} is not int16 with a power of two as scale")
    scales = np.array([weight.scale[0] for weight in weights], np.float32)
    input_scales = [source.scale] * 4 + [target.scale] * 4
    real = [float(scale) * before * 2.0**12 for scale, before in zip(scales, input_scales, strict=True)]
    if not np.isfinite(real).all() or not np.isfinite(2.0**-30 / target.scale):
        raise ModelFileError(f"{where}: its scales give the gate multipliers {real}")
    same = np.arange(-128, 128).astype(np.int8)
    renamed = [] if output is target else [Lut(importer.label(output), (target.name,), output.name, "relabel", same)]
    layer = Lstm(
        name=importer.label(target),
        inputs=(source.name,),
        output=target.name,
        input_weight=np.stack([weight.values for weight in weights[:4]]),
        recurrent_weight=np.stack([weight.values for weight in weights[4:]]),
        bias=np.stack([importer.bias(operator, position, units) for position in range(12, 16)]),
        input_scale=scales[:4],
        recurrent_scale=scales[4:],
        cell_exponent=exponent,
        **lstm_multipliers(source.scale, target.scale, scales[:4], scales[4:]),
    )
    clip = float(options.get("cell_clip", 0.0))
    if not 0.0 <= clip < np.inf:
        raise ModelFileError(f"{where} clips its cell at {clip}; allowed: a number above 0, or 0 for no clip")
    if clip > 0.0:
        # Keras asks for 10, beyond the range of most cells; still -32768 then becomes -32767.
        steps = max(min(int(clip / 2.0**exponent), 32767), 1)
        layer = ClippedLstm(**vars(layer), cell_clip=steps)
    return [layer, *renamed]
