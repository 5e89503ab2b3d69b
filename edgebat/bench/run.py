"""One model on many targets: the figures of every table, each with how it was obtained.

::

    report = bench(reference_net("lstm"), ["cortex-m4f", "cortex-m0plus"], Options(compilers=("gcc",)))
    report.rows[0].measurement.instructions, report.rows[0].layers
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import edgebat
from edgebat.arrays import Array, Int8
from edgebat.bench.host import EngineTime, time_engines
from edgebat.bench.layers import Layer, split_layers
from edgebat.errors import EdgebatError, TooLarge, ToolError
from edgebat.formats.c.program import lower
from edgebat.formats.c.write import write_c
from edgebat.formats.export import c_name
from edgebat.graph import IntGraph
from edgebat.runtime import Engine
from edgebat.simulate.available import missing_tools
from edgebat.simulate.image import BuildOptions
from edgebat.simulate.measure import Measurement, measure
from edgebat.simulate.targets import Target, load_target
from edgebat.simulate.toolchain import COMMON_FLAGS
from edgebat.verify.inputs import random_inputs

TARGETS = ("cortex-m0plus", "cortex-m4f", "cortex-m33", "rv32imc", "host")
COMPILERS = ("zig", "gcc")
WINDOWS = 16
KINDS = ("uniform", "bell")
"""Windows of different kinds in turn, so that running times that depend on data show; constant ones come last."""
_ENOUGH_WINDOWS = 16  # counted one by one; the others only have to give the right outputs
_CARD = (
    *("model", "label", "target", "core", "model_hash", "flash_bytes", "flash_parts", "ram_bytes", "ram_parts"),
    *(
        "stack_bytes",
        "instructions",
        "instructions_min",
        "cycles",
        "cycles_error_percent",
        "ms",
        "ms_tag",
        "fits",
        "lacks",
    ),
    *("confirmed", "equal", "built_by", "compiler", "flags", "simulator", "input_crc", "output_crc", "skipped"),
)


@dataclass(frozen=True)
class Options:
    """What is built and how it is measured."""

    compilers: Sequence[str] = COMPILERS
    """Of these every one that is installed."""
    optimize: str = "-O2"
    """The compiler's flag for optimization."""
    mode: str = "balanced"
    """What the C code is written to be good at, see edgebat.formats.c.write.MODES."""
    windows: int = WINDOWS
    """Seeded int8 windows of different kinds, where no others are given."""
    confirm: bool = True
    """Count again in QEMU where the target has both simulators and QEMU is installed."""
    times: Sequence[str] = ()
    """Engines (edgebat.bench.host.TIMED) whose wall time of one inference on this computer is wanted as well."""


USUAL = Options()


@dataclass(frozen=True)
class Row:
    """One model, built one way for one target. ``note`` says why there are no figures ("" when there are).

    ``failed`` is true when a tool or the model broke, false when a tool is only missing. ``equal`` says whether every
    output equals the NumPy runtime's.
    """

    target: str
    built_by: str
    optimize: str
    mode: str
    measurement: Measurement | None = None
    layers: tuple[Layer, ...] = ()
    equal: bool = False
    note: str = ""
    failed: bool = False
    core: str = ""
    lacks: str = ""
    """What of the board's memory is too small for the image, in words; "" when it fits, or nobody knows."""

    @property
    def figures(self) -> dict[str, int] | None:
        """``instructions`` (largest over the inputs), ``flash`` and ``ram`` in bytes; None where one was not measured."""
        done = self.measurement
        if done is None or done.instructions is None or done.flash is None or done.ram is None:
            return None
        return {"instructions": done.instructions[1], "flash": done.flash.total, "ram": done.ram.total}


