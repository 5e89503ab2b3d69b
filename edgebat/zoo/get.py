"""Models out of the zoo: where a student's file lies, an entry copied and checked, C for a firmware. NumPy only."""

from __future__ import annotations

from pathlib import Path

from edgebat.errors import EdgebatError, ModelFileError
from edgebat.files import atomic_write, sha256_bytes
from edgebat.models import load_model
from edgebat.zoo.entries import ENTRY, Entry, find, students


def student_file(name: str) -> Path:
    """The ``.ebat`` of the ready student ``name``, as ``health-lstm-small``. Raises EdgebatError naming those there are."""
    for entry in students():
        if entry.name == name:
            return entry.model
    raise EdgebatError(
        f"there is no ready student {name!r}; there are {', '.join(e.name for e in students()) or 'none'}"
    )


def get(name: str, out: Path | None = None) -> list[Path]:
    """Copy the files of student or teacher ``name`` to the folder ``out``, by default one of that name here; returns them.

    Raises EdgebatError for an unknown name, ModelFileError when a file is missing or is not the one that was added.
    """
    entry = find(name)
    out = out or Path(entry.name.replace("/", "-"))
    contents = {file: _checked(entry, file) for file in [*entry.files, *([ENTRY] if entry.fingerprint else [])]}
    for file, content in contents.items():
        atomic_write(out / file, content)
    return sorted(out / file for file in contents)


def get_port(name: str, port: str, out: Path | None = None, nominal_mah: int | None = None) -> list[Path]:
    """Write student ``name`` as a folder for the firmware ``port``, like ``edgebat export --port``; returns its files.

    out: by default a folder named after both. nominal_mah: capacity of the cell. Raises EdgebatError.
    """
    from edgebat.bms.ports import DEFAULT_NOMINAL_MAH, export_port

    graph = load_model(student_file(name))
    mah = DEFAULT_NOMINAL_MAH if nominal_mah is None else nominal_mah
    return export_port(graph, port, out or Path(f"{name}-{port}"), nominal_mah=mah)


def _checked(entry: Entry, file: str) -> bytes:
    path = entry.folder / file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}; install edgebat again") from None
    found, asked = sha256_bytes(content), entry.files.get(file, "")
    if asked and found != asked:
        raise ModelFileError(
            f"{path} has the sha256 {found[:16]}..., but {entry.name} was added with {asked[:16]}...; install edgebat again"
        )
    return content
