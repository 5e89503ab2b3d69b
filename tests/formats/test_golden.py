"""For fixed weights, every file of a health student is byte for byte what it was: a changed byte is a changed promise.

Devices in the field, and whoever compares hashes of exported models, rely on these bytes. A test that fails here asks for a
decision: either the change was not meant, or it is announced, and ``files/golden_health.json`` is written anew by
``python -m tests.formats.test_golden``.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest

from edgebat.arrays import Float32, Float64
from edgebat.formats.c.bms import write_bms
from edgebat.formats.c.write import write_c
from edgebat.formats.export import export_model
from edgebat.ground import Ground, RowLimits, Seen
from edgebat.quantization import quantize_model
from edgebat.students.spec import (
    Conv1DLayer,
    DenseLayer,
    FlattenLayer,
    FloatModel,
    GruLayer,
    HeadSlice,
    LastStepLayer,
    Layer,
    LstmLayer,
    MaxPool1DLayer,
)
from edgebat.tasks.health import HealthSpec

GOLDEN = Path(__file__).parents[1] / "files" / "golden_health.json"
SEEDS = {"mlp": 11, "cnn": 12, "lstm": 13, "mlp_rate": 14, "gru": 15}
"""``mlp_rate`` reads the rate of each charge beside its increments, and states which rates it has learnt from."""
META = {
    "task": HealthSpec().to_dict(),
    "training": {"recipe": "golden", "split_hash": "0123456789abcdef", "seen": ""},
    "field": {"sigma_cpct": 120, "temperature_ddegc": [200, 500]},
}


RATED = META | {
    "task": HealthSpec(charge_rate=True).to_dict(),
    "ground": Ground(
        Seen(cells=31), Seen(cells=8), (3.6, 3.7), RowLimits(rates_mc=((450, 550), (900, 1100)))
    ).to_json(),
}


def fixed_student(kind: str) -> FloatModel:
    """A student of the family's usual size with drawn weights: 10 cycles of 10 increments in, 7 values out."""
    columns = 11 if kind == "mlp_rate" else 10
    rng = np.random.default_rng(SEEDS[kind])

    def normal(deviation: float, *shape: int) -> Float32:
        return np.asarray(rng.normal(0, deviation, shape), dtype=np.float32)

    def dense(outputs: int, inputs: int, activation: str = "none") -> DenseLayer:
        return DenseLayer(normal(inputs**-0.5, outputs, inputs), normal(0.1, outputs), activation)

    def conv(outputs: int, kernel: int, channels: int) -> Conv1DLayer:
        weight = normal((kernel * channels) ** -0.5, outputs, kernel, channels)
        return Conv1DLayer(weight, normal(0.1, outputs), 0, "relu")

    layers: tuple[Layer, ...]
    match kind:
        case "mlp" | "mlp_rate":
            layers = (FlattenLayer(), dense(48, 10 * columns, "relu"), dense(32, 48, "relu"), dense(7, 32))
        case "cnn":
            convolutions = (conv(24, 3, 10), conv(24, 3, 24), MaxPool1DLayer(2))
            layers = (*convolutions, FlattenLayer(), dense(24, 72, "relu"), dense(7, 24))
        case "gru":
            gru = GruLayer(normal(0.3, 72, 10), normal(0.2, 72, 24), normal(0.1, 72), normal(0.1, 24))
            layers = (gru, LastStepLayer(), dense(7, 24))
        case _:
            lstm = LstmLayer(normal(0.3, 96, 10), normal(0.2, 96, 24), normal(0.1, 96))
            layers = (lstm, LastStepLayer(), dense(7, 24))
    return FloatModel(
        kind=kind.removesuffix("_rate"),
        input_shape=(10, columns),
        layers=layers,
        input_mean=with_rate(rng.uniform(0.01, 0.03, 10), 5e-4, columns),
        input_std=with_rate(rng.uniform(0.002, 0.006, 10), 2e-4, columns),
        output_mean=np.array([0.88] * 6 + [210.0], np.float32),
        output_std=np.array([0.06] * 6 + [140.0], np.float32),
        heads=(
            HeadSlice("soh", 0, 1, "fraction"),
            HeadSlice("trajectory", 1, 5, "fraction"),
            HeadSlice("rul", 6, 1, "cycles"),
        ),
    )


def with_rate(values: Float64, rate: float, columns: int) -> Float32:
    return np.append(values, rate)[:columns].astype(np.float32)


def fixed_windows() -> Float32:
    rng = np.random.default_rng(7)
    x = rng.normal(0.02, 0.004, (300, 10, 10))
    drift = np.cumsum(rng.normal(0, 1e-4, x.shape), axis=1).astype(np.float32)
    return np.asarray(drift + x.mean(axis=1, keepdims=True).astype(np.float32))


def written(kind: str, folder: Path) -> dict[str, str]:
    """File -> sha256 of all formats of the fixed student, and of its C for a BMS."""
    x, meta = fixed_windows(), META
    if kind == "mlp_rate":
        half = np.where(np.arange(len(x)) < len(x) // 2, 5e-4, 1e-3)
        x, meta = (
            np.concatenate([x, np.broadcast_to(half[:, None, None], (*x.shape[:2], 1))], axis=2, dtype=np.float32),
            RATED,
        )
    graph = quantize_model(fixed_student(kind), x, name=kind, meta=meta)
    files = {
        str(path.relative_to(folder)): path for path in export_model(graph, folder, ("c", "tflite", "onnx", "ebat"))
    }
    bms = folder / "bms"
    files |= {path.name: path for path in write_bms(graph, write_c(graph, bms, kind), bms)}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def write_anew() -> None:
    found: dict[str, str] = {}
    for kind in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            found |= written(kind, Path(folder))
    GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


@pytest.mark.parametrize("kind", SEEDS)
def test_a_changed_byte_is_a_changed_promise(kind: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    for name, digest in written(kind, tmp_path).items():
        assert golden.get(name) == digest, f"{name} is not what edgebat wrote before for the same weights"


def test_every_file_of_the_promise_is_still_written(tmp_path: Path) -> None:
    names = {name for kind in SEEDS for name in written(kind, tmp_path / kind)}
    assert names == set(json.loads(GOLDEN.read_text()))


if __name__ == "__main__":
    write_anew()