@dataclass(frozen=True)
class Report:
    """Every row of one model. ``macs`` per inference; CRC32 of the input bytes and of NumPy's int16 outputs.

    ``times`` are wall times of this computer, where they were asked for.
    """

    model: str
    sha256: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    macs: int
    parameter_bytes: int
    windows: int
    crc32_inputs: int
    crc32_outputs: int
    rows: list[Row] = field(default_factory=list)
    times: list[EngineTime] = field(default_factory=list)

    def to_rows(self) -> list[dict[str, Any]]:
        """One JSON-able record per row, complete in itself; figures carry how they were obtained."""
        facts = {
            "edgebat": edgebat.__version__,
            "model": self.model,
            "label": self.model.upper(),
            "model_hash": self.sha256,
            "input_shape": list(self.input_shape),
            "output_shape": list(self.output_shape),
            "macs": self.macs,
            "parameter_bytes": self.parameter_bytes,
            "windows": self.windows,
            "input_crc": f"{self.crc32_inputs:08x}",
            "output_crc": f"{self.crc32_outputs:08x}",
        }
        return [facts | record for record in [*map(_record, self.rows), *map(_time_record, self.times)]]

    def card_rows(self) -> list[dict[str, Any]]:
        """The records a run's card holds: of each what its tables show."""
        return [{key: record.get(key) for key in _CARD} for record in self.to_rows()]


def _record(row: Row) -> dict[str, Any]:
    labels = ("target", "core", "built_by", "optimize", "mode", "equal", "failed", "lacks")
    content: dict[str, Any] = {key: getattr(row, key) for key in labels} | {"skipped": row.note}
    done = row.measurement
    if done is None:
        return content
    low, high = done.instructions or (None, None)
    plain = ("compiler", "simulator", "confirmed_by", "windows_counted", "state_bytes", "stack_bytes", "fits")
    confirmed = {"simulator": done.confirmed_by, "instructions": high, "equal": True} if done.confirmed_by else None
    content |= {key: getattr(done, key) for key in plain} | {"confirmed": confirmed}
    for key, part in (("flash", done.flash), ("ram", done.ram)):
        content |= {f"{key}_bytes": part.total if part else None, f"{key}_parts": vars(part) if part else None}
    return content | {
        "flags": " ".join([*COMMON_FLAGS, *done.flags]),
        "output_crc": f"{done.crc32_outputs:08x}",
        "instructions": high,
        "instructions_min": low,
        "instructions_tag": "instructions (simulator)" if high else "",
        "cycles": done.cycles.value if done.cycles else None,
        "cycles_error_percent": done.cycles.error_percent if done.cycles else None,
        "cycles_basis": done.cycles.basis if done.cycles else "",
        "ms": done.milliseconds,
        "ms_tag": f"cycles (model) at {done.clock_hz / 1e6:g} MHz" if done.milliseconds else "",
        "layers": [vars(layer) | {"instructions_per_mac": layer.per_mac} for layer in row.layers],
    }


def _time_record(time: EngineTime) -> dict[str, Any]:
    return {
        "target": "host",
        "core": "native",
        "built_by": time.engine,
        "equal": True,
        "compiler": time.version,
        "ms": time.median and time.median * 1e3,
        "ms_min": time.minimum and time.minimum * 1e3,
        "ms_tag": "ms (host)" if time.median else "",
        "skipped": time.note,
    }


