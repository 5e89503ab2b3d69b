"""``edgebat quantize --requantize``: an int8 file of another tool with weight scales that the native kernels run on.

Activations keep their scales and zero points. Each channel's weight scale moves to the nearest one whose integer
requantization is proven equal to float32 (`edgebat.quantization.requant_search`); what that changes is counted.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.files import Json
from edgebat.foreign import Border, border_of
from edgebat.formats.tflite.rules import add_rounding
from edgebat.graph import IntGraph
from edgebat.graph import model as ops
from edgebat.graph.arithmetic import lstm_multipliers
from edgebat.graph.check import check_graph
from edgebat.graph.model import Node, Tensor
from edgebat.graph.store import save_graph
from edgebat.models import load_model
from edgebat.networks.calibration import load_windows
from edgebat.networks.ptq import exact_average
from edgebat.quantization.ptq import HIDDEN_SCALE
from edgebat.quantization.requant_search import choose_gates, choose_layer, quantize_symmetric
from edgebat.runtime import Engine

DRAWN = 1024
"""Windows that are drawn from the whole range of the input when none are given."""
NATIVE = "edgebat"
"""What ``meta["foreign"]`` calls the rounding of such a model."""


@dataclass(frozen=True)
class LayerChange:
    """What new scales change in a layer."""

    name: str
    op: str
    channels: int
    unproven: int
    """Channels for which no scale is proven; engines may differ there by one step."""
    scale_percent: float
    """Largest change of a weight scale."""
    weights: int
    """Weights that are another integer now."""


@dataclass(frozen=True, eq=False)
class Requantized:
    """A file of another tool with native scales, and what they change."""

    graph: IntGraph
    changes: tuple[LayerChange, ...]
    outputs: int
    """Compared, on ``windows``."""
    different: int
    largest: int
    """In steps of the output."""
    windows: str
    rounding: str
    """Whose integers the file stood for."""

    def save(self, path: str | Path) -> Path:
        """Write the model file ``.ebat``."""
        save_graph(self.graph, path)
        return Path(path)

    def text(self) -> str:
        """What changes, as lines."""
        lines = [
            f"{self.graph.name}: {self.different} of {self.outputs} outputs on {self.windows} differ from the file's "
            f"({self.rounding}), by up to {self.largest} steps"
        ]
        for one in self.changes:
            lines.append(
                f"  {one.name[:40]:<40} {one.op:<16} {one.channels} channels, {one.unproven} unproven, scales by up to "
                f"{one.scale_percent:.2f} %, {one.weights} weights changed"
            )
        return "\n".join(lines)

    def to_json(self) -> Json:
        """The same for programs."""
        found = {key: getattr(self, key) for key in ("outputs", "different", "largest", "windows", "rounding")}
        return {"model": self.graph.name, "changes": [asdict(one) for one in self.changes], **found}


def requantize_file(path: Path, windows: Any = None, rounding: str = "auto", name: str = "") -> Requantized:
    """Requantize the file at ``path``; windows: as ``edgebat predict`` takes them, or None for drawn ones.

    Raises ModelFileError for a file that edgebat wrote, or one that cannot be read; DataError.
    """
    graph = load_model(path, rounding)
    border = border_of(graph)
    if border is None or border.file.rounding == NATIVE:
        raise ModelFileError(f"{path} is a model of edgebat's own; its scales are native already")
    found, changes = requantize_graph(replace(graph, name=name or graph.name))
    q, what = _inputs(graph, border, windows)
    away = np.abs(Engine(graph).run(q).astype(np.int64) - Engine(found).run(q).astype(np.int64))
    return Requantized(
        found, tuple(changes), away.size, int(np.count_nonzero(away)), int(away.max()), what, border.file.rounding
    )


def _inputs(graph: IntGraph, border: Border, windows: Any) -> tuple[Array, str]:
    if windows is None:
        rng = np.random.default_rng(0)
        drawn = rng.integers(-128, 128, (DRAWN, *graph.input_tensor.shape)).astype(np.int8)
        return drawn, f"{DRAWN} windows drawn from the whole range"
    q = border.quantized(load_windows(windows).astype(np.float32))
    return q, f"{len(q)} windows"


def requantize_graph(graph: IntGraph) -> tuple[IntGraph, list[LayerChange]]:
    """``graph`` with native scales, and what they change. Raises ModelFileError."""
    nodes, changes = [], []
    for node in graph.nodes:
        found, change = _node(node, graph)
        nodes.append(found)
        changes += [] if change is None else [change]
    foreign: Any = graph.meta["foreign"]
    meta = {**graph.meta, "foreign": {**foreign, "rounding": NATIVE, "float_sums": False}}
    return check_graph(replace(graph, nodes=tuple(nodes), meta=meta)), changes


def _node(node: Node, graph: IntGraph) -> tuple[Node, LayerChange | None]:
    source, target = graph.tensors[node.inputs[0]], graph.tensors[node.output]
    match node:
        case ops.Weighted():
            return _weighted(node, source, target)
        case ops.AveragePool1D():
            bounds = node.requant.minimum, node.requant.maximum
            return replace(node, requant=exact_average(source, target, node.size, bounds)[0]), None
        case ops.Add():
            scales = source.scale, graph.tensors[node.inputs[1]].scale
            multiplier, requant = add_rounding(scales, target, (node.requant.minimum, node.requant.maximum))
            return replace(node, multiplier=multiplier, requant=requant), None
        case ops.Lstm() if target.scale == HIDDEN_SCALE and target.zero_point == 0 and _is_power(source.scale):
            return _lstm(node, source, target)
    return node, None


def _is_power(scale: float) -> bool:
    return bool(2.0 ** round(np.log2(scale)) == scale)


def _weighted(node: ops.Weighted, source: Tensor, target: Tensor) -> tuple[Node, LayerChange]:
    depthwise = isinstance(node, ops.DepthwiseConv1D)
    outs, last = len(node.bias), node.weight.ndim - 1
    by_channel = node.weight.T if depthwise else node.weight
    scale = node.weight_scale.astype(np.float64)
    wide = (-1, *[1] * last)
    real = by_channel * scale.reshape(wide)
    # The scale that the weights need, but not a coarser one: a file may have left range unused.
    widest = max(127 - source.zero_point, source.zero_point + 128)
    sums = np.abs(by_channel.astype(np.int64)).reshape(outs, -1).sum(axis=1) + by_channel[0].size
    most = [int(v) + 1 for v in 1.15 * (sums * widest + np.abs(node.bias.astype(np.int64)))]
    low, high = node.requant.minimum, node.requant.maximum
    scales, requant, choices = choose_layer(scale.tolist(), most, source, target, low, high)
    weight = quantize_symmetric(real, scales.reshape(wide))
    bias = np.clip(np.rint(node.bias * scale / scales), -(2**30), 2**30).astype(np.int32)
    change = LayerChange(
        node.name, node.op, outs, sum(not choice.exact for choice in choices),
        float(np.abs(scales / scale - 1.0).max() * 100), int(np.count_nonzero(weight != by_channel)),
    )  # fmt: skip
    stored = np.ascontiguousarray(weight.T) if depthwise else weight
    return replace(node, weight=stored, bias=bias, weight_scale=scales, requant=requant), change


def _lstm(node: ops.Lstm, source: Tensor, target: Tensor) -> tuple[Node, LayerChange]:
    parts, changed, moved = [], 0, 0.0
    for weight, scale, step in (
        (node.input_weight, node.input_scale, source.scale), (node.recurrent_weight, node.recurrent_scale, target.scale)
    ):  # fmt: skip
        old = scale.astype(np.float64)
        new = choose_gates(old.tolist(), step)
        found = quantize_symmetric(weight * old[:, None, None], new[:, None, None])
        parts.append((found, new))
        changed += int(np.count_nonzero(found != weight))
        moved = max(moved, float(np.abs(new / old - 1.0).max() * 100))
    (wx, sx), (wh, sh) = parts
    bias = np.rint(node.bias * (node.input_scale.astype(np.float64) / sx)[:, None]).astype(np.int32)
    multipliers = lstm_multipliers(source.scale, target.scale, sx, sh)
    found_node = replace(
        node, input_weight=wx, recurrent_weight=wh, bias=bias, input_scale=sx, recurrent_scale=sh, **multipliers
    )
    return found_node, LayerChange(node.name, node.op, 4 * len(wh[0]), 0, moved, changed)


def write(result: Requantized, path: Path, *, as_json: bool) -> str:
    """Save ``result`` and give what the command prints."""
    result.save(path)
    if as_json:
        return json.dumps({**result.to_json(), "file": str(path)}, indent=1)
    return f"{result.text()}\n{path}"
