"""A file from an address: resumed where it broke off, and never taken for whole before it is."""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgebat import __version__
from edgebat.errors import DataError

PIECE = 1 << 18
WAIT_S = 60.0

Report = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes there will be (0: not known)."""


def download(address: str, part: Path, size: int, report: Report) -> None:
    """All of an address into ``part``; what is in it is gone on with. size: bytes it must have, 0 when nobody knows.

    Beside it ``part.tag`` keeps the server's mark of the version, so that pieces of two versions are never joined. Raises
    DataError when it cannot be had, comes in another size, or the disk is too small for it.
    """
    if not address.startswith(("http://", "https://")):
        raise DataError(f"{address} is no address of the web; http:// or https:// is needed")
    have = part.stat().st_size if part.is_file() else 0
    if size and have == size:
        return
    tag = part.with_name(part.name + ".tag")
    try:
        with _opened(address, have, tag) as answer:
            if answer.url.startswith("http://") and not address.startswith("http://"):
                raise DataError(
                    f"{address} leads to {answer.url}, which is not encrypted; load it by hand, give it with --from"
                )
            first, total = _stretch(answer, have)
            if size and total and total != size:
                raise DataError(f"{address} has {total:,} bytes, the registry says {size:,}: another version; load it by "
                                "hand and give it with --from if it is meant")  # fmt: skip
            whole = total or size
            if not whole and not answer.chunked:
                raise DataError(f"{address} does not say how long it is, so that half of it could not be told from all of "
                                "it; load it by hand and give it with --from")  # fmt: skip
            need_room(part.parent, max(whole - first, 0), address)
            tag.write_text(answer.headers.get("ETag") or "", encoding="utf-8")
            _copy(answer, part, first, lambda done: report(done, whole))
        there = part.stat().st_size
        if whole and there != whole:
            raise OSError(f"{there:,} of {whole:,} bytes came")
    except urllib.error.HTTPError as error:
        if error.code == 416:  # what is there is no beginning of what the server has
            part.unlink()
            raise DataError(
                f"{part.name} was no part of {address} and is deleted; run the same command again"
            ) from None
        raise DataError(
            f"{address} answers {error.code} {error.reason}; load it by hand and give it with --from"
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DataError(
            f"{address} could not be loaded ({error}); the same command goes on where it stopped; or load it by "
            "hand and give it with --from"
        ) from None
    tag.unlink(missing_ok=True)


def _opened(address: str, have: int, tag: Path) -> Any:
    headers = {"User-Agent": f"edgebat/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
        with contextlib.suppress(OSError):
            mark = tag.read_text(encoding="utf-8")
            # A weak mark does not promise equal bytes.
            headers |= {"If-Range": mark} if mark and not mark.startswith("W/") else {}
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=WAIT_S)


def _stretch(answer: Any, have: int) -> tuple[int, int]:
    """Where an answer begins, and the bytes of all of the file (0: not stated)."""
    length = int(answer.headers.get("Content-Length") or 0)
    if not have or answer.status != 206:  # a server that cannot go on sends all of it
        return 0, length
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
    if found is None or int(found[1]) != have:
        raise ValueError(f"asked to go on at byte {have}, it sends {answer.headers.get('Content-Range')!r}")
    return have, have + length if found[2] == "*" else int(found[2])


def _copy(answer: Any, part: Path, first: int, report: Callable[[int], None]) -> None:
    with part.open("ab" if first else "wb") as stream:
        while piece := answer.read(PIECE):
            stream.write(piece)
            first += len(piece)
            report(first)


def need_room(folder: Path, size: int, what: object) -> None:
    """Raises DataError when the disk of ``folder`` has less than ``size`` bytes to spare."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise DataError(
            f"{what} needs {size / 1e6:,.0f} MB, the disk of {folder} has {free / 1e6:,.0f} MB; free some, or choose "
            "another folder with --to"
        )
