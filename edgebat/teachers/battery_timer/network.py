"""Battery-Timer: a Timer that continues the capacity curve of a cell (arXiv 2505.08151).

The released system feeds one patch of 96 z-scored capacities and reads the next 96. Two things are ours. The window is
put into coordinates of its own straight line (``normalization="line"``): a forecaster has to be better than the line,
so it is asked for the difference to it. And the context may be short, long, or have holes.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from edgebat.arrays import Float32, FloatArray
from edgebat.errors import DataError, RecipeError
from edgebat.tasks.forecast.windows import ForecastWindows
from edgebat.teachers.base import Teacher
from edgebat.teachers.battery_timer.settings import TimerSettings
from edgebat.teachers.battery_timer.timer import Timer, timer_config

NORMALIZATIONS = ("line", "revin")
LINE_CYCLES = 24
"""Cycles the straight line is fitted through. Measured over the corpus, longer lines lag behind the curve's bend."""
SCALE_CYCLES = 48
SCALE_FLOOR = 5e-4
"""A flat window's scale, as a fraction of nominal: about the noise of a good bench."""
LIMIT = 20.0
"""Normalized inputs are cut here, so that one glitch does not drown the window."""


def fill_gaps(x: Tensor) -> Tensor:
    """Cycles nobody measured, filled: straight lines inside, the first value before it. x [B, L], the last not NaN."""
    known = torch.isfinite(x)
    length = x.shape[1]
    index = torch.arange(length, device=x.device).expand_as(x)
    before = torch.where(known, index, -1).cummax(1).values
    after = torch.where(known, index, length).flip(1).cummin(1).values.flip(1).clamp(max=length - 1)
    before = torch.where(before < 0, after, before)
    share = (index - before) / (after - before).clamp(min=1)
    low, high = x.gather(1, before), x.gather(1, after)
    return torch.where(known, x, low + (high - low) * share)


def straight_line(x: Tensor, cycles: int) -> tuple[Tensor, Tensor]:
    """Least squares through the measured values of the last ``cycles``: level at the origin and slope, each [B, 1].

    With a single measured value the slope is 0.
    """
    time = torch.arange(1 - x.shape[1], 1, device=x.device, dtype=x.dtype)
    used = torch.isfinite(x) & (time > -cycles)
    count = used.sum(1, keepdim=True)
    mean_t = torch.where(used, time, 0.0).sum(1, keepdim=True) / count
    mean_x = torch.where(used, x, 0.0).sum(1, keepdim=True) / count
    around = torch.where(used, time - mean_t, 0.0)
    slope = (around * torch.where(used, x - mean_x, 0.0)).sum(1, keepdim=True)
    slope = slope / around.square().sum(1, keepdim=True).clamp(min=1e-6)
    return mean_x - slope * mean_t, slope


