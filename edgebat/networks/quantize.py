"""``edgebat quantize``: a network of the user's own and calibration windows in, an integer graph and its errors out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array, Float64
from edgebat.errors import DataError, ModelFileError
from edgebat.files import Json
from edgebat.graph import IntGraph, Reverse
from edgebat.graph.check import check_name
from edgebat.graph.store import save_graph
from edgebat.networks.calibration import as_windows, load_labels, load_windows
from edgebat.networks.layers import FloatNetwork
from edgebat.networks.ptq import LayerError, Units, quantize_network
from edgebat.networks.read import read_network
from edgebat.quantization import QuantizeOptions
from edgebat.user_units import UserBorder, user_border_of

SHOWN_LAYERS = 5


@dataclass(frozen=True)
class OutputError:
    """How far an output is from the float network's over some windows, in the output's unit."""

    windows: str
    """``calibration`` or ``evaluation``."""
    count: int
    output: str
    unit: str
    rms: float
    largest: float
    spread: float
    """Standard deviation of the float network's output, to compare with."""
    float_label_rms: float | None = None
    """Error of the float network against labels, where there are some."""
    int8_label_rms: float | None = None
    """The same of the int8 network."""


@dataclass(frozen=True)
class QuantizedNetwork:
    """A user's network as an integer graph."""

    graph: IntGraph
    errors: tuple[OutputError, ...]
    """Against the float network, by output and set of windows."""
    layers: tuple[LayerError, ...]
    """Against the float layers, in executing order."""
    remarks: tuple[str, ...] = field(default=())
    """What a user should know: how windows were read, columns that do not vary."""

    @property
    def border(self) -> UserBorder:
        """Units and shapes at the border."""
        found = user_border_of(self.graph)
        assert found is not None
        return found

    def predict(self, x: Array) -> dict[str, Float64]:
        """Outputs [N, ...] by name in their units' real values, for real windows [N, ...] as the network takes them; the
        integers are those of the device. Raises DataError."""
        return self.border.predict(np.asarray(x))

    def save(self, path: str | Path) -> Path:
        """Write the model file ``.ebat``. Raises ModelFileError for another ending."""
        path = Path(path)
        if path.suffix != ".ebat":
            raise ModelFileError(
                f"{path}: a quantized network is written as .ebat; edgebat export makes .tflite, .onnx and C"
            )
        save_graph(self.graph, path)
        return path

    def export(self, folder: str | Path, to: Sequence[str] = ("c", "tflite", "onnx"), *, name: str | None = None,
               mode: str = "balanced") -> list[Path]:  # fmt: skip
        """Write C, TFLite and ONNX to ``folder``; as ``Estimator.export``. Raises ModelFileError, RecipeError."""
        from edgebat.formats.export import export_all

        return export_all(self.graph, Path(folder), to, name, mode=mode)[0]

    def text(self) -> str:
        """The errors as lines."""
        graph = self.graph
        lines = [f"{graph.name}: {len(graph.nodes)} layers, {graph.parameter_bytes()} bytes of weights, "
                 f"{graph.multiply_accumulates()} multiply-accumulates"]  # fmt: skip
        for one in self.errors:
            share = f", {one.rms / one.spread:.2%} of its spread" if one.spread else ""
            lines.append(
                f"{one.output} against float, {one.count} {one.windows} windows: RMS {one.rms:.4g}, largest "
                f"{one.largest:.4g} {one.unit}{share}".rstrip()
            )
            if one.int8_label_rms is not None:
                lines.append(
                    f"{one.output} against labels: float RMS {one.float_label_rms:.4g}, int8 {one.int8_label_rms:.4g} "
                    f"{one.unit}".rstrip()
                )
        worst = sorted(self.layers, key=lambda layer: layer.lost_db, reverse=True)[:SHOWN_LAYERS]
        lines.append(
            "largest losses by layer (signal to quantization noise behind it, and what the layer itself loses):"
        )
        lines += [f"  {one.name:<16} {one.db:5.1f} dB  {-one.lost_db:+5.1f} dB  {one.source}" for one in worst]
        return "\n".join([*lines, *self.remarks])

    def to_json(self) -> Json:
        """The same for programs."""
        return {
            "model": self.graph.name, "fingerprint": self.graph.fingerprint, "errors": [asdict(one) for one in self.errors],
            "layers": [asdict(one) for one in self.layers], "remarks": list(self.remarks),
            "weight_bytes": self.graph.parameter_bytes(), "multiply_accumulates": self.graph.multiply_accumulates(),
        }  # fmt: skip


