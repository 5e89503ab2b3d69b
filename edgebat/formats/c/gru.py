"""A GRU layer in C: blocks of four units, three gates one after another, calls over a sequence or one step."""

from __future__ import annotations

import numpy as np

from edgebat.arrays import Array, Int64
from edgebat.errors import ModelFileError
from edgebat.formats.c import tables
from edgebat.formats.c.calls import Call, Loop, Row
from edgebat.formats.c.lowering import Lowering
from edgebat.formats.c.memory import BLOCK, Buffer, View, pad4
from edgebat.formats.c.tables import Fields
from edgebat.graph.arithmetic import INT32_MAX
from edgebat.graph.model import Gru

_LARGEST = 24  # of a shift, see EDGEBAT_PRODUCT


def lower_gru(low: Lowering, node: Gru) -> None:
    """A layer over a whole sequence in memory: for graphs that cannot be executed step by step."""
    kernel, view, units = _layer(low, node), low.view(node), node.bias.shape[1]
    state = low.new_buffer(_state_bytes(node))
    out = low.new_view(node.output)
    low.call("edgebat_fill", state, state.bytes, 0)
    step = Call(kernel, (f"&{low.label(node)}", Row(view), state), node.name)
    low.calls.append(Loop(view.rows, (step, Call("edgebat_copy", (state, 0, Row(out), 0, 1, units)))))
    low.finish(node.output)


def lower_gru_step(low: Lowering, node: Gru) -> None:
    """One time step: the layer's output is the state's upper bytes, at the beginning of its state."""
    kernel, view, units = _layer(low, node), low.view(node), node.bias.shape[1]
    buffer = Buffer(_state_bytes(node), -1, len(low.graph.nodes))
    low.state.append(buffer)
    low.views[node.output] = View(buffer, 0, 1, units, pad4(units))
    low.call(kernel, f"&{low.label(node)}", view, View(buffer, 0, 1, buffer.size, buffer.size))


def _state_bytes(node: Gru) -> int:
    """Bytes of the state of one layer: hidden values of 8 bits, of 16, and working space."""
    return (3 if node.reset_after else 4) * pad4(node.bias.shape[1])


def _layer(low: Lowering, node: Gru) -> str:
    """Tables and structure of the layer; returns its kernel. Raises ModelFileError when a sum is too large for it."""
    source, label, where = low.source(node), low.label(node), f"node {node.name!r} (gru)"
    wx, wh = node.input_weight.astype(np.int64), node.recurrent_weight.astype(np.int64)
    bias = node.bias.astype(np.int64) - source.zero_point * wx.sum(axis=2)
    own = np.zeros_like(bias)
    own[2] = node.recurrent_bias
    for gate in range(3):
        for weight, sums in ((wx, bias), (wh, own)):
            reach = 128 * np.abs(weight[gate]).sum(axis=1) + np.abs(sums[gate])
            if int(reach.max()) >= tables.HI_LIMIT:
                raise ModelFileError(
                    f"{where}: a gate's sum reaches {int(reach.max())}; C allows {tables.HI_LIMIT - 1}. Use fewer units"
                )
            tables.check_rows(where, weight[gate], reach)
            factor = int((node.input_factor if weight is wx else node.recurrent_factor)[gate])
            if int(reach.max()) * factor + (1 << 29) > INT32_MAX:
                raise ModelFileError(f"{where}: a gate's sum times {factor} leaves 32 bits. Use smaller weights")
    blocks = pad4(wx.shape[1]) // BLOCK
    order = _order(blocks, node.reset_after)
    runs = [np.concatenate([_rows(weight[gate], block) for weight in (wx, wh)]) for gate, block in order]
    titles = [f"{'rzn'[gate]} of units {BLOCK * block} to {BLOCK * block + 3}" for gate, block in order]
    low.tables += [
        tables.weight_table(f"{label}_weights", np.stack(runs), titles),
        tables.unit_table(f"{label}_bias", np.stack([_four(bias[gate], block) for gate, block in order], axis=1)),
    ]
    fields: Fields = {"weights": f"{label}_weights", "bias": f"{label}_bias"}
    if node.reset_after:
        table = np.stack([_four(own[2], block) for block in range(blocks)], axis=1)
        low.tables.append(tables.unit_table(f"{label}_recurrent_bias", table))
        fields["recurrent_bias"] = f"{label}_recurrent_bias"
    gates = [_gate(where, node, gate) for gate in range(3)]
    fields |= {"gate": "{" + ", ".join(gates) + "}", "columns4_x": pad4(source.shape[-1]) // 4, "columns4_h": blocks}
    low.tables.append(tables.structure("edgebat_gru_t", label, fields, 88))
    return "edgebat_gru_step" if node.reset_after else "edgebat_gru_before_step"


def _order(blocks: int, reset_after: bool) -> list[tuple[int, int]]:
    """(gate, block) in the order in which the kernel reads them."""
    if reset_after:
        return [(gate, block) for block in range(blocks) for gate in range(3)]
    return [(0, block) for block in range(blocks)] + [(gate, block) for block in range(blocks) for gate in (1, 2)]


def _rows(weight: Array, block: int) -> Int64:
    """Weights of four units as column blocks [columns4, 4, 4]."""
    found: Int64 = tables.blocked(weight[BLOCK * block : BLOCK * (block + 1)])[0]
    return found


def _four(bias: Int64, block: int) -> Int64:
    """Biases of four units, zeros beyond the last."""
    own = bias[BLOCK * block : BLOCK * (block + 1)]
    return np.pad(own, (0, BLOCK - len(own)))


def _gate(where: str, node: Gru, gate: int) -> str:
    """The initializer of an ``edgebat_products_t``."""
    pairs = [
        (int(node.input_factor[gate]), int(node.input_shift[gate])),
        (int(node.recurrent_factor[gate]), int(node.recurrent_shift[gate])),
    ]
    for k, n in pairs:
        if n > _LARGEST or k << (_LARGEST - n) > INT32_MAX:
            raise ModelFileError(f"{where}: a gate's factor is {k} * 2**-{n}; C needs 1 * 2**-{_LARGEST} to 127")
    return "{" + ", ".join(f"EDGEBAT_PRODUCT({k}, {n})" for k, n in pairs) + "}"
