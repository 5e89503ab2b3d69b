"""NumPy's time as a multiple of the other engines', from one saved run of bench/test_host_runtime.py.

    python -m pytest bench/test_host_runtime.py --benchmark-only --benchmark-json=bench.json
    python bench/ratios.py bench.json

Ratios of minima of one run on one machine; absolute times are not compared between machines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def ratios(path: Path) -> list[tuple[str, int, str, float]]:
    """(net, batch, other engine, NumPy's time / its time) for each group of the run."""
    best: dict[tuple[str, int], dict[str, float]] = {}
    for entry in json.loads(path.read_text())["benchmarks"]:
        info = entry["extra_info"]
        best.setdefault((info["net"], info["batch"]), {})[info["engine"]] = entry["stats"]["min"]
    return [
        (net, batch, other, times["numpy"] / seconds)
        for (net, batch), times in best.items()
        for other, seconds in sorted(times.items())
        if other != "numpy"
    ]


def main() -> None:
    print("| net | batch | other engine | NumPy / other (ratio, host, one run) |")
    print("| --- | --- | --- | --- |")
    for net, batch, other, ratio in ratios(Path(sys.argv[1])):
        print(f"| {net} | {batch} | {other} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
