"""Rate, noise and interval in the recipe that ``edgebat init`` proposes for health: where the cells allow them, and why."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from edgebat.assemble.propose import propose_recipe
from edgebat.data.synthetic import make_fleet
from edgebat.paths import recipes_dir

Command = Callable[..., tuple[int, str, str]]
CORPUS = os.environ.get("EDGEBAT_CORPUS")
SMALL = (
    "teacher.fit.epochs=1", "teacher.fit.samples_per_epoch=64", "distill.fit.epochs=2", "distill.fit.samples_per_epoch=256",
    "quantize.qat_epochs=0", "verify.windows=8", "students=[{kind: mlp, settings: {hidden: [8]}}]", "targets=[host]",
)  # fmt: skip


def corpus_of(folder: Path, rates: Sequence[float | None]) -> Path:
    """Made-up cells, one for each rate that its protocol states (None: none is stated), as a corpus folder."""
    fleet = make_fleet(seed=7, cells=len(rates), max_cycles=160)
    histories = [history for history in fleet.histories() if history.charge_cycle.size]
    (folder / "segments").mkdir(parents=True)
    stated = ["not stated" if rate is None else f"CC {rate:g}C to 4.2 V" for rate in rates]
    of = [f"cell{number:02d}" for number in range(len(histories))]
    pd.DataFrame({
        "dataset": "OWN", "cell_id": of, "chemistry": "NCA/graphite", "temperature_c": 25.0,
        "nominal_capacity_ah": [h.nominal_ah for h in histories], "charge_protocol": stated[: len(of)],
    }).to_csv(folder / "cells.csv", index=False)  # fmt: skip
    pd.concat([
        pd.DataFrame({"dataset": "OWN", "cell_id": name, "cycle": h.cycle, "discharge_capacity_ah": h.capacity_ah})
        for name, h in zip(of, histories, strict=True)
    ]).to_parquet(folder / "capacity.parquet")  # fmt: skip
    np.savez(
        folder / "segments" / "OWN.npz",
        cell_id=np.repeat(of, [h.charge_cycle.size for h in histories]),
        cycle=np.concatenate([h.charge_cycle for h in histories]),
        voltage=histories[0].charge_voltage_v,
        dq_ah=np.concatenate([h.charge_dq_ah for h in histories]),
        first_step="exact",
    )
    return folder


def proposed(corpus: Path, *datasets: str) -> tuple[dict[str, Any], str]:
    """The recipe, and its comments as one text."""
    text = propose_recipe(corpus, Path("my.yaml"), "health", datasets)
    return yaml.safe_load(text), " ".join(re.findall(r"# (.*)", text))


def test_cells_at_two_rates_get_rate_noise_and_interval_and_the_recipe_runs(tmp_path: Path, command: Command) -> None:
    corpus = corpus_of(tmp_path / "cells", [0.5] * 10 + [1.0] * 10)
    recipe = tmp_path / "my.yaml"
    code, out, error = command("init", recipe, "--corpus", corpus)
    assert (code, error) == (0, "")
    found = yaml.safe_load(recipe.read_text())
    ready = yaml.safe_load((recipes_dir() / "zoo-health-medium.yaml").read_text())
    assert found["task"]["charge_rate"] is ready["task"]["charge_rate"] is True
    assert found["interval"] == ready["interval"]
    assert "charge_rate: training cells charge at 0.5C, 1C" in out
    words = [word for change in SMALL for word in ("--set", change)]
    code, _, error = command("run", recipe, "--corpus", corpus, "--runs", tmp_path / "runs", "-q", *words)
    assert (code, error) == (0, "")
    model = tmp_path / "runs/my/models/mlp.ebat"
    known = json.loads(command("info", model, "--json")[1])
    assert known["task"]["charge_rate"] is True
    others = set(re.findall(r"cell\d\d", out.split("Held out")[1]))
    assert f"{20 - len(others)} cells, in 5 folds" in json.dumps(known)


def test_cells_at_one_rate_get_no_rate(tmp_path: Path) -> None:
    found, why = proposed(corpus_of(tmp_path / "cells", [0.5] * 16 + [0.52] * 4))
    assert "charge_rate" not in found["task"]
    assert "No charge_rate: all training cells charge at 0.5C, 0.52C" in why
    assert found["interval"]["coverage"] == 0.9


def test_one_cell_without_a_stated_current_is_enough_to_leave_the_rate_out(tmp_path: Path) -> None:
    found, why = proposed(corpus_of(tmp_path / "cells", [0.5] * 10 + [1.0] * 9 + [None]))
    assert "charge_rate" not in found["task"]
    assert re.search(r"No charge_rate: 1 of \d+ training cells state no single current \(charge_protocol", why)


def test_few_cells_get_no_interval(tmp_path: Path) -> None:
    found, why = proposed(corpus_of(tmp_path / "cells", [0.5] * 5 + [1.0] * 5))
    assert "interval" not in found
    assert re.search(r"No interval: \d training cells; below 9 one for 90% hangs on a single cell", why)
    assert found["task"]["charge_rate"] is True


def test_students_learn_through_the_noise_of_a_device_where_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = corpus_of(tmp_path / "cells", [0.5] * 6)
    parts = {}
    for device_mv in (0.5, 5.0):
        monkeypatch.setattr("edgebat.assemble.propose.DEVICE_MV", device_mv)
        found, why = proposed(corpus)
        (text,) = re.findall(rf"{device_mv:g} mV of noise on a device's voltage is ([\d.]+) of", why)
        parts[device_mv] = float(text)
        assert (found["distill"]["fit"].get("noise") == 0.3) == (parts[device_mv] >= 0.3)
    assert parts[0.5] < 0.3 <= parts[5.0] == pytest.approx(10 * parts[0.5], abs=0.1)


@pytest.mark.skipif(CORPUS is None, reason="EDGEBAT_CORPUS does not name a corpus folder")
@pytest.mark.parametrize(
    ("datasets", "rate", "interval", "noise", "why"),
    [
        (("TJU_NCA", "TJU_NCM"), True, True, 0.3, "training cells charge at 0.25C, 0.5C, 1C"),
        (("LSD",), False, True, None, "No charge_rate: 38 of 38 training cells state no single current"),
        (("CALCE",), False, False, None, "No charge_rate: all training cells charge at 0.5C"),
    ],
    ids=["Tongji", "LSD", "CALCE"],
)
def test_measured_cells(datasets: tuple[str, ...], rate: bool, interval: bool, noise: float | None, why: str) -> None:
    found, said = proposed(Path(str(CORPUS)), *datasets)
    assert (found["task"].get("charge_rate", False), "interval" in found) == (rate, interval)
    # Noise moves increments in the windows of LSD and CALCE by less than 0.3 of their deviation.
    assert found["distill"]["fit"].get("noise") == noise
    assert why in said
