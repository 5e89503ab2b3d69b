"""Small charts as inline SVG, drawn with CSS classes so that one picture serves light and dark pages.

Colours are not written here: ``.c0 .. .c8`` (series), ``.axis``, ``.grid`` and ``text`` get them from the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
import numpy.typing as npt

Values = Sequence[float] | npt.NDArray[np.floating]

MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 46, 10, 10, 36
CAPTION = 14
"""Height of a caption."""


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers (1, 2 or 5 times a power of ten apart) between ``low`` and ``high``."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1.0, 2.0, 5.0, 10.0) if m * magnitude >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


@dataclass
class Chart:
    """An x-y chart of ``width`` x ``height`` units; it scales to the width of the page.

    ``x_range`` and ``y_range`` are (low, high) in data units. NaN values break a line and drop a dot.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_label: str
    y_label: str
    title: str
    width: int = 420
    height: int = 300
    caption: str = ""
    """A line above the picture, which grows by as much."""
    _parts: list[str] = field(default_factory=list)

    def line(self, x: Values, y: Values, style: str, dashed: bool = False) -> Chart:
        """A line through the points; ``style`` is a CSS class such as "c0"."""
        runs: list[list[str]] = [[]]
        for xv, yv in zip(x, y, strict=True):
            if math.isfinite(xv) and math.isfinite(yv):
                runs[-1].append(f"{self._px(xv):.1f} {self._py(yv):.1f}")
            elif runs[-1]:
                runs.append([])
        path = "".join("M" + "L".join(run) for run in runs if len(run) > 1)
        if path:
            dash = ' stroke-dasharray="4 3"' if dashed else ""
            self._parts.append(f'<path class="line {style}" d="{path}"{dash}/>')
        return self

    def dots(self, x: Values, y: Values, style: str, radius: float = 1.6) -> Chart:
        """Dots, drawn as one path of zero-length round strokes: a tenth of the bytes of circles."""
        path = "".join(
            f"M{self._px(xv):.1f} {self._py(yv):.1f}h0"
            for xv, yv in zip(x, y, strict=True)
            if math.isfinite(xv) and math.isfinite(yv)
        )
        if path:
            self._parts.append(f'<path class="dots {style}" stroke-width="{2 * radius:g}" d="{path}"/>')
        return self

    def band(self, x: Values, low: Values, high: Values, style: str) -> Chart:
        """The area between two lines, as far as both are known."""
        points = [
            (xv, lv, hv) for xv, lv, hv in zip(x, low, high, strict=True) if math.isfinite(lv) and math.isfinite(hv)
        ]
        if len(points) > 1:
            there = [f"{self._px(xv):.1f} {self._py(hv):.1f}" for xv, _, hv in points]
            back = [f"{self._px(xv):.1f} {self._py(lv):.1f}" for xv, lv, _ in reversed(points)]
            self._parts.append(f'<path class="band {style}" d="M{"L".join([*there, *back])}Z"/>')
        return self

    def level(self, y: float, label: str) -> Chart:
        """A dashed horizontal line with a small label, such as the EOL threshold."""
        if self.y_range[0] <= y <= self.y_range[1]:
            yp = self._py(y)
            self._parts.append(
                f'<path class="level" d="M{MARGIN_LEFT} {yp:.1f}H{self.width - MARGIN_RIGHT}"/>'
                f'<text class="small" x="{MARGIN_LEFT + 2}" y="{yp - 4:.1f}">{escape(label)}</text>'
            )
        return self

    def upright(self, x: float, label: str) -> Chart:
        """A dashed vertical line with a small label on its left, such as a budget."""
        if self.x_range[0] <= x <= self.x_range[1]:
            xp = self._px(x)
            self._parts.append(
                f'<path class="level" d="M{xp:.1f} {MARGIN_TOP}V{self.height - MARGIN_BOTTOM}"/>'
                f'<text class="small" x="{xp - 4:.1f}" y="{MARGIN_TOP + 10}" text-anchor="end">{escape(label)}</text>'
            )
        return self

    def svg(self) -> str:
        """The finished ``<svg>`` element."""
        left, bottom = MARGIN_LEFT, self.height - MARGIN_BOTTOM
        above = CAPTION if self.caption else 0
        box = f"0 {-above} {self.width} {self.height + above}"
        out = [f'<svg class="chart" viewBox="{box}" role="img" aria-label="{escape(self.title)}">']
        if self.caption:
            out.append(f'<text x="{left}" y="0">{escape(self.caption)}</text>')
        for value in ticks(*self.x_range):
            xp = self._px(value)
            out.append(f'<path class="grid" d="M{xp:.1f} {MARGIN_TOP}V{bottom}"/>')
            out.append(f'<text x="{xp:.1f}" y="{bottom + 14}" text-anchor="middle">{value:g}</text>')
        for value in ticks(*self.y_range):
            yp = self._py(value)
            out.append(f'<path class="grid" d="M{left} {yp:.1f}H{self.width - MARGIN_RIGHT}"/>')
            out.append(f'<text x="{left - 6}" y="{yp + 3.5:.1f}" text-anchor="end">{value:g}</text>')
        middle = (left + self.width - MARGIN_RIGHT) / 2
        height = (MARGIN_TOP + bottom) / 2
        out.append(f'<text class="label" x="{middle:.0f}" y="{self.height - 6}" text-anchor="middle">')
        out.append(f"{escape(self.x_label)}</text>")
        out.append(f'<text class="label" transform="translate(11 {height:.0f}) rotate(-90)" text-anchor="middle">')
        out.append(f"{escape(self.y_label)}</text>")
        out.extend(self._parts)
        return "".join(out) + "</svg>"

    def _px(self, x: float) -> float:
        low, high = self.x_range
        return MARGIN_LEFT + (x - low) / (high - low) * (self.width - MARGIN_LEFT - MARGIN_RIGHT)

    def _py(self, y: float) -> float:
        low, high = self.y_range
        return self.height - MARGIN_BOTTOM - (y - low) / (high - low) * (self.height - MARGIN_TOP - MARGIN_BOTTOM)