def units_of(inputs: str | Sequence[str], outputs: str | Sequence[str] | Mapping[str, str]) -> Units:
    """Units as users give them: one or several texts; outputs also by name."""
    names: tuple[str, ...] = ()
    if isinstance(outputs, Mapping):
        names, outputs = tuple(outputs), tuple(outputs.values())
    texts = [(one,) if isinstance(one, str) else tuple(one) for one in (inputs, outputs)]
    return Units(texts[0], texts[1], names)


@dataclass(frozen=True)
class Sets:
    """Windows and labels: files, arrays, or iterables of batches."""

    calibration: Any
    evaluation: Any = None
    labels: Any = None
    """Of the calibration windows, which training learns from; of the evaluation windows where there are some."""


def quantize(
    source: Any, sets: Sets, units: Units | None = None, options: QuantizeOptions | None = None, name: str = ""
) -> QuantizedNetwork:
    """Quantize a network of any source, as `read_network` takes it.

    Raises ModelFileError, DataError, RecipeError.
    """
    options = options or QuantizeOptions()
    raw = load_windows(sets.calibration)
    network = read_network(source, raw, name)
    network = replace(network, name=name or network.name)
    check_name(network.name)
    return quantize_read(network, raw, sets, units or Units(), options)


def quantize_read(
    network: FloatNetwork, raw: Array, sets: Sets, units: Units, options: QuantizeOptions
) -> QuantizedNetwork:
    """As `quantize`, of a network that has been read, and of windows that have been loaded."""
    x, remark = as_windows(raw, network)
    evaluation = None if sets.evaluation is None else as_windows(load_windows(sets.evaluation), network)[0]
    labels = None if sets.labels is None else load_labels(sets.labels)
    found = quantize_network(network, network.windows(x), units, options)
    remarks = [f"calibration: read as {remark}"] if remark else []
    graph, layers = found.graph, found.layers
    if any(isinstance(node, Reverse) for node in graph.nodes):
        remarks.append(
            "it reads windows from their end as well: the device needs a whole window, not one sample at a time"
        )
    if options.qat_epochs:
        if labels is None:
            raise DataError("quantization-aware training learns from labels; give them for the calibration windows")
        from edgebat.networks.qat import train

        graph, said = train(found, network.windows(x), labels, options.qat_epochs)
        remarks.append(said)
    border = user_border_of(graph)
    assert border is not None
    errors = list(
        _errors(network, border, x, "calibration", labels if evaluation is None or options.qat_epochs else None)
    )
    if evaluation is not None:
        errors += _errors(network, border, evaluation, "evaluation", None if options.qat_epochs else labels)
    return QuantizedNetwork(graph, tuple(errors), layers, (*remarks, *(f"warning: {one}" for one in found.warnings)))


def _errors(network: FloatNetwork, border: UserBorder, x: Array, what: str, labels: Array | None) -> list[OutputError]:
    real = network.forward(network.windows(x)).reshape(len(x), -1)
    named = border.predict(x)
    if labels is not None and labels.size != real.size:
        raise DataError(
            f"labels have the shape {list(labels.shape)} for {len(x)} {what} windows of {real.shape[1]} outputs"
        )
    wanted = None if labels is None else labels.reshape(real.shape)
    found, start = [], 0
    for name, _, unit, shape in border.outputs:
        columns = slice(start, start + int(np.prod(shape)))
        start = columns.stop
        mine = named[name].reshape(len(x), -1)
        error = mine - real[:, columns]
        against = [None, None] if wanted is None else [_rms(v - wanted[:, columns]) for v in (real[:, columns], mine)]
        found.append(
            OutputError(
                what,
                len(x),
                name,
                unit,
                _rms(error),
                float(np.abs(error).max()),
                float(real[:, columns].std()),
                *against,
            )
        )
    return found


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def write(result: QuantizedNetwork, path: Path, *, as_json: bool) -> str:
    """Save ``result`` and give what the command prints."""
    result.save(path)
    if as_json:
        return json.dumps({**result.to_json(), "file": str(path)}, indent=1)
    return f"{result.text()}\n{path}"
