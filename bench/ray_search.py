"""Labels, trials and seeds on a Ray cluster that loses nodes, beside the same work alone: ``python -m bench.ray_search``.

Starts a cluster of ``--nodes`` local nodes with one CPU each and does three tiny works on it, one after the other: DiffBatt
labels life windows, ``edgebat search`` tries students, ``edgebat evidence`` trains three seeds. During each of them, as soon
as the first job has come back, one node is killed. Prints what happened; exit code 1 when a result differs in a byte.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console

from edgebat.distill.labels import label_rows, teacher_labels
from edgebat.runs.evidence import evidence
from edgebat.runs.recipe import load_recipe
from edgebat.tasks.base import task
from edgebat.teachers.diffbatt.network import DiffBatt
from edgebat.training.blend import draw_blend
from edgebat.workers import HERE, Machines, RayNodes

RECIPE = """
name: tiny
data: {synthetic: {cells: 16, max_cycles: 120, seed: 3}, split: {test: 0.3, val: 0.2, seed: 1}}
task: {name: health, context: 10, horizon: 20}
teacher: {name: ic2ml, width: 16, fit: {epochs: 1, samples_per_epoch: 256, accelerator: cpu}}
students: [{kind: mlp, settings: {hidden: [8]}}]
distill: {blends: 1, fit: {epochs: 2, samples_per_epoch: 256, batch_size: 64, accelerator: cpu}}
"""
Digests = dict[str, str]
"""What a work came to: file or head -> sha256."""


def labels(folder: Path, machines: Machines) -> Digests:
    """DiffBatt, as it is before any training, labels 160 blended windows in parts of 32."""
    life = task("life")
    windows = life.synthetic(life.spec({}), cells=8, max_cycles=400, seed=1).windows
    windows = windows.blended(draw_blend(windows.cell, 160 // len(windows), 0.0, 1))
    torch.manual_seed(1)
    torch.set_num_threads(1)
    teacher = DiffBatt(windows.spec.to_dict()).eval()
    teacher.part = 32  # type: ignore[misc]
    teacher.configure({"sampling": {"draws": 2, "steps": 2}})
    with machines.workers(label_rows) as workers:
        found = teacher_labels(teacher, windows, folder, workers=workers)
    return {head: hashlib.sha256(values.tobytes()).hexdigest() for head, values in found.items()}


def trials(folder: Path, machines: Machines) -> Digests:
    """A search: every trained student, the table and the recipe of the best."""
    from edgebat.search.command import Asked, run_search
    from edgebat.search.study import Plan

    file = folder / "tiny.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(RECIPE)
    plan = Plan(trials=3, epochs=1, finalists=1, seeds=1)
    asked = Asked("cortex-m0plus", "8k", "1k", "2ms", machines)
    run_search(load_recipe(file), file, asked, plan, folder, None, Console(quiet=True))
    return _files(folder / "tiny" / "search", ("*.ebat", "table.md", "best.yaml"))


def seeds(folder: Path, machines: Machines) -> Digests:
    """Three seeds: every model, and the evidence."""
    evidence(yaml.safe_load(RECIPE), [], 3, None, folder, Console(quiet=True), machines)
    return _files(folder / "tiny-evidence", ("evidence.json", "seed*/models/*"))


WORKS: Mapping[str, Callable[[Path, Machines], Digests]] = {"labels": labels, "trials": trials, "seeds": seeds}


def _files(folder: Path, patterns: tuple[str, ...]) -> Digests:
    found = sorted(path for pattern in patterns for path in folder.rglob(pattern))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


@contextmanager
def killed_midway(cluster: Any, nodes: list[Any]) -> Iterator[list[str]]:
    """When the first job of a Ray run comes back, one of ``nodes`` is killed, once; gives its name when that happened."""
    whole, killed = RayNodes.run, []

    def run(self: Any, jobs: Any) -> Iterator[Any]:
        for found in whole(self, jobs):
            if not killed:
                node = nodes.pop()
                cluster.remove_node(node, allow_graceful=False)
                killed.append(node.node_id)
            yield found

    RayNodes.run = run  # type: ignore[method-assign]
    try:
        yield killed
    finally:
        RayNodes.run = whole  # type: ignore[method-assign]


def equal_after_kills(works: list[str], count: int, folder: Path) -> bool:
    """Do the works alone and on ``count`` nodes, of which each work loses one; whether all results are equal."""
    from ray.cluster_utils import Cluster

    alone = {}
    for name in works:
        started = time.perf_counter()
        alone[name] = WORKS[name](folder / "alone" / name, HERE)
        print(f"alone    {name:<7} {len(alone[name])} results, {time.perf_counter() - started:.0f} s", flush=True)
    memory = {"object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **memory})
    try:
        nodes = [cluster.add_node(num_cpus=1, **memory) for _ in range(count)]
        print(f"cluster  {count} nodes: {' '.join(node.node_id[:8] for node in nodes)}", flush=True)
        same = True
        for name in works:
            started = time.perf_counter()
            with killed_midway(cluster, nodes) as killed:
                found = WORKS[name](folder / "ray" / name, Machines(0, cluster.address))
            equal = found == alone[name] and bool(killed)
            same &= equal
            lost = f"node {killed[0][:8]} killed after the first job" if killed else "NO NODE WAS KILLED"
            print(f"cluster  {name:<7} {lost}, {len(nodes)} left, {time.perf_counter() - started:.0f} s: "
                  f"{len(found)} results {'equal' if equal else 'DIFFER'}", flush=True)  # fmt: skip
        return same
    finally:
        cluster.shutdown()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--works", default=",".join(WORKS), help="of labels, trials, seeds")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        sys.exit(not equal_after_kills(asked.works.split(","), asked.nodes, Path(name)))


if __name__ == "__main__":
    main()
