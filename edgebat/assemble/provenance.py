"""``provenance.json`` of a corpus: which files it was made of, how each was read, and what was noticed about each cell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edgebat import __version__
from edgebat.assemble.findings import Finding
from edgebat.errors import DataError
from edgebat.files import Json, atomic_write

NAME = "provenance.json"
FORMAT = 1


@dataclass(frozen=True)
class SourceNote:
    """A file that is in the corpus."""

    name: str
    sha256: str
    bytes: int
    reading: str
    """Mark of how it was read, part of the name of what is kept of it."""
    channels: Mapping[str, Mapping[str, object]]
    """Per channel: ``cell`` ("dataset/cell_id"), ``layout``, ``start``, ``samples``, ``guesses``, ``notes``."""


@dataclass(frozen=True)
class CellNote:
    """A cell that is in the corpus."""

    fingerprint: str
    """Of its files and of what was stated about it; a cell whose fingerprint is the same is not built again."""
    files: tuple[str, ...]
    facts: Mapping[str, object]
    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    """Why charges gave no curve."""
    findings: tuple[Finding, ...]


@dataclass
class Provenance:
    """All of it. ``settings`` are those of the last call, for the next one."""

    settings: Json = field(default_factory=dict)
    sources: dict[str, SourceNote] = field(default_factory=dict)
    """By sha256."""
    cells: dict[str, CellNote] = field(default_factory=dict)
    """By "dataset/cell_id"."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Files that are not in the corpus, and why."""

    @classmethod
    def read(cls, corpus: Path) -> Provenance:
        """That of a corpus; empty when it has none. Raises DataError when it is damaged."""
        path = corpus / NAME
        if not path.is_file():
            return cls()
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["format"] != FORMAT:
                raise DataError(f"{path} has format {document['format']}; this edgebat reads format {FORMAT}")
            return cls(
                settings=document["settings"],
                sources={s["sha256"]: SourceNote(**s) for s in document["sources"]},
                cells={
                    name: CellNote(**{**note, "findings": tuple(Finding(**f) for f in note["findings"]),
                                      "files": tuple(note["files"])})
                    for name, note in document["cells"].items()
                },
                left_out=document["left_out"],
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged ({error}); make the corpus anew in another folder") from None

    def write(self, corpus: Path) -> None:
        """Into the corpus folder. Raises OSError."""
        document = {
            "format": FORMAT,
            "edgebat": __version__,
            "charge_curves": "exact: a voltage is reached at the first sample at or above it, nothing is mended",
            "settings": self.settings,
            "sources": [asdict(note) for _, note in sorted(self.sources.items(), key=lambda item: item[1].name)],
            "cells": {name: asdict(note) for name, note in sorted(self.cells.items())},
            "left_out": dict(sorted(self.left_out.items())),
        }
        atomic_write(corpus / NAME, json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n")
