"""A folder to drop into a firmware: model, kernels, estimator, and the files that fit them to one operating system or BMS.

Each folder ``firmware_stubs/ports/<port>/`` with a ``port.yaml`` is a port. Everything that differs between ports
stands in that file; there is no code per port::

    summary: one line for `edgebat export --help` and lists of ports
    folders:                    # inside the exported one; "." is the exported folder itself
      model: src                #   <name>.h, <name>.c, <name>_bms.h, <name>_bms.c
      kernels: src              #   edgebat_*.c that this model calls, and their private headers
      estimator: src            #   the files of firmware_stubs/bms
      headers: include          #   edgebat_nn.h, edgebat_tables.h, edgebat/edgebat.h, edgebat/edgebat_can.h and more
      integration: integration  #   what edgebat.bms.integration writes: .dbc, .a2l, Kconfig, checklist
    amalgamate: false           # true: <name>_edgebat.h and .c in folders.model instead of all the C above
    big_endian: false           # byte order of the cores, for the measurement description
    copy:                       # file of the port's folder: its path in the exported folder
      start.c: src/start.c
    render:                     # the same for Jinja2 templates
      CMakeLists.txt.j2: CMakeLists.txt
      task.c.j2: src/{name}_task.c
    keep: [NOTES.md]            # files of the port's folder that are not for the user; the rest must be named above
    once: [src/board_config.h]  # files a user edits: not written again when they are there

A file whose name begins with ``shared/`` lies in ``firmware_stubs/ports/shared/``, for all ports that name it.

``{name}`` in a path is replaced by the name the user chose. Templates see: ``name``, ``NAME`` (upper case), ``port``,
``version`` (of edgebat), ``nominal_mah``, ``model`` (``BmsModel``: what the estimator knows of the model), ``c``
(``CModel``: scratch_bytes, table_bytes, ...), ``fingerprint`` (SHA-256 of the model), ``sources`` (all exported .c,
relative to the exported folder, sorted) and ``include_dirs`` (folders a compiler must search
for them).
Undefined names are errors. The same model and name give the same bytes.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePosixPath

from edgebat import __version__
from edgebat.bms.adapters import adapter_code, adapter_pages
from edgebat.bms.amalgamate import amalgamate
from edgebat.bms.can import dbc_text
from edgebat.bms.integration import integration_files, with_note
from edgebat.errors import TargetError, require
from edgebat.files import Json, atomic_write
from edgebat.formats.c.bms import bms_sources, with_options, write_bms
from edgebat.formats.c.bms_models import forecast_model, health_model
from edgebat.formats.c.write import CModel, write_c
from edgebat.graph import IntGraph
from edgebat.paths import firmware_dir

MANIFEST = "port.yaml"
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
DEFAULT_NOMINAL_MAH = 3500
SHARED = "shared/"
NOMINAL_MAH = (10, 2_000_000)
"""What ``edgebat_init`` accepts."""


@dataclass(frozen=True)
class Folders:
    """Folders of the exported folder, by what lies in them."""

    model: str = "src"
    kernels: str = "src"
    estimator: str = "src"
    headers: str = "include"
    integration: str = "integration"


@dataclass(frozen=True)
class Manifest:
    """``port.yaml``; see the text above."""

    summary: str
    folders: Folders = Folders()
    amalgamate: bool = False
    big_endian: bool = False
    copy: Mapping[str, str] = field(default_factory=dict)
    render: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    once: tuple[str, ...] = ()


@dataclass(frozen=True)
class Port:
    """One port: its folder and its checked manifest."""

    name: str
    folder: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Where a file of the manifest lies."""
        return (firmware_dir() / "ports" if name.startswith(SHARED) else self.folder) / name


def list_ports() -> list[str]:
    """Names of the shipped ports, sorted."""
    return sorted(path.parent.name for path in (firmware_dir() / "ports").glob(f"*/{MANIFEST}"))


def load_port(name: str | Path) -> Port:
    """The shipped port called ``name``, or the one in the folder ``name``.

    Raises TargetError: unknown name; manifest unreadable, with unknown keys or wrong values; files that are named but
    missing, or there but not named.
    """
    folder = Path(name)
    if len(folder.parts) != 1:
        pass
    elif str(name) in list_ports():
        folder = firmware_dir() / "ports" / name
    else:
        raise TargetError(f"there is no port {str(name)!r}; choose one of {', '.join(list_ports())}, or a folder")
    path = folder / MANIFEST
    try:
        manifest = manifest_of(_document(path))
    except (OSError, UnicodeDecodeError) as error:
        raise TargetError(f"port {folder.name}: {path} cannot be read: {error}") from None
    except ValueError as error:
        raise TargetError(f"port {folder.name}: {path}: {error}") from None
    port = Port(folder.name, folder, manifest)
    named = {MANIFEST, *manifest.copy, *manifest.render, *manifest.keep}
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    # Installing a wheel compiles every Python file in it, so a port that has one gets a __pycache__ that is not its own.
    there = {file.as_posix() for file in files if "__pycache__" not in file.parts}
    there |= {file for file in named if file.startswith(SHARED) and port.file(file).is_file()}
    if named != there:
        raise TargetError(
            f"port {folder.name}: {path}: named but missing: {', '.join(sorted(named - there)) or 'nothing'}; "
            f"there but not named: {', '.join(sorted(there - named)) or 'nothing'}"
        )
    return port


