"""One model on many targets: the figures of every table, each with how it was obtained.

::

    report = bench(reference_net("lstm"), ["cortex-m4f", "cortex-m0plus"], compilers=("gcc",))
    report.rows[0].measurement.instructions, report.rows[0].layers
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import edgebat
from edgebat.bench.host import EngineTime, time_engines
from edgebat.bench.layers import Layer, split_layers
from edgebat.bench.nets import varied_inputs
from edgebat.errors import EdgebatError, ToolError
from edgebat.formats.c.program import lower
from edgebat.formats.c.write import CModel, write_c
from edgebat.formats.export import c_name
from edgebat.graph import IntGraph
from edgebat.runtime import Engine
from edgebat.simulate.available import missing_tools
from edgebat.simulate.measure import Measurement, measure
from edgebat.simulate.targets import Target, load_target
from edgebat.simulate.toolchain import COMMON_FLAGS

TARGETS = ("cortex-m0plus", "cortex-m4f", "cortex-m33", "rv32imc", "host")
COMPILERS = ("zig", "gcc")
WINDOWS = 16
_ENOUGH_WINDOWS = 16  # counted one by one; the others only have to give the right outputs


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


def _record(row: Row) -> dict[str, Any]:
    content: dict[str, Any] = {
        key: getattr(row, key) for key in ("target", "built_by", "optimize", "mode", "equal", "failed")
    }
    content["skipped"] = row.note
    done = row.measurement
    if done is None:
        return content
    low, high = done.instructions or (None, None)
    return content | {
        "compiler": done.compiler,
        "flags": " ".join([*COMMON_FLAGS, *done.flags]),
        "simulator": done.simulator,
        "confirmed_by": done.confirmed_by,
        "output_crc": f"{done.crc32_outputs:08x}",
        "instructions": high,
        "instructions_min": low,
        "instructions_tag": "instructions (simulator)" if high else "",
        "windows_counted": done.windows_counted,
        "cycles": done.cycles.value if done.cycles else None,
        "cycles_error_percent": done.cycles.error_percent if done.cycles else None,
        "cycles_basis": done.cycles.basis if done.cycles else "",
        "ms": done.milliseconds,
        "ms_tag": f"cycles (model) at {done.clock_hz / 1e6:g} MHz" if done.milliseconds else "",
        "flash_bytes": done.flash.total if done.flash else None,
        "flash_parts": vars(done.flash) if done.flash else None,
        "ram_bytes": done.ram.total if done.ram else None,
        "ram_parts": vars(done.ram) if done.ram else None,
        "state_bytes": done.state_bytes,
        "stack_bytes": done.stack_bytes,
        "fits": done.fits,
        "layers": [vars(layer) | {"instructions_per_mac": layer.per_mac} for layer in row.layers],
    }


def _time_record(time: EngineTime) -> dict[str, Any]:
    return {
        "target": "host",
        "built_by": time.engine,
        "compiler": time.version,
        "ms": time.median and time.median * 1e3,
        "ms_min": time.minimum and time.minimum * 1e3,
        "ms_tag": "ms (host)" if time.median else "",
        "skipped": time.note,
    }


def bench(
    graph: IntGraph,
    targets: Sequence[str | Target] = TARGETS,
    *,
    compilers: Sequence[str] = COMPILERS,
    optimize: str = "-O2",
    mode: str = "balanced",
    windows: int = WINDOWS,
    confirm: bool = True,
    times: bool = False,
) -> Report:
    """Measure ``graph`` on every target with every installed compiler of ``compilers``.

    windows: seeded int8 windows of different kinds; all outputs are compared with the NumPy runtime, instructions are
    counted for 16 of them. confirm: count again in QEMU where the target has both simulators and QEMU is installed.
    times: wall times of one inference on this computer as well.
    A missing tool gives a row with a note, a tool or model that breaks a row marked ``failed``.
    Raises TargetError for an unknown target, ModelFileError when C cannot express ``graph`` or ``mode`` is unknown.
    """
    x = varied_inputs(graph, windows)
    expected = Engine(graph).run(x).reshape(windows, -1)
    report = Report(
        model=graph.name,
        sha256=graph.fingerprint,
        input_shape=graph.input_tensor.shape,
        output_shape=graph.output_tensor.shape,
        macs=graph.multiply_accumulates(),
        parameter_bytes=graph.parameter_bytes(),
        windows=windows,
        crc32_inputs=zlib.crc32(x.tobytes()),
        crc32_outputs=zlib.crc32(expected.astype("<i2").tobytes()),
    )
    with tempfile.TemporaryDirectory(prefix="edgebat-bench-") as folder:
        model = write_c(graph, Path(folder) / "c", c_name(graph.name), mode=mode)
        for target in targets:
            board = load_target(target) if isinstance(target, str) else target
            report.rows.extend(_target_rows(graph, model, board, x, expected, compilers, optimize, confirm))
    if times:
        report.times.extend(time_engines(graph, x[0], optimize=optimize))
    return report


def _target_rows(
    graph: IntGraph,
    model: CModel,
    board: Target,
    x: np.ndarray[Any, np.dtype[np.int8]],
    expected: np.ndarray[Any, Any],
    compilers: Sequence[str],
    optimize: str,
    confirm: bool,
) -> list[Row]:
    missing = {kind: missing_tools(board, kind) for kind in compilers}
    usable = [kind for kind in compilers if not missing[kind]]
    if not usable:
        return [Row(board.name, "/".join(compilers), optimize, model.mode, note=next(iter(missing.values())))]
    if not board.bare_metal:
        usable = usable[-1:]  # nothing is counted there, so one compiler is enough
    program = lower(graph, model.mode)
    rows = []
    for kind in usable:
        try:
            done = measure(
                model.files[0].parent,
                model.name,
                board,
                x,
                compiler=kind,
                optimize=optimize,
                kernels=model.kernel_sources,
                counted=_ENOUGH_WINDOWS,
                confirm=confirm and not missing_tools(board, kind, "qemu"),
            )
        except ToolError as error:
            rows.append(Row(board.name, kind, optimize, model.mode, note=str(error), failed=True))
            continue
        layers = split_layers(graph, program, done.calls, sum(done.functions.values())) if done.calls else []
        equal = bool(np.array_equal(done.outputs, expected))
        rows.append(Row(board.name, kind, optimize, model.mode, done, tuple(layers), equal))
    return rows


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
