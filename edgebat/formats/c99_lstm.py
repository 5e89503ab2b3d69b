"""Tables of an LSTM layer for ``edgebat_lstm_step``: gate-interleaved weights and the constants of its roundings."""

from __future__ import annotations

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats import c99_tables as tables
from edgebat.formats.c99_tables import Table, pad4
from edgebat.graph.model import Lstm, Tensor

GATE_BITS = 10  # of EDGEBAT_GATE
GATES = "ifgo"


def _refuse(node: Lstm, what: str) -> ModelFileError:
    advice = "Quantize the model with edgebat, which chooses such scales"
    return ModelFileError(f"node {node.name!r} (lstm): {what}. {advice}")


def _gate_constants(node: Lstm, which: str, q31: int, exponent: int, reach: int) -> tuple[int, int]:
    """k and right shift of one gate product, k / 2**GATE_BITS the multiplier with any left shift in it.

    Raises ModelFileError when the product has no exact form in 32 bits.
    """
    k, rest = divmod(q31, 1 << (31 - GATE_BITS))
    if rest or exponent < -15:
        real = f"{q31} * 2**{exponent - 31}"
        raise _refuse(node, f"the multiplier of {which} is {real}; C needs {GATE_BITS} bits and 2**-16 or more")
    k <<= max(exponent, 0)
    if (reach + 1) * k >= 2**31 - 2 ** (GATE_BITS + 16) or reach >= tables.HI_LIMIT or k >= 2**17:
        raise _refuse(node, f"sums of {which} reach {reach}; times {k} they leave 32 bits")
    return k, max(-exponent, 0)


def _sums(node: Lstm, source: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Folded biases [4, H] and the largest magnitudes of input and recurrent sums [4, H]."""
    wx, wh = node.input_weight.astype(np.int64), node.recurrent_weight.astype(np.int64)
    bias = node.bias.astype(np.int64) - source.zero_point * wx.sum(axis=2)
    return bias, 128 * np.abs(wx).sum(axis=2) + np.abs(bias), 128 * np.abs(wh).sum(axis=2)


def lstm_state_bytes(units: int) -> int:
    """Bytes of the state of one layer: hidden values, as much working space, cells."""
    return 2 * pad4(units) + pad4(2 * units)


def lstm_tables(label: str, node: Lstm, source: Tensor, target: Tensor) -> list[Table]:
    """Weights, biases and the ``edgebat_lstm_t`` of a layer.

    Raises ModelFileError when the layer has no exact 32-bit form.
    """
    units = node.bias.shape[1]
    bias, reach_x, reach_h = _sums(node, source)
    where = f"node {node.name!r} (lstm)"
    per_unit = []
    for unit in range(units):
        blocks = []
        for weight, reach in ((node.input_weight, reach_x), (node.recurrent_weight, reach_h)):
            rows = weight[:, unit].astype(np.int64)
            tables.check_rows(where, rows, reach[:, unit])
            blocks.append(tables.blocked(rows)[0])
        per_unit.append(np.concatenate(blocks))
    titles = [f"unit {u}: gates i, f, g, o; {source.shape[-1]} inputs, {units} hidden" for u in range(units)]
    return [
        tables.weight_table(f"{label}_weights", np.stack(per_unit), titles),
        tables.unit_table(f"{label}_bias", bias),
        lstm_structure(label, node, source, target),
    ]


def lstm_structure(label: str, node: Lstm, source: Tensor, target: Tensor) -> Table:
    """Definition of the ``edgebat_lstm_t``."""
    units = node.bias.shape[1]
    if target.zero_point != 0:
        raise _refuse(node, f"the hidden state has zero point {target.zero_point}; C needs 0")
    if node.hidden_multiplier != 1 << 30 or not -29 <= node.hidden_exponent <= -1:
        raise _refuse(node, f"the scale of the hidden state is {target.scale}; C needs a power of two below 1")
    _, reach_x, reach_h = _sums(node, source)
    halves = [
        ("input", node.input_multiplier, node.input_exponent, reach_x),
        ("recurrent", node.recurrent_multiplier, node.recurrent_exponent, reach_h),
    ]
    gates = []
    for gate in range(4):
        pair = []
        for part, multipliers, exponents, reach in halves:
            which = f"the {part} product of gate {GATES[gate]}"
            q31, exponent, largest = (int(v) for v in (multipliers[gate], exponents[gate], reach[gate].max()))
            k, shift = _gate_constants(node, which, q31, exponent, largest)
            pair.append(f"EDGEBAT_GATE({k}, {shift})")
        gates.append("{" + ", ".join(pair) + "}")
    left = node.cell_exponent + 12
    right = max(-left, 0)
    return tables.structure(
        "edgebat_lstm_t",
        label,
        [
            ("weights", f"{label}_weights"),
            ("bias", f"{label}_bias"),
            ("gate", "{" + ", ".join(gates) + "}"),
            *_round("added", 30 + node.cell_exponent),
            *_round("hidden", 1 - node.hidden_exponent),
            ("tanh_factor", str(3 << max(left, 0))),
            ("tanh_half", str((1 << right) >> 1)),
            ("tanh_right", str(right)),
            ("columns4_x", str(pad4(source.shape[-1]) // 4)),
            ("columns4_h", str(pad4(units) // 4)),
            ("units", str(units)),
        ],
        172,
    )


def _round(name: str, shift: int) -> list[tuple[str, str]]:
    """A product times 2**-shift, rounded half up to half of it and then half away from zero: fields of the kernel.

    Both roundings are one: ``(p + 2**(shift-1) + 1 - 2 * (p < 0)) >> shift``.
    """
    return [(f"{name}_round", str((1 << (shift - 1)) + 1)), (f"{name}_shift", str(shift))]
