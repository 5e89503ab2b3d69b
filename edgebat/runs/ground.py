"""What a model is to say of the ground it stands on, from the windows it has learnt from: ``edgebat.ground``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgebat.arrays import Bool, Float32, Float64, Int64, IntArray
from edgebat.errors import RecipeError
from edgebat.files import Json
from edgebat.graph import IntGraph
from edgebat.graph.origin import graph_ground, graph_interval, rows_may_be_empty
from edgebat.ground import INT32_MAX, MOST_PROTOTYPES, MOST_VALUES, Domain, Ground, Range, RowLimits, Seen
from edgebat.models import to_ppm
from edgebat.runtime import quantize_input
from edgebat.tasks.base import AnyTask, Head
from edgebat.tasks.windows import Windows

RATE_MARGIN = 0.1
"""A charger's current differs from its protocol's by less."""
MOST_ROWS = 4096
ROUNDS = 30
MARGINS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""How many margins the limits of a row may lie out."""


@dataclass(frozen=True)
class GroundSettings:
    """How a model's ground is measured."""

    prototypes: int = 32
    """Mean rows that stand for all training windows, 1 to 32; of any window rows, shared out over the voltages at which they
    begin. 0: no domain score."""
    false_alarms: float = 0.02
    """Share of the validation cells' windows that the limits of a row and of the domain score may refuse together."""
    noise_mv: float = 0.5
    """Noise (RMS) of a device's voltage that half of the training and validation windows are seen through."""
    quantile: float = 0.999
    """Share of the training rows' values, column by column, inside which the limits of a row begin."""
    margin: float = 0.1
    """By how much of their width the limits of a row lie further out, on both sides, at least: further where they would
    refuse more than half of ``false_alarms``."""

    def __post_init__(self) -> None:
        if not 0 <= self.prototypes <= MOST_PROTOTYPES:
            raise RecipeError(f"ground.prototypes is {self.prototypes}; allowed: 0 to {MOST_PROTOTYPES}")
        if not (0.0 < self.false_alarms < 1.0 and 0.5 < self.quantile <= 1.0):
            raise RecipeError(
                f"ground.false_alarms is {self.false_alarms} and ground.quantile {self.quantile}; both are shares, the "
                "quantile above a half"
            )
        if self.noise_mv < 0.0 or self.margin < 0.0:
            raise RecipeError(f"ground.noise_mv is {self.noise_mv} and ground.margin {self.margin}; at least 0")


def with_ground(
    graph: IntGraph, field: Json, task: AnyTask, parts: tuple[Windows, Windows], settings: GroundSettings
) -> IntGraph:
    """``graph`` with ``meta["field"]`` and the ``meta["ground"]`` of what it has learnt from; parts: train, validation."""
    graph = replace(graph, meta={**graph.meta, "field": field})
    return replace(graph, meta={**graph.meta, "ground": measured_ground(graph, task, *parts, settings)})


def facts(graph: IntGraph) -> Json:
    """The ground of ``graph``, and its interval, for people, as a step's results and a card carry them."""
    interval = graph_interval(graph)
    return {"ground": [*graph_ground(graph).facts(), *(interval.facts() if interval else ())]}


def measured_ground(graph: IntGraph, task: AnyTask, train: Windows, val: Windows, settings: GroundSettings) -> Json:
    """The entry ``meta["ground"]`` of ``graph``, whose ``meta["field"]`` is there already.

    Made-up cells say nothing about measured ones: they count only where there are no others.
    """
    train, val = _measured(train), _measured(val)
    window_v = task.window_v(train.spec)
    degrees = graph.meta.get("field", {}).get("temperature_ddegc")
    rows, domain = RowLimits(), None
    if task.domain_scored:
        rows, domain = _limits(graph, task, train, val, settings)
    limits = RowLimits(rows.low_ppm, rows.high_ppm, _rate_gate(train), (degrees[0], degrees[1]) if degrees else None)
    heads = task.heads(train.spec)
    return Ground(_seen(train, heads), _seen(val, heads), window_v or (), limits, domain).to_json()


