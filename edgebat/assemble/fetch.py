"""``edgebat data fetch``: a public data set, after its licence, citation, checksums and source were shown and accepted."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import IO, Any

from edgebat.errors import DataError, require
from edgebat.files import Json, sha256_file

PIECE = 1 << 18
WAIT_S = 60.0
ARCHIVES = ".archives"
"""Where archives are kept; hidden, so that ``edgebat data add`` takes what was in them alone."""
MOST_BYTES, MOST_FILES = 200 * 2**30, 100_000
"""An archive that unpacks to more is refused."""

Report = Callable[[str, int, int], None]
"""Called with a file's name, the bytes that are there and the bytes there will be (0: not known)."""


@dataclass(frozen=True)
class PublicFile:
    """One file of a data set."""

    name: str
    address: str
    sha256: str = ""
    bytes: int = 0


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

    def described(self, origin: str = "") -> str:
        """What a person must see before loading; ``origin``: where the files come from instead."""
        lines = [
            f"{self.name}: {self.about}",
            f"  licence   {self.licence}",
            f"  cite      {self.citation}",
            f"  source    {self.page}",
        ]
        for file in self.files:
            size = f", {file.bytes / 1e6:,.0f} MB" if file.bytes else ""
            mark = f"sha256 {file.sha256}" if file.sha256 else "no checksum published"
            lines.append(f"  file      {file.name}: {origin or file.address}{size}, {mark}")
        return "\n".join(lines)


def known_sets(registry: Path | None = None) -> dict[str, PublicSet]:
    """The data sets of a YAML registry, by name; the shipped one unless another is given. Raises DataError."""
    yaml = require("yaml", extra="cli")
    where = registry or Path("edgebat/assemble/public_sets.yaml")
    try:
        if registry is None:
            text = (resources.files("edgebat.assemble") / "public_sets.yaml").read_text(encoding="utf-8")
        else:
            text = registry.read_text(encoding="utf-8")
        document: Json = yaml.safe_load(text)
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


def fetch(chosen: PublicSet, folder: Path, origin: str | None = None, report: Report | None = None) -> list[Path]:
    """Load the files of a data set into ``folder``, check them, unpack archives; returns what lies there.

    origin: an address or a folder (or file) to take the files from instead. A file that is there is kept; half of one is
    gone on with. Raises DataError when a file cannot be had or has another checksum.
    """
    local = Path(origin) if origin and "://" not in origin else None
    if local is not None and not local.exists():
        raise DataError(f"{local} does not exist; give the folder or file that was loaded from {chosen.page}")
    wanted = chosen.files
    if local is not None and not wanted:
        found = sorted(local.iterdir()) if local.is_dir() else [local]
        wanted = tuple(PublicFile(path.name, "") for path in found if path.is_file())
    if not wanted:
        raise DataError(
            f"{chosen.name} has no file with an address of its own: load it from {chosen.page} and give the folder with "
            f"--from FOLDER"
        )
    there = []
    for file in wanted:
        archive = file.name.endswith(".zip")
        target = folder / (ARCHIVES if archive else "") / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_file():
            if local is not None:
                source = local / file.name if local.is_dir() else local
                if not source.is_file():
                    raise DataError(f"{source} does not exist; {chosen.name} has {', '.join(f.name for f in wanted)}")
                shutil.copyfile(source, target)
            else:
                address = f"{origin.rstrip('/')}/{file.name}" if origin else file.address
                _load(address, target, file, report or (lambda *_: None))
        _verify(target, file)
        there += _unpack(target, folder / target.stem) if archive else [target]
    return there


def _load(address: str, target: Path, file: PublicFile, report: Report) -> None:
    """An address into ``target``, by way of ``target.part``, which a second call goes on with."""
    if not address.startswith(("http://", "https://")):
        raise DataError(f"{address} is no address of the web; http:// or https:// is needed")
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            if have and answer.status != 206:  # a server that cannot go on sends all of it
                have = 0
            length = int(answer.headers.get("Content-Length") or 0)
            total = have + length
            with part.open("ab" if have else "wb") as stream:
                _copy(answer, stream, lambda done: report(file.name, have + done, total))
            if length and part.stat().st_size < total:
                raise OSError(f"{part.stat().st_size} of {total} bytes came")
    except urllib.error.HTTPError as error:
        if error.code != 416:  # all of it is there already
            raise DataError(
                f"{address} answers {error.code} {error.reason}; load it by hand and give it with --from"
            ) from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{address} could not be loaded ({error}); the same command goes on where it stopped; or load it by "
            "hand and give it with --from"
        ) from None
    part.replace(target)


def _copy(answer: IO[bytes], stream: IO[bytes], report: Callable[[int], None]) -> None:
    done = 0
    while piece := answer.read(PIECE):
        stream.write(piece)
        done += len(piece)
        report(done)


def _verify(target: Path, file: PublicFile) -> None:
    size = target.stat().st_size
    seen = sha256_file(target)
    if file.sha256 and seen != file.sha256:
        target.rename(target.with_name(target.name + ".wrong"))
        raise DataError(
            f"{target} has the sha256 {seen}, the registry says {file.sha256}: damaged, or another version; it is kept as "
            f"{target.name}.wrong. Run the command again, or load it by hand"
        )
    if not file.sha256 and file.bytes and size != file.bytes:
        raise DataError(
            f"{target} has {size:,} bytes, the registry says {file.bytes:,}: cut short, or another version; delete it and "
            "run the command again"
        )


def _unpack(archive: Path, folder: Path) -> list[Path]:
    """The files of an archive below ``folder``; names that lead out of it, and too much of it, are refused."""
    if not zipfile.is_zipfile(archive):
        raise DataError(f"{archive} is no zip archive; delete it and run the command again, or load it by hand")
    with zipfile.ZipFile(archive) as opened:
        entries = [entry for entry in opened.infolist() if not entry.is_dir()]
        if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > MOST_BYTES:
            raise DataError(f"{archive} unpacks to {len(entries)} files; unpack it by hand if that is meant")
        out = []
        for entry in entries:
            target = (folder / entry.filename).resolve()
            if not target.is_relative_to(folder.resolve()):
                raise DataError(
                    f"{archive} holds {entry.filename!r}, which leads out of its folder; do not use this file"
                )
            if not (target.is_file() and target.stat().st_size == entry.file_size):
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(entry) as source, target.open("wb") as stream:
                    shutil.copyfileobj(source, stream)
            out.append(folder / entry.filename)
    return out