def _document(path: Path) -> object:
    """What a manifest says. One in JSON, which is YAML as well, is read without the package for YAML."""
    text = path.read_text("utf-8")
    try:
        return json.loads(text)
    except ValueError:
        yaml = require("yaml", extra="cli")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"cannot be read: {error}") from None


_KINDS: dict[str, Callable[[object], bool]] = {
    "text": lambda value: isinstance(value, str),
    "true or false": lambda value: isinstance(value, bool),
    "a mapping of texts": lambda value: (
        isinstance(value, dict) and all(isinstance(t, str) for t in (*value, *value.values()))
    ),
    "a list of texts": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
}
_KEYS = {
    "summary": "text", "folders": "a mapping of texts", "amalgamate": "true or false", "big_endian": "true or false",
    "copy": "a mapping of texts", "render": "a mapping of texts", "keep": "a list of texts", "once": "a list of texts",
}  # fmt: skip


def manifest_of(document: object) -> Manifest:
    """The checked manifest out of plain data. Raises ValueError with everything that is wrong."""
    if not isinstance(document, dict):
        raise ValueError(f"file: Input should be a mapping, not {type(document).__name__}")
    problems = [] if "summary" in document else ["summary: Field required"]
    problems += _unknown(document, _KEYS)
    problems += [
        f"{key}: Input should be {_KEYS[key]}, not {value!r}"
        for key, value in document.items()
        if key in _KEYS and not _KINDS[_KEYS[key]](value)
    ]
    if not problems:
        folders, pairs = document.get("folders", {}), {**document.get("copy", {}), **document.get("render", {})}
        problems += _unknown(folders, [one.name for one in fields(Folders)], "folders.")
        problems += [
            f"{value!r} is not a path inside the exported folder"
            for value in (*folders.values(), *pairs, *pairs.values())
            if not _inside(value)
        ]
    if problems:
        raise ValueError("; ".join(problems))
    values: Json = {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
    return Manifest(**(values | {"folders": Folders(**folders)}))


def _unknown(given: Mapping[str, object], known: Iterable[str], section: str = "") -> list[str]:
    allowed = ", ".join(sorted(known))
    return [f"{section}{key}: unknown key; allowed: {allowed}" for key in given if key not in known]


def _inside(value: str) -> bool:
    path = PurePosixPath(value)
    return bool(value) and not path.is_absolute() and ".." not in path.parts and "\\" not in value


def export_port(
    graph: IntGraph,
    port: str | Path,
    out: Path,
    name: str = "soh",
    *,
    nominal_mah: int = DEFAULT_NOMINAL_MAH,
    mode: str = "balanced",
    forecast: IntGraph | None = None,
    adapters: Sequence[str] = (),
) -> list[Path]:
    """Write ``graph`` as a folder for one port and return its files, sorted.

    name: prefix of the files and C names of the model. mode: see ``edgebat.formats.c.write.MODES``. nominal_mah: capacity of
    the cell, 10 to 2,000,000. forecast: a model for the forecaster, which then comes as ``<name>_trend`` beside ``graph``.
    adapters: names of ``list_adapters``, whose C lies beside the estimator's. Nothing is written before everything is known.
    Raises TargetError for an unknown or broken port, an unknown adapter and for a forecast in a port of one file,
    ModelFileError for a model that cannot serve a BMS.
    """
    found = load_port(port)
    least, most = NOMINAL_MAH
    if not least <= nominal_mah <= most:
        raise TargetError(f"a nominal capacity of {nominal_mah} mAh is not possible; allowed: {least} to {most}")
    files = port_files(graph, found, name, nominal_mah=nominal_mah, mode=mode, forecast=forecast, adapters=adapters)
    kept = {path.replace("{name}", name) for path in found.manifest.once}
    for path, content in files.items():
        if path not in kept or not (out / path).exists():
            atomic_write(out / path, content)
    return sorted(out / path for path in files)


def port_files(
    graph: IntGraph,
    port: Port,
    name: str,
    *,
    nominal_mah: int = DEFAULT_NOMINAL_MAH,
    mode: str = "balanced",
    forecast: IntGraph | None = None,
    adapters: Sequence[str] = (),
) -> dict[str, bytes]:
    """All files of an exported folder by their path in it, posix, sorted; see ``export_port``."""
    numbers = health_model(graph)
    folders = port.manifest.folders
    trend = None if forecast is None else forecast_model(forecast)
    if trend is not None and port.manifest.amalgamate:
        raise TargetError(
            f"port {port.name}: its C is one file, which holds one model; take another port for a forecast"
        )
    model, parts = _c_files(graph, name, folders, mode, numbers.options)
    if forecast is not None:
        parts |= _c_files(forecast, f"{name}_trend", folders, mode, numbers.options)[1]
    for path, code in adapter_code(adapters).items():
        parts[f"{folders.headers if path.endswith('.h') else folders.estimator}/{path}"] = code
    if port.manifest.amalgamate:
        header, source = amalgamate(parts, name)
        files = {f"{folders.model}/{name}_edgebat.h": header, f"{folders.model}/{name}_edgebat.c": source}
        include_dirs = [folders.model]
    else:
        files = parts
        include_dirs = sorted({folders.headers, folders.model, folders.kernels, folders.estimator})
    files = {_tidy(path): content for path, content in files.items()}
    context = {
        "name": name,
        "NAME": name.upper(),
        "port": port.name,
        "version": __version__,
        "nominal_mah": nominal_mah,
        "model": numbers,
        "c": model,
        "fingerprint": graph.fingerprint,
        "sources": sorted(path for path in files if path.endswith(".c")),
        "include_dirs": include_dirs,
    }
    for path, text in integration_files(graph, name, nominal_mah, big_endian=port.manifest.big_endian).items():
        files[_tidy(f"{folders.integration}/{path}")] = text.encode()
    for path, page in adapter_pages(adapters).items():
        files[_tidy(f"{folders.integration}/{path}")] = page
    if trend is not None:
        files[_tidy(f"{folders.integration}/{name}.dbc")] = dbc_text(numbers, forecast=trend).encode()
    for source_name, target in port.manifest.copy.items():
        files[_tidy(target.replace("{name}", name))] = port.file(source_name).read_bytes()
    for template, target in port.manifest.render.items():
        files[_tidy(target.replace("{name}", name))] = _render(port, template, context).encode()
    for path, content in files.items():
        if path.endswith("README.md"):
            files[path] = with_note(content.decode(), numbers.note).encode()
    return dict(sorted(files.items()))


def _tidy(path: str) -> str:
    return PurePosixPath(path).as_posix()


def _c_files(
    graph: IntGraph, name: str, folders: Folders, mode: str, options: Mapping[str, str]
) -> tuple[CModel, dict[str, bytes]]:
    """Model, kernels, estimator or forecaster, and headers with these options by their paths."""
    with tempfile.TemporaryDirectory() as folder:
        model = write_c(graph, folder, name, mode=mode)
        written = [*model.files, *write_bms(graph, model, folder)]
        files = {f"{folders.model}/{path.name}": path.read_bytes() for path in written}
    root = firmware_dir()
    for path in model.kernel_sources:
        files[f"{folders.kernels}/{path.name}"] = path.read_bytes()
    for path in bms_sources(graph):
        files[f"{folders.estimator}/{path.name}"] = path.read_bytes()
    headers = {path.name: (f"{folders.kernels}/{path.name}", path) for path in (root / "src").glob("*.h")}
    for path in (root / "include").rglob("*.h"):
        name_there = path.relative_to(root / "include").as_posix()
        headers[name_there] = (f"{folders.headers}/{name_there}", path)
    # Only headers that are included, by whatever is included.
    waiting = list(files.values())
    while waiting:
        for included in _INCLUDE.findall(waiting.pop().decode()):
            if included in headers:
                target, path = headers.pop(included)
                files[target] = with_options(path, options)
                waiting.append(files[target])
    return replace(model, files=[]), files


_MARK = re.compile(r"\{\{ (\w+) \}\}")


def _render(port: Port, template: str, context: Mapping[str, object]) -> str:
    text = port.file(template).read_text("utf-8")
    plain = _MARK.sub(lambda mark: str(context.get(mark[1], mark[0])), text)
    if not re.search(r"\{[{%#]", plain):
        return plain  # it holds names alone, for which Jinja2, which would give the same, is not needed
    jinja2 = require("jinja2", extra="report")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([port.folder, firmware_dir() / "ports"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    try:
        return str(environment.get_template(template).render(context))
    except jinja2.TemplateError as error:
        raise TargetError(f"port {port.name}: {template} cannot be rendered: {error}") from None
