"""The part of the TFLite schema (version 3) that edgebat reads and writes; see `edgebat.formats.tflite.flatbuffer`.

Source: tensorflow/compiler/mlir/lite/schema/schema.fbs. Fields of type "any" are never used by edgebat: a file that
carries one where it would change the numbers is refused.
"""

from __future__ import annotations

from typing import Any

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
METADATA_NAME = "edgebat"

_ACTIVATION = ("activation", "i8")

# Tables of the union by type number; None: options that edgebat has no use for.
_OPTIONS: dict[int, str] = {
    1: "Conv2DOptions", 2: "DepthwiseConv2DOptions", 5: "Pool2DOptions", 8: "FullyConnectedOptions",
    9: "SoftmaxOptions", 10: "ConcatenationOptions", 11: "AddOptions", 17: "ReshapeOptions", 22: "PadOptions",
    21: "MulOptions", 23: "GatherOptions", 27: "ReducerOptions", 28: "SubOptions", 29: "DivOptions", 30: "SqueezeOptions",
    32: "StridedSliceOptions", 37: "CastOptions", 38: "DequantizeOptions", 52: "ExpandDimsOptions", 55: "ShapeOptions",
    71: "SequenceLSTMOptions", 75: "LeakyReluOptions", 35: "SplitOptions", 79: "SplitVOptions", 89: "QuantizeOptions",
    116: "GeluOptions", 59: "PackOptions", 64: "UnpackOptions", 93: "WhileOptions", 101: "BatchMatMulOptions",
}  # fmt: skip
OPTION_TYPE = {name: number for number, name in _OPTIONS.items()}

SCHEMA: dict[str, list[Any]] = {
    "Model": [
        ("version", "u32"), ("operator_codes", "[OperatorCode]"), ("subgraphs", "[SubGraph]"),
        ("description", "string"), ("buffers", "[Buffer]"), ("metadata_buffer", "[i32]"), ("metadata", "[Metadata]"),
        ("signature_defs", "any"), ("external_buffer_groups", "any"), ("external_buffers", "any"),
    ],
    "OperatorCode": [("deprecated_code", "i8"), ("custom_code", "string"), ("version", "i32"), ("code", "i32")],
    "SubGraph": [
        ("tensors", "[Tensor]"), ("inputs", "[i32]"), ("outputs", "[i32]"), ("operators", "[Operator]"),
        ("name", "string"),
    ],
    "Tensor": [
        ("shape", "[i32]"), ("type", "i8"), ("buffer", "u32"), ("name", "string"),
        ("quantization", "Quantization"), ("is_variable", "bool"), ("sparsity", "any"), ("shape_signature", "[i32]"),
        ("has_rank", "bool"), ("variant_tensors", "any"), ("external_buffer", "u32"),
    ],
    "Quantization": [
        ("min", "[f32]"), ("max", "[f32]"), ("scale", "[f32]"), ("zero_point", "[i64]"), ("details_type", "u8"),
        ("details", "any"), ("dimension", "i32"),
    ],
    # The alignment lets an interpreter use the data where the file is mapped.
    "Buffer": [("data", "[u8]", 16), ("offset", "u64"), ("size", "u64")],
    "Metadata": [("name", "string"), ("buffer", "u32")],
    "Operator": [
        ("opcode_index", "u32"), ("inputs", "[i32]"), ("outputs", "[i32]"), ("options_type", "u8"),
        ("options", "union:Options"), ("custom_options", "any"), ("custom_options_format", "i8"),
        ("mutating_variable_inputs", "any"), ("intermediates", "[i32]"), ("large_offset", "u64"),
        ("large_size", "u64"), ("options_2_type", "u8"), ("options_2", "any"),
    ],
    "Options": [_OPTIONS.get(number) for number in range(max(_OPTIONS) + 1)],
    "Conv2DOptions": [
        ("padding", "i8"), ("stride_w", "i32"), ("stride_h", "i32"), _ACTIVATION, ("dilation_w", "i32"),
        ("dilation_h", "i32"), ("quantized_bias_type", "i8"),
    ],
    "DepthwiseConv2DOptions": [
        ("padding", "i8"), ("stride_w", "i32"), ("stride_h", "i32"), ("depth_multiplier", "i32"), _ACTIVATION,
        ("dilation_w", "i32"), ("dilation_h", "i32"),
    ],
    "Pool2DOptions": [
        ("padding", "i8"), ("stride_w", "i32"), ("stride_h", "i32"), ("filter_w", "i32"), ("filter_h", "i32"),
        _ACTIVATION,
    ],
    "FullyConnectedOptions": [
        _ACTIVATION, ("weights_format", "i8"), ("keep_num_dims", "bool"), ("asymmetric_quantize_inputs", "bool"),
        ("quantized_bias_type", "i8"),
    ],
    "SoftmaxOptions": [("beta", "f32")],
    "LeakyReluOptions": [("alpha", "f32")],
    "ConcatenationOptions": [("axis", "i32"), _ACTIVATION],
    "AddOptions": [_ACTIVATION, ("pot_scale_int16", "bool")],
    "MulOptions": [_ACTIVATION],
    "DivOptions": [_ACTIVATION],
    "GeluOptions": [("approximate", "bool")],
    "SubOptions": [_ACTIVATION, ("pot_scale_int16", "bool")],
    "PadOptions": [],
    "PackOptions": [("values_count", "i32"), ("axis", "i32")],
    "UnpackOptions": [("num", "i32"), ("axis", "i32")],
    "WhileOptions": [("cond_subgraph", "i32"), ("body_subgraph", "i32")],
    "BatchMatMulOptions": [("adj_x", "bool"), ("adj_y", "bool"), ("asymmetric_quantize_inputs", "bool")],
    "SplitOptions": [("num_splits", "i32")],
    "SplitVOptions": [("num_splits", "i32")],
    "GatherOptions": [("axis", "i32"), ("batch_dims", "i32")],
    "CastOptions": [("in_type", "i8"), ("out_type", "i8")],
    "ReshapeOptions": [("new_shape", "[i32]")],
    "ReducerOptions": [("keep_dims", "bool")],
    "SqueezeOptions": [("squeeze_dims", "[i32]")],
    "StridedSliceOptions": [
        ("begin_mask", "i32"), ("end_mask", "i32"), ("ellipsis_mask", "i32"), ("new_axis_mask", "i32"),
        ("shrink_axis_mask", "i32"), ("offset", "bool"),
    ],
    "ExpandDimsOptions": [],
    "ShapeOptions": [("out_type", "i8")],
    "SequenceLSTMOptions": [
        _ACTIVATION, ("cell_clip", "f32"), ("projection_clip", "f32"), ("time_major", "bool"),
        ("asymmetric_quantize_inputs", "bool"), ("diagonal_recurrent", "bool"),
    ],
    "QuantizeOptions": [],
    "DequantizeOptions": [],
}  # fmt: skip

