"""Losses reach TensorBoard when a recipe asks for it, and the package is asked for before any training."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("lightning")

import torch
from torch import Tensor, nn

from edgebat.errors import MissingExtra
from edgebat.training.fit import fit
from edgebat.training.run import Run
from edgebat.training.settings import FitSettings, StepSettings
from edgebat.training.steps import fit_steps

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard"
)
X = torch.linspace(-1.0, 1.0, 32)[:, None]


def by_epochs(folder: Path) -> None:
    def loss(network: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        return {"loss": (network(batch[0]) - batch[1]).square().mean()}

    settings = FitSettings(epochs=3, batch_size=8, accelerator="cpu", tensorboard=True)
    fit(nn.Linear(1, 1), loss, (X, 2.0 * X), (X, 2.0 * X), settings, Run(folder))


def by_steps(folder: Path) -> None:
    def loss(network: nn.Module, data: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        value: Tensor = (network(data[0]) - 2.0 * data[0]).square().mean()
        return value

    settings = StepSettings(steps=6, steps_per_epoch=2, accelerator="cpu", tensorboard=True)
    fit_steps(nn.Linear(1, 1), (X,), loss, settings, Run(folder))


@pytest.mark.parametrize("train", [by_epochs, by_steps])
def test_losses_of_every_epoch_are_logged(train: object, tmp_path: Path) -> None:
    train(tmp_path)  # type: ignore[operator]
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = [event.value for event in events.Scalars("train_loss")]
    assert len(losses) == 3
    assert losses[2] < losses[0]


@pytest.mark.parametrize("train", [by_epochs, by_steps])
def test_without_the_package_nothing_begins(train: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtra, match=r"edgebat\[tensorboard\]"):
        train(tmp_path)  # type: ignore[operator]
    assert not list(tmp_path.rglob("*.ckpt"))
