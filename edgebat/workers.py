"""Who does many jobs of one kind: this process, a few processes, or the nodes of a Ray cluster. What comes out is the same;
only the order in which it is finished differs, and a process or node that is lost costs time alone. Nobody works on when the
process that asked is gone, however it ended.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from edgebat.errors import ToolError, require

C = TypeVar("C")
"""What all jobs share."""
J = TypeVar("J")
"""A job."""
R = TypeVar("R")
"""What a job comes to."""
RETRIES = 10
"""Times that a job is started again whose node or process was lost."""

_common: Any = None


class Workers(AbstractContextManager["Workers[C, J, R]"], Generic[C, J, R]):
    """Do one job after the other in this process: ``function(what all share, job)``, a function of a module."""

    common: C
    jobs = 1
    """Jobs at the same time."""
    same_disk = True
    """Whether a job finds the files of this process."""

    def __init__(self, function: Callable[[C, J], R]) -> None:
        self.function = function

    def share(self, common: C, threads: int = 1) -> None:
        """What the jobs from now on share; each takes ``threads`` cores."""
        self.common = common

    def run(self, jobs: Sequence[J]) -> Iterator[tuple[int, R]]:
        """Index and result of each job as soon as there is one. Raises what a job raises."""
        for index, job in enumerate(jobs):
            yield index, self.function(self.common, job)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to end."""


class Processes(Workers[C, J, R]):
    """Work in ``jobs`` processes of this machine."""

    def __init__(self, function: Callable[[C, J], R], jobs: int) -> None:
        super().__init__(function)
        self.jobs = jobs
        self._pool: ProcessPoolExecutor | None = None

    def share(self, common: C, threads: int = 1) -> None:
        super().share(common)
        self._close()

    def run(self, jobs: Sequence[J]) -> Iterator[tuple[int, R]]:
        waiting = dict(enumerate(jobs))
        for _ in range(RETRIES + 1):
            try:
                for index, result in self._round(waiting):
                    del waiting[index]
                    yield index, result
                return
            except BrokenProcessPool:  # one was killed, and with it went the jobs of the others
                self._close()
        raise ToolError(
            f"a worker process ended {RETRIES + 1} times before its job did, perhaps for want of memory: {len(waiting)} "
            "jobs are left; try fewer processes with --jobs"
        )

    def _round(self, jobs: dict[int, J]) -> Iterator[tuple[int, R]]:
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
            # What is shared is sent to a process once, not with every job.
            self._pool = ProcessPoolExecutor(self.jobs, spawn, _begin, ((self.function, self.common),))
        futures = {self._pool.submit(_work_here, job): index for index, job in jobs.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()

    def _close(self, unfinished: bool = False) -> None:
        if self._pool is not None:
            if unfinished:  # a training could go on for hours; what it left on the disk is whole, as after any loss
                for process in list((self._pool._processes or {}).values()):
                    process.kill()
            # Only the pool itself may cancel: its thread fails over a future that others cancelled when a process is gone.
            self._pool.shutdown(cancel_futures=True)
        self._pool = None

    def __exit__(self, *error: object) -> None:
        self._close(unfinished=error[0] is not None)


class RayNodes(Workers[C, J, R]):
    """Work on a Ray cluster: "local" starts one on this machine, an ``address`` joins a running one. What is shared travels
    through Ray, so that nodes need no common folder for it; a job whose node is lost runs again on another. most: jobs at a
    time; 0: one per core."""

    same_disk = False

    def __init__(self, function: Callable[[C, J], R], address: str, most: int = 0) -> None:
        super().__init__(function)
        self.ray: Any = require("ray", extra="ray")
        self.own = not self.ray.is_initialized()
        try:
            if self.own:
                where = {"num_cpus": most or None} if address == "local" else {"address": address}
                ours = signal.getsignal(signal.SIGTERM)
                self.ray.init(**where, log_to_driver=False, include_dashboard=False)
                if threading.current_thread() is threading.main_thread():
                    signal.signal(signal.SIGTERM, ours)  # Ray's own ends this process without a word
        except ConnectionError as error:
            raise ToolError(f"--ray {address}: {error}; start a cluster with ray start --head, or give local") from None
        cores = max(int(self.ray.cluster_resources().get("CPU", 1)), 1)
        self.most = most
        self.jobs = min(cores, most or cores)

    def share(self, common: C, threads: int = 1) -> None:
        self._shared = self.ray.put(common)
        self._remote = self.ray.remote(num_cpus=threads, max_retries=RETRIES)(self.function)

    def run(self, jobs: Sequence[J]) -> Iterator[tuple[int, R]]:
        left, waiting = iter(enumerate(jobs)), dict[Any, int]()
        while True:
            for index, job in itertools.islice(left, (self.most or len(jobs)) - len(waiting)):
                waiting[self._remote.remote(self._shared, job)] = index
            if not waiting:
                return
            (ready, *_), _ = self.ray.wait(list(waiting), num_returns=1)
            yield waiting.pop(ready), self.ray.get(ready)

    def __exit__(self, *error: object) -> None:
        if self.own:
            self.ray.shutdown()


def workers(function: Callable[[C, J], R], jobs: int, ray: str = "") -> Workers[C, J, R]:
    """Who works: ``ray`` is the address of a cluster or "local"; else ``jobs`` processes, one being this one.

    Raises MissingExtra without Ray, ToolError when there is no cluster at the address.
    """
    if ray:
        return RayNodes(function, ray)
    return Processes(function, jobs) if jobs > 1 else Workers(function)


@dataclass(frozen=True)
class Machines:
    """Where jobs are done."""

    jobs: int = 1
    """At the same time; on a Ray cluster 0: as many as it has cores."""
    ray: str = ""
    """``local`` or the address of a cluster; empty: processes of this machine."""

    @property
    def several(self) -> bool:
        """Whether anybody works besides this process."""
        return bool(self.ray) or self.jobs > 1

    def workers(self, function: Callable[[C, J], R]) -> Workers[C, J, R]:
        """Who works there. Raises MissingExtra without Ray, ToolError when there is no cluster at the address."""
        return RayNodes(function, self.ray, self.jobs) if self.ray else workers(function, self.jobs)


HERE = Machines()
"""Nobody but this process."""


def _begin(common: tuple[Callable[[Any, Any], Any], Any]) -> None:
    global _common
    _common = common
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches all processes of a terminal; the one that asked decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work_here(job: Any) -> Any:
    function, common = _common
    return function(common, job)
