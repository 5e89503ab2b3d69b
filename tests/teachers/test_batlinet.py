"""BatLiNet: shapes of the publication, differences between cells, training, transfer and the file."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from edgebat.baselines.life import BASELINES  # noqa: E402
from edgebat.errors import DataError, RecipeError  # noqa: E402
from edgebat.studies.life import Transfers  # noqa: E402
from edgebat.studies.runner import Part, Result, Scored, chosen  # noqa: E402
from edgebat.tasks.life.score import life_scores  # noqa: E402
from edgebat.tasks.life.windows import LifeWindows  # noqa: E402
from edgebat.teachers.batlinet.network import BatLiNet, BatLiNetEnsemble, clean  # noqa: E402
from edgebat.teachers.batlinet.settings import BatLiNetSettings  # noqa: E402
from edgebat.teachers.batlinet.train import fit_teacher  # noqa: E402
from edgebat.teachers.batlinet.transfer import Transfer, is_target, transfer_scores, transfer_split  # noqa: E402
from edgebat.teachers.store import load_teacher, save_teacher  # noqa: E402
from edgebat.training.run import Run  # noqa: E402
from edgebat.training.settings import StepSettings  # noqa: E402
from edgebat.training.tensorfile import round_to_half  # noqa: E402
from tests.life_cells import SMALL, made_up_windows  # noqa: E402
from tests.shipped_studies import load_study  # noqa: E402

QUICK = StepSettings(steps=60, steps_per_epoch=30, learning_rate=3e-3, accelerator="cpu")


def train_batlinet(train, settings, run, **more):
    return fit_teacher(BatLiNet, train, None, settings, run, **more)


def test_parameter_count_of_the_publication():
    full = BatLiNet(spec={"cycles": 100, "columns": 1000}, channels=6, references=1)
    assert sum(p.numel() for p in full.parameters()) == 2_274_912
    short = BatLiNet(spec={"cycles": 20, "columns": 1000}, channels=6, references=1)
    assert sum(p.numel() for p in short.parameters()) == 247_392


def small_network(references: int = 3) -> BatLiNet:
    torch.manual_seed(1)
    return BatLiNet(spec=dataclasses.asdict(made_up_windows(1).spec), references=references, cleaning=False).eval()


def test_the_median_over_references_ignores_one_that_lies():
    network, x = small_network(), torch.randn(4, 1, 20, 20)
    network.reference_label.copy_(torch.tensor([0.0, 0.1, 0.2]))
    before = network(x)
    network.reference_label[2] = 1000.0
    assert torch.allclose(network(x), before, atol=0.2)
    one_by_one = torch.stack([network.difference(x, r.expand_as(x)) for r in network.reference_x], dim=1)
    assert torch.allclose(network.between(x, network.reference_x, network.reference_label),
                          one_by_one + network.reference_label)  # fmt: skip


def test_a_shift_common_to_cell_and_reference_cancels():
    network, x, reference = small_network(), torch.randn(2, 1, 20, 20), torch.randn(2, 1, 20, 20)
    shift = torch.randn(1, 1, 20, 20)
    assert torch.allclose(network.difference(x + shift, reference + shift), network.difference(x, reference), atol=1e-5)
    # The intra branch is blind to whatever is the same in all cycles.
    assert torch.allclose(network.within(x + shift[:, :, :1]), network.within(x), atol=1e-5)


def test_cleaning_removes_a_glitch_cycle_and_nothing_else():
    smooth = torch.linspace(0, 1, 100)[:, None] * torch.sin(torch.linspace(0, 3, 40))[None]
    x = smooth[None, None].clone()
    x[0, 0, 7] += 50.0
    before = x.clone()
    cleaned = clean(x)
    assert not cleaned[0, 0, 7].any()
    assert torch.equal(cleaned[0, 0, 8:, 2:-2], smooth[8:, 2:-2])
    assert torch.equal(x, before)


def test_compressed_differences_are_almost_their_logarithm():
    windows = made_up_windows(3)
    spec = dataclasses.asdict(windows.spec)
    plain, pressed = BatLiNet(spec=spec), BatLiNet(spec=spec, compress=0.001)
    x = plain.tensor(windows)
    np.testing.assert_allclose(pressed.tensor(windows), np.arcsinh(x.numpy() / 0.001), rtol=1e-5, atol=1e-6)
    tenfold = pressed.tensor(dataclasses.replace(windows, x=10 * windows.x)) - pressed.tensor(windows)
    large = x.abs() > 0.01
    np.testing.assert_allclose(tenfold[large].abs().numpy(), np.log(10.0), rtol=1e-2)
    with pytest.raises(RecipeError, match="compress is -1"):
        BatLiNet(spec=spec, compress=-1.0)


def lives_by_protocol(count: int = 12) -> LifeWindows:
    """Cells with one and the same discharge curve, whose life falls with the charging rate alone."""
    windows = made_up_windows(count)
    rate = np.linspace(1.0, 6.0, count, dtype=np.float32)
    return dataclasses.replace(
        windows,
        x=np.repeat(windows.x[:1], count, axis=0),
        charge_rate_c=np.repeat(rate[:, None], windows.x.shape[2], axis=1),
        life=(2400.0 / rate).astype(np.float32),
    )


def test_the_charging_current_is_read_between_cells(tmp_path):
    windows = lives_by_protocol()
    train, test = windows.select(split="train"), windows.select(split="test1")
    settings = BatLiNetSettings(alpha=0.9, current=True, cleaning=False, fit=QUICK)
    network, _ = train_batlinet(train, settings, Run(tmp_path / "current"))
    blind, _ = train_batlinet(train, dataclasses.replace(settings, current=False), Run(tmp_path / "blind"))
    seen, missed = (life_scores(n.predict(test)["life"], test.life)["mape"] for n in (network, blind))
    assert seen < 0.4 * missed
    # A protocol that is not known makes no difference to any reference: the cell is as one charged like each of them.
    x, reference = network.tensor(test)[:1], network.reference_x[:1]
    unknown, like = x.clone(), x.clone()
    unknown[:, 1], like[:, 1] = torch.nan, reference[:, 1]
    assert torch.equal(network.difference(unknown, reference), network.difference(like, reference))
    assert torch.isfinite(network(unknown)).all()


def test_one_unknown_protocol_does_not_blind_a_merged_reference(tmp_path):
    windows = lives_by_protocol()
    rates = windows.charge_rate_c.copy()
    rates[::4] = np.nan
    settings = BatLiNetSettings(merge=4, current=True, fit=dataclasses.replace(QUICK, steps=1, steps_per_epoch=1))
    network, _ = train_batlinet(dataclasses.replace(windows, charge_rate_c=rates), settings, Run(tmp_path / "some"))
    assert torch.isfinite(network.reference_x).all()
    rates[:] = np.nan
    with pytest.raises(RecipeError, match=r"charging current of no cell is known.*charge_protocol"):
        train_batlinet(dataclasses.replace(windows, charge_rate_c=rates), settings, Run(tmp_path / "none"))


def test_a_hole_in_what_was_measured_is_not_filled():
    network, x = small_network(), torch.randn(1, 1, 20, 20)
    x[0, 0, 3, 3] = torch.nan
    assert torch.isnan(network(x)).all()
    with pytest.raises(RecipeError, match="1 channels; Q\\(V\\), current and capacity are 2"):
        BatLiNet(current=True)


def test_training_beats_the_mean_and_the_file_says_the_same(tmp_path):
    windows = made_up_windows()
    network, result = train_batlinet(windows, BatLiNetSettings(fit=QUICK), Run(tmp_path))
    assert result.losses[-1] < result.losses[0]
    assert result.steps_per_second > 0.0
    own = life_scores(network.predict(windows)["life"], windows.life)["mape"]
    assert own < 0.5 * life_scores(BASELINES["mean"](windows)(windows), windows.life)["mape"]
    round_to_half(network)
    save_teacher(network, tmp_path / "a.safetensors")
    save_teacher(network, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    stored = load_teacher(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(stored.predict(windows)["life"], stored.predict(windows)["life"])
    assert life_scores(stored.predict(windows)["life"], windows.life)["mape"] == pytest.approx(own, abs=0.5)


def test_the_same_seed_gives_the_same_network_and_resuming_changes_nothing(tmp_path):
    windows, settings = made_up_windows(6), BatLiNetSettings(fit=dataclasses.replace(QUICK, steps=6, steps_per_epoch=2))
    whole, _ = train_batlinet(windows, settings, Run(tmp_path / "whole"))
    half = dataclasses.replace(settings, fit=dataclasses.replace(settings.fit, steps=4))
    train_batlinet(windows, half, Run(tmp_path / "parts"))
    resumed, result = train_batlinet(windows, settings, Run(tmp_path / "parts"))
    assert len(result.losses) == 1
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_merged_references_hold_no_cell_of_their_own(tmp_path):
    windows = made_up_windows(8)
    settings = BatLiNetSettings(merge=4, fit=dataclasses.replace(QUICK, steps=1, steps_per_epoch=1))
    network, _ = train_batlinet(windows, settings, Run(tmp_path))
    assert network.reference_x.shape[0] == 2
    apart = (network.reference_x[:, None, 0] - torch.from_numpy(windows.x)[None]).abs().amax(dim=(2, 3))
    assert apart.min() > 0


def test_windows_made_otherwise_are_refused():
    other = made_up_windows(2, dataclasses.replace(SMALL, smooth_cycles=3))
    with pytest.raises(DataError, match="windows were made with"):
        small_network().predict(other)
    with pytest.raises(DataError, match="at least 17 cycles"):
        BatLiNet(spec={"cycles": 16, "base_cycle": 5, "smooth_cycles": 1})


def test_without_a_known_life_there_is_nothing_to_train(tmp_path):
    windows = made_up_windows(2)
    censored = dataclasses.replace(windows, life=np.full(2, np.nan, dtype=np.float32))
    with pytest.raises(RecipeError, match="known life: 0"):
        train_batlinet(censored, BatLiNetSettings(fit=QUICK), Run(tmp_path))


def test_transfer_scores_every_count_on_the_same_cells(tmp_path):
    windows = made_up_windows(12)
    support, known, test = transfer_split(windows, Transfer("NMC", test=3), seed=1)
    assert not is_target(support, "NMC").any()
    assert is_target(known, "NMC").all()
    assert not set(known.cells) & set(test.cells)
    settings = BatLiNetSettings(fit=dataclasses.replace(QUICK, steps=2, steps_per_epoch=1))
    found = transfer_scores(windows, Transfer("NMC", cells=(1, 2, 16), test=3), settings, Run(tmp_path), seed=1)
    assert list(found) == ["1", "2"]
    assert all(np.isfinite(list(scores.values())).all() for scores in found.values())
    with pytest.raises(DataError, match="0 cells of chemistry 'LCO'"):
        transfer_split(windows, Transfer("LCO"), seed=1)


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "random_forest"])
def test_every_baseline_learns_more_than_nothing(name):
    windows = made_up_windows(20)
    train, test = windows.select(split="train"), windows.select(split="test1")
    error = life_scores(BASELINES[name](train)(test), test.life)["mape"]
    nothing = life_scores(BASELINES["mean"](train)(test), test.life)["mape"]
    assert error == nothing if name == "mean" else error < 0.7 * nothing


def test_two_processes_train_one_network(tmp_path):
    windows = made_up_windows(6)
    fit = StepSettings(steps=4, steps_per_epoch=2, accelerator="cpu", devices=2, strategy="ddp_fork")
    network, _ = train_batlinet(windows, BatLiNetSettings(fit=fit), Run(tmp_path / "two"))
    alone = dataclasses.replace(fit, devices=1, strategy="auto")
    single, _ = train_batlinet(windows, BatLiNetSettings(fit=alone), Run(tmp_path / "one"))
    start, _ = train_batlinet(
        windows, BatLiNetSettings(fit=dataclasses.replace(alone, learning_rate=0.0)), Run(tmp_path / "0")
    )
    # Both ranks moved the weights, and the second rank's own random partners made a difference.
    for other in (start, single):
        assert not torch.equal(network.head.weight, other.head.weight)
    assert torch.allclose(network.head.weight, single.head.weight, atol=0.02)


def test_no_stored_reference_is_one_cells_own(tmp_path):
    windows = made_up_windows(9)  # nine cells in groups of four leave one over
    settings = BatLiNetSettings(merge=4, fit=dataclasses.replace(QUICK, steps=1, steps_per_epoch=1))
    network, _ = train_batlinet(windows, settings, Run(tmp_path))
    own = network.tensor(windows)
    assert len(network.reference_x) == 2
    assert all((own - reference).abs().amax(dim=(1, 2, 3)).min() > 1e-6 for reference in network.reference_x)


def test_members_are_averaged_and_travel_in_one_file(tmp_path):
    windows = made_up_windows(10, dataclasses.replace(SMALL, cycles=40, columns=20))
    settings = BatLiNetSettings(members=2, pool=2, capacity=True, each_pair=True, cleaning=False, fit=QUICK)
    ensemble, result = BatLiNetEnsemble.fit(windows, None, settings, Run(tmp_path))
    assert isinstance(ensemble, BatLiNetEnsemble)
    assert ensemble.members[0].tensor(windows).shape == (10, 2, 20, 20)
    assert len(result.losses) == 2
    said = ensemble.predict(windows)
    first, second = (member.predict(windows)["life"] for member in ensemble.members)
    np.testing.assert_allclose(said["life"], np.sqrt(first * second), rtol=1e-5)
    np.testing.assert_allclose(said["life_spread"], np.abs(first - second) / 2, rtol=1e-5)
    assert (first != second).all()
    round_to_half(ensemble)
    save_teacher(ensemble, tmp_path / "t.safetensors")
    np.testing.assert_allclose(
        load_teacher(tmp_path / "t.safetensors").predict(windows)["life"], said["life"], rtol=0.02
    )
    with pytest.raises(DataError, match="must divide"):
        BatLiNet(spec=dataclasses.asdict(windows.spec), pool=3)


def test_a_study_knows_its_parts_and_prints_its_transfers(tmp_path):
    parts = [Part("NMC", (1,)), Part("NCA", (1,))]
    assert chosen((), parts) == parts
    assert chosen(["NCA"], parts) == parts[1:]
    with pytest.raises(RecipeError, match=r"--only LCO.*allowed are NMC, NCA"):
        chosen(["LCO"], parts)
    scores = {"vanilla": 20.0, "fine_tuned": 12.0, "batlinet": 9.0}
    seeds = {1: Scored({"2": scores}), 2: Scored({"2": scores | {"batlinet": 11.0}})}
    study = Transfers(load_study("life-batlinet"), tmp_path, tmp_path)
    text = study.tables([Result(Part("NMC", (1, 2)), seeds, {})])["transfer.md"]
    assert "| NMC | 2 | 20 (20 to 20) | 12 (12 to 12) | 10 (9 to 11) |" in text


@pytest.mark.parametrize("name", ["ridge", "plsr"])
def test_a_column_that_was_all_but_constant_in_training_does_not_carry_a_linear_model_away(name: str) -> None:
    windows = made_up_windows(12)
    x = windows.x.copy()
    x[:, -1, 0] = 1e-7 * np.random.default_rng(0).standard_normal(len(x))
    predict = BASELINES[name](dataclasses.replace(windows, x=x))
    jump = x.copy()
    jump[:, -1, 0] = 0.1  # a million deviations
    life = predict(dataclasses.replace(windows, x=jump))
    assert ((life > windows.life / 10) & (life < windows.life * 10)).all()
    # What lies within the training cells' range is not touched.
    np.testing.assert_allclose(predict(dataclasses.replace(windows, x=x)), windows.life, rtol=0.15)
