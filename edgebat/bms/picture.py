"""The picture of a replay: what the board sent over CAN, against the measured capacity, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from edgebat.bms.cell_replay import CellReplay, CycleRow
from edgebat.formats.c.bms_models import ForecastModel
from edgebat.report.picture import STYLE
from edgebat.report.svg import Chart, padded_range

PANEL_WIDTH, PANEL_HEIGHT, COLUMNS = 330, 220, 3
HEAD, TITLE = 58, 22
LONGEST_TITLE = 47
"""Characters that fit over a panel."""
MOST_PANELS = 6
POINTS = 160
OUTLOOKS = 4
"""Forecasts drawn per cell."""
DOTS = ".dots{fill:none;stroke-linecap:round}"


def draw(
    cells: Sequence[CellReplay],
    model: str,
    eol: float,
    *,
    forecast: ForecastModel | None = None,
    synthetic: bool = False,
) -> str:
    """SVG text: one panel per cell, at most six; some of the forecasts of each, when there was a ``forecast`` model."""
    shown = cells[:MOST_PANELS]
    rows = -(-len(shown) // COLUMNS)
    width, height = 20 + COLUMNS * PANEL_WIDTH, HEAD + rows * (PANEL_HEIGHT + TITLE) + 10
    parts = [
        f'<rect class="paper" width="{width}" height="{height}" rx="10"/>',
        '<text x="20" y="26" class="head">A simulated BMS replays '
        f"{'synthetic' if synthetic else 'held-out'} cells: SOH from CAN frames, "
        f"{escape(model)} int8 on a Cortex-M4</text>",
        *_key(20, 46, "c0", "measured capacity"),
        *_key(170, 46, "c1", "model's SOH on the device"),
        *_key(370, 46, "c3", "published SOH; dashed: charges out of domain"),
        *_key(690, 46, "c2", "power cuts", dot=True),
        *(_key(810, 46, "c2", f"forecasts, {forecast.horizon} cycles") if forecast is not None else ()),
    ]
    for index, cell in enumerate(shown):
        x = 10 + index % COLUMNS * PANEL_WIDTH
        y = HEAD + index // COLUMNS * (PANEL_HEIGHT + TITLE)
        parts.append(_panel(cell, x, y, eol, forecast))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="SOH on a simulated BMS against measured capacity"><style>{STYLE}{DOTS}</style>'
        + "".join(parts)
        + "</svg>\n"
    )


def _panel(cell: CellReplay, x: int, y: int, eol: float, forecast: ForecastModel | None) -> str:
    rows = cell.rows[:: max(1, -(-len(cell.rows) // POINTS))]
    cycle, measured, estimated, published = (
        np.array([getattr(row, name) for row in rows], dtype=float)
        for name in ("cycle", "measured", "device_model", "device_published")
    )
    trusted = np.array([row.status == "OK" for row in rows])
    outlooks = [] if forecast is None else _outlooks(cell.rows, forecast)
    span = (0.0, float(cycle.max()) * 1.02) if cycle.size else (0.0, 1.0)
    chart = Chart(
        span,
        padded_range(measured, estimated, published, *(soh for _, soh in outlooks), margin=0.08),
        "cycle",
        "SOH, %",
        f"SOH of {'/'.join(cell.cell)}",
        width=PANEL_WIDTH - 10,
        height=PANEL_HEIGHT,
    )
    chart.level(eol * 100, f"EOL {eol * 100:g} %")
    chart.line(cycle, measured, "c0").dots(cycle, estimated, "c1", radius=1.1)
    chart.line(cycle, np.where(trusted, published, np.nan), "c3")
    chart.line(cycle, np.where(trusted, np.nan, published), "c3", dashed=True)
    for at, soh in outlooks:
        chart.line(at, soh, "c2")
    cuts = [float(number) for number in cell.cut_cycles]
    chart.dots(cuts, [chart.y_range[0]] * len(cuts), "c2", radius=2.0)
    rmse = cell.scores.get("device_rmse", float("nan"))
    mae = cell.scores.get("forecast_mae")
    second = f"{cell.scores.get('estimates', 0):.0f} estimates" if mae is None else f"MAE of forecasts {mae:.2f}"
    title = f"{'/'.join(cell.cell)}, RMSE {rmse:.2f}, {second}"
    if len(title) > LONGEST_TITLE:  # or it would run into the next one
        title = f"{cell.cell[1]}, RMSE {rmse:.2f}, {second}"
    return (
        f'<text x="{x + 12}" y="{y + 14}" class="note">{escape(title)}</text>'
        f'<svg x="{x}" y="{y + TITLE}" width="{PANEL_WIDTH - 10}" height="{PANEL_HEIGHT}">{chart.svg()}</svg>'
    )


def _outlooks(rows: list[CycleRow], forecast: ForecastModel) -> list[tuple[list[float], list[float]]]:
    """Cycles and SOH of a few forecasts, equally spaced over the cell's life, each from the estimate it begins at."""
    found = [
        ([float(row.cycle + i * forecast.horizon / forecast.points) for i in range(forecast.points + 1)],
         [row.device_model, *row.outlook.points])
        for row in rows
        if row.fresh and row.outlook is not None and row.outlook.points and row.outlook.begin == row.cycle
    ]  # fmt: skip
    chosen = np.unique(np.linspace(0, len(found) - 1, OUTLOOKS).round().astype(int)) if found else ()
    return [found[i] for i in chosen]


def _key(x: int, y: int, style: str, text: str, *, dot: bool = False) -> list[str]:
    mark = f'class="dots {style}" stroke-width="5" d="M{x + 13} {y - 4}h0"'
    line = f'class="line {style}" d="M{x} {y - 4}h18"'
    return [
        f"<path {mark if dot else line}/>",
        f'<text x="{x + 26}" y="{y}" class="note">{text}</text>',
    ]
