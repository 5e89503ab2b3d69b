"""DiffBatt (arXiv 2410.23893): SOH curves drawn by a diffusion model from the capacity matrix of the first cycles.

Cycle life, the whole curve and their uncertainty come from several draws; with guidance the same network makes new
curves (``synthesize``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from edgebat.arrays import Float32, FloatArray, Int64
from edgebat.errors import DataError, RecipeError
from edgebat.tasks.life.windows import LifeSpec, LifeWindows, curve_life
from edgebat.teachers.base import Teacher
from edgebat.teachers.diffbatt.diffusion import Schedule
from edgebat.teachers.diffbatt.settings import DiffBattSettings, Sampling
from edgebat.teachers.diffbatt.unet import UNet
from edgebat.teachers.ensemble import SeedEnsemble

if TYPE_CHECKING:
    from edgebat.data.fleet import Fleet

TARGETS = ("noise", "velocity")


class _Drawing(Teacher[LifeWindows]):
    """What draws curves. ``sampling`` says how, may be set at any time, and is no part of the file."""

    task = "life"
    Settings = DiffBattSettings
    sampling = Sampling()
    part = 256

    @abstractmethod
    def tensor(self, windows: LifeWindows) -> Tensor:
        """Condition [N, cycles, columns] of life windows. Raises DataError when they were made otherwise."""

    @abstractmethod
    def draw(self, q: Tensor, sampling: Sampling, rows: range | None = None) -> Float32:
        """SOH curves float32 [N, draws, points] for matrices q [N, cycles, columns]; beyond the end of life near 0. rows:
        only of these, as they are drawn among all."""

    def predict(self, windows: LifeWindows) -> dict[str, FloatArray]:
        """What ``summarized`` makes of the draws. Raises DataError for windows made otherwise."""
        return summarized(self.draw(self.tensor(windows), self.sampling), windows)

    def predict_rows(self, windows: LifeWindows, rows: range) -> dict[str, FloatArray]:
        """Chance does not depend on which rows are asked for."""
        return summarized(self.draw(self.tensor(windows), self.sampling, rows), windows.take(rows))

    def draw_cells(self, count: int, steps: int, seed: int) -> Fleet:
        """See ``Teacher.draw_cells``: one curve each, without a condition."""
        from edgebat.teachers.diffbatt.cells import fleet_of

        spec: LifeSpec = getattr(self, "spec")  # noqa: B009 - a network's own, an ensemble's of its members
        nothing = torch.zeros(count, spec.cycles, spec.columns)
        unconditioned = Sampling(draws=1, steps=steps, guidance=-1.0, seed=seed)
        return fleet_of(self.draw(nothing, unconditioned)[:, 0], spec, f"{count} curves of {self.name}, seed {seed}")

    def choices(self) -> dict[str, Any]:
        """How curves are drawn."""
        return {"sampling": asdict(self.sampling)}

    def configure(self, settings: Mapping[str, Any]) -> None:
        """``sampling``: how curves are drawn. Raises RecipeError for unknown keys."""
        unknown = sorted(set(settings) - {"sampling"})
        try:
            if unknown:
                raise TypeError(f"unknown: {unknown}")
            self.sampling = Sampling(**settings.get("sampling", {}))
        except TypeError as error:
            raise RecipeError(f"a given DiffBatt takes sampling: with keys of Sampling ({error})") from None


class DiffBatt(_Drawing):
    """The U-Net with its schedule, input scale and the definition of its windows.

    target: what the U-Net predicts, ``noise`` as published, or ``velocity`` (Salimans and Ho, arXiv 2202.00512), which
    asks for the clean curve where there is nothing but noise; that is where the condition has to be learnt.
    """

    name = "diffbatt"
    study = "life.MADE_UP"
    input_std: Tensor

    def __init__(
        self, spec: dict[str, Any] | None = None, first: int = 8, steps: int = 1000, target: str = "noise"
    ) -> None:
        super().__init__()
        if target not in TARGETS:
            raise RecipeError(f"diffbatt: target is {target!r}; allowed are {', '.join(TARGETS)}")
        self.target = target
        self.spec = LifeSpec(**(spec or {}))
        self.settings = {"spec": dict(spec or {}), "first": first, "steps": steps, "target": target}
        if self.spec.curve_points % 8:
            raise DataError(f"DiffBatt needs curve_points divisible by 8; seen {self.spec.curve_points}")
        self.unet = UNet(self.spec.columns, self.spec.curve_points, first)
        self.schedule = Schedule(steps)
        self.register_buffer("input_std", torch.ones(()))

    def tensor(self, windows: LifeWindows) -> Tensor:
        """Condition [N, cycles, columns] of life windows. Raises DataError when they were made otherwise."""
        windows = windows.cut_for(self.spec, "this DiffBatt")
        return torch.from_numpy(np.ascontiguousarray(windows.x))

    def noise_loss(self, curve: Tensor, q: Tensor, drop: float, generator: torch.Generator) -> Tensor:
        """Mean squared error of the predicted target for curves [N, points] (2 SOH - 1) and matrices q; the condition
        is dropped with chance ``drop``."""
        count, device = len(curve), curve.device
        t = torch.randint(self.schedule.steps, (count,), generator=generator, device=device)
        noise = torch.randn(curve.shape, generator=generator, device=device)
        mask = (torch.rand(count, generator=generator, device=device) >= drop).float()
        condition = self.unet.embed_condition(q / self.input_std)
        predicted = self.unet(self.schedule.diffuse(curve, t, noise), t, condition, mask)
        target = noise if self.target == "noise" else self.schedule.velocity(curve, t, noise)
        error: Tensor = (predicted.float() - target).square().mean()
        return error

    @torch.no_grad()
    def draw(self, q: Tensor, sampling: Sampling, rows: range | None = None) -> Float32:
        """See ``_Drawing.draw``."""
        device, draws = self.input_std.device, sampling.draws
        rows = range(len(q)) if rows is None else rows
        if not len(rows):
            return np.zeros((0, draws, self.spec.curve_points), dtype=np.float32)
        per_batch = max(1, sampling.batch // draws)
        parts = []
        for number, start in enumerate(range(0, len(q), per_batch)):
            whole = range(start, min(start + per_batch, len(q)))
            own = range(max(rows.start, whole.start), min(rows.stop, whole.stop))
            if not len(own):
                continue
            condition = self.unet.embed_condition(q[own.start : own.stop].to(device) / self.input_std)
            condition = condition.repeat_interleave(draws, dim=0)
            curves = self.schedule.sample(
                self._guided(condition, sampling.guidance),
                (len(whole) * draws, self.spec.curve_points),
                sampling.steps,
                sampling.eta,
                sampling.seed + number,
                sampling.limit,
                slice((own.start - start) * draws, (own.stop - start) * draws),
            )
            parts.append((curves.cpu() + 1.0) / 2.0)
        curves = torch.cat(parts).reshape(len(rows), draws, self.spec.curve_points)
        result: Float32 = curves.numpy()
        return result

    def _guided(self, condition: Tensor, guidance: float) -> Any:
        on = torch.ones(len(condition), device=condition.device)

        def noise_of(x: Tensor, t: Tensor) -> Tensor:
            noise: Tensor = self.unet(x, t, condition, on)
            if guidance:
                noise = (1.0 + guidance) * noise - guidance * self.unet(x, t, condition, 0.0 * on)
            return noise if self.target == "noise" else self.schedule.noise_of_velocity(x, t, noise)

        return noise_of


class DiffBattEnsemble(_Drawing, SeedEnsemble[LifeWindows]):
    """Several DiffBatts, their draws taken together.

    Which of its training curves a network falls back on for a new cell is partly chance; the median over networks is
    less so.
    """

    name = "diffbatt_ensemble"
    member = DiffBatt

    def __init__(self, members: int = 3, network: dict[str, Any] | None = None) -> None:
        super().__init__(members, network)

    def tensor(self, windows: LifeWindows) -> Tensor:
        """See ``_Drawing.tensor``."""
        return self._networks()[0].tensor(windows)

    def draw(self, q: Tensor, sampling: Sampling, rows: range | None = None) -> Float32:
        """See ``_Drawing.draw``. The draws are shared among the members (rounded up, so that each has as many), and each
        member has noise of its own."""
        share = -(-sampling.draws // len(self.members))
        each = [replace(sampling, draws=share, seed=sampling.seed + 1000 * n) for n in range(len(self.members))]
        drawn = [network.draw(q, own, rows) for network, own in zip(self._networks(), each, strict=True)]
        return np.concatenate(drawn, axis=1)

    def _networks(self) -> list[DiffBatt]:
        return [member for member in self.members if isinstance(member, DiffBatt)]


def summarized(curves: Float32, windows: LifeWindows) -> dict[str, FloatArray]:
    """Predictions for N windows out of curves [N, draws, points].

    ``life`` [N] cycles and ``soh_curve`` [N, points]: medians over the draws; ``life_spread`` [N] and ``soh_low``,
    ``soh_high`` [N, points] (10 % and 90 %): their spread; ``best_life``, ``best_curve``: the draw that fits the
    capacities of the observed cycles best, as the paper reports.
    """
    count, draws, points = curves.shape
    lives = curve_life(curves.reshape(-1, points), windows.spec).reshape(count, draws)
    best = closest_draw(curves, windows)
    rows = np.arange(count)
    return {
        "life": np.median(lives, axis=1),
        "soh_curve": np.median(curves, axis=1),
        "life_spread": lives.std(axis=1),
        "soh_low": np.quantile(curves, 0.1, axis=1).astype(np.float32),
        "soh_high": np.quantile(curves, 0.9, axis=1).astype(np.float32),
        "best_life": lives[rows, best],
        "best_curve": curves[rows, best],
    }


def observed_soh(windows: LifeWindows) -> Float32:
    """SOH relative to the first cycle at the curve points inside the window, float32 [N, points observed]."""
    inside = windows.spec.curve_cycles[windows.spec.curve_cycles <= windows.spec.cycles] - 1
    observed: Float32 = windows.capacity[:, inside] / windows.capacity[:, :1]
    return observed


def closest_draw(curves: Float32, windows: LifeWindows) -> Int64:
    """Index [N] of the draw in curves [N, draws, points] nearest to the observed capacities."""
    seen = observed_soh(windows)
    error = np.square(curves[:, :, : seen.shape[1]] - seen[:, None, :]).mean(axis=2)
    nearest: Int64 = error.argmin(axis=1)
    return nearest
