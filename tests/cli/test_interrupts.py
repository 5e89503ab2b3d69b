"""A command that is ended takes its worker processes with it, and says how to go on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebat.paths import share

PATIENCE_S = 120.0
"""Until something counts as not happening; nothing is measured."""


def until(true: Callable[[], bool]) -> bool:
    """Whether it became true in time."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def state(pid: int) -> tuple[str, int]:
    """Letter of the state of a process, and its parent; ("", 0) for none."""
    try:
        letter, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", 0
    return letter, int(parent)


def workers_of(pid: int) -> list[int]:
    """The living worker processes of a process."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [
        each for each in pids if state(each)[1] == pid and b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()
    ]


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda end: end.name)
def test_no_worker_outlives_the_command(end: signal.Signals, tmp_path: Path) -> None:
    logs, out = tmp_path / "logs", tmp_path / "out"
    logs.mkdir()
    first = shutil.copyfile(share("examples", "cell.csv"), logs / "log0000.csv")
    for number in range(1, 1000):
        os.link(first, logs / f"log{number:04}.csv")
    command = [
        "predict",
        "demo-mlp",
        str(logs),
        "--out",
        str(out),
        "--nominal-ah",
        "3.5",
        "--jobs",
        "2",
        "--shard",
        "2",
    ]
    # Whoever starts the tests in the background of a shell has them, and what they start, ignore Ctrl-C.
    heard = "import signal, sys, runpy; signal.signal(2, signal.default_int_handler); sys.argv[0] = 'edgebat'; " \
            "runpy.run_module('edgebat', run_name='__main__')"  # fmt: skip
    running = subprocess.Popen([sys.executable, "-c", heard, *command], stderr=subprocess.PIPE, text=True)
    assert until(lambda: any((out / "parts").glob("*.parquet")) and len(workers_of(running.pid)) == 2)
    started = workers_of(running.pid)
    running.send_signal(end)
    error = running.communicate(timeout=PATIENCE_S)[1]
    assert until(lambda: all(state(pid)[0] in ("", "Z") for pid in started))
    if end is signal.SIGKILL:
        return
    assert running.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130}[end]
    assert "what is finished is kept; the same command goes on from there: edgebat predict demo-mlp" in error
    assert "Traceback" not in error
