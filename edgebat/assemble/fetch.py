"""``edgebat data fetch``: a public data set, after its licence, citation, checksums and source were shown and accepted."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from edgebat.assemble.download import download, need_room
from edgebat.assemble.public_sets import PublicFile, PublicSet, known_sets
from edgebat.errors import DataError
from edgebat.files import Json, atomic_write, sha256_file
from edgebat.lock import only_one

ARCHIVES = ".archives"
"""Where archives are kept; hidden, so that ``edgebat data add`` takes what was in them alone."""
PINS = ".fetched.json"
"""Where the folder keeps what was fetched: source, terms, and the sha256 of each file, which stays the one allowed."""
MOST_BYTES, MOST_FILES, DEEPEST = 200 * 2**30, 100_000, 3
"""An archive that unpacks to more, or archives in archives that lie deeper, are refused."""

Report = Callable[[str, int, int], None]
"""Called with a file's name, the bytes that are there and the bytes there will be (0: not known)."""


def fetch(
    chosen: PublicSet, folder: Path, origin: str | None = None, report: Report | None = None,
    sha256: Mapping[str, str] | None = None,
) -> list[Path]:  # fmt: skip
    """Load the files of a data set into ``folder``, check them, unpack archives; returns what lies there.

    origin: an address or a folder (or file) to take the files from instead, which is checked likewise. sha256: file -> the
    checksum it must have, besides those of the registry. A file that is there is kept; half of one is gone on with. Raises
    DataError when a file cannot be had or has another checksum, FolderBusy.
    """
    local = Path(origin) if origin and "://" not in origin else None
    if local is not None and not local.exists():
        raise DataError(f"{local} does not exist; give the folder or file that was loaded from {chosen.page}")
    wanted = _asked(chosen, local, sha256 or {})
    there: list[Path] = []
    with only_one(folder, "--to FOLDER"):
        for file in wanted:
            archive = file.name.endswith(".zip")
            target = folder / (ARCHIVES if archive else "") / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.is_file():
                part = target.with_name(target.name + ".part")
                if local is None:
                    address = f"{origin.rstrip('/')}/{file.name}" if origin else file.address
                    download(address, part, file.bytes, partial(report or _silent, file.name))
                else:
                    _copied(local, part, file, wanted)
            seen = _checked(target if target.is_file() else part, target, file, folder)
            _pin(chosen, folder, seen, file, origin or file.address)
            if not target.is_file():
                part.replace(target)
            there += _unpacked(target, folder / target.stem, folder / ARCHIVES / target.stem) if archive else [target]
    return there


def _silent(name: str, done: int, total: int) -> None:
    """For nobody."""


def given_checksums(texts: Sequence[str], chosen: PublicSet) -> dict[str, str]:
    """File -> sha256 out of ``FILE=HEX``, or ``HEX`` alone for a set of one file. Raises DataError for another form."""
    found = {}
    for text in texts:
        name, _, mark = text.rpartition("=")
        if not re.fullmatch("[0-9a-fA-F]{64}", mark):
            raise DataError(
                f"--sha256 {text!r} is no sha256: it has {len(mark)} characters, 64 digits 0-9a-f are needed"
            )
        if not name and len(chosen.files) > 1:
            raise DataError(f"--sha256: which file? Give FILE=HEX; files are {', '.join(f.name for f in chosen.files)}")
        found[name or next((file.name for file in chosen.files), "")] = mark.lower()
    return found


def _asked(chosen: PublicSet, local: Path | None, sha256: Mapping[str, str]) -> tuple[PublicFile, ...]:
    """The files of a set, or those of a copy when the set lists none, with the checksums that the user gave."""
    wanted = chosen.files
    if local is not None and not wanted:
        found = sorted(local.iterdir()) if local.is_dir() else [local]
        wanted = tuple(PublicFile(path.name, "") for path in found if path.is_file() and not path.name.startswith("."))
    if not wanted:
        raise DataError(
            f"{chosen.name} has no file with an address of its own: load it from {chosen.page} and give the folder with "
            f"--from FOLDER"
        )
    names = [file.name for file in wanted]
    if unknown := sorted(set(sha256) - set(names)):
        raise DataError(f"--sha256 names {', '.join(unknown)}; {chosen.name} has {', '.join(names)}")
    given = [replace(file, sha256=sha256[file.name], stated_by="--sha256") if file.name in sha256 else file
             for file in wanted]  # fmt: skip
    for file, listed in zip(given, wanted, strict=True):
        if listed.sha256 and file.sha256 != listed.sha256:
            raise DataError(
                f"--sha256 gives {file.sha256} for {file.name}, the registry says {listed.sha256} ({listed.stated_by})"
            )
    return tuple(given)


def _copied(local: Path, part: Path, file: PublicFile, wanted: tuple[PublicFile, ...]) -> None:
    if local.is_file() and len(wanted) > 1:
        raise DataError(f"{local} is one file, needed are {', '.join(f.name for f in wanted)}; give their folder")
    source = local / file.name if local.is_dir() else local
    if not source.is_file():
        raise DataError(f"{source} does not exist; needed are {', '.join(f.name for f in wanted)}")
    need_room(part.parent, source.stat().st_size, source)
    shutil.copyfile(source, part)


