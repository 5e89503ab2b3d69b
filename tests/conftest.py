"""Fixtures that several test files share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.__main__ import main
from edgebat.cells import Condition
from edgebat.quantization import quantize_model
from edgebat.students.spec import DenseLayer, FlattenLayer, FloatModel, HeadSlice
from edgebat.tasks.health import HealthSpec, HealthWindows

# The tests share few cores with each other (pytest-xdist): threads of torch would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Whoever imports PyBaMM in a test tells nobody.
os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")


@pytest.fixture(autouse=True)
def seeded_torch() -> None:
    """A test that finds torch imported begins at one random state, whichever tests its process ran before."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def without_corpus() -> Iterator[None]:
    """A corpus is for the tests that ask for one, when they are imported; the commands of all others do not see it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("EDGEBAT_CORPUS", raising=False)
        yield


@pytest.fixture
def quick_learners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks among the baselines learn for a tenth of their steps, where a test asks that they stand beside a model and
    not how well they do; EDGEBAT_TEST_SCALE=full trains them whole."""
    if os.environ.get("EDGEBAT_TEST_SCALE") == "full":
        return
    from edgebat.baselines import cpmlp, forecast

    whole = cpmlp.fit_batches

    def tenth(network: Any, loss: Any, count: int, seed: int, steps: int, batch: int = 128) -> None:
        whole(network, loss, count, seed, steps // 10, batch)

    for module in (cpmlp, forecast):
        monkeypatch.setattr(module, "fit_batches", tenth)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run ``edgebat`` as a user does; returns (exit code, standard output, standard error)."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def spec() -> HealthSpec:
    """A small task: 3 cycles of 4 increments, 10 cycles ahead."""
    return HealthSpec(increments=4, context=3, horizon=10)


@pytest.fixture
def windows(spec: HealthSpec) -> HealthWindows:
    """40 made-up windows of 4 cells: SOH falls by 0.005 per cycle, increments fall with it, cell 3 is censored."""
    rng = np.random.default_rng(5)
    cell = np.repeat(np.arange(4, dtype=np.int32), 10)
    cycle = np.tile(np.arange(3, 13, dtype=np.int32), 4)
    soh = (0.85 - 0.005 * cycle + 0.01 * cell).astype(np.float32)
    ahead = soh[:, None] - 0.005 * np.arange(1, spec.horizon + 1)
    x = np.repeat(0.1 * soh[:, None, None], spec.context, axis=1) * np.ones(spec.increments)
    rul = np.maximum((soh - 0.8) / 0.005, 0)
    return HealthWindows(
        spec=spec,
        x=(x + rng.normal(0, 1e-4, x.shape)).astype(np.float32),
        soh=soh,
        trajectory=np.where(ahead > 0.75, ahead, np.nan).astype(np.float32),
        rul=np.where(cell == 3, np.nan, rul).astype(np.float32),
        cell=cell,
        cycle=cycle,
        cells=tuple(("MADE_UP", f"cell-{i}") for i in range(4)),
        conditions=(Condition("MADE_UP", 25.0),) * 4,
        nominal_ah=np.full(4, 2.0),
        reference_ah=np.full(4, 2.0),
        eol_cycle=np.array([10.0, 12.0, 14.0, np.nan]),
    )


@pytest.fixture
def model_file(tmp_path: Path, windows: HealthWindows) -> Path:
    """An ``.ebat`` that answers SOH = 10 x the mean increment, trajectory = SOH, RUL = 100 cycles."""
    return tiny_model(windows, tmp_path / "tiny.ebat")


def tiny_model(windows: HealthWindows, path: Path) -> Path:
    """Write that model, its range of inputs taken from ``windows``; a rate counts like an increment."""
    from edgebat.graph import save_graph

    spec = windows.spec
    size = spec.context * spec.columns
    x_mean, x_std = windows.x.mean(axis=(0, 1)), windows.x.std(axis=(0, 1))
    soh_mean, soh_std = float(windows.soh.mean()), float(windows.soh.std())
    # soh = 10 * mean(x), written in normalized inputs and outputs.
    weight = np.tile(10.0 * x_std / size / soh_std, spec.context)
    offset = (10.0 * float(x_mean.mean()) - soh_mean) / soh_std
    head = DenseLayer(
        np.stack([weight, weight, weight, np.zeros(size)]).astype(np.float32),
        np.array([offset, offset, offset, 0.0], np.float32),
    )
    model = FloatModel(
        kind="mlp",
        input_shape=(spec.context, spec.columns),
        layers=(FlattenLayer(), head),
        input_mean=x_mean,
        input_std=x_std,
        output_mean=np.array([soh_mean, soh_mean, soh_mean, 100.0], np.float32),
        output_std=np.array([soh_std, soh_std, soh_std, 10.0], np.float32),
        heads=(
            HeadSlice("soh", 0, 1, "fraction"),
            HeadSlice("trajectory", 1, 2, "fraction"),
            HeadSlice("rul", 3, 1, "cycles"),
        ),
    )
    meta = {"task": spec.to_dict(), "training": {"recipe": "made-up"}}
    save_graph(quantize_model(model, windows.x, name="tiny", meta=meta), path)
    return path


@pytest.fixture
def without_module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a package look as if it were not installed."""
    import importlib.util

    find = importlib.util.find_spec

    def hide(name: str) -> None:
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda wanted, *rest: None if wanted == name else find(wanted, *rest)
        )

    return hide


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A Ray cluster, whose first machine does no work; ``add_node`` adds others."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 100 * 2**20})
    yield cluster
    cluster.shutdown()
