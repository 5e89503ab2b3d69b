"""Who trains the trials of a generation: this process, a few processes, or the nodes of a Ray cluster. What comes out is the
same; only the order in which it is finished differs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Any, Self

from edgebat.errors import ToolError, require
from edgebat.graph import IntGraph
from edgebat.search.trial import Job, Lessons, Trained, train_candidate

Done = tuple[int, Trained, IntGraph | None]
"""Index of the job, and what ``train_candidate`` gave."""
RETRIES = 10
"""Times that Ray starts a trial again whose node or process was lost."""

_lessons: Lessons | None = None


class Workers(AbstractContextManager["Workers"]):
    """Train one after the other in this process."""

    lessons: Lessons
    jobs = 1
    """Trials at the same time."""

    def teach(self, lessons: Lessons) -> None:
        """What the trials from now on learn from."""
        self.lessons = lessons

    def train(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Each job's result as soon as there is one. Raises what a trial raises."""
        for index, job in enumerate(jobs):
            yield index, *train_candidate(self.lessons, job)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to end."""


class Processes(Workers):
    """Train in ``jobs`` processes of this machine."""

    def __init__(self, jobs: int) -> None:
        self.jobs, self._open = jobs, ExitStack()

    def teach(self, lessons: Lessons) -> None:
        self._open.close()
        spawn = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        pool = ProcessPoolExecutor(self.jobs, spawn, _begin, (lessons,))
        self._pool = self._open.enter_context(pool)

    def train(self, jobs: Sequence[Job]) -> Iterator[Done]:
        futures = {self._pool.submit(_train_here, job): index for index, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                yield futures[future], *future.result()
        finally:
            for future in futures:
                future.cancel()

    def __exit__(self, *error: object) -> None:
        self._open.close()


class RayNodes(Workers):
    """Train on a Ray cluster: "local" starts one on this machine, an ``address`` joins a running one. Windows and labels
    travel through Ray, so that nodes need no common folder; a trial whose node is lost runs again on another."""

    def __init__(self, address: str) -> None:
        self.ray: Any = require("ray", extra="ray")
        self.own = not self.ray.is_initialized()
        try:
            if self.own:
                self.ray.init(None if address == "local" else address, log_to_driver=False, include_dashboard=False)
        except ConnectionError as error:
            raise ToolError(f"--ray {address}: {error}; start a cluster with ray start --head, or give local") from None
        self.jobs = max(int(self.ray.cluster_resources().get("CPU", 1)), 1)

    def teach(self, lessons: Lessons) -> None:
        self._lessons = self.ray.put(lessons)
        options = {"num_cpus": lessons.threads, "max_retries": RETRIES}
        self._remote = self.ray.remote(**options)(train_candidate)

    def train(self, jobs: Sequence[Job]) -> Iterator[Done]:
        # Another machine has no such folder.
        waiting = {self._remote.remote(self._lessons, replace(job, folder=None)): n for n, job in enumerate(jobs)}
        while waiting:
            (ready, *_), _ = self.ray.wait(list(waiting), num_returns=1)
            yield waiting.pop(ready), *self.ray.get(ready)

    def __exit__(self, *error: object) -> None:
        if self.own:
            self.ray.shutdown()


def workers(jobs: int, ray: str = "") -> Workers:
    """Who trains: ``ray`` is the address of a cluster or "local"; else ``jobs`` processes, one being this one.

    Raises MissingExtra without Ray, ToolError when there is no cluster at the address.
    """
    if ray:
        return RayNodes(ray)
    return Processes(jobs) if jobs > 1 else Workers()


def _begin(lessons: Lessons) -> None:
    """The lessons are sent to a process once, not with every job."""
    global _lessons
    _lessons = lessons


def _train_here(job: Job) -> tuple[Trained, IntGraph | None]:
    assert _lessons is not None
    return train_candidate(_lessons, job)
