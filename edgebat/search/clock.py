"""How long a search takes, counted from what each part took when it was done: a repeated search, which finds everything
done, comes to the same hour and so to the same result.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from edgebat.files import atomic_write

T = TypeVar("T")


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Seconds until so many workers have done jobs that take ``seconds``, begun in their order."""
    free = [0.0] * max(workers, 1)
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


@dataclass
class Clock:
    """minutes: the time for all of it; 0: as long as it takes. used: seconds so far."""

    minutes: float = 0.0
    used: float = 0.0

    def enough_for(self, seconds: float) -> bool:
        """Whether so many more seconds are left."""
        return not self.minutes or self.used + seconds <= self.minutes * 60

    def noted(self, file: Path, action: Callable[[], T]) -> T:
        """What ``action`` gives. It counts for as long as it took the first time, of which ``file`` keeps a note."""
        started = time.perf_counter()
        result = action()
        if not file.is_file():
            atomic_write(file, json.dumps({"seconds": round(time.perf_counter() - started, 1)}) + "\n")
        self.used += float(json.loads(file.read_text(encoding="utf-8"))["seconds"])
        return result