def bench(
    graph: IntGraph,
    targets: Sequence[str | Target] = TARGETS,
    options: Options = USUAL,
    *,
    x: Int8 | None = None,
    exported: Path | None = None,
) -> Report:
    """Measure ``graph`` on every target with every installed compiler.

    x: windows int8 [N, ...]; None makes ``options.windows`` of different kinds. All outputs are compared with the NumPy
    runtime, instructions are counted for 16 of them. exported: a folder of C made by ``export_model``; None writes it.
    A missing tool gives a row with a note, a tool or model that breaks a row marked ``failed``.
    Raises TargetError for an unknown target, ModelFileError when C cannot express ``graph`` or the mode is unknown.
    """
    x = random_inputs(graph, options.windows, kinds=KINDS) if x is None else x
    expected = Engine(graph).run(x).reshape(len(x), -1)
    report = Report(
        model=graph.name,
        sha256=graph.fingerprint,
        input_shape=graph.input_tensor.shape,
        output_shape=graph.output_tensor.shape,
        macs=graph.multiply_accumulates(),
        parameter_bytes=graph.parameter_bytes(),
        windows=len(x),
        crc32_inputs=zlib.crc32(x.tobytes()),
        crc32_outputs=zlib.crc32(expected.astype("<i2").tobytes()),
    )
    boards = [load_target(target) if isinstance(target, str) else target for target in targets]
    with tempfile.TemporaryDirectory(prefix="edgebat-bench-") as folder:
        kernels = None
        if exported is None:
            exported = Path(folder)
            kernels = write_c(graph, exported, c_name(graph.name), mode=options.mode).kernel_sources
        job = _Job(graph, exported, kernels, x, expected, options)
        # Most of the time is spent waiting for compilers and emulators.
        with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
            report.rows.extend(row for rows in pool.map(job.rows, boards) for row in rows)
    if options.times:
        report.times.extend(time_engines(graph, x[0], optimize=options.optimize, engines=options.times))
    return report


@dataclass(frozen=True)
class _Job:
    """One model in C, waiting for targets: windows ``x`` int8 [N, ...], NumPy's outputs ``expected`` [N, O]."""

    graph: IntGraph
    folder: Path
    kernels: Sequence[Path] | None
    x: Int8
    expected: Array
    options: Options

    def rows(self, board: Target) -> list[Row]:
        """One row per compiler; a single one with a note where none can be used."""
        optimize, mode, compilers = self.options.optimize, self.options.mode, self.options.compilers
        missing = {kind: missing_tools(board, kind) for kind in compilers}
        usable = [kind for kind in compilers if not missing[kind]]
        if not usable:
            note = next(iter(missing.values()))
            return [Row(board.name, "/".join(compilers), optimize, mode, note=note, core=board.core)]
        if not board.bare_metal:
            usable = usable[-1:]  # nothing is counted there, so one compiler is enough
        return [self.row(board, kind) for kind in usable]

    def row(self, board: Target, compiler: str) -> Row:
        """What one build measures."""
        name, options = c_name(self.graph.name), self.options
        row = Row(board.name, compiler, options.optimize, options.mode, core=board.core)
        build = BuildOptions(compiler, options.optimize, self.kernels)
        confirm = options.confirm and not missing_tools(board, compiler, "qemu")
        try:
            done = measure(self.folder, name, board, self.x, build, counted=_ENOUGH_WINDOWS, confirm=confirm)
        except TooLarge as error:
            return replace(row, note=str(error))
        except ToolError as error:
            return replace(row, note=str(error), failed=True)
        layers: list[Layer] = []
        if done.calls:
            program = lower(self.graph, options.mode)
            layers = split_layers(self.graph, program, done.calls, sum(done.functions.values()))
        equal = bool(np.array_equal(done.outputs, self.expected))
        return replace(row, measurement=done, layers=tuple(layers), equal=equal, lacks=_lacks(done, board))


def _lacks(done: Measurement, board: Target) -> str:
    """Which memory of ``board`` the image does not fit into: needed and there."""
    sizes = (("flash", done.flash, board.flash_bytes), ("RAM", done.ram, board.ram_bytes))
    return "; ".join(
        f"{what} {need.total:,} bytes needed, {there:,} there"
        for what, need, there in sizes
        if need is not None and there and need.total > there
    )


def require_good(reports: Sequence[Report]) -> None:
    """Raise EdgebatError when a tool broke or outputs differ from the NumPy runtime's, naming every such row."""
    wrong = []
    for report in reports:
        for row in report.rows:
            where = f"{report.model} on {row.target} ({row.built_by} {row.optimize})"
            if row.failed:
                wrong.append(f"{where}: {row.note}")
            elif row.measurement is not None and not row.equal:
                wrong.append(f"{where}: gives other integers than the NumPy runtime")
    if wrong:
        raise EdgebatError("the figures are not complete:\n" + "\n".join(wrong))
