"""The time of a search: of several workers, and noted once."""

from __future__ import annotations

from pathlib import Path

from edgebat.search.clock import Clock, makespan


def test_workers_share_the_jobs_in_their_order() -> None:
    assert makespan([3, 1, 1, 1], 1) == 6
    assert makespan([3, 1, 1, 1], 2) == 3
    assert makespan([1, 1, 1, 3], 2) == 4  # the long one last
    assert makespan([], 2) == 0


def test_what_is_repeated_counts_as_the_first_time(tmp_path: Path) -> None:
    (tmp_path / "note.json").write_text('{"seconds": 100.0}')
    clock = Clock(minutes=2)
    assert clock.enough_for(120)
    assert clock.noted(tmp_path / "note.json", lambda: "found") == "found"
    assert clock.used == 100
    assert (clock.enough_for(20), clock.enough_for(21)) == (True, False)
    assert Clock().enough_for(1e9)
