"""Write an integer graph as C99: tables, sizes and one short sequence of calls into ``firmware_stubs/src``.

>>> write_c(load_graph("model.ebat"), "out", "soh")          # doctest: +SKIP
CModel(name='soh', files=[out/soh.h, out/soh.c], scratch_bytes=64, ...)

The output of the generated function equals ``edgebat.runtime.Engine(graph).run`` bit for bit; a model whose numbers
the kernels could not reproduce is refused here, never approximated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.files import atomic_write
from edgebat.formats.c.border import read_border
from edgebat.formats.c.exact import PREFIX
from edgebat.formats.c.lowering import HEADERS, Program
from edgebat.formats.c.program import lower
from edgebat.formats.c.text import header_text, source_text
from edgebat.graph.check import check_graph
from edgebat.graph.model import IntGraph
from edgebat.paths import firmware_dir

# flash: one kernel for all layers, rows in pairs; ram: no padded copy of the input; fast: two bytes a weight on
# Cortex-M0+. All give the same numbers.
MODES = ("balanced", "flash", "ram", "fast")

# Files of firmware_stubs/src behind a function that needs another one than that of its name, or more.
_FILES = {
    "edgebat_clamp16": ("edgebat_clamp",),
    "edgebat_conv1d": ("edgebat_conv1d", "edgebat_dense", "edgebat_maximum"),
    "edgebat_compact_conv1d": ("edgebat_compact_conv1d", "edgebat_compact", "edgebat_maximum"),
    "edgebat_fast_dense": ("edgebat_fast_dense", "edgebat_dense"),
    "edgebat_gather": ("edgebat_gather", "edgebat_dense", "edgebat_maximum", "edgebat_copy", "edgebat_fill"),
    "edgebat_max_pool": ("edgebat_max_pool", "edgebat_copy", "edgebat_maximum"),
    "edgebat_reverse": ("edgebat_reverse", "edgebat_copy"),
    "edgebat_lstm_step": ("edgebat_lstm", "edgebat_sigmoid"),
    "edgebat_lstm_any_step": ("edgebat_exact_lstm", "edgebat_sigmoid"),
    "edgebat_exact_lstm_step": ("edgebat_exact_lstm", "edgebat_sigmoid"),
    "edgebat_gru_step": ("edgebat_gru", "edgebat_sigmoid"),
    "edgebat_gru_before_step": ("edgebat_gru", "edgebat_sigmoid"),
}


@dataclass(frozen=True)
class CModel:
    """A model written as C.

    ``files``: header and source; ``kernel_sources``: the library files to compile beside it; ``include_dir``: where
    ``edgebat_nn.h`` lies. ``input_len`` and ``output_len`` count values, the others bytes: caller's scratch, state
    between steps (0 for models without), constants in flash (weights, biases, rounding).
    """

    name: str
    files: list[Path]
    kernel_sources: list[Path]
    include_dir: Path
    input_len: int
    output_len: int
    output_dtype: str
    scratch_bytes: int
    state_bytes: int
    table_bytes: int
    multiply_accumulates: int
    mode: str


def write_c(graph: IntGraph, out_dir: str | Path, name: str, *, mode: str = "balanced") -> CModel:
    """Write ``<name>.h`` and ``<name>.c`` into ``out_dir``; the same graph gives the same bytes.

    name: a C identifier, prefix of everything the files define. The banner carries a date only when the environment
    variable SOURCE_DATE_EPOCH is set. Raises ModelFileError when ``graph`` uses something C has no exact kernel for,
    GraphError when it is malformed.
    """
    check_graph(graph)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,40}", name):
        raise ModelFileError(f"model name {name!r} is not a C identifier of at most 41 characters; choose another name")
    if mode not in MODES:
        raise ModelFileError(f"mode {mode!r} is unknown; allowed: {', '.join(MODES)}")
    program, border = lower(graph, mode), read_border(graph)
    out_dir = Path(out_dir)
    files = [out_dir / f"{name}.h", out_dir / f"{name}.c"]
    texts = header_text(graph, program, border, name, mode), source_text(graph, program, border, name, mode)
    for path, text in zip(files, texts, strict=True):
        atomic_write(path, text)
    folders = {name: HEADERS[name] for name in program.headers} | dict.fromkeys(program.private_headers, "exact")
    for header, folder in folders.items():
        files.append(out_dir / f"{header}.h")
        atomic_write(files[-1], (firmware_dir() / folder / files[-1].name).read_bytes())
    return CModel(
        name=name,
        files=files,
        kernel_sources=kernel_sources(program, border is not None),
        include_dir=firmware_dir() / "include",
        input_len=int(np.prod(graph.input_tensor.shape)),
        output_len=int(np.prod(graph.output_tensor.shape)),
        output_dtype=graph.output_tensor.dtype,
        scratch_bytes=program.scratch_bytes,
        state_bytes=program.state_bytes,
        table_bytes=program.table_bytes,
        multiply_accumulates=graph.multiply_accumulates(),
        mode=mode,
    )


def kernel_sources(program: Program, border: bool) -> list[Path]:
    """The library files that ``program`` needs, sorted; ``border``: it converts engineering units as well."""
    files = {"edgebat_crc32", "edgebat_crc32_tables"}
    files |= {"edgebat_border"} if border else set()
    files |= {"edgebat_fill"} if program.stateful else set()
    for call in program.calls:
        files.update(_FILES.get(call.function, (call.function,)))
    return [firmware_dir() / ("exact" if name.startswith(PREFIX) else "src") / f"{name}.c" for name in sorted(files)]
