"""Public data sets as their registry describes them: who made them, under which terms, where their files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from edgebat.errors import DataError, require
from edgebat.files import Json


@dataclass(frozen=True)
class PublicFile:
    """One file of a data set."""

    name: str
    address: str
    bytes: int = 0
    """Its size; 0: not known."""
    sha256: str = ""
    md5: str = ""
    stated_by: str = ""
    """Who states the checksum: the page itself, or who else."""

    @property
    def checksum(self) -> str:
        """As a person reads it; empty when none is known."""
        marks = [f"{kind} {value}" for kind, value in (("sha256", self.sha256), ("md5", self.md5)) if value]
        return " and ".join(marks) + (f" ({self.stated_by})" if marks and self.stated_by else "")


@dataclass(frozen=True)
class PublicSet:
    """A data set as its registry describes it."""

    name: str
    about: str
    page: str
    licence: str
    citation: str
    add: str = ""
    """Options of ``edgebat data add`` that fit it."""
    files: tuple[PublicFile, ...] = field(default=())

    def described(self, origin: str = "", pinned: Mapping[str, str] | None = None) -> str:
        """What a person must see before loading; ``origin``: where the files come from instead; ``pinned``: file -> sha256
        that an earlier fetch found."""
        lines = [
            f"{self.name}: {self.about}",
            f"  licence   {self.licence}",
            f"  cite      {self.citation}",
            f"  source    {self.page}",
        ]
        for file in self.files:
            size = f", {file.bytes / 1e6:,.0f} MB" if file.bytes else ""
            own = (pinned or {}).get(file.name)
            mark = file.checksum or (f"sha256 {own} (pinned by an earlier fetch)" if own else "no checksum published")
            lines.append(f"  file      {file.name}: {origin or file.address}{size}, {mark}")
        return "\n".join(lines)


def known_sets(registry: Path | None = None) -> dict[str, PublicSet]:
    """The data sets of a YAML registry, by name; the shipped one unless another is given. Raises DataError."""
    yaml = require("yaml", extra="cli")
    where = registry or resources.files("edgebat.assemble") / "public_sets.yaml"
    try:
        document: Json = yaml.safe_load(where.read_text(encoding="utf-8"))
        return {name: _read(name, entry) for name, entry in document.items()}
    except (OSError, yaml.YAMLError, TypeError, AttributeError, KeyError) as error:
        raise DataError(f"{where} is no registry of data sets: {error}") from None


def _read(name: str, entry: dict[str, Any]) -> PublicSet:
    unknown = sorted(set(entry) - {f.name for f in fields(PublicSet)})
    if unknown:
        raise DataError(f"data set {name!r} of the registry has unknown keys {unknown}")
    return PublicSet(name, **{**entry, "files": tuple(PublicFile(**file) for file in entry.get("files", ()))})


def find_set(name: str, registry: Path | None = None) -> PublicSet:
    """One data set. Raises DataError, naming those there are."""
    sets = known_sets(registry)
    if name not in sets:
        raise DataError(f"there is no data set {name!r}; known are {', '.join(sets)}")
    return sets[name]
