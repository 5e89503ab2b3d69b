"""``edgebat data add``: cycler files into a corpus, in one call or in many."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from edgebat import __version__
from edgebat.assemble.cell import BuiltCell, build_cell
from edgebat.assemble.findings import Finding
from edgebat.assemble.joining import Piece
from edgebat.assemble.naming import CellName, Naming, check_named
from edgebat.assemble.provenance import CellNote, Provenance, SourceNote
from edgebat.assemble.settings import AddSettings
from edgebat.assemble.sources import Duplicate, Source, SourceStore, find_sources
from edgebat.assemble.tables import segment_file, write_cells
from edgebat.data.readers.profiles import load_profile
from edgebat.data.readers.records import AmbiguousFile, Records
from edgebat.errors import DataError
from edgebat.files import Json, sha256_bytes

RULES = 3
"""To be raised when cells are built by other rules: those of earlier calls are then built again."""
Progress = Callable[[str, int, int], None]
"""Called with what is done, how many are done and how many there are."""


def silent(what: str, done: int, total: int) -> None:
    """No progress."""


@dataclass
class Added:
    """What a call did, or would do."""

    built: list[BuiltCell] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Cells of the given files that are in the corpus as they are."""
    sources: list[Source] = field(default_factory=list)
    duplicates: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Cells that could not be built, and why; the corpus keeps what it had of them."""
    guesses: dict[str, list[str]] = field(default_factory=dict)
    """Guess of a reader -> the files it was made for."""


@dataclass
class _Gathered:
    """The channels of one cell."""

    name: CellName
    pieces: list[tuple[str, str, str]] = field(default_factory=list)
    """(sha256, channel, file name), whose records the store has."""


def settings_for(corpus: Path, given: Json) -> AddSettings:
    """``given`` fields of AddSettings on top of those of the corpus's last call. Raises DataError."""
    names = {f.name for f in fields(AddSettings)}
    earlier = {k: v for k, v in Provenance.read(corpus).settings.items() if k in names and k not in given}
    if "name_pattern" in given or "cells" in given:
        earlier.pop("cells", None)
        earlier.pop("name_pattern", None)
    if earlier.get("cells"):
        earlier["cells"] = Path(earlier["cells"])
    earlier.pop("skip", None)
    return AddSettings(**earlier, **given)


def add(
    paths: Sequence[Path], corpus: Path, settings: AddSettings, progress: Progress = silent, dry_run: bool = False
) -> Added:
    """Read the files, give them to cells, build the cells that have new files, and write them into ``corpus``.

    Files are known by content: one that is in the corpus already is not read again, and a cell none of whose files is new
    stays. ``dry_run`` does all but write. Raises DataError (with every question and every unreadable file in one text), and
    names cells that could not be built in ``Added.failed``.
    """
    known = Provenance.read(corpus)
    # What is wrong with a profile or an answer is of no single file.
    load_profile(settings.profile or "generic").answered(settings.answers)
    found, duplicates = find_sources(paths, settings.skip)
    # A file that is in the corpus under another name stays there under that one.
    sources = [replace(s, name=known.sources[s.sha256].name) if s.sha256 in known.sources else s for s in found]
    duplicates += [Duplicate(f.name, s.name) for f, s in zip(found, sources, strict=True) if f.name != s.name]
    result = Added(sources=sources, duplicates={d.name: d.same_as for d in duplicates})
    check_named([s.name for s in sources], settings)
    naming = Naming(settings)
    store = SourceStore(corpus, settings, keep=not dry_run)
    read = _read_all(sources, store, settings, progress, result)
    cells = _gathered(read, naming)
    _check_moved(known, cells)
    _check_files({*known.cells, *cells})
    _earlier_files(known, cells, read)
    for done, (label, gathered) in enumerate(sorted(cells.items())):
        progress(f"cell {label}", done, len(cells))
        readings = {sha: store.reading if sha in read else known.sources[sha].reading for sha, _, _ in gathered.pieces}
        mark = _fingerprint(gathered, settings, readings)
        if label in known.cells and known.cells[label].fingerprint == mark:
            result.kept.append(label)
            continue
        try:
            pieces = [
                Piece(name, _channel(store.records(sha, name, readings[sha]), channel))
                for sha, channel, name in gathered.pieces
            ]
            built = build_cell(gathered.name.key, pieces, dict(gathered.name.facts), settings)
        except DataError as error:
            result.failed[label] = str(error)
            continue
        built.findings.extend(_renewed(gathered))
        result.built.append(built)
        known.cells[label] = _note(built, mark, gathered)
    unbuilt = {sha for label in result.failed for sha, _, _ in cells[label].pieces}
    for source in sources:
        if source.sha256 not in read or (source.sha256 in unbuilt and source.sha256 in known.sources):
            continue
        note = _source_note(source, read[source.sha256], naming, store.reading)
        added = {channel: about for channel, about in note.channels.items() if about["cell"] not in result.failed}
        if added:
            known.sources[source.sha256] = replace(note, channels=added)
    known.left_out |= result.left_out | {name: f"same content as {of}" for name, of in result.duplicates.items()}
    known.settings = {k: v for k, v in asdict(settings).items() if k not in ("skip",)}
    if not dry_run:
        write_cells(corpus, result.built)
        known.write(corpus)
    progress("done", len(cells), len(cells))
    return result


