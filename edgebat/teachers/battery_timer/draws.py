"""Training windows of the forecasters: long stretches of curves, cut, stretched and disturbed anew at every draw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from edgebat.cells import CapacityHistory
from edgebat.tasks.forecast.windows import ForecastSpec, ForecastWindows, forecast_windows
from edgebat.teachers.battery_timer.network import fill_gaps
from edgebat.teachers.battery_timer.settings import Augmentation


def stretches(histories: Iterable[CapacityHistory], spec: ForecastSpec, stride: int = 4) -> ForecastWindows:
    """Windows of twice the context and horizon of ``spec``, so that they can be squeezed; futures may be short."""
    doubled = replace(
        spec,
        context=2 * spec.context,
        horizon=2 * spec.horizon,
        min_history=min(24, spec.min_history),
        whole_horizon=False,
        stride=stride,
    )
    return forecast_windows(histories, doubled)


def stretch_tensor(windows: ForecastWindows) -> Tensor:
    """Context and future in one row [N, 2 * (context + horizon)], holes filled by lines, NaN outside the data."""
    rows = torch.from_numpy(np.concatenate([windows.x, windows.y], axis=1))
    # In pieces: the indices that bridge holes take ten times the memory of the rows.
    for part in torch.split(rows, 4096):
        part.copy_(_bridged(part))
    return rows


def _bridged(rows: Tensor) -> Tensor:
    known = torch.isfinite(rows)
    index = torch.arange(rows.shape[1])
    first = known.int().argmax(1, keepdim=True)
    last = rows.shape[1] - 1 - known.flip(1).int().argmax(1, keepdim=True)
    # fill_gaps wants the last value known; what it makes up after the data is removed again.
    ends = torch.where(torch.isfinite(rows[:, -1:]), rows[:, -1:], rows.gather(1, last))
    filled = fill_gaps(torch.cat([rows[:, :-1], ends], dim=1))
    return torch.where((index < first) | (index > last), torch.nan, filled)


def draw_windows(rows: Tensor, context: int, horizon: int, augmentation: Augmentation) -> tuple[Tensor, Tensor]:
    """Contexts [B, context] and futures [B, horizon] out of ``stretch_tensor`` rows; randomness from torch's generator.

    The origin stays at column ``2 * context - 1``.
    """
    batch, device = len(rows), rows.device

    def uniform(columns: int = 1) -> Tensor:
        return torch.rand(batch, columns, device=device)

    log_stretch = float(np.log(augmentation.stretch))
    step = torch.exp((2.0 * uniform() - 1.0) * log_stretch)
    offsets = torch.arange(1 - context, horizon + 1, device=device) * step + (2 * context - 1)
    low = offsets.floor().long()
    share = offsets - low
    inside = (low >= 0) & (low < rows.shape[1] - 1)
    low = low.clamp(0, rows.shape[1] - 2)
    here, there = rows.gather(1, low), rows.gather(1, low + 1)
    values = torch.where(share > 0, here + (there - here) * share, here)
    values = torch.where(inside, values, torch.nan)
    origin = rows[:, 2 * context - 1 : 2 * context]
    values = origin + (values - origin) * torch.exp((2.0 * uniform() - 1.0) * float(np.log(augmentation.amplitude)))
    x, y = values[:, :context], values[:, context:]
    position = torch.arange(context, device=device)
    start = (uniform() * (context - 24)).long() * (uniform() < augmentation.cut)
    x = torch.where(position < start, torch.nan, x)
    # Cubed, because most benches are quiet and a few are not.
    level = augmentation.noise * uniform() ** 3 * (uniform() < 0.5)
    x = x + level * torch.randn(batch, context, device=device)
    every = torch.where(uniform() < augmentation.check_ups, 2 + (uniform() * 11).long(), 1)
    measured = (context - 1 - position) % every == 0
    return torch.where(measured, x, torch.nan), y


def balance_weights(windows: ForecastWindows, power: float = 0.5) -> Tensor:
    """Chance of drawing each window, float64 [N]: dataset by (its cells) ** power, then cell, then window, alike."""
    datasets = np.array([dataset for dataset, _ in windows.cells])
    _, of_cell, cells = np.unique(datasets, return_inverse=True, return_counts=True)
    per_cell = cells[of_cell].astype(np.float64) ** (power - 1.0)
    counts = np.bincount(windows.cell, minlength=len(windows.cells))
    weights = per_cell[windows.cell] / counts[windows.cell]
    return torch.from_numpy(weights / weights.sum())