def _rate_gate(train: Windows) -> tuple[Range, ...]:
    """A range around each rate; none when a cell does not state its own. Ranges that touch become one."""
    rates = {condition.charge_rate_c for condition in train.conditions}
    ranges: list[Range] = []
    for rate in () if None in rates else sorted(rate for rate in rates if rate is not None):
        low, high = (round(rate * factor * 1000) for factor in (1 - RATE_MARGIN, 1 + RATE_MARGIN))
        low = ranges.pop()[0] if ranges and ranges[-1][1] >= low else low
        ranges.append((low, high))
    return tuple(ranges)


def _measured(windows: Windows) -> Windows:
    return windows if windows.made_up.all() else windows.select(mask=~windows.made_up)


def _seen(windows: Windows, heads: Sequence[Head]) -> Seen:
    """What the sources of the windows' cells state."""
    conditions = windows.conditions
    chemistries = [c.chemistry or None for c in conditions]
    rates = [c.charge_rate_c for c in conditions]
    degrees = [c.temperature_degc for c in conditions]
    silent = {
        "chemistries": chemistries.count(None),
        "charge_rates_c": rates.count(None),
        "temperatures_degc": degrees.count(None),
    }
    targets = windows.targets()
    head = next((h.name for h in heads if h.unit == "fraction" and h.name in targets), "")
    labels = targets[head][np.isfinite(targets[head])] if head else np.zeros(0, np.float32)
    return Seen(
        cells=len(windows.cells),
        chemistries=tuple(sorted({v for v in chemistries if v is not None})),
        charge_rates_c=tuple(sorted({v for v in rates if v is not None})),
        temperatures_degc=tuple(sorted({v for v in degrees if v is not None})),
        soh=(round(float(labels.min()), 4), round(float(labels.max()), 4)) if labels.size else (),
        cycles=(int(windows.cycle.min()), int(windows.cycle.max())) if len(windows) else (),
        silent={name: count for name, count in silent.items() if count},
    )


def _seen_twice(task: AnyTask, windows: Windows, settings: GroundSettings, seed: int) -> Float32:
    """Inputs [N, T, C], every second one as a device with a noisy voltage measures it."""
    x = windows.inputs().copy()
    noisy = task.noisy_inputs(
        windows.take(np.arange(1, len(windows), 2)), settings.noise_mv, np.random.default_rng(seed)
    )
    x[1::2] = noisy
    return x


def _row_limits(x: Float32, columns: int, settings: GroundSettings, margin: float) -> RowLimits:
    """Quantiles of each of the first ``columns`` with a margin; what stands behind them is not limited here."""
    rows = to_ppm(x).reshape(-1, x.shape[-1])
    low, high = np.quantile(rows, [1 - settings.quantile, settings.quantile], axis=0)
    room = margin * (high - low)
    least, most = np.floor(low - room), np.ceil(high + room)
    least[columns:], most[columns:] = 0, INT32_MAX
    return RowLimits(tuple(int(v) for v in least), tuple(int(v) for v in most))


def _limits(
    graph: IntGraph, task: AnyTask, train: Windows, val: Windows, settings: GroundSettings
) -> tuple[RowLimits, Domain | None]:
    """Limits of a row and a domain that together refuse ``false_alarms`` of the validation cells' windows.

    The limits of a row are moved out, margin by margin, until they alone refuse at most half of that.
    """
    x = train.seen_rows(_seen_twice(task, train, settings, 1))
    limits = [_row_limits(x, train.like_columns, settings, times * settings.margin) for times in MARGINS]
    if not len(val):
        return limits[0], None
    held, empty = to_ppm(_seen_twice(task, val, settings, 3)), rows_may_be_empty(graph)
    most = settings.false_alarms / 2
    rows = next((one for one in limits if _rows_refuse(one, held, empty).mean() <= most), limits[-1])
    refused = _rows_refuse(rows, held, empty)
    return rows, _domain(graph, task, train, held, refused, settings)


