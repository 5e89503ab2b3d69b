"""What a run's fingerprints know of the files it reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from edgebat.errors import DataError
from edgebat.files import sha256_bytes, sha256_file
from edgebat.paths import targets_dir

if TYPE_CHECKING:
    from edgebat.data.fleet import Fleet


def corpus_digest(corpus: Path | Fleet | None) -> str | None:
    """What decides the content of a corpus without reading all of it: tables by hash, curve files by name and size; of a
    fleet in memory its fingerprint."""
    if corpus is None:
        return None
    if not isinstance(corpus, Path):
        return corpus.fingerprint
    tables = [corpus / "cells.csv", corpus / "capacity.parquet"]
    missing = [path.name for path in tables if not path.is_file()]
    if missing:
        raise DataError(f"{corpus} is not a corpus folder: {', '.join(missing)} is missing")
    curves = [(p.name, p.stat().st_size) for part in ("segments", "qv") for p in sorted((corpus / part).glob("*.npz"))]
    return sha256_bytes(json.dumps([[sha256_file(path) for path in tables], curves]).encode())


def target_digest(name: str) -> str:
    """sha256 of a target's YAML, empty when there is none."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else targets_dir() / f"{name}.yaml"
    return sha256_file(path) if path.is_file() else ""