def padded_range(*values: Values, margin: float = 0.05) -> tuple[float, float]:
    """(low, high) that holds all finite values with a margin of that share on both sides; (0, 1) when there is none."""
    joined = np.concatenate([np.asarray(v, dtype=float).ravel() for v in values])
    joined = joined[np.isfinite(joined)]
    if not joined.size:
        return 0.0, 1.0
    low, high = float(joined.min()), float(joined.max())
    pad = (high - low) * margin or max(abs(low) * margin, 1e-3)
    return low - pad, high + pad


def bars(rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], unit: str, title: str) -> str:
    """Horizontal bars in groups: rows of (group label, [(series CSS class, value >= 0), ...]); values are printed."""
    height_bar, gap, width = 12, 10, 420
    label_width = max(130.0, 10 + 6.8 * max((len(label) for label, _ in rows), default=0))
    top = max((value for _, series in rows for _, value in series if math.isfinite(value)), default=1.0) or 1.0
    out, y = [], 4.0
    for label, series in rows:
        middle = y + len(series) * height_bar / 2 + 3.5
        out.append(f'<text x="{label_width - 8}" y="{middle:.1f}" text-anchor="end">{escape(label)}</text>')
        for style, value in series:
            if math.isfinite(value):
                length = value / top * (width - label_width - max(70, 36 + 5.6 * len(unit)))
                out.append(
                    f'<rect class="bar {style}" x="{label_width}" y="{y:.1f}" width="{length:.1f}" '
                    f'height="{height_bar - 2}" rx="1.5"/><text class="small" x="{label_width + length + 5:.1f}" '
                    f'y="{y + 8.5:.1f}">{value:.3g} {escape(unit)}</text>'
                )
            y += height_bar
        y += gap
    return (
        f'<svg class="chart" viewBox="0 0 {width} {y:.0f}" role="img" aria-label="{escape(title)}">'
        + "".join(out)
        + "</svg>"
    )
