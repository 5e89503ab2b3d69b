"""An LSTM layer in C: gate-interleaved weights, the constants of its roundings, calls over a sequence or one step.

``edgebat_lstm_step`` needs gate multipliers of few bits and a hidden state without zero point, which edgebat's own
quantizer chooses; ``edgebat_lstm_any_step`` takes whatever a file of another converter holds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats.c import tables
from edgebat.formats.c.calls import Call, Loop, Row
from edgebat.formats.c.lowering import Lowering
from edgebat.formats.c.memory import Buffer, View, pad4
from edgebat.formats.c.tables import Fields, Table
from edgebat.graph.model import ClippedLstm, Lstm, Tensor

GATE_BITS = 10  # of EDGEBAT_GATE
ONE = 1 << 30  # the Q31 multiplier of a power of two


def lower_lstm(low: Lowering, node: Lstm) -> None:
    """A layer over a whole sequence in memory: for graphs that cannot be executed step by step."""
    kernel, view, units = _layer(low, node), low.view(node), node.bias.shape[1]
    state = low.new_buffer(_state_bytes(units))
    out = low.new_view(node.output)
    low.call("edgebat_fill", state, state.bytes, 0)
    low.calls += _reset(low, node, state)
    step = Call(f"{kernel}_step", (*_layer_arguments(low, node), Row(view), state), node.name)
    low.calls.append(Loop(view.rows, (step, Call("edgebat_copy", (state, 0, Row(out), 0, 1, units)))))
    low.finish(node.output)


def lower_lstm_step(low: Lowering, node: Lstm) -> None:
    """One time step: the layer's output is the hidden state itself, at the beginning of its state."""
    kernel, view, units = _layer(low, node), low.view(node), node.bias.shape[1]
    buffer = Buffer(_state_bytes(units), -1, len(low.graph.nodes))
    low.state.append(buffer)
    state = View(buffer, 0, 1, buffer.size, buffer.size)
    low.views[node.output] = View(buffer, 0, 1, units, pad4(units))
    low.call(f"{kernel}_step", *_layer_arguments(low, node), view, state)
    low.resets += _reset(low, node, state)


def _layer(low: Lowering, node: Lstm) -> str:
    """Tables and structure of the layer; returns its kernel."""
    made, kernel = lstm_tables(low.label(node), node, low.source(node), low.target(node))
    low.tables += made
    return kernel


def _layer_arguments(low: Lowering, node: Lstm) -> tuple[str | int, ...]:
    clip = (node.cell_clip,) if isinstance(node, ClippedLstm) else ()
    return (f"&{low.label(node)}", *clip)


def _reset(low: Lowering, node: Lstm, state: View) -> list[Call]:
    """The hidden state of real value 0 is its zero point."""
    zero = low.target(node).zero_point
    return [Call("edgebat_fill", (state, node.bias.shape[1], zero))] if zero else []


def _state_bytes(units: int) -> int:
    """Bytes of the state of one layer: hidden values, as much working space, cells."""
    return 2 * pad4(units) + pad4(2 * units)