TENSOR_TYPE = {
    "float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9,
}  # fmt: skip

# Builtin operator codes by name; more than edgebat runs, so that errors can name what they refuse.
OPERATOR = {
    "ADD": 0, "AVERAGE_POOL_2D": 1, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "DEQUANTIZE": 6,
    "FULLY_CONNECTED": 9, "LOGISTIC": 14, "MAX_POOL_2D": 17, "MUL": 18, "RELU": 19, "RELU6": 21, "RESHAPE": 22,
    "SOFTMAX": 25, "TANH": 28, "PAD": 34, "GATHER": 36, "BATCH_TO_SPACE_ND": 37, "SPACE_TO_BATCH_ND": 38,
    "TRANSPOSE": 39, "MEAN": 40, "SUB": 41, "DIV": 42, "SQUEEZE": 43, "UNIDIRECTIONAL_SEQUENCE_LSTM": 44,
    "STRIDED_SLICE": 45, "BIDIRECTIONAL_SEQUENCE_LSTM": 52, "CAST": 53, "PADV2": 60, "SLICE": 65, "EXPAND_DIMS": 70,
    "SHAPE": 77, "REDUCE_MAX": 82, "PACK": 83, "UNPACK": 88, "LEAKY_RELU": 98, "SPLIT": 49, "QUANTIZE": 114,
    "L2_NORMALIZATION": 11, "PRELU": 54, "MAXIMUM": 55, "MINIMUM": 57, "ELU": 111, "SUM": 74, "SQUARED_DIFFERENCE": 99,
    "RSQRT": 76, "EXP": 47, "TILE": 69, "FILL": 94, "SPLIT_V": 102, "REVERSE_V2": 105, "UNIDIRECTIONAL_SEQUENCE_RNN": 35,
    "LESS": 58, "REDUCE_PROD": 81, "LOGICAL_AND": 86, "VAR_HANDLE": 142, "READ_VARIABLE": 143,
    "DYNAMIC_UPDATE_SLICE": 151, "LOG": 73, "NEG": 59, "SQRT": 75, "SQUARE": 92, "GREATER": 61, "GREATER_EQUAL": 62,
    "LESS_EQUAL": 63, "SELECT": 64, "SELECT_V2": 123, "REDUCE_MIN": 89, "TRANSPOSE_CONV": 67, "LOG_SOFTMAX": 50,
    "POW": 78, "BROADCAST_TO": 130, "RESIZE_NEAREST_NEIGHBOR": 97, "MIRROR_PAD": 100, "RELU_N1_TO_1": 20,
    "RELU_0_TO_1": 152, "ABS": 101, "HARD_SWISH": 117, "WHILE": 119, "BATCH_MATMUL": 126, "GELU": 150,
}  # fmt: skip

ACTIVATION = {"none": 0, "relu": 1, "relu_n1_to_1": 2, "relu6": 3, "tanh": 4}
PADDING = {"same": 0, "valid": 1}
