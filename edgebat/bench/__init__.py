"""Measuring models: size and speed on every target, beside goals and peers, guarded against getting worse.

::

    from edgebat.bench import bench, check_budget, reference_net

    report = bench(reference_net("lstm"), ["cortex-m4f", "cortex-m0plus"])
    check_budget(graph, "cortex-m0plus", max_flash=8000, max_ms=20)     # raises TargetError when it does not fit

``edgebat bench`` and ``edgebat export --target`` are these functions on the command line; see docs/benchmarks.md.
"""

from edgebat.bench.budget import check_budget
from edgebat.bench.nets import reference_net
from edgebat.bench.run import Options, Report, Row, bench

__all__ = ["Options", "Report", "Row", "bench", "check_budget", "reference_net"]
