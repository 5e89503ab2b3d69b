"""Denoising diffusion: the linear schedule, ancestral and DDIM samplers (Ho 2020, Song 2021)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edgebat.errors import DataError

NoiseFunction = Callable[[Tensor, Tensor], Tensor]
"""(x [N, ...], t int64 [N]) -> the noise in x, same shape."""


class Schedule(nn.Module):
    """``steps`` noise levels, beta from ``first`` to ``last`` in equal steps; kept in float64 and used in float32."""

    alpha_bar: Tensor

    def __init__(self, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> None:
        super().__init__()
        beta = torch.linspace(first, last, steps, dtype=torch.float64)
        self.steps = steps
        self.register_buffer("alpha_bar", torch.cumprod(1.0 - beta, 0), persistent=False)

    def diffuse(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Clean ``x`` [N, points] with the noise of level t [N] in it."""
        level = self.alpha_bar[t].to(torch.float32)[:, None]
        return level.sqrt() * x + (1.0 - level).sqrt() * noise

    def velocity(self, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """What turns the clean ``x`` [N, points] towards its noise at level t [N] (arXiv 2202.00512)."""
        level = self.alpha_bar[t].to(torch.float32)[:, None]
        return level.sqrt() * noise - (1.0 - level).sqrt() * x

    def noise_of_velocity(self, x: Tensor, t: Tensor, velocity: Tensor) -> Tensor:
        """The noise in ``x`` [N, points] at level t [N], given its velocity."""
        level = self.alpha_bar[t].to(torch.float32)[:, None]
        return (1.0 - level).sqrt() * x + level.sqrt() * velocity

    def step(
        self, x: Tensor, noise: Tensor, t: int, before: int, eta: float, limit: float | None = None
    ) -> tuple[Tensor, float]:
        """Mean of x at level ``before`` (-1: clean) given ``x`` at level t, and the standard deviation around it.

        eta 1 with neighbouring levels is the ancestral step with the posterior variance; eta 0 is deterministic.
        limit: the clean value the noise implies is held within +-limit. Large steps need it: at level 999 an error of
        the noise counts 158 times.
        """
        now = float(self.alpha_bar[t])
        then = float(self.alpha_bar[before]) if before >= 0 else 1.0
        sigma = eta * ((1.0 - then) / (1.0 - now) * (1.0 - now / then)) ** 0.5
        clean = (x - (1.0 - now) ** 0.5 * noise) / now**0.5
        if limit is not None:
            clean = clean.clamp(-limit, limit)
            noise = (x - now**0.5 * clean) / (1.0 - now) ** 0.5
        mean = then**0.5 * clean + max(1.0 - then - sigma**2, 0.0) ** 0.5 * noise
        return mean, sigma

    def levels(self, count: int) -> list[int]:
        """``count`` levels from the noisiest to 0, as evenly spread as whole numbers allow. Raises DataError."""
        if not 1 <= count <= self.steps:
            raise DataError(f"{count} sampling steps asked for; 1 to {self.steps} are possible")
        return [round(level) for level in torch.linspace(self.steps - 1, 0, count, dtype=torch.float64).tolist()]

    @torch.no_grad()
    def sample(
        self,
        noise_of: NoiseFunction,
        shape: tuple[int, int],
        steps: int,
        eta: float,
        seed: int,
        limit: float | None = None,
        rows: slice = slice(None),
    ) -> Tensor:
        """Samples float32 ``shape``. steps = ``self.steps`` and eta 1 is ancestral sampling, fewer and eta 0 DDIM.

        The random numbers come from the CPU, so that every device starts from the same ones. rows: only these samples, with
        the random numbers that they have among all.
        """
        generator = torch.Generator().manual_seed(seed)
        device = self.alpha_bar.device

        def drawn() -> Tensor:
            return torch.randn(shape, generator=generator)[rows].to(device)

        x = drawn()
        levels = self.levels(steps)
        for t, before in zip(levels, [*levels[1:], -1], strict=True):
            noise = noise_of(x, torch.full((len(x),), t, device=device))
            x, sigma = self.step(x, noise, t, before, eta, limit)
            if sigma:
                x = x + sigma * drawn()
        return x
