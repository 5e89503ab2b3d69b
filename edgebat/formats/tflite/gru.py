"""The GRU in TFLite, which has no operator for it: unrolled over time into 16-bit operators whose integers are ours.

A product of 8-bit weights is FULLY_CONNECTED 16x8 as in the head (`rules.head_offset`); LOGISTIC, TANH, MUL, ADD and SUB of
int16 round in TFLite Micro as docs/quantization-spec.md has it; LiteRT evaluates a polynomial for LOGISTIC and TANH.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebat.arrays import Array, Float32, Int32, Int64
from edgebat.errors import ModelFileError
from edgebat.formats.rounding import agrees
from edgebat.formats.tflite import rules
from edgebat.formats.tflite.build import FileBuilder
from edgebat.graph.model import Gru, Requant, Tensor

OPERATOR = "EDGEBAT_GRU"
"""What the reader makes of the operators of one layer, see `gru_read.py`."""
STATE_SCALE = 2.0**-15
GATE_SCALE = 2.0**-12
_JOINED = 10  # inputs of a concatenation in TFLite Micro


@dataclass(frozen=True)
class _Product:
    """Rows of weights as FULLY_CONNECTED takes them: bias int64, scales of the file."""

    weight: Array
    bias: Int64
    scale: Float32


def write_gru(builder: FileBuilder, node: Gru, source: Tensor, ends: tuple[int, int]) -> bool:
    """Append the operators of ``node`` between the tensors ``ends``; whether engines agree on all its products.

    Raises ModelFileError for a factor of too many bits.
    """
    unrolled = _Unrolled(builder, node, source)
    unrolled.write(*ends)
    return unrolled.exact


class _Unrolled:
    def __init__(self, builder: FileBuilder, node: Gru, source: Tensor) -> None:
        self.builder, self.node, self.source, self.units = builder, node, source, node.bias.shape[1]
        self.exact = True

    # -- constants

    def product(self, rows: slice, part: str) -> _Product:
        """Gates ``rows`` of the product with the input or the hidden state, as the file has it."""
        node, gates = self.node, range(*rows.indices(3))
        weights: Array = getattr(node, f"{part}_weight")[rows]
        factor, shift = (getattr(node, f"{part}_{label}")[rows].repeat(self.units) for label in ("factor", "shift"))
        if int(factor.max()) >= 2**rules.HEAD_SHIFT:
            raise ModelFileError(
                f"node {node.name!r} (gru): a factor is {int(factor.max())}; TFLite needs less than {2**rules.HEAD_SHIFT}. "
                "Use smaller weights"
            )
        before, zero = (self.source.scale, self.source.zero_point) if part == "input" else (2.0**-7, 0)
        own = node.bias[rows] if part == "input" else np.stack([node.recurrent_bias * (gate == 2) for gate in gates])
        scale = (factor * 2.0 ** -shift.astype(np.float64) * GATE_SCALE / before).astype(np.float32)
        matrix = weights.reshape(len(factor), -1)
        self.exact &= _agreed(matrix, own.reshape(-1), (factor, shift), scale * np.float64(before), zero)
        bias = (own.reshape(-1).astype(np.int64) << rules.HEAD_SHIFT) + rules.head_offset(factor)
        return _Product(matrix, bias, scale)

    def constants(self, product: _Product, label: str, source_scale: float) -> list[int]:
        name, new = f"{self.node.name}/{label}", self.builder.tensor
        bias_scale = np.float32(source_scale / 2**rules.HEAD_SHIFT) * product.scale
        return [
            new(f"{name} weight", product.weight.shape, "int8", data=product.weight, scale=product.scale),
            new(
                f"{name} bias",
                product.bias.shape,
                "int64",
                data=product.bias,
                scale=bias_scale,
            ),
        ]

    # -- operators

    def value(self, label: str, scale: float, width: int, rows: int = 1, dtype: str = "int16") -> int:
        return self.builder.tensor(f"{self.node.name}/{label}", (1, rows, width), dtype, scale=scale)

    def operator(self, kind: str, version: int, inputs: list[int], output: int, options: str = "", **more: Any) -> int:
        self.builder.operator(kind, version, inputs, output, options or None, more or None)
        return output

    def dense(self, wide: int, constants: list[int], label: str, rows: int = 1) -> int:
        width = int(self.builder.tensors[constants[0]]["shape"][0])
        out = self.value(label, GATE_SCALE, width, rows)
        options = {"activation": 0, "keep_num_dims": True}
        return self.operator("FULLY_CONNECTED", 11, [wide, *constants], out, "FullyConnectedOptions", **options)

    def binary(self, kind: str, a: int, b: int, label: str, scale: float, version: int) -> int:
        out = self.value(label, scale, int(self.builder.tensors[a]["shape"][-1]))
        return self.operator(kind, version, [a, b], out, f"{kind.capitalize()}Options", activation=0)

    def split(self, x: int, axis: int, outputs: list[int]) -> list[int]:
        axis_index = self.builder.tensor(f"{self.node.name}/axis {axis}", (), "int32", data=np.array(axis, np.int32))
        self.builder.operator("SPLIT", 4, [axis_index, x], outputs, "SplitOptions", {"num_splits": len(outputs)})
        return outputs

    def write(self, source: int, target: int) -> None:
        node, units, steps = self.node, self.units, self.source.shape[0]
        wide = self.value("int16", self.source.scale / 2**rules.HEAD_SHIFT, self.source.shape[1], steps)
        self.operator("QUANTIZE", 2, [source], wide, "QuantizeOptions")
        all_rows, gates, new = slice(0, 3), slice(0, 2), slice(2, 3)
        products = self.dense(
            wide, self.constants(self.product(all_rows, "input"), "input", self.source.scale), "x", steps
        )
        halves = self.parts(products, steps)
        recurrent = self.constants(self.product(gates, "recurrent"), "recurrent", 2.0**-7)
        candidate = self.constants(self.product(new, "recurrent"), "new", 2.0**-7)
        zeros = np.zeros((1, 1, units), np.int16)
        state = self.builder.tensor(f"{node.name}/first state", zeros.shape, "int16", data=zeros, scale=STATE_SCALE)
        outputs: list[int] = []
        for t, (x_gates, x_new) in enumerate(halves):
            hidden = self.byte(state, f"{t} before") if not outputs else outputs[-1]
            state = self.step(t, (x_gates, x_new), state, hidden, (recurrent, candidate))
            outputs.append(self.byte(state, f"{t} hidden"))
        self.join(outputs, target)

    def join(self, rows: list[int], target: int) -> None:
        """``rows`` one after another as ``target``, a few at a time."""
        level = 0
        while len(rows) > _JOINED:
            groups = [rows[first : first + _JOINED] for first in range(0, len(rows), _JOINED)]
            lengths = [sum(int(self.builder.tensors[row]["shape"][1]) for row in group) for group in groups]
            outs = [
                self.value(f"joined {level}.{number}", 2.0**-7, self.units, length, "int8")
                for number, length in enumerate(lengths)
            ]
            for group, out in zip(groups, outs, strict=True):
                self.operator("CONCATENATION", 2, group, out, "ConcatenationOptions", axis=1, activation=0)
            rows, level = outs, level + 1
        self.operator("CONCATENATION", 2, rows, target, "ConcatenationOptions", axis=1, activation=0)

    def parts(self, products: int, steps: int) -> list[tuple[int, int]]:
        """Of every time step, the input products of reset and update gate, and of the new gate."""
        units = self.units
        rows = self.split(products, 1, [self.value(f"{t} x", GATE_SCALE, 3 * units) for t in range(steps)])
        sizes = np.array([2 * units, units], np.int32)
        size, axis = (
            self.builder.tensor(f"{self.node.name}/{label}", data.shape, "int32", data=data)
            for label, data in (("sizes", sizes), ("last axis", np.array(2, np.int32)))
        )
        pairs = []
        for t, row in enumerate(rows):
            pair = [self.value(f"{t} x gates", GATE_SCALE, 2 * units), self.value(f"{t} x new", GATE_SCALE, units)]
            self.builder.operator("SPLIT_V", 2, [row, size, axis], pair, "SplitVOptions", {"num_splits": 2})
            pairs.append((pair[0], pair[1]))
        return pairs

    def byte(self, state: int, label: str) -> int:
        out = self.value(label, 2.0**-7, self.units, dtype="int8")
        return self.operator("QUANTIZE", 2, [state], out, "QuantizeOptions")

    def widened(self, hidden: int, label: str) -> int:
        out = self.value(label, 2.0**-7 / 2**rules.HEAD_SHIFT, self.units)
        return self.operator("QUANTIZE", 2, [hidden], out, "QuantizeOptions")

    def step(self, t: int, x: tuple[int, int], state: int, hidden: int, weights: tuple[list[int], list[int]]) -> int:
        """The state after step ``t``; x: input products of the gates and of the new one; hidden: the state's upper byte."""
        wide = self.widened(hidden, f"{t} wide")
        sums = self.binary("ADD", x[0], self.dense(wide, weights[0], f"{t} h gates"), f"{t} gate sums", GATE_SCALE, 3)
        both = self.value(f"{t} gates", STATE_SCALE, 2 * self.units)
        self.operator("LOGISTIC", 3, [sums], both)
        halves = [self.value(f"{t} {label}", STATE_SCALE, self.units) for label in ("reset", "update")]
        reset, update = self.split(both, 2, halves)
        if self.node.reset_after:
            own = self.dense(wide, weights[1], f"{t} h new")
            part = self.binary("MUL", reset, own, f"{t} part", GATE_SCALE, 5)
        else:
            kept = self.byte(self.binary("MUL", reset, state, f"{t} reset state", STATE_SCALE, 5), f"{t} kept")
            part = self.dense(self.widened(kept, f"{t} kept wide"), weights[1], f"{t} part")
        total = self.binary("ADD", x[1], part, f"{t} new sum", GATE_SCALE, 3)
        candidate = self.operator("TANH", 3, [total], self.value(f"{t} candidate", STATE_SCALE, self.units))
        replaced = self.binary("MUL", update, candidate, f"{t} replaced", STATE_SCALE, 5)
        left = self.binary("SUB", candidate, replaced, f"{t} left", STATE_SCALE, 5)
        stays = self.binary("MUL", update, state, f"{t} stays", STATE_SCALE, 5)
        return self.binary("ADD", left, stays, f"{t} state", STATE_SCALE, 3)


def _agreed(weight: Array, bias: Int32, factors: tuple[Int32, Int32], step: Array, zero_point: int) -> bool:
    """Whether both engines give ``(acc * k + 2**(n-1)) >> n`` for all that rows [O, I] can sum up to."""
    k, n = factors
    engines = [
        rules.lifted_engine(engine, rules.HEAD_SHIFT, rules.head_offset(k))
        for engine in rules.head_engines(step / 2**rules.HEAD_SHIFT / GATE_SCALE)
    ]
    widest = max(127 - zero_point, zero_point + 128)
    reach = np.abs(weight.astype(np.int64)).sum(axis=1) * widest + np.abs(bias.astype(np.int64))
    requant = Requant("shift", 0, -32768, 32767, k, n, np.zeros_like(k), np.ones(len(k), np.float32))
    return all(agrees(requant, engine, reach).all() for engine in engines)