def lstm_tables(label: str, node: Lstm, source: Tensor, target: Tensor) -> tuple[list[Table], str]:
    """Tables of a layer and the kernel that reads them: ``edgebat_lstm``, ``edgebat_lstm_any`` or ``edgebat_exact_lstm``.

    Raises ModelFileError when a sum is too large for either.
    """
    units = node.bias.shape[1]
    wx, wh = node.input_weight.astype(np.int64), node.recurrent_weight.astype(np.int64)
    bias = node.bias.astype(np.int64) - source.zero_point * wx.sum(axis=2)
    recurrent_bias = -target.zero_point * wh.sum(axis=2)
    reach = np.stack(
        [128 * np.abs(wx).sum(axis=2) + np.abs(bias), 128 * np.abs(wh).sum(axis=2) + np.abs(recurrent_bias)]
    )
    where = f"node {node.name!r} (lstm)"
    if int(reach.max()) >= tables.HI_LIMIT:
        raise ModelFileError(
            f"{where}: a gate's sum reaches {int(reach.max())}; C allows {tables.HI_LIMIT - 1}. Use fewer units"
        )
    per_unit = []
    for unit in range(units):
        for weight, part in ((wx, 0), (wh, 1)):
            tables.check_rows(where, weight[:, unit], reach[part, :, unit])
        per_unit.append(np.concatenate([tables.blocked(weight[:, unit])[0] for weight in (wx, wh)]))
    titles = [f"unit {u}: gates i, f, g, o; {source.shape[-1]} inputs, {units} hidden" for u in range(units)]
    made = [
        tables.weight_table(f"{label}_weights", np.stack(per_unit), titles),
        tables.unit_table(f"{label}_bias", bias),
    ]
    clipped = isinstance(node, ClippedLstm)
    gates = None if clipped else _short_gates(node, reach.max(axis=2))
    common: Fields = {"weights": f"{label}_weights", "bias": f"{label}_bias"}
    sizes: Fields = {"columns4_x": pad4(source.shape[-1]) // 4, "columns4_h": pad4(units) // 4, "units": units}
    if gates is not None and target.zero_point == 0 and node.hidden_multiplier == ONE and node.hidden_exponent <= -1:
        common["gate"] = "{" + ", ".join(gates) + "}"
        rounds = _round("added", 30 + node.cell_exponent) | _round("hidden", 1 - node.hidden_exponent)
        fields = common | rounds | _tanh(node) | sizes
        return [*made, tables.structure("edgebat_lstm_t", label, fields, 172)], "edgebat_lstm"
    fields = common | {
        "recurrent_bias": f"{label}_recurrent_bias", "gate": "{" + ", ".join(_any_gates(node)) + "}",
        "kept": _q31(ONE, -14), "added": _q31(ONE, -29 - node.cell_exponent),
        "hidden": _q31(node.hidden_multiplier, node.hidden_exponent), "hidden_zero_point": target.zero_point,
        **_tanh(node), **sizes,
    }  # fmt: skip
    made.append(tables.unit_table(f"{label}_recurrent_bias", recurrent_bias))
    kernel = "edgebat_exact_lstm" if clipped else "edgebat_lstm_any"
    return [*made, tables.structure("edgebat_lstm_any_t", label, fields, 124)], kernel


def _products(node: Lstm) -> Iterator[list[tuple[int, int]]]:
    """For each gate the (Q31 multiplier, exponent) of its input and of its recurrent sum."""
    for gate in range(4):
        yield [
            (int(node.input_multiplier[gate]), int(node.input_exponent[gate])),
            (int(node.recurrent_multiplier[gate]), int(node.recurrent_exponent[gate])),
        ]


def _short_gates(node: Lstm, reach: np.ndarray) -> list[str] | None:
    """Initializers of ``edgebat_gates_t`` in 32-bit arithmetic, or None where that is not exact.

    reach: largest sums [2, 4]. A multiplier is k / 2**GATE_BITS, a left shift contained in k, then a right shift.
    """
    gates = []
    for gate, products in enumerate(_products(node)):
        pair = []
        for part, (q31, exponent) in enumerate(products):
            k, rest = divmod(q31, 1 << (31 - GATE_BITS))
            k <<= max(exponent, 0)
            if (
                rest
                or exponent < -15
                or k >= 2**17
                or (int(reach[part, gate]) + 1) * k >= 2**31 - 2 ** (GATE_BITS + 16)
            ):
                return None
            pair.append(f"EDGEBAT_GATE({k}, {max(-exponent, 0)})")
        gates.append("{" + ", ".join(pair) + "}")
    return gates


def _any_gates(node: Lstm) -> Iterator[str]:
    for products in _products(node):
        yield "{" + ", ".join(_q31(*product) for product in products) + "}"


def _q31(multiplier: int, exponent: int) -> str:
    return f"{{{multiplier}, {exponent}}}"


def _tanh(node: Lstm) -> Fields:
    """How a cell becomes the argument of tanh: its scale is 2**cell_exponent, that of the table 2**-12 / 3."""
    left = node.cell_exponent + 12
    right = max(-left, 0)
    return {"tanh_factor": 3 << max(left, 0), "tanh_half": (1 << right) >> 1, "tanh_right": right}


def _round(name: str, shift: int) -> Fields:
    """A product times 2**-shift, rounded half up to half of it and then half away from zero: fields of the kernel.

    Both roundings are one: ``(p + 2**(shift-1) + 1 - 2 * (p < 0)) >> shift``.
    """
    return {f"{name}_round": (1 << (shift - 1)) + 1, f"{name}_shift": shift}
