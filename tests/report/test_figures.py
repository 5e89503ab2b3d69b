"""Charts: round ticks, right places, nothing for what was not measured."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from edgebat.report.figures import Shown, cell_chart, parity, stage_bars, stage_errors
from edgebat.report.svg import Chart, bars, padded_range, ticks
from edgebat.tasks.base import task
from edgebat.tasks.health import HealthWindows

HEALTH = task("health")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0.78, 1.02, [0.8, 0.85, 0.9, 0.95, 1.0]),
        (-3, 480, [0, 100, 200, 300, 400]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_points_lie_where_the_axes_say() -> None:
    chart = Chart((0, 10), (0, 100), "x", "y", "t", width=446, height=336)
    svg = chart.dots([0, 10], [0, 100], "c1").svg()
    path = re.search(r'class="dots c1" stroke-width="3.2" d="([^"]+)"', svg)
    assert path is not None
    # 46 units on the left, 10 on the right and at the top, 36 at the bottom belong to the labels.
    assert path[1] == "M46.0 300.0h0M436.0 10.0h0"


def test_a_gap_breaks_a_line() -> None:
    svg = Chart((0, 5), (0, 5), "x", "y", "t").line([0, 1, 2, 3, 4], [0, 1, np.nan, 3, 4], "c2").svg()
    path = re.search(r'class="line c2" d="([^"]+)"', svg)
    assert path is not None
    assert path[1].count("M") == 2
    assert "nan" not in svg


def test_names_of_cells_cannot_break_the_page(windows: HealthWindows) -> None:
    svg = parity(HEALTH, windows, {"soh": windows.soh}, "c1", '<script>alert("x")</script>')
    assert "<script>" not in svg
    ET.fromstring(svg)


def test_bars_are_as_long_as_their_value() -> None:
    svg = bars([("a", [("c0", 1.0)]), ("b", [("c0", 0.5), ("c1", float("nan"))])], "pp", "t")
    widths = [float(w) for w in re.findall(r'<rect[^>]*width="([\d.]+)"', svg)]
    assert widths == pytest.approx([220.0, 110.0])


def test_a_range_without_values() -> None:
    assert padded_range([np.nan]) == (0.0, 1.0)
    low, high = padded_range([2.0, 2.0])
    assert low < 2.0 < high


def test_stages_of_life_part_the_windows(windows: HealthWindows) -> None:
    stages = HEALTH.stages(windows)
    assert sum(mask.astype(int) for _, mask in stages).tolist() == [1] * len(windows)  # type: ignore[union-attr]
    shifted = {"soh": windows.soh + 0.01, "trajectory": windows.trajectory, "rul": windows.rul}
    rows = stage_errors(HEALTH, windows, {"m": shifted})
    assert sum(row["windows"] for row in rows) == len(windows)
    for row in rows:
        assert row["errors"]["m"] == pytest.approx(1.0, abs=1e-4)


def test_a_stage_without_a_known_error_has_no_bar() -> None:
    shown = [Shown("m", "Model", "c1"), Shown("n", "Other", "c3")]
    svg = stage_bars([{"stage": "late", "windows": 3, "errors": {"m": None, "n": 2.0}}], shown, HEALTH)
    assert svg.count('class="bar c3"') == 1
    assert "c1" not in svg


def test_a_cell_shows_measurement_estimates_forecasts_and_eol(windows: HealthWindows) -> None:
    predictions = {"m": {"soh": windows.soh, "trajectory": windows.soh[:, None] * np.ones(windows.spec.horizon)}}
    svg = cell_chart(HEALTH, windows, 1, predictions, [Shown("m", "Model", "c1")])
    assert "EOL 80 %" in svg
    assert svg.count('class="line c0"') == 1
    assert svg.count('class="line c1"') == 1
    assert svg.count('class="line c2"') == 3
