"""IC2ML: the published network to the last parameter, its dead attention, and training that can be repeated."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgebat.errors import DataError, ModelFileError, RecipeError
from tests.tiny_windows import tiny_windows

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from edgebat.teachers.base import Teacher  # noqa: E402
from edgebat.teachers.ic2ml.network import Ic2ml, sinusoids  # noqa: E402
from edgebat.teachers.ic2ml.settings import Ic2mlSettings  # noqa: E402
from edgebat.teachers.ic2ml.train import cell_weights, context_soh, masked_mse  # noqa: E402
from edgebat.teachers.store import load_teacher, save_teacher  # noqa: E402
from edgebat.training.fit import EpochBatches, fit  # noqa: E402
from edgebat.training.run import Run  # noqa: E402
from edgebat.training.settings import FitSettings  # noqa: E402

PUBLISHED = {"attention": "published", "soh_from": "embedding"}
SMALL = Ic2mlSettings(
    width=16, fit=FitSettings(epochs=3, batch_size=8, samples_per_epoch=24, noise=0.05, accelerator="cpu")
)


def small(**changes):
    return dataclasses.replace(SMALL, fit=dataclasses.replace(SMALL.fit, **changes))


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_published_network_has_the_published_number_of_parameters():
    assert parameters(Ic2ml(**PUBLISHED)) == 1_383_828


def gradients(attention, loss_of):
    torch.manual_seed(0)
    network = Ic2ml(attention=attention, soh_from="embedding", dropout=0.0)
    loss_of(network(torch.randn(6, 10, 10))).backward()
    return {name: p.grad for name, p in network.named_parameters()}


def test_published_query_and_key_never_learn():
    """One query against one key: softmax over one number is 1. 132 096 parameters are dead; RUL sees the image only."""
    found = gradients("published", lambda out: (out[2] - 1).square().sum())
    dead = ["cross_attention.query", "cross_attention.key"]
    for part in dead:
        for kind in ("weight", "bias"):
            assert found[f"{part}.{kind}"].abs().max() < 1e-7
    assert found["norm2.weight"] is None
    assert found["cross_attention.value.weight"].abs().max() > 1e-4
    assert found["image.0.branches.1.0.0.weight"].abs().max() > 1e-7
    for part in ("embed.0.weight", "summary.0.weight"):  # the context vector only reaches the dead query
        assert found[part] is None or found[part].abs().max() < 1e-7
    network = Ic2ml(**PUBLISHED)
    unused = [*network.cross_attention.query.parameters(), *network.cross_attention.key.parameters()]
    assert sum(p.numel() for p in [*unused, *network.norm2.parameters()]) == 132_096


def test_token_attention_learns_everywhere():
    found = gradients("tokens", lambda out: (out[2] - 1).square().sum())
    for part in (
        "cross_attention.query.weight",
        "cross_attention.value.weight",
        "embed.0.weight",
        "image_projection.weight",
    ):
        assert found[part].abs().max() > 1e-6, part
    # A bias added to every key shifts all scores alike, which softmax cannot see.
    assert found["cross_attention.key.weight"].abs().max() > 1e-8


def test_soh_head_sees_one_cycle_or_all():
    x = torch.randn(1, 10, 10, generator=torch.Generator().manual_seed(1))
    changed = x.clone()
    changed[0, 0] += 1
    for soh_from, sees in (("embedding", False), ("attention", True)):
        torch.manual_seed(0)
        network = Ic2ml(soh_from=soh_from).eval()
        last, other = (network(v)[0][0, -1].item() for v in (x, changed))
        assert (last != other) is sees


def test_unknown_options_are_refused():
    with pytest.raises(RecipeError, match="tokens, published"):
        Ic2ml(attention="none")
    with pytest.raises(RecipeError, match="attention, embedding"):
        Ic2ml(soh_from="image")


def test_positions_are_interleaved_sines_and_cosines():
    codes = sinusoids(10, 256)
    assert codes.shape == (10, 256)
    assert codes[0, :4].tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(codes[3, :2], [np.sin(3), np.cos(3)], rtol=1e-6)
    np.testing.assert_allclose(codes[3, 2], np.sin(3 * 10000 ** (-2 / 256)), rtol=1e-5)


def test_labels_of_the_input_cycles_come_from_the_windows_that_end_there():
    windows = tiny_windows(cells=2, cycles=24)
    labels = context_soh(windows)
    assert labels.shape == (len(windows), 10)
    assert np.array_equal(labels[:, -1], windows.soh)
    # The second cell starts anew: nothing is carried over from the first.
    for start in (0, 15):
        assert np.isnan(labels[start, :-1]).all()
        assert np.array_equal(labels[start + 9], windows.soh[start : start + 10])


def test_a_missing_window_leaves_a_gap_in_the_labels_not_a_wrong_one():
    whole = tiny_windows(cells=1, cycles=24)
    holed = whole.select(np.arange(len(whole)) != 4)
    known, thinned = context_soh(whole), context_soh(holed)
    row = 8  # the tenth window of the whole, whose input cycles include that of the missing one
    assert np.isnan(thinned[row]).sum() >= 1
    at = np.isfinite(thinned[row])
    assert np.array_equal(thinned[row][at], known[row + 1][at])


def test_unknown_targets_do_not_count():
    predicted = torch.tensor([1.0, 2.0, 5.0], requires_grad=True)
    loss = masked_mse(predicted, torch.tensor([0.0, float("nan"), 3.0]))
    assert loss.item() == pytest.approx((1 + 4) / 2)
    loss.backward()
    assert predicted.grad.tolist() == pytest.approx([1.0, 0.0, 2.0])
    assert masked_mse(predicted, torch.full((3,), float("nan"))).item() == 0


def test_cell_balance_evens_out_long_and_short_lives():
    cell = np.array([0, 0, 0, 1])
    assert cell_weights(cell, 0.0).tolist() == [1, 1, 1, 1]
    even = cell_weights(cell, 1.0)
    assert even[:3].sum() == pytest.approx(float(even[3]))


def test_every_sample_is_drawn_equally_often():
    batches = EpochBatches(10, FitSettings(batch_size=4, samples_per_epoch=20, seed=1), None)
    drawn = [index for batch in batches for index in batch]
    assert np.bincount(drawn).tolist() == [2] * 10
    batches.set_epoch(1)
    assert [index for batch in batches for index in batch] != drawn


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    windows = tiny_windows()
    folder = tmp_path_factory.mktemp("teacher")
    network, result = Ic2ml.fit(windows, tiny_windows(seed=1), SMALL, Run(folder))
    return network, result, folder, windows


def test_a_training_says_how_fast_it_was_and_one_with_nothing_left_to_do_says_nothing(trained):
    _, result, folder, windows = trained
    assert result.windows_per_second > 0.0
    assert result.gpu_peak_bytes == 0 or torch.cuda.is_available()
    _, again = Ic2ml.fit(windows, tiny_windows(seed=1), SMALL, Run(folder))
    assert (again.windows_per_second, again.best_loss) == (0.0, result.best_loss)


def test_the_last_weights_are_kept_when_asked_for(trained, tmp_path):
    _, best, _, windows = trained
    settings = dataclasses.replace(SMALL, fit=dataclasses.replace(SMALL.fit, keep="last"))
    network, last = Ic2ml.fit(windows, tiny_windows(seed=1), settings, Run(tmp_path))
    assert last.best_epoch == last.epochs - 1
    assert last.best_loss == last.history[-1]["val_loss"] >= best.best_loss
    stored = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, stored[f"network.{name}"]) for name, value in network.state_dict().items())
    with pytest.raises(RecipeError, match="keep is 'first'; choose best or last"):
        dataclasses.replace(SMALL.fit, keep="first")


def test_training_is_repeatable_byte_for_byte(trained, tmp_path):
    network, _, _, windows = trained
    again, _ = Ic2ml.fit(windows, tiny_windows(seed=1), SMALL, Run(tmp_path / "again"))
    save_teacher(network, tmp_path / "a.safetensors")
    save_teacher(again, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_resumed_training_equals_an_uninterrupted_one(trained, tmp_path):
    network, result, _, windows = trained

    def stop_after_second(row):
        if row["epoch"] == 1:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        Ic2ml.fit(windows, tiny_windows(seed=1), SMALL, Run(tmp_path, progress=stop_after_second))
    seen = []
    resumed, again = Ic2ml.fit(
        windows, tiny_windows(seed=1), SMALL, Run(tmp_path, progress=lambda row: seen.append(row["epoch"]))
    )
    assert seen[-1] == 2
    assert len(seen) < 3
    assert again.history == result.history
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_best_weights_are_kept(tmp_path):
    """A rate that destroys what was learnt: the network handed back is the one of the best epoch."""
    windows, val = tiny_windows(), tiny_windows(seed=1)
    network, result = Ic2ml.fit(windows, val, small(epochs=3, learning_rate=0.5, patience=9), Run(tmp_path))
    losses = [row["val_loss"] for row in result.history]
    assert result.best_loss == min(losses)
    assert result.best_epoch == int(np.argmin(losses)) < 2
    # A resumed training would go on from the newest weights all the same.
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 2
    known = torch.isfinite(torch.from_numpy(val.trajectory))
    assert known.any()
    assert np.isfinite(network.predict(val)["soh"]).all()


def test_early_stopping_ends_a_training_without_progress(tmp_path):
    windows = tiny_windows()
    _, result = Ic2ml.fit(windows, tiny_windows(seed=1), small(epochs=30, learning_rate=1.0, patience=1), Run(tmp_path))
    assert result.epochs < 30


def test_checkpoints_are_read_without_executing_code(trained):
    for name in ("last.ckpt", "best.ckpt"):
        assert "state_dict" in torch.load(trained[2] / name, weights_only=True)


def test_history_is_written_for_people(trained):
    lines = (trained[2] / "history.csv").read_text().splitlines()
    assert lines[0].split(",")[0] == "epoch"
    assert len(lines) == 1 + 3


def test_predictions_are_physical(trained):
    network, _, _, windows = trained
    assert isinstance(network, Teacher)
    said = network.predict(windows)
    n = len(windows)
    assert (said["soh"].shape, said["trajectory"].shape, said["rul"].shape) == ((n,), (n, 50), (n,))
    assert all(values.dtype == np.float32 for values in said.values())
    assert (said["rul"] >= 0).all()
    alone = network.predict(windows.take([5]))
    np.testing.assert_allclose(alone["soh"], said["soh"][5:6], atol=1e-5)


def test_prediction_does_not_change_the_mode_of_the_network():
    network = Ic2ml(width=16).train()
    network.predict(tiny_windows())
    assert network.training


def test_a_file_gives_the_teacher_back(trained, tmp_path):
    network, _, _, windows = trained
    path = tmp_path / "teacher.safetensors"
    save_teacher(network, path, {"dataset": "tiny"})
    again = load_teacher(path)
    assert again.settings == network.settings
    for head, values in network.predict(windows).items():
        assert np.array_equal(values, again.predict(windows)[head])


def test_files_with_unknown_names_or_settings_are_refused(trained, tmp_path):
    path = tmp_path / "teacher.safetensors"
    save_teacher(trained[0], path)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'ic2ml\\"', b'ic3ml\\"'))
    with pytest.raises(ModelFileError, match="ic3ml"):
        load_teacher(path)
    path.write_bytes(whole.replace(b"dropout", b"dropoff"))
    with pytest.raises(ModelFileError, match="dropoff"):
        load_teacher(path)
    path.write_bytes(whole.replace(b'increments\\": 10', b'increments\\": 11'))
    with pytest.raises(ModelFileError, match="does not fit"):
        load_teacher(path)


def test_nothing_to_learn_from_is_an_error(tmp_path):
    windows = tiny_windows()
    constant = dataclasses.replace(windows, x=np.full_like(windows.x, 0.01))
    with pytest.raises(DataError, match="constant"):
        Ic2ml.fit(constant, windows, SMALL, Run(tmp_path))
    with pytest.raises(RecipeError, match="0 to validate"):
        Ic2ml.fit(windows, windows.select(np.zeros(len(windows), bool)), SMALL, Run(tmp_path))


def test_fit_restores_the_loss_it_reports(tmp_path):
    """Independent of the teacher: a line fitted to a line."""
    x = torch.linspace(-1, 1, 64)[:, None]
    y = 3 * x[:, 0] + 1
    network = torch.nn.Linear(1, 1)
    settings = FitSettings(
        epochs=30, batch_size=16, learning_rate=0.3, weight_decay=0.0, patience=30, accelerator="cpu"
    )

    def loss(module, batch):
        return {"loss": masked_mse(module(batch[0])[:, 0], batch[1])}

    result = fit(network, loss, (x, y), (x, y), settings, Run(tmp_path))
    assert result.best_loss == pytest.approx(loss(network, (x, y))["loss"].item(), rel=1e-5)
    assert network.weight.item() == pytest.approx(3, abs=0.05)
    assert network.bias.item() == pytest.approx(1, abs=0.05)