def _read_all(
    sources: Sequence[Source], store: SourceStore, settings: AddSettings, progress: Progress, result: Added
) -> dict[str, list[Records]]:
    read: dict[str, list[Records]] = {}
    questions: dict[str, list[str]] = {}
    broken: dict[str, str] = {}
    for done, source in enumerate(sources):
        progress(source.name, done, len(sources))
        try:
            read[source.sha256] = store.read(source)
        except AmbiguousFile as error:
            for question in error.questions:
                questions.setdefault(question, []).append(source.name)
            continue
        except DataError as error:
            broken[source.name] = str(error)
            continue
        for record in read[source.sha256]:
            for guess in record.guesses:
                names = result.guesses.setdefault(guess, [])
                names.extend([source.name] * (source.name not in names))
    if questions:
        lines = [f"  {question}  ({_some(names)})" for question, names in questions.items()]
        raise DataError(
            "some files can be read in more than one sense; answer with --set KEY=VALUE, or leave files that are no "
            "measurements out with --skip NAME:\n" + "\n".join(lines)
        )
    if broken and not settings.skip_unreadable:
        lines = [f"  {name}: {why}" for name, why in broken.items()]
        skip = shlex.quote(next(iter(broken)))
        raise DataError(
            f"{len(broken)} of {len(sources)} files cannot be read:\n" + "\n".join(lines) + "\nA file left out may be "
            f"cycles left out: name a profile (--profile), or leave it out on purpose with --skip {skip} or "
            "--skip-unreadable"
        )
    result.left_out |= broken
    if not read:
        raise DataError("none of the files can be read; see docs/data.md for the layouts that are known")
    return read


def _gathered(read: dict[str, list[Records]], naming: Naming) -> dict[str, _Gathered]:
    cells: dict[str, _Gathered] = {}
    for sha, records in read.items():
        for record in records:
            name = naming.cell_of(record.path.as_posix(), record.channel, len(records))
            entry = cells.setdefault("/".join(name.key), _Gathered(name))
            entry.pieces.append((sha, record.channel, record.path.as_posix()))
    return cells


def _check_moved(known: Provenance, cells: dict[str, _Gathered]) -> None:
    """Raises DataError for a file that would be of another cell than before: the corpus would hold its samples twice."""
    now: dict[str, set[str]] = {}
    for label, gathered in cells.items():
        for sha, _, _ in gathered.pieces:
            now.setdefault(sha, set()).add(label)
    for sha, labels in now.items():
        note = known.sources.get(sha)
        before = {str(about["cell"]) for about in note.channels.values()} if note else set()
        if note and not before <= labels:
            raise DataError(
                f"{note.name} is of {', '.join(sorted(before))} in this corpus and would now be of "
                f"{', '.join(sorted(labels))}; its samples would be in two cells. Name it as before, or add all files to a "
                "new corpus with another --out"
            )


def _check_files(labels: Collection[str]) -> None:
    """Raises DataError for cells whose curves would lie in one file, those of one over those of the other."""
    found: dict[str, str] = {}
    for label in sorted(labels):
        dataset, _, cell = label.partition("/")
        name = segment_file(Path(), (dataset, cell)).name
        # Some file systems do not tell small letters from capital ones.
        other = found.setdefault(name.casefold(), label)
        if other != label:
            raise DataError(
                f"the cells {other} and {label} would both have their curves in {name}, for which only letters from A to Z, "
                "digits, points and hyphens count; give one of them another name with --cells or --name-pattern, or another "
                "--dataset"
            )


def _earlier_files(known: Provenance, cells: dict[str, _Gathered], read: Collection[str]) -> None:
    """The files that earlier calls gave to the same cells, and this one does not."""
    for sha, note in known.sources.items():
        for channel, about in note.channels.items():
            if sha not in read and (entry := cells.get(str(about["cell"]))):
                entry.pieces.append((sha, channel, note.name))


def _renewed(gathered: _Gathered) -> list[Finding]:
    """Files of one name and several contents: one may have been meant to replace the other."""
    names = [name for _, _, name in gathered.pieces]
    text = (
        "files of this name with different contents are in the corpus; if one replaces the other, make the corpus anew"
    )
    return [Finding("warning", text, name) for name in sorted(set(names)) if names.count(name) > 1]


def _fingerprint(gathered: _Gathered, settings: AddSettings, readings: Mapping[str, str]) -> str:
    stated = [settings.nominal_ah, settings.chemistry, settings.temperature_degc, settings.cycles, settings.order]
    pieces = sorted((sha, channel, readings[sha]) for sha, channel, _ in gathered.pieces)
    document = [__version__, RULES, pieces, gathered.name.facts, stated]
    return sha256_bytes(json.dumps(document, sort_keys=True, default=str).encode())


def _channel(records: Sequence[Records], channel: str) -> Records:
    return next(record for record in records if record.channel == channel)


def _note(built: BuiltCell, mark: str, gathered: _Gathered) -> CellNote:
    kinds, counts = built.kinds.tolist(), {}
    for kind in sorted(set(kinds)):
        counts[kind] = kinds.count(kind)
    counts |= {"charge curves": int(built.charge_cycle.size), "discharge curves": int(built.qv_cycle.size)}
    files = tuple(name for _, _, name in gathered.pieces)
    return CellNote(mark, files, built.facts, counts, built.reasons, tuple(built.findings))


def _source_note(source: Source, records: Sequence[Records], naming: Naming, reading: str) -> SourceNote:
    channels = {
        record.channel: {
            "cell": "/".join(naming.cell_of(source.name, record.channel, len(records)).key),
            "layout": record.layout,
            "start": record.start and record.start.isoformat(),
            "samples": int(record.time_s.size),
            "guesses": list(record.guesses),
            "notes": list(record.notes),
        }
        for record in records
    }
    return SourceNote(source.name, source.sha256, source.size_bytes, reading, channels)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
