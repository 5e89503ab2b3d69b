"""How fast cycler files are read, beside pandas on the same machine in the same run: ``python -m bench.read_speed``.

A Battery Data Format file of two million rows, and the same with a decimal comma and with a text in one row. The ratio is
what counts; seconds are of whatever else the machine does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from edgebat.data.readers import read_records

NAMES = ["Test Time / s", "Voltage / V", "Current / A", "Cycle Count / 1", "Ambient Temperature / degC"]
VARIANTS = {"comma": (",", "."), "decimal comma": (";", ","), "one text": (",", ".")}


def write(path: Path, rows: int, delimiter: str, decimal: str, text: bool) -> None:
    """A file of charges and discharges of two hours at 10 s."""
    seconds = np.arange(rows) * 10.0
    phase = (seconds % 14400.0) / 7200.0
    voltage = 3.0 + 1.2 * np.where(phase < 1, phase, 2 - phase)
    frame = pd.DataFrame(
        dict(
            zip(
                NAMES, (seconds, voltage, np.where(phase < 1, 1.5, -1.5), seconds // 14400 + 1, 25 + phase), strict=True
            )
        )
    )
    frame[NAMES[3]] = frame[NAMES[3]].astype(int)
    columns = frame.round(4).astype(object) if text else frame
    if text:
        columns.iloc[rows // 2, 1] = "OFF"
    columns.to_csv(path, sep=delimiter, decimal=decimal, index=False, float_format=None if text else "%.4f")


def best(call: Callable[[], object], times: int) -> tuple[float, float]:
    """The shortest of several calls in s, by the wall clock and by processor time."""
    found = []
    for _ in range(times):
        begin, used = time.perf_counter(), time.process_time()
        call()
        found.append((time.perf_counter() - begin, time.process_time() - used))
    return min(wall for wall, _ in found), min(cpu for _, cpu in found)


def main() -> None:
    """Print one line per variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--times", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, (delimiter, decimal) in VARIANTS.items():
            path = Path(folder) / "cell.csv"
            write(path, options.rows, delimiter, decimal, name == "one text")
            ours = best(lambda path=path: read_records(path), options.times)
            pandas = best(
                lambda p=path, s=delimiter, d=decimal: pd.read_csv(p, sep=s, decimal=d, low_memory=False), options.times
            )
            print(f"{name}: {options.rows} rows, {path.stat().st_size / 1e6:.0f} MB")
            for clock, one, other in zip(("wall clock", "processor"), ours, pandas, strict=True):
                print(f"  {clock:10} edgebat {one:.2f} s, pandas {other:.2f} s, {one / other:.2f} times")


if __name__ == "__main__":
    main()
