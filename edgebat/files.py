"""Files: written whole or not at all, and known by their sha256."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

Json = dict[str, Any]
"""A JSON object: what is read from a file, or written to one as it is."""


def atomic_write(path: str | Path, content: bytes | str) -> None:
    """Write ``content`` (text as UTF-8, newlines kept) to a temporary file beside ``path``, then rename it.

    A reader sees the old file or the new one, never half of one. A missing parent folder is made. Raises OSError, which
    names ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write_and_rename(path, content)
    except OSError as error:
        # A full disk is reported without a name, a folder one may not write into with that of the temporary file.
        if error.errno is not None:  # without a number there is a text alone, which a name would hide
            error.filename, error.filename2 = str(path), None
        raise


def _write_and_rename(path: Path, content: bytes | str) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
        # mkstemp makes the file private; give it the permissions an ordinary open() would have.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def sha256_bytes(content: bytes) -> str:
    """Hexadecimal sha256 of ``content``."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: str | Path) -> str:
    """Hexadecimal sha256 of the file at ``path``, read piece by piece. Raises OSError."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def finite_json(content: str | bytes) -> Any:
    """A JSON document without NaN and infinity, which JSON does not have and Python reads. Raises ValueError."""
    return json.loads(content, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"it holds {text}, which is no finite number")
    return value
