"""Battery-Timer: the published network, our coordinates, adapters, rollout, files."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from edgebat.baselines.lines import MeanCurve, NearestCurve, Persistence, StraightLine
from edgebat.errors import DataError, ModelFileError, RecipeError
from edgebat.tasks.forecast.fade import fade_curves
from edgebat.tasks.forecast.score import relative_error, score_forecasts
from edgebat.tasks.forecast.windows import ForecastSpec, forecast_windows
from edgebat.teachers.battery_timer.draws import balance_weights, draw_windows, stretch_tensor, stretches
from edgebat.teachers.battery_timer.network import BatteryTimer, fill_gaps, straight_line
from edgebat.teachers.battery_timer.settings import Augmentation, DegradationLoss, LoraSettings, TimerSettings
from edgebat.teachers.battery_timer.timer import PRESETS, Timer, TimerConfig, rotary, rotate
from edgebat.teachers.battery_timer.train import add_lora, degradation_loss, merge_lora, train_forecaster
from edgebat.teachers.store import load_teacher, save_teacher
from edgebat.training.run import Run
from edgebat.training.settings import FitSettings

SMALL = TimerConfig(8, 6, 16, 24, 2, 2)
SIZES = {
    "input_token_len": 8,
    "output_token_len": 8,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
}
SPEC = ForecastSpec(context=32, horizon=8, min_history=16, seen_cycles=32)


def tiny(**settings: object) -> BatteryTimer:
    torch.manual_seed(0)
    network = BatteryTimer(context=32, sizes=SIZES, **settings)  # type: ignore[arg-type]
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval()


def contexts(rows: int = 4, length: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return 1.0 - 0.002 * torch.arange(length) + 0.001 * torch.randn(rows, length, generator=generator)


def test_the_published_network_has_84_142_080_parameters() -> None:
    with torch.device("meta"):
        timer = Timer(PRESETS["84m"])
    assert sum(p.numel() for p in timer.parameters()) == 84_142_080


def test_the_published_adapter_has_1_114_112_parameters() -> None:
    pytest.importorskip("peft")
    with torch.device("meta"):
        timer = Timer(PRESETS["84m"])
        add_lora(timer, LoraSettings(head=False), seed=1)
    assert sum(p.numel() for p in timer.parameters() if p.requires_grad) == 1_114_112


def test_names_of_the_published_weights() -> None:
    names = set(Timer(SMALL).state_dict())
    layer = "model.layers.1."
    expected = {"model.embed_layer.emb.weight", "model.norm.weight", "model.norm.bias", "lm_heads.0.weight"}
    expected |= {layer + f"self_attn.{p}_proj.{w}" for p in "qkv" for w in ("weight", "bias")}
    expected |= {layer + "self_attn.o_proj.weight"}
    expected |= {layer + f"ffn_layer.{p}_proj.weight" for p in ("gate", "up", "down")}
    expected |= {layer + f"norm{i}.{w}" for i in (1, 2) for w in ("weight", "bias")}
    assert {name for name in names if "layers.0" not in name} == expected


def test_published_weights_load_from_a_users_file(tmp_path: Path) -> None:
    source, target = Timer(SMALL), Timer(SMALL)
    stored = source.state_dict() | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    save_file(stored, tmp_path / "model.safetensors")
    target.load_published(tmp_path / "model.safetensors")
    series = torch.randn(2, 24)
    torch.testing.assert_close(target(series), source(series))
    with pytest.raises(ModelFileError, match="does not hold a Timer of the sizes"):
        Timer(dataclasses.replace(SMALL, hidden_size=32)).load_published(tmp_path / "model.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"x")
    with pytest.raises(ModelFileError, match="cannot be read"):
        target.load_published(tmp_path / "bad.safetensors")


def test_a_token_sees_no_later_token() -> None:
    timer = Timer(SMALL).eval()
    series = torch.randn(1, 32)
    changed = series.clone()
    changed[:, 24:] += 1.0
    before, after = timer(series), timer(changed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3], after[:, 3])


def test_nobody_looks_at_padded_tokens() -> None:
    timer = Timer(SMALL).eval()
    series = torch.randn(1, 32)
    padded = torch.tensor([[True, False, False, False]])
    changed = series.clone()
    changed[:, :8] = 100.0
    torch.testing.assert_close(timer(series, padded)[:, 1:], timer(changed, padded)[:, 1:])


def test_rotary_positions_make_scores_depend_on_distance_alone() -> None:
    q, k = torch.randn(8), torch.randn(8)
    cosine, sine = rotary(12, 8, 10000.0, q)
    turned_q, turned_k = rotate(q.expand(12, 8), cosine, sine), rotate(k.expand(12, 8), cosine, sine)
    torch.testing.assert_close(turned_q[5] @ turned_k[2], turned_q[9] @ turned_k[6])


def test_attention_equals_its_formula() -> None:
    attention = Timer(SMALL).model.layers[0].self_attn
    hidden = torch.randn(1, 4, 16)
    allowed = torch.ones(4, 4, dtype=torch.bool).tril()[None, None]
    cosine, sine = rotary(4, 8, 10000.0, hidden)
    heads = []
    for h in range(2):
        part = slice(8 * h, 8 * h + 8)
        q, k, v = ((getattr(attention, f"{n}_proj")(hidden[0]))[:, part] for n in "qkv")
        scores = rotate(q, cosine, sine) @ rotate(k, cosine, sine).T / 8**0.5
        heads.append(scores.masked_fill(~allowed[0, 0], -torch.inf).softmax(1) @ v)
    torch.testing.assert_close(attention(hidden, allowed)[0], torch.cat(heads, dim=1) @ attention.o_proj.weight.T)


def test_gaps_are_filled_by_straight_lines_and_the_first_value() -> None:
    nan = float("nan")
    row = torch.tensor([[nan, nan, 3.0, nan, nan, 0.0, 5.0]])
    assert fill_gaps(row).tolist() == [[3.0, 3.0, 3.0, 2.0, 1.0, 0.0, 5.0]]


def test_the_line_is_least_squares_through_what_was_measured() -> None:
    x = contexts(3)
    x[:, 20::3] = float("nan")
    x[:, -1] = 0.9
    level, slope = straight_line(x, 24)
    for row in range(3):
        known = np.flatnonzero(np.isfinite(x[row, -24:].numpy()))
        expected = np.polyfit(known - 23.0, x[row, -24:].double().numpy()[known], 1)
        assert slope[row].item() == pytest.approx(expected[0], rel=1e-4)
        assert level[row].item() == pytest.approx(expected[1], rel=1e-5)


def test_an_untrained_forecaster_is_the_straight_line() -> None:
    x = contexts()
    forecast = BatteryTimer(context=32, sizes=SIZES).predict_ahead(x.numpy(), 8)["trajectory"]
    np.testing.assert_allclose(forecast, StraightLine(24, 8).ahead(x.double().numpy()), atol=1e-6)


@pytest.mark.parametrize("normalization", ["line", "revin"])
def test_a_forecast_follows_level_and_size_of_the_fade(normalization: str) -> None:
    """Nominal capacity enters only as a unit: another unit, the same forecast."""
    network, x = tiny(normalization=normalization), contexts()
    half = network.predict_ahead(0.5 * x.numpy(), 8)["trajectory"]
    np.testing.assert_allclose(half, 0.5 * network.predict_ahead(x.numpy(), 8)["trajectory"], rtol=1e-4)


def test_quantiles_ascend() -> None:
    network = tiny(quantiles=(0.05, 0.25, 0.5, 0.75, 0.95))
    out = network.predict_ahead(contexts().numpy(), 8)
    assert (np.diff(out["quantiles"], axis=2) > 0).all()
    np.testing.assert_array_equal(out["trajectory"], out["quantiles"][:, :, 2])


def test_a_long_horizon_equals_forecasting_step_by_step() -> None:
    network, x = tiny(), contexts().numpy()
    whole = network.predict_ahead(x, 20)["trajectory"]
    first = network.predict_ahead(x, 8)["trajectory"]
    longer = np.concatenate([x, first], axis=1)
    second = network.predict_ahead(longer[:, -32:], 8)["trajectory"]
    third = network.predict_ahead(np.concatenate([longer, second], axis=1)[:, -32:], 8)["trajectory"]
    np.testing.assert_allclose(whole, np.concatenate([first, second, third], axis=1)[:, :20], rtol=1e-6)


def test_contexts_may_be_short_and_have_holes() -> None:
    network = tiny()
    x = contexts().numpy()
    padded = np.concatenate([np.full((4, 8), np.nan, np.float32), x[:, -24:]], axis=1)
    short, long = (network.predict_ahead(part, 8)["trajectory"] for part in (x[:, -24:], padded))
    np.testing.assert_allclose(short, long, rtol=2e-3)
    holes = x.copy()
    holes[:, 3::4] = np.nan
    holes[:, -1] = x[:, -1]
    assert np.isfinite(network.predict_ahead(holes, 8)["quantiles"]).all()
    x[1, -1] = np.nan
    with pytest.raises(DataError, match="1 windows end with NaN"):
        network.predict_ahead(x, 8)


def test_settings_are_checked() -> None:
    for wrong in (
        {"preset": "85m"},
        {"normalization": "minmax"},
        {"quantiles": (0.1, 0.9)},
        {"context": 4},
        {"sizes": {"depth": 2}},
    ):
        with pytest.raises(RecipeError):
            BatteryTimer(**wrong)  # type: ignore[arg-type]


def test_lora_starts_at_the_base_leaves_it_alone_and_merges_exactly() -> None:
    pytest.importorskip("peft")
    network, x = tiny(), contexts()
    base = {name: value.clone() for name, value in network.state_dict().items()}
    before = network(x).detach()
    add_lora(network, LoraSettings(rank=2, alpha=4, dropout=0.0, head=False), seed=1)
    torch.testing.assert_close(network(x), before)
    trained = [p for p in network.parameters() if p.requires_grad]
    assert len(trained) == 2 * 7 * 2  # A and B of 7 projections in 2 layers
    optimizer = torch.optim.SGD(trained, lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (100 * (network(x) - 0.5)).square().mean().backward()
        optimizer.step()
    for name, value in network.state_dict().items():
        if "lora_" not in name:
            assert torch.equal(value, base[name.replace("base_layer.", "")]), name
    adapted = network(x).detach()
    assert not torch.allclose(adapted, before)
    merge_lora(network)
    assert set(network.state_dict()) == set(base)
    torch.testing.assert_close(network(x), adapted, rtol=1e-5, atol=1e-6)
    assert all(p.requires_grad for p in network.parameters())


def test_loss_terms_on_known_numbers() -> None:
    y = torch.zeros(1, 12)
    y[0, -1] = float("nan")
    out = torch.full((1, 12, 3), 0.2)
    one = torch.ones(1, 1)
    # Pinball of an error of -0.2 at 0.1, 0.5, 0.9, doubled: 0.4 * (0.9 + 0.5 + 0.1) / 3.
    assert degradation_loss((0.1, 0.5, 0.9), out, y, one, DegradationLoss()).item() == pytest.approx(0.2)
    # Half the scale, twice the loss.
    assert degradation_loss((0.1, 0.5, 0.9), out, y, one / 2, DegradationLoss()).item() == pytest.approx(0.4)
    rising = torch.arange(12.0)[None, :, None].expand(1, 12, 3) * 0.15
    plain = degradation_loss((0.1, 0.5, 0.9), rising, y, one, DegradationLoss())
    rise = degradation_loss((0.1, 0.5, 0.9), rising, y, one, DegradationLoss(rise=1.0, tolerance=0.05))
    assert (rise - plain).item() == pytest.approx(0.1**2, rel=1e-4)


def test_the_knee_term_weighs_errors_by_how_fast_the_cell_fades() -> None:
    y = torch.cat([torch.ones(1, 12), 1.0 - 0.1 * torch.arange(1, 13.0)[None]], dim=1)
    early, late = y[:, :, None].clone(), y[:, :, None].clone()
    early[:, 2] += 0.1
    late[:, 22] += 0.1
    settings = DegradationLoss(knee=1.0)
    one = torch.ones(1, 1)
    assert degradation_loss((0.5,), late, y, one, settings) > 1.5 * degradation_loss((0.5,), early, y, one, settings)


def test_drawn_windows_without_augmentation_are_the_measured_ones() -> None:
    windows = stretches(fade_curves(6, seed=1), SPEC)
    rows = stretch_tensor(windows)
    x, y = draw_windows(rows, 32, 8, Augmentation(stretch=1.0, noise=0.0, cut=0.0, check_ups=0.0, amplitude=1.0))
    torch.testing.assert_close(x, torch.from_numpy(windows.x[:, 32:]), equal_nan=True)
    torch.testing.assert_close(y, torch.from_numpy(windows.y[:, :8]), equal_nan=True)


def test_a_stretched_straight_line_is_a_straight_line() -> None:
    rows = (1.0 - 0.001 * torch.arange(80.0)).expand(32, 80)
    torch.manual_seed(0)
    x, y = draw_windows(rows, 32, 8, Augmentation(stretch=2.0, noise=0.0, cut=0.0, check_ups=0.0, amplitude=1.0))
    steps = torch.cat([x, y], dim=1).diff(dim=1)
    slopes = steps.nanmean(dim=1, keepdim=True)
    torch.testing.assert_close(steps, slopes.expand_as(steps), rtol=1e-2, atol=2e-7, equal_nan=True)
    assert slopes.min() < -0.0015
    assert slopes.max() > -0.0007
    torch.testing.assert_close(x[:, -1], rows[:, 63])


def test_every_disturbed_context_ends_with_a_measurement() -> None:
    torch.manual_seed(0)
    x, _ = draw_windows(torch.rand(256, 80), 32, 8, Augmentation(check_ups=0.5))
    assert torch.isfinite(x[:, -1]).all()
    assert not torch.isfinite(x).all()


def test_balance_counts_cells_within_and_datasets_across() -> None:
    windows = forecast_windows(fade_curves(5, seed=1), SPEC)
    names = (("A", "1"), ("A", "2"), ("A", "3"), ("A", "4"), ("B", "1"))
    windows = dataclasses.replace(windows, cells=names)
    weights = balance_weights(windows, power=0.5).numpy()
    per_cell = np.bincount(windows.cell, weights=weights)
    np.testing.assert_allclose(per_cell[:4], per_cell[0])
    assert per_cell[:4].sum() / per_cell[4] == pytest.approx(2.0)  # (4 cells / 1 cell) ** 0.5


def test_baselines_on_a_straight_line() -> None:
    x = (1.0 - 0.001 * np.arange(60, dtype=np.float32))[None]
    truth = 1.0 - 0.001 * np.arange(60, 68)
    np.testing.assert_allclose(StraightLine(24, 8).ahead(x.astype(np.float64))[0], truth, atol=1e-6)
    np.testing.assert_allclose(Persistence(8).ahead(x.astype(np.float64))[0], x[0, -1], atol=1e-7)


def test_learnt_baselines_find_their_own_training_windows() -> None:
    windows = forecast_windows(fade_curves(6, seed=2), SPEC)
    nearest = NearestCurve(windows, cycles=32, limit=10**6).predict(windows)["trajectory"]
    np.testing.assert_allclose(nearest, windows.y, atol=1e-6)
    mean = MeanCurve(windows).predict(windows)["trajectory"] - windows.x[:, -1:]
    np.testing.assert_allclose(mean[0], (windows.y - windows.x[:, -1:]).mean(axis=0), atol=1e-5)


def test_scores_by_cell_and_dataset() -> None:
    windows = forecast_windows(fade_curves(2, seed=2), SPEC)
    windows.y[0, 3:] = np.nan
    scores = score_forecasts(
        windows, np.nan_to_num(windows.y, nan=9.0) + np.where(windows.cell == 0, 0.01, 0.03)[:, None]
    )
    assert [cell["mae_pct"] for cell in scores["cells"]] == pytest.approx([1.0, 3.0], rel=1e-4)
    assert scores["datasets"]["synthetic"]["mae_pct"] == pytest.approx(2.0, rel=1e-4)
    assert scores["datasets"]["synthetic"]["windows"] == len(windows)
    with pytest.raises(DataError, match="missing"):
        score_forecasts(windows, np.full_like(windows.y, np.nan))
    ratios = relative_error({"A": 1.0, "B": 3.0}, {"line": {"A": 2.0, "B": 6.0}, "flat": {"A": 4.0, "B": 3.0}})
    assert ratios == {"A": 0.5, "B": 1.0, "mean": 0.75}


def test_training_beats_the_line_repeats_and_survives_its_file(tmp_path: Path) -> None:
    curves = fade_curves(40, seed=5)
    train, val = stretches(curves[:32], SPEC), forecast_windows(curves[32:], SPEC)
    settings = TimerSettings(fit=FitSettings(epochs=3, batch_size=64, learning_rate=5e-3, samples_per_epoch=1280))

    def trained(folder: str) -> BatteryTimer:
        torch.manual_seed(1)
        return train_forecaster(BatteryTimer(context=32, sizes=SIZES), train, val, settings, Run(tmp_path / folder))[0]

    network = trained("a")
    forecast = network.predict(val)
    learnt = score_forecasts(val, forecast["trajectory"])["datasets"]["synthetic"]["mae_pct"]
    line = score_forecasts(val, StraightLine(24, 8).predict(val)["trajectory"])["datasets"]["synthetic"]["mae_pct"]
    assert learnt < 0.95 * line
    np.testing.assert_array_equal(trained("b").predict(val)["quantiles"], forecast["quantiles"])
    save_teacher(network, tmp_path / "t.safetensors")
    np.testing.assert_array_equal(
        load_teacher(tmp_path / "t.safetensors").predict(val)["trajectory"], forecast["trajectory"]
    )


def test_windows_must_fit_the_network(tmp_path: Path) -> None:
    windows = forecast_windows(fade_curves(3, seed=5), SPEC)
    with pytest.raises(RecipeError, match="needs 64 \\+ 16"):
        train_forecaster(BatteryTimer(context=32, sizes=SIZES), windows, windows, TimerSettings(), Run(tmp_path))


PROCESS = """
import os, sys, torch
from pathlib import Path
from edgebat.training.fit import fit
from edgebat.training.run import Run
from edgebat.training.settings import FitSettings, StepSettings
from edgebat.training.steps import fit_steps
torch.manual_seed(0)
network = torch.nn.Linear(3, 1)
x = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
y = x @ torch.tensor([[1.0], [2.0], [3.0]])
folder, devices, nodes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rank = int(os.environ.get("RANK", os.environ.get("NODE_RANK", "0")))
where = {"accelerator": "cpu", "devices": devices, "nodes": nodes, "strategy": "ddp" if devices * nodes > 1 else "auto"}
settings = FitSettings(epochs=3, batch_size=16, learning_rate=0.1, **where)
rows = set()
def loss(network, batch):
    rows.add(len(batch[0]))
    return {"loss": (network(batch[0]) - batch[1]).square().mean()}