class BatteryTimer(Teacher[ForecastWindows]):
    """Capacities of the next cycles from those of the last.

    forward: capacity / nominal of the last cycles [B, L <= context], NaN where not measured (the last one is), to
    the next ``horizon`` [B, horizon, quantiles] in the same unit. preset and sizes: see ``timer.py``.
    quantiles: ascending, with 0.5 among them; each has a head of its own, the median's is the published one.
    """

    name = "battery_timer"
    part = 4096
    task = "forecast"
    study = "forecast.LEFT_OUT"
    Settings: ClassVar[type[Any]] = TimerSettings

    def __init__(
        self,
        *,
        preset: str = "tiny",
        context: int = 192,
        normalization: str = "line",
        quantiles: tuple[float, ...] = (0.1, 0.5, 0.9),
        sizes: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        config = timer_config(preset, **(sizes or {}))
        if normalization not in NORMALIZATIONS:
            raise RecipeError(f"normalization is {normalization!r}; allowed are {', '.join(NORMALIZATIONS)}")
        quantiles = tuple(quantiles)
        if (
            0.5 not in quantiles
            or list(quantiles) != sorted(set(quantiles))
            or not 0 < min(quantiles) <= max(quantiles) < 1
        ):
            raise RecipeError(f"quantiles are {quantiles}; they must ascend inside (0, 1) and hold 0.5")
        if context < config.input_token_len:
            raise RecipeError(f"context is {context}; a patch alone takes {config.input_token_len} cycles")
        self.settings = {
            "preset": preset,
            "context": context,
            "normalization": normalization,
            "quantiles": list(quantiles),
            "sizes": sizes or {},
        }
        self.context, self.normalization, self.quantiles = context, normalization, quantiles
        self.horizon, self.patch = config.output_token_len, config.input_token_len
        self.timer = Timer(config)
        self.quantile_heads = nn.ModuleList(
            [nn.Linear(config.hidden_size, self.horizon, bias=False) for _ in range(len(quantiles) - 1)]
        )
        if normalization == "line":
            # Before training, the forecast is the straight line.
            for head in [*self.timer.lm_heads, *self.quantile_heads]:
                nn.init.zeros_(head.weight)

    def normalize(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x [B, L] to (z [B, tokens * patch], padded [B, tokens], base [B, horizon], scale [B, 1])."""
        short = -x.shape[1] % self.patch
        x = nn.functional.pad(x, (short, 0), value=float("nan"))
        known = torch.isfinite(x)
        first = known.int().argmax(1, keepdim=True)
        padded = first > torch.arange(self.patch - 1, x.shape[1], self.patch, device=x.device)
        filled = fill_gaps(x)
        ahead = torch.arange(1, self.horizon + 1, device=x.device, dtype=x.dtype)
        if self.normalization == "line":
            level, slope = straight_line(x, LINE_CYCLES)
            recent = known & (torch.arange(x.shape[1], device=x.device) >= x.shape[1] - SCALE_CYCLES)
            away = torch.where(recent, x - level, 0.0)
            scale = (away.square().sum(1, keepdim=True) / recent.sum(1, keepdim=True)).sqrt().clamp(min=SCALE_FLOOR)
            base = level + slope * ahead
        else:
            inside = torch.arange(x.shape[1], device=x.device) >= first
            count = inside.sum(1, keepdim=True)
            level = torch.where(inside, filled, 0.0).sum(1, keepdim=True) / count
            spread = torch.where(inside, filled - level, 0.0).square().sum(1, keepdim=True)
            # The published normalization divides by count - 1; the floor keeps flat windows finite.
            scale = torch.maximum((spread / (count - 1).clamp(min=1)).sqrt(), 1e-3 * level.abs())
            base = level.expand(-1, self.horizon)
        return ((filled - level) / scale).clamp(-LIMIT, LIMIT), padded, base, scale

    def embed(self, x: Tensor) -> Tensor:
        """Mean of the final hidden states over the tokens that hold measurements, [B, hidden]."""
        z, padded, _, _ = self.normalize(x)
        return _mean_state(self.timer.model(z, padded), padded)

    def forward(self, x: Tensor) -> Tensor:
        return self.forecast(x)[0]

    def forecast(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Forecast [B, horizon, quantiles], the window's scale [B, 1] and its state as in ``embed`` [B, hidden]."""
        z, padded, base, scale = self.normalize(x)
        hidden = self.timer.model(z, padded)
        last = hidden[:, -1]
        middle = self.quantiles.index(0.5)
        steps = [head(last) for head in self.quantile_heads]
        # The other quantiles are distances from the median, so that they keep their order.
        median = self.timer.lm_heads[0](last)
        columns = [median]
        for step in reversed(steps[:middle]):
            columns.insert(0, columns[0] - nn.functional.softplus(step))
        for step in steps[middle:]:
            columns.append(columns[-1] + nn.functional.softplus(step))
        out = base[:, :, None] + scale[:, :, None] * torch.stack(columns, dim=2)
        return out, scale, _mean_state(hidden, padded)

    def predict(self, windows: ForecastWindows) -> dict[str, FloatArray]:
        """Forecasts of N windows: ``trajectory`` [N, horizon], the median, and ``quantiles``
        [N, horizon, Q]. Raises DataError for another shape, or when a window's last capacity is missing."""
        return self.predict_ahead(windows.x, self.horizon)

    @torch.no_grad()
    def hidden(self, windows: ForecastWindows) -> FloatArray:
        """See ``embed``."""
        device = next(self.parameters()).device
        x = torch.as_tensor(np.asarray(windows.x, dtype=np.float32)[:, -self.context :])
        training = self.training
        self.eval()
        states = [self.embed(part.to(device)).float().cpu() for part in torch.split(x, 1024)]
        self.train(training)
        return torch.cat(states).numpy()

    @torch.no_grad()
    def predict_ahead(self, capacity: Float32, horizon: int) -> dict[str, FloatArray]:
        """``predict`` of ``capacity`` [N, L] for so many cycles: more than the network has by appending the median to it and
        forecasting again (quantiles of later blocks are then those of one step: too narrow)."""
        x = torch.as_tensor(np.asarray(capacity, dtype=np.float32))
        if x.ndim != 2 or not torch.isfinite(x[:, -1:]).all():
            missing = int((~torch.isfinite(x[..., -1])).sum())
            raise DataError(f"forecast windows are [N, L] and end with a measured value; seen shape {tuple(x.shape)}, "
                            f"{missing} windows end with NaN")  # fmt: skip
        device = next(self.parameters()).device
        training = self.training
        self.eval()
        blocks = [self._roll(part.to(device), horizon).cpu() for part in torch.split(x, 1024) if len(part)]
        self.train(training)
        quantiles = torch.cat(blocks) if blocks else torch.zeros(0, horizon, len(self.quantiles))
        values = quantiles.float().numpy()
        return {"trajectory": np.ascontiguousarray(values[:, :, self.quantiles.index(0.5)]), "quantiles": values}

    def _roll(self, x: Tensor, horizon: int) -> Tensor:
        out: list[Tensor] = []
        while sum(block.shape[1] for block in out) < horizon:
            block = self(x[:, -self.context :])
            out.append(block)
            x = torch.cat([x, block[:, :, self.quantiles.index(0.5)]], dim=1)
        return torch.cat(out, dim=1)[:, :horizon]


def _mean_state(hidden: Tensor, padded: Tensor) -> Tensor:
    kept = (~padded).to(hidden.dtype)[:, :, None]
    return (hidden * kept).sum(1) / kept.sum(1)
