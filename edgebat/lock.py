"""One process at a time in a folder that is written to: of a run, of a corpus, of results."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from edgebat.errors import EdgebatError

LOCK = ".lock"
# A distributed training starts the same command once more for each further process; those share the first one's lock.
RANKS = ("LOCAL_RANK", "NODE_RANK", "RANK")


class FolderBusy(EdgebatError):
    """Another process works in the folder."""


@contextlib.contextmanager
def only_one(folder: Path, option: str = "--runs FOLDER") -> Iterator[None]:
    """Work in ``folder``, which is made, as the only process. The system frees it when the process ends, however it does.

    option: by which the user names another folder. Reading a folder needs no lock. Raises FolderBusy. Where Python has no
    ``fcntl`` (Windows) nothing is locked.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    if any(os.environ.get(name, "0") != "0" for name in RANKS):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    # The file stays: another process may have opened it already, and would then hold the lock of a file nobody finds.
    with (folder / LOCK).open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise FolderBusy(
                f"{folder} is in use by process {lock.read().strip() or 'unknown'}, another edgebat that writes into it; "
                f"wait until it is done and run the same command again, or give another folder: {option}"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
