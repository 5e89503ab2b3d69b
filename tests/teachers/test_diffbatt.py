"""DiffBatt: the published network, the diffusion's identities, its curves, and what is made from them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from edgebat.errors import DataError, RecipeError  # noqa: E402
from edgebat.tasks.life.score import curve_error_percent, score_predictions  # noqa: E402
from edgebat.tasks.life.windows import curve_life  # noqa: E402
from edgebat.teachers.diffbatt.diffusion import Schedule  # noqa: E402
from edgebat.teachers.diffbatt.network import DiffBatt, DiffBattEnsemble, closest_draw  # noqa: E402
from edgebat.teachers.diffbatt.settings import DiffBattSettings, Sampling  # noqa: E402
from edgebat.teachers.diffbatt.synthesis import (  # noqa: E402
    frechet_distance,
    precision_recall,
    synthesis_scores,
    synthesize,
)
from edgebat.teachers.diffbatt.unet import UNet, position_code  # noqa: E402
from edgebat.teachers.store import load_teacher, save_teacher  # noqa: E402
from edgebat.training.run import Run  # noqa: E402
from edgebat.training.settings import StepSettings  # noqa: E402
from edgebat.training.tensorfile import round_to_half  # noqa: E402
from tests.life_cells import SMALL, made_up_windows  # noqa: E402
from tests.shipped_studies import load_study  # noqa: E402

FEW = Sampling(draws=3, steps=4)


def test_parameter_count_of_the_release():
    assert sum(p.numel() for p in UNet().parameters()) == 478_369


def test_the_position_code_alternates_sine_and_cosine():
    code = position_code(16, 8)
    assert code.shape == (8, 16)
    assert torch.allclose(code[0], torch.sin(torch.arange(16.0)))
    assert torch.allclose(code[1], torch.cos(torch.arange(16.0)))


def test_the_null_condition_forgets_the_matrix():
    torch.manual_seed(1)
    net = UNet(columns=10, points=16).eval()
    torch.nn.init.normal_(net.out.weight)
    x, t = torch.randn(2, 16), torch.tensor([3, 700])
    a, b = (net.embed_condition(torch.randn(2, 5, 10)) for _ in range(2))
    assert torch.equal(net(x, t, a, torch.zeros(2)), net(x, t, b, torch.zeros(2)))
    assert not torch.equal(net(x, t, a, torch.ones(2)), net(x, t, b, torch.ones(2)))
    # Rows are tokens without a position: their order does not matter.
    q = torch.randn(2, 5, 10)
    assert torch.allclose(net.embed_condition(q), net.embed_condition(q.flip(1)), atol=1e-5)


def test_the_schedule_is_linear_in_beta():
    alpha_bar = Schedule().alpha_bar
    beta = 1 - torch.cat((alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]))
    assert float(beta[0]) == pytest.approx(1e-4)
    assert float(beta[-1]) == pytest.approx(0.02)
    assert torch.allclose(beta.diff(), beta.diff()[0], atol=1e-9)


@pytest.mark.parametrize("t", [1, 17, 500, 999])
def test_eta_one_is_the_ancestral_step_with_the_posterior_variance(t):
    schedule = Schedule()
    x, noise = torch.randn(2, 8, dtype=torch.float64), torch.randn(2, 8, dtype=torch.float64)
    bar, before = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[t - 1])
    beta = 1 - bar / before
    clean = (x - (1 - bar) ** 0.5 * noise) / bar**0.5
    posterior = (before**0.5 * beta * clean + (1 - beta) ** 0.5 * (1 - before) * x) / (1 - bar)
    mean, sigma = schedule.step(x, noise, t, t - 1, eta=1.0)
    assert torch.allclose(mean, posterior, atol=1e-9)
    assert sigma**2 == pytest.approx(beta * (1 - before) / (1 - bar))


def test_ddim_with_the_true_noise_goes_straight_to_the_clean_curve():
    schedule = Schedule()
    clean, noise = torch.randn(3, 16), torch.randn(3, 16)
    x = schedule.diffuse(clean, torch.full((3,), 999), noise)
    mean, sigma = schedule.step(x, noise, 999, -1, eta=0.0)
    assert sigma == 0
    assert torch.allclose(mean, clean, atol=1e-3)


@pytest.mark.parametrize(("steps", "eta"), [(200, 1.0), (100, 0.0)])
def test_both_samplers_reach_a_known_distribution(steps, eta):
    # Data ~ N(0.5, 0.2^2) has the exact noise prediction below, so the samples must come out that way.
    schedule = Schedule(200, first=5e-4, last=0.1)

    def noise_of(x, t):
        bar = schedule.alpha_bar[t].float()[:, None]
        return (1 - bar).sqrt() * (x - bar.sqrt() * 0.5) / (bar * 0.04 + 1 - bar)

    samples = schedule.sample(noise_of, (2000, 4), steps, eta, seed=1)
    assert float(samples.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(samples.std()) == pytest.approx(0.2, abs=0.02)
    assert torch.equal(samples, schedule.sample(noise_of, (2000, 4), steps, eta, seed=1))


def test_levels_run_from_noise_to_clean():
    schedule = Schedule()
    assert schedule.levels(1000) == list(range(999, -1, -1))
    assert schedule.levels(50)[0] == 999
    assert schedule.levels(50)[-1] == 0
    with pytest.raises(DataError, match="0 sampling steps"):
        schedule.levels(0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    windows = made_up_windows(4)
    fit = StepSettings(steps=60, steps_per_epoch=20, learning_rate=5e-3, average=0.9, accelerator="cpu")
    network, result = DiffBatt.fit(
        windows, None, DiffBattSettings(repeats=2, fit=fit), Run(tmp_path_factory.mktemp("diffbatt"))
    )
    network.sampling = FEW
    return windows, network, result


def test_training_lowers_the_loss_and_draws_stay_within_the_limit(trained):
    windows, network, result = trained
    assert result.losses[-1] < 0.5 * result.losses[0]
    said = network.predict(windows)
    assert said["soh_curve"].shape == (4, 32)
    assert (said["soh_low"] <= said["soh_high"]).all()
    assert np.abs(2 * said["best_curve"] - 1).max() <= 1.1 + 1e-6


def test_blended_cells_lie_between_the_measured_ones(tmp_path, monkeypatch):
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    plain = DiffBatt.noise_loss

    def noise_loss(network, curve, q, drop, generator):
        seen.append((curve, q))
        return plain(network, curve, q, drop, generator)

    monkeypatch.setattr(DiffBatt, "noise_loss", noise_loss)
    windows = made_up_windows(4, dataclasses.replace(SMALL, curve_points=96, curve_step=10))
    fit = StepSettings(steps=20, steps_per_epoch=10, accelerator="cpu")
    DiffBatt.fit(windows, None, DiffBattSettings(repeats=2, blend=1, fit=fit), Run(tmp_path / "blend"))
    measured = set((windows.curve > 0).sum(axis=1).tolist())
    lengths = torch.cat([(curve > -1.0).sum(dim=1) for curve, _ in seen])
    assert lengths.min() >= min(measured)
    assert lengths.max() <= max(measured)
    assert set(lengths.tolist()) > measured
    # The longer the life, the smaller the change: curve and matrix of a blend are of the same cell.
    sizes = torch.cat([q.abs().amax(dim=(1, 2)) for _, q in seen])
    assert np.corrcoef(lengths.numpy(), sizes.numpy())[0, 1] < -0.95
    seen.clear()
    DiffBatt.fit(windows, None, DiffBattSettings(fit=fit), Run(tmp_path / "plain"))
    assert {n for curve, _ in seen for n in (curve > -1.0).sum(dim=1).tolist()} == measured
    with pytest.raises(RecipeError, match="blend >= 0"):
        DiffBattSettings(blend=-1)


def test_a_limit_holds_the_clean_value_and_keeps_a_true_one():
    schedule = Schedule()
    clean, noise = torch.rand(3, 16), torch.randn(3, 16)
    x = schedule.diffuse(clean, torch.full((3,), 300), noise)
    free, _ = schedule.step(x, noise, 300, 100, eta=0.0)
    held, _ = schedule.step(x, noise, 300, 100, eta=0.0, limit=1.1)
    assert torch.allclose(free, held, atol=1e-5)
    wild, _ = schedule.step(x, noise + 5.0, 300, -1, eta=0.0, limit=1.1)
    assert wild.abs().max() <= 1.1


def test_predictions_repeat_and_the_file_says_the_same(trained, tmp_path):
    windows, network, _ = trained
    first, again = network.predict(windows), network.predict(windows)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    save_teacher(network, tmp_path / "full.safetensors")
    whole = load_teacher(tmp_path / "full.safetensors")
    whole.sampling = FEW
    np.testing.assert_array_equal(whole.predict(windows)["soh_curve"], first["soh_curve"])
    round_to_half(whole)
    save_teacher(whole, tmp_path / "half.safetensors")
    halved = load_teacher(tmp_path / "half.safetensors")
    halved.sampling = FEW
    np.testing.assert_allclose(halved.predict(windows)["soh_curve"], first["soh_curve"], atol=0.05)


def test_guidance_mixes_both_predictions(trained):
    windows, network, _ = trained
    q = network.tensor(windows)
    condition = network.unet.embed_condition(q / network.input_std)
    x, t, on = torch.randn(4, 32), torch.full((4,), 500), torch.ones(4)
    with torch.no_grad():
        mixed = network._guided(condition, 2.0)(x, t)
        expected = 3.0 * network.unet(x, t, condition, on) - 2.0 * network.unet(x, t, condition, 0.0 * on)
    assert torch.allclose(mixed, expected, atol=1e-5)


def test_scores_and_synthesis(trained):
    windows, network, _ = trained
    found = score_predictions(network.predict(windows), windows)
    assert {"rmse", "mape", "rul_rmse", "rul_rmse_best", "soh_rmse"} <= set(found.scores)
    assert len(found.cells) == 4
    made = synthesize(network, windows, FEW)
    assert len(made) == 12
    assert made.cells[0] == ("MADE-synthetic", "c00-0")
    np.testing.assert_allclose(made.life, curve_life(made.curve, windows.spec), rtol=1e-6)
    assert set(synthesis_scores(windows, made)) == {"fid", "precision", "recall"}


def test_the_closest_draw_is_the_one_that_was_measured():
    windows = made_up_windows(3)
    wrong = np.full_like(windows.curve, 0.3)
    curves = np.stack((wrong, windows.curve, wrong), axis=1)
    assert closest_draw(curves, windows).tolist() == [1, 1, 1]


def test_curve_error_counts_only_the_living_part():
    reference = np.array([[1.0, 0.9, 0.85, 0.0]], dtype=np.float32)
    predicted = np.array([[1.0, 0.92, 0.85, 0.3]], dtype=np.float32)
    assert curve_error_percent(predicted, reference) == pytest.approx(100 * np.sqrt(0.02**2 / 3), rel=1e-4)


def test_equal_sets_have_no_distance_and_full_coverage():
    features = np.random.default_rng(1).normal(size=(40, 3))
    assert frechet_distance(features, features) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(features, features + np.eye(3)[0]) == pytest.approx(1.0)
    assert precision_recall(features, features) == (1.0, 1.0)
    assert precision_recall(features, features + 100.0) == (0.0, 0.0)


def test_shipped_recipes_are_studies_and_a_wrong_key_is_refused(tmp_path):
    assert load_study("life-diffbatt").teacher_name == "diffbatt"
    assert load_study("life-batlinet").task.columns == 50
    wrong = tmp_path / "life-wrong.yaml"
    wrong.write_text("name: wrong\nteacher: {name: diffbatt}\nstudy: {sedes: [1]}\n")
    with pytest.raises(RecipeError, match="sedes"):
        load_study(wrong)


def test_nothing_to_train_on_and_impossible_lengths_are_refused(tmp_path):
    windows = made_up_windows(2)
    with pytest.raises(RecipeError, match="no cell"):
        DiffBatt.fit(windows.select(split="none"), None, DiffBattSettings(), Run(tmp_path))
    with pytest.raises(DataError, match="divisible by 8"):
        DiffBatt(spec={"curve_points": 250})
    with pytest.raises(DataError, match="windows were made with"):
        DiffBatt().predict(windows)
    with pytest.raises(RecipeError, match="multiple"):
        dataclasses.replace(StepSettings(), steps=150)


def test_velocity_and_noise_say_the_same():
    schedule = Schedule()
    x, noise = torch.rand(5, 16) * 2 - 1, torch.randn(5, 16)
    t = torch.tensor([0, 10, 500, 900, 999])
    noisy = schedule.diffuse(x, t, noise)
    found = schedule.noise_of_velocity(noisy, t, schedule.velocity(x, t, noise))
    assert torch.allclose(found, noise, atol=1e-5)
    # A network that knew the velocity would find the clean curve from nothing but noise, in one step.
    clean, _ = schedule.step(noisy[-1:], found[-1:], 999, -1, 0.0)
    assert torch.allclose(clean, x[-1:], atol=1e-3)
    with pytest.raises(RecipeError, match="target is 'x'"):
        DiffBatt(target="x")


def test_networks_together_pool_their_draws_and_empty_windows_have_none(tmp_path):
    windows = made_up_windows(3)
    pair = DiffBattEnsemble(2, {"spec": dataclasses.asdict(windows.spec)}).eval()
    sampling = Sampling(draws=5, steps=2)
    save_teacher(pair, tmp_path / "pair.safetensors")
    pair = load_teacher(tmp_path / "pair.safetensors")
    first, second = pair.members
    share = dataclasses.replace(sampling, draws=3)
    other = dataclasses.replace(share, seed=sampling.seed + 1000)
    alone = [first.draw(first.tensor(windows), share), second.draw(second.tensor(windows), other)]
    np.testing.assert_array_equal(pair.draw(pair.members[0].tensor(windows), sampling), np.concatenate(alone, axis=1))
    pair.sampling = sampling
    said = pair.predict(windows)
    np.testing.assert_array_equal(said["soh_curve"], np.median(np.concatenate(alone, axis=1), axis=1))
    assert said["life"].shape == (3,)
    assert pair.predict(windows.select(split="none"))["soh_curve"].shape == (0, windows.spec.curve_points)


@torch.no_grad()
@pytest.mark.parametrize("seed", range(5))
def test_a_difference_twice_as_large_is_another_condition(seed):
    # The first normalization leaves a small matrix its size (twice the matrix, twice the condition: a change of 1)
    # and takes it from a standardized one (a change of 0). Measured differences have a deviation near 0.02.
    torch.manual_seed(seed)
    windows = made_up_windows(4)
    network = DiffBatt(spec=dataclasses.asdict(windows.spec)).eval()
    q = network.tensor(windows)
    changes = []
    for std in (0.002, 0.02, 1.0):
        once, twice = (network.unet.embed_condition(scale * std * q / q.std()) for scale in (1.0, 2.0))
        changes.append(float((twice - once).norm() / once.norm()))
    tiny, measured, standardized = changes
    assert tiny > 0.95
    assert measured > 0.25
    assert standardized < 0.02
