"""What it costs to predict from thousands of logs, and how that scales with workers: ``python -m bench.fleet_predict``.

Logs are synthetic: ``--cells`` different cells, ``--charges`` cycles each, a sample per ``--period`` seconds, as parquet (or
``--csv``); beyond the number of cells they are links under other names. Prints one row per number of workers: charges per
second, in all and by worker, times the first row's, core-seconds and, at ``--price`` per core and hour, the price of
a million charges; rows with more workers than cores are marked: they show what switching costs, not how it scales. ``--ray``
runs Ray with as many CPUs; ``--kill`` adds a cluster of two nodes with one CPU each, one of which is killed at half, and
compares every row.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from edgebat.bulk.run import BulkResult, Effort, Job, run_logs
from edgebat.data.synthetic import make_raw_cell
from edgebat.models import load_model
from edgebat.tasks.base import FileOptions


def write_logs(folder: Path, logs: int, cells: int, charges: int, period_s: float, as_csv: bool) -> int:
    """So many logs; returns their bytes."""
    ending = "csv" if as_csv else "parquet"
    first = []
    index = 0
    while len(first) < min(cells, logs):
        # NMC and NCA cells: LFP is never charged through the models' window.
        cell = make_raw_cell(1, index, range(20, 20 + charges), period_s)
        index += 1
        if cell.cell_id.startswith("LFP"):
            continue
        table = pa.table({"test_time_second": cell.time_s, "voltage_volt": cell.voltage_v, "current_ampere": cell.current_a,
                          "cycle_count": cell.cycle})  # fmt: skip
        first.append(folder / f"log{len(first):05}.{ending}")
        (pyarrow.csv.write_csv if as_csv else pyarrow.parquet.write_table)(table, first[-1])
    for number in range(len(first), logs):
        os.link(first[number % len(first)], folder / f"log{number:05}.{ending}")
    return sum(path.stat().st_size for path in folder.iterdir())


def core_seconds() -> float:
    """CPU time of this process and of its processes that have ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def killed_at_half(job: Job) -> BulkResult:
    """The job on two Ray nodes, one of which is killed when half of the logs are done."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]

    def watch(done: int, of: int) -> None:
        if 2 * done >= of and nodes:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            nodes.clear()

    try:
        return run_logs(job, Effort(ray=cluster.address), watch)
    finally:
        cluster.shutdown()


def measured(job: Job, jobs: int, ray: bool) -> tuple[BulkResult, float]:
    """The job by so many workers, and the core-seconds that took."""
    before = core_seconds()
    result = run_logs(job, Effort(jobs, "local" if ray else ""))
    # Ray's processes are nobody's children: there, every CPU counts for as long as it took.
    return result, jobs * result.seconds if ray else core_seconds() - before


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help=".ebat of the task health, or the name of a ready student")
    parser.add_argument("--logs", type=int, default=1000)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--charges", type=int, default=20)
    parser.add_argument("--period", type=float, default=30.0, metavar="S")
    parser.add_argument("--jobs", default="1,2,4", help="numbers of workers")
    parser.add_argument("--ray", action="store_true", help="Ray with that many CPUs instead of processes")
    parser.add_argument("--kill", action="store_true", help="and two Ray nodes, one of which is killed")
    parser.add_argument("--csv", action="store_true", help="logs as CSV")
    parser.add_argument("--price", type=float, default=0.05, help="of one core for one hour")
    asked = parser.parse_args()
    graph = load_model(asked.model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "logs"
        folder.mkdir()
        size = write_logs(folder, asked.logs, asked.cells, asked.charges, asked.period, asked.csv)
        total = asked.logs * asked.charges
        print(f"{asked.logs} logs, {total} charges, {size / 1e6:.1f} MB, {len(os.sched_getaffinity(0))} cores")
        cpus = len(os.sched_getaffinity(0))
        print("| workers | s | charges / s | by worker | times the first | core-s per million | price per million |")
        print("|---|---|---|---|---|---|---|", flush=True)
        first = 0.0
        for jobs in map(int, asked.jobs.split(",")):
            if asked.ray:
                import ray

                ray.init(num_cpus=jobs, include_dashboard=False, log_to_driver=False)
            job = Job("predict", graph, folder, Path(name) / f"out{jobs}", FileOptions(3.0))
            result, cores = measured(job, jobs, asked.ray)
            if asked.ray:
                ray.shutdown()
            million = cores / total * 1e6
            speed = total / result.seconds
            first = first or speed
            figures = (f"{result.seconds:.1f}", f"{speed:.0f}", f"{speed / jobs:.0f}", f"{speed / first:.2f}",
                       f"{million:.0f}", f"{million / 3600 * asked.price:.3f}")  # fmt: skip
            marks = (" (Ray)" if asked.ray else "") + (f" (on {cpus} cores)" if jobs > cpus else "")
            print(f"| {jobs}{marks} | {' | '.join(figures)} |", flush=True)
            if result.refused:
                print(result.text())
        if asked.kill:
            other = killed_at_half(Job("predict", graph, folder, Path(name) / "killed", FileOptions(3.0)))
            same = other.to_frame().equals(result.to_frame())
            print(f"two Ray nodes, one killed at half: {other.seconds:.1f} s, rows {'equal' if same else 'DIFFER'}")


if __name__ == "__main__":
    main()