def _rows_refuse(rows: RowLimits, values: IntArray, may_be_empty: bool) -> Bool:
    """[N] windows in ppm [N, T, C] of which a row lies outside, and is one."""
    outside = (values < np.array(rows.low_ppm)) | (values > np.array(rows.high_ppm))
    if may_be_empty:
        outside &= (values != 0).any(axis=2, keepdims=True)
    return np.asarray(outside.reshape(len(values), -1).any(axis=1))


def _domain(
    graph: IntGraph, task: AnyTask, train: Windows, held: IntArray, refused: Bool, settings: GroundSettings
) -> Domain | None:
    """Prototypes of the training windows, and the limit that the validation cells' windows ``held`` keep, in ppm, of which
    the limits of a row have ``refused`` some already."""
    if not settings.prototypes or not len(train):
        return None
    bare = _without_limit(graph, train, _seen_twice(task, train, settings, 2), settings)
    if bare is None:
        return None
    scores = np.where(refused, INT32_MAX, bare.scores(quantize_input(graph, held)))
    kept = max(1.0 - settings.false_alarms, 0.0)
    limit = min(int(np.ceil(np.quantile(scores, kept))), int(scores[~refused].max(initial=0)))
    return replace(bare, limit=limit)


def _without_limit(graph: IntGraph, train: Windows, x: Float32, settings: GroundSettings) -> Domain | None:
    """The prototypes of training inputs ``x`` [N, T, C]; None where int8 rows do not say whether they are any."""
    start, ppm = train.start_column, to_ppm(x)
    quantized = quantize_input(graph, ppm).astype(np.float64) + 128.0
    if start is None:
        found = prototypes(quantized[..., : train.like_columns].mean(axis=1), settings.prototypes)
        return Domain(_as_tuples(found), 0, settings.false_alarms)
    there = ppm[..., start] != 0
    empty = int(quantize_input(graph, np.zeros_like(ppm[:1]))[0, 0, start]) + 128
    if ((quantized[..., start] != empty) != there).any() or there.shape[1] * (start + 1) > MOST_VALUES:
        return None
    found = prototypes_by_start(quantized[there][:, : start + 1], settings.prototypes)
    return Domain(_as_tuples(found), 0, settings.false_alarms, empty)


def _as_tuples(rows: Int64) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(v) for v in row) for row in rows)


def prototypes_by_start(rows: Float64, count: int) -> Int64:
    """At most ``count`` whole rows [P, C + 1] near ``rows`` [N, C + 1], whose last column says where windows begin: as many
    for each beginning, the lowest first where that does not divide; where there are more of them, neighbours share one."""
    begins = np.unique(rows[:, -1])
    groups = np.array_split(begins, min(count, len(begins)))
    shares = [len(part) for part in np.array_split(np.arange(count), len(groups))]
    own = [prototypes(rows[np.isin(rows[:, -1], group)], share) for group, share in zip(groups, shares, strict=True)]
    return np.concatenate(own)


def prototypes(rows: Float64, count: int, seed: int = 0) -> Int64:
    """At most ``count`` whole rows [P, C] that lie near all of ``rows`` [N, C], 0 to 255: k-means from k-means++ starts."""
    rng = np.random.default_rng(seed)
    sample = rows[:: max(1, -(-len(rows) // MOST_ROWS))]
    centres = sample[rng.integers(len(sample))][None]
    nearest = _squared(sample, centres)[:, 0]
    while len(centres) < count and nearest.sum() > 0.0:
        chosen = sample[rng.choice(len(sample), p=nearest / nearest.sum())][None]
        centres = np.concatenate([centres, chosen])
        nearest = np.minimum(nearest, _squared(sample, chosen)[:, 0])
    for _ in range(ROUNDS):
        own = _squared(sample, centres).argmin(axis=1)
        centres = np.array([sample[own == k].mean(axis=0) if (own == k).any() else c for k, c in enumerate(centres)])
    return np.unique(np.clip(np.rint(centres), 0, 255).astype(np.int64), axis=0)


def _squared(rows: Float64, centres: Float64) -> Float64:
    distance: Float64 = ((rows[:, None, :] - centres[None]) ** 2).sum(axis=2)
    return distance