def _checked(path: Path, target: Path, file: PublicFile, folder: Path) -> str:
    """The sha256 of a file that has the size and checksums that are stated, and the one that an earlier fetch found; another
    file is put aside, and a DataError."""
    size, seen = path.stat().st_size, sha256_file(path)
    by = f" ({file.stated_by})" if file.stated_by else ""
    listed = "the registry says {}" + by if by != " (--sha256)" else "--sha256 says {}"
    known = [("bytes", str(file.bytes or ""), str(size), "the registry says {}"), ("sha256", file.sha256, seen, listed)]
    if file.md5:
        with path.open("rb") as stream:
            known.append(("md5", file.md5, hashlib.file_digest(stream, "md5").hexdigest(), listed))
    renewed = f"an earlier fetch found {{}} (if the new one is meant, delete its entry in {folder / PINS})"
    known.append(("sha256", pinned(folder).get(file.name, ""), seen, renewed))
    for kind, stated, found, who in known:
        if stated and found != stated:
            wrong = target.with_name(target.name + ".wrong")
            path.replace(wrong)
            raise DataError(
                f"{target} has {kind} {found}, {who.format(stated)}: cut short, damaged, or another version; it is kept as "
                f"{wrong.name}. Run the command again, or load it by hand"
            )
    return seen


def pinned(folder: Path) -> dict[str, str]:
    """File -> sha256 that an earlier fetch into ``folder`` found. Raises DataError for a damaged record."""
    return {name: str(entry["sha256"]) for name, entry in _record(folder)["files"].items()}


def _record(folder: Path) -> Json:
    path = folder / PINS
    try:
        found: Json = json.loads(path.read_text(encoding="utf-8"))
        return {"files": {}, **found}
    except FileNotFoundError:
        return {"files": {}}
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}; delete it, and what is fetched next counts as right") from None


def _pin(chosen: PublicSet, folder: Path, seen: str, file: PublicFile, origin: str) -> None:
    """Keep the sha256 of a file, with where it came from and under which terms."""
    record = _record(folder)
    record |= {"set": chosen.name, "source": chosen.page, "licence": chosen.licence, "citation": chosen.citation}
    record["files"][file.name] = {
        "sha256": seen,
        "origin": origin,
        "checked": file.checksum or "no checksum is published",
    }
    atomic_write(folder / PINS, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _unpacked(archive: Path, folder: Path, inner: Path, depth: int = 1) -> list[Path]:
    """The files of an archive below ``folder``, and of archives in it, which are kept below ``inner``; names that lead out
    of it, and too much of it, are refused."""
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            total = sum(entry.file_size for entry in entries)
            if len(entries) > MOST_FILES or total > MOST_BYTES or depth > DEEPEST:
                raise DataError(f"{archive} unpacks to {len(entries)} files; unpack it by hand if that is meant")
            missing = [entry for entry in entries if not _is_there(_target(archive, entry, folder, inner), entry)]
            folder.mkdir(parents=True, exist_ok=True)
            need_room(folder, sum(entry.file_size for entry in missing), f"{archive}, unpacked,")
            for entry in missing:
                _extracted(opened, entry, _target(archive, entry, folder, inner))
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise DataError(
            f"{archive} is no zip archive that can be unpacked ({error}); delete it and run the command again, or load it "
            "by hand"
        ) from None
    out: list[Path] = []
    for entry in entries:
        target = _target(archive, entry, folder, inner)
        below = (folder / entry.filename).with_suffix("")
        out += _unpacked(target, below, target.with_suffix(""), depth + 1) if target.suffix == ".zip" else [target]
    return out


def _target(archive: Path, entry: zipfile.ZipInfo, folder: Path, inner: Path) -> Path:
    base = inner if entry.filename.endswith(".zip") else folder
    target = base / entry.filename
    if not target.resolve().is_relative_to(base.resolve()):
        raise DataError(f"{archive} holds {entry.filename!r}, which leads out of its folder; do not use this file")
    return target


def _is_there(target: Path, entry: zipfile.ZipInfo) -> bool:
    return target.is_file() and target.stat().st_size == entry.file_size


def _extracted(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with opened.open(entry) as source, part.open("wb") as stream:
        shutil.copyfileobj(source, stream)
    part.replace(target)


def sets_text(registry: Path | None, as_json: bool) -> str:
    """The public data sets that a registry knows."""
    known = known_sets(registry).values()
    if as_json:
        return json.dumps([asdict(each) for each in known], indent=1, ensure_ascii=False)
    return "\n".join(f"{each.name:<14} {each.about}" for each in known)


def fetched_text(chosen: PublicSet, folder: Path, found: Sequence[Path], as_json: bool) -> str:
    """What was fetched, which checksums nobody had stated, and what comes next."""
    marks = pinned(folder)
    command = f"edgebat data add {shlex.quote(str(folder))} --out cells {chosen.add}".rstrip()
    if as_json:
        files = [str(path) for path in found]
        return json.dumps({"folder": str(folder), "files": files, "sha256": marks, "next": command}, indent=1)
    stated = {file.name for file in chosen.files if file.checksum}
    lines = [f"{len(found)} files in {folder}"]
    for name, mark in marks.items():
        if name not in stated:
            lines.append(
                f"{name}: no checksum is published; found sha256 {mark}, pinned in {folder / PINS}: another is refused"
            )
    return "\n".join([*lines, f"next: {command}"])