found = fit(network, loss, (x, y), (x, y), settings, Run(Path(folder)))
# A part of each batch of 16 to learn from, all 64 to validate on.
assert rows == {16 // (devices * nodes), 64}, rows
if rank == 0:
    torch.save(network.state_dict(), f"{folder}/network.pt")
    torch.save([row["train_loss"] for row in found.history], f"{folder}/losses.pt")
def by_chance(network, data, generator):
    return (network(data[0]) * torch.rand(1, generator=generator)).square().mean()
steps = fit_steps(network, (x,), by_chance, StepSettings(steps=4, steps_per_epoch=2, **where), Run(Path(folder) / "steps"))
torch.save(steps.losses, f"{folder}/steps{rank}.pt")
"""


def train_in_processes(folder: Path, commands: list[list[str]], settings: list[dict[str, str]]) -> None:
    """Start the commands side by side, each with environment variables of its own, and wait for all."""
    # Over the loopback alone: the machine need not know its own name.
    common = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1",
                           "GLOO_SOCKET_IFNAME": "lo"}  # fmt: skip
    folder.mkdir()
    running = [
        subprocess.Popen(command, env=common | own, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for command, own in zip(commands, settings, strict=True)
    ]
    try:
        for process in running:
            _, said = process.communicate(timeout=300)
            assert process.returncode == 0, said
    finally:
        for process in running:
            process.kill()


def test_two_processes_and_two_nodes_train_as_one(tmp_path: Path) -> None:
    """Each process takes half of every batch; averaged over both, the gradients are those of the whole batch. Two nodes
    are two launches that know their rank and where to meet, here on one machine."""
    script = tmp_path / "train.py"
    script.write_text(PROCESS)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    train_in_processes(tmp_path / "one", [[sys.executable, str(script), str(tmp_path / "one"), "1", "1"]], [{}])
    train_in_processes(tmp_path / "two", [[*launch, str(script), str(tmp_path / "two"), "2", "1"]], [{}])
    node = [sys.executable, str(script), str(tmp_path / "nodes"), "1", "2"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    train_in_processes(tmp_path / "nodes", [node, node], [meet | {"NODE_RANK": rank} for rank in "01"])

    def result(of: str) -> tuple[torch.Tensor, torch.Tensor]:
        weight = torch.load(tmp_path / of / "network.pt", weights_only=True)["weight"]
        return weight, torch.tensor(torch.load(tmp_path / of / "losses.pt", weights_only=True))

    for other in ("two", "nodes"):
        torch.testing.assert_close(result(other), result("one"), rtol=1e-4, atol=1e-5)
        # Each process draws numbers of its own; the losses told are the means of both.
        first, second = (torch.load(tmp_path / other / f"steps{rank}.pt", weights_only=True) for rank in "01")
        assert len(first) == 2
        assert first == second


def test_softplus_keeps_room_between_quantiles_before_training() -> None:
    network = BatteryTimer(context=32, sizes=SIZES)
    x = contexts()
    scale = network.forecast(x)[1]
    spread = network(x).diff(dim=2) / scale[:, :, None]
    torch.testing.assert_close(
        spread, torch.full_like(spread, float(functional.softplus(torch.tensor(0.0)))), rtol=1e-3, atol=1e-3
    )


def test_the_shipped_checkpoint_is_small_and_beats_the_line_on_new_curves() -> None:
    file = Path(__file__).parents[2] / "export" / "zoo" / "teachers" / "battery_timer" / "synthetic.safetensors"
    assert file.stat().st_size < 6_000_000
    windows = forecast_windows(fade_curves(40, seed=99), ForecastSpec(stride=64))
    learnt = score_forecasts(windows, load_teacher(file).predict(windows)["trajectory"])["datasets"]["synthetic"]
    for cycles in (24, 48, None):
        line = score_forecasts(windows, StraightLine(cycles).predict(windows)["trajectory"])["datasets"]["synthetic"]
        assert learnt["mae_pct"] < 0.9 * line["mae_pct"]
