"""A bench report as tables: what was measured and how, before any number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import edgebat
from edgebat.bench.run import Report, Row
from edgebat.simulate.measure import Measurement
from edgebat.simulate.toolchain import COMMON_FLAGS

SOURCE = (
    "Instructions, stack and RAM come from a simulator, flash from the linked image; no microcontroller "
    "was measured. Cycles are a model of the core with the stated error."
)


@dataclass(frozen=True)
class Table:
    """Title, column heads and cells as text; the first ``texts`` columns hold words, the others numbers.

    ``remark``: the last column holds words as well.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 2
    note: str = ""
    remark: bool = False

    def is_number(self, index: int) -> bool:
        """True for a column of numbers, which is set flush right."""
        return index >= self.texts and not (self.remark and index == len(self.columns) - 1)


def count(value: float | None, digits: int = 0) -> str:
    """A number with thousands separated, a dash for none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def span(instructions: tuple[int, int]) -> str:
    """The smallest and the largest count of several windows, or the one that all have."""
    return " to ".join(map(count, sorted(set(instructions))))


def how(done: Measurement) -> str:
    """Compiler, flags and simulators behind a measurement."""
    simulators = ", ".join(filter(None, (done.simulator, done.confirmed_by and f"confirmed by {done.confirmed_by}")))
    return f"{done.compiler} {' '.join(done.flags)}" + (f"; {simulators}" if simulators else "")


def heading(report: Report) -> list[tuple[str, str]]:
    """What stands before the first number: versions, model, checksums, compilers and their flags."""
    shapes = [" × ".join(map(str, shape)) for shape in (report.input_shape, report.output_shape)]
    lines = [
        ("edgebat", edgebat.__version__),
        ("source", SOURCE),
        ("model", f"{report.model}, sha256 {report.sha256}"),
        ("shape", f"int8 {shapes[0]} to int16 {shapes[1]}"),
        ("work", f"{count(report.macs)} MAC (multiply-accumulates), {count(report.parameter_bytes)} bytes of weights"),
        ("inputs", f"{report.windows} windows, seeded, CRC32 {report.crc32_inputs:08x}"),
        ("outputs", f"CRC32 {report.crc32_outputs:08x} (NumPy runtime); {_equality(report)}"),
        ("flags of all", " ".join(COMMON_FLAGS)),
    ]
    for row, done in _measured(report):
        lines.append((f"{row.target}, {row.built_by}", how(done)))
    return lines


def tables(report: Report) -> list[Table]:
    """All tables of a report."""
    return [
        table
        for table in (_summary(report), _flash(report), _ram(report), _layers(report), _times(report))
        if table.rows
    ]


def notes(report: Report) -> list[str]:
    """Rows without figures and why, one line each."""
    lines = [f"{row.target}, {row.built_by}: {row.note}" for row in report.rows if row.note]
    lines += [f"host, {time.engine}: {time.note}" for time in report.times if time.note]
    return list(dict.fromkeys(lines))


def _measured(report: Report) -> Iterable[tuple[Row, Measurement]]:
    return ((row, row.measurement) for row in report.rows if row.measurement is not None)


def _equality(report: Report) -> str:
    different = [f"{row.target} ({row.built_by})" for row, _ in _measured(report) if not row.equal]
    if different:
        return "DIFFERENT on " + ", ".join(different)
    return "the same on every target below"


def _summary(report: Report) -> Table:
    rows = []
    for row, done in _measured(report):
        if done.instructions is None:
            continue
        cycles = f"{count(done.cycles.value)} ±{done.cycles.error_percent}%" if done.cycles else "–"
        rows.append(
            (
                row.target,
                row.built_by,
                span(done.instructions),
                count(done.instructions[1] / report.macs, 2) if report.macs else "–",
                cycles,
                count(done.milliseconds, 3),
                count(done.flash.total if done.flash else None),
                count(done.ram.total if done.ram else None),
                "=" if done.confirmed_by else "–",
            )
        )
    columns = (
        "target", "by", "instructions\n(simulator)", "per\nMAC", "cycles\n(model)", "ms\n(model)", "flash", "RAM", "QEMU",
    )  # fmt: skip
    return Table(
        "One inference",
        columns,
        tuple(rows),
        note="Executed instructions (simulator) over the counted windows; two numbers are the smallest and the largest: "
        "there the running time depends on the data. Cycles and ms (model): for memory without wait states, at the target's "
        "clock, first window; a dash where no model is validated. Bytes. QEMU: = where counts and outputs are "
        "equal in both simulators.",
    )


def _flash(report: Report) -> Table:
    rows = []
    for row, done in _measured(report):
        if done.flash:
            f = done.flash
            parts = (f.model_tables, f.kernel_tables, f.model_code, f.kernel_code, f.library, f.initial_data, f.total)
            rows.append((row.target, row.built_by, *map(count, parts), count(f.harness)))
    columns = (
        "target", "by", "model\ntables", "kernel\ntables", "API", "kernels", "library", ".data", "total", "harness",
    )  # fmt: skip
    return Table(
        "Flash by section, bytes",
        columns,
        tuple(rows),
        note="API: the model's own functions. Library: what the compiler links in. The harness is not in the total.",
    )


def _ram(report: Report) -> Table:
    rows = []
    for row, done in _measured(report):
        if done.ram and done.flash:
            r, state = done.ram, done.state_bytes or 0
            constants = done.flash.model_tables + done.flash.kernel_tables
            parts = (state, r.scratch - state, r.variables, r.input, r.output, r.stack, r.total)
            rows.append((row.target, row.built_by, count(constants), *map(count, parts)))
    columns = ("target", "by", "constants", "state", "scratch", "static", "input", "output", "stack", "total")
    return Table(
        "RAM by kind, bytes",
        columns,
        tuple(rows),
        note="Constants stay in flash and are not in the total. State: what recurrent layers keep between time steps. "
        "Static: variables of the code. Stack: high-water mark of the call; interrupts come on top.",
    )


def _layers(report: Report) -> Table:
    rows = []
    for row, done in _measured(report):
        total = sum(done.functions.values())
        rows += [
            (
                row.target,
                row.built_by,
                layer.name,
                ", ".join(kernel.removeprefix("edgebat_") for kernel in layer.kernels),
                count(layer.macs or None),
                count(layer.instructions),
                count(100 * layer.instructions / total, 1),
                count(layer.per_mac, 2),
            )
            for layer in row.layers
        ]
    columns = ("target", "by", "layer", "kernels", "MAC", "instructions", "%", "per\nMAC")
    return Table(
        "By layer",
        columns,
        tuple(rows),
        texts=4,
        note='First window. "memory": copies and padding between layers; "calls": the model\'s own function.',
    )


def _times(report: Report) -> Table:
    rows = []
    for time in report.times:
        if time.median is not None and time.minimum is not None:
            rows.append((time.engine, time.version, count(time.median * 1e6, 1), count(time.minimum * 1e6, 1)))
    return Table(
        "Wall time on this computer, one inference",
        ("engine", "version", "median µs", "minimum µs"),
        tuple(rows),
        note="Measured here, one thread, one window at a time; not a figure of any microcontroller.",
    )


def unfit(reports: Sequence[Report]) -> list[str]:
    """Models that a board has not enough memory for, one line each."""
    return [
        f"{report.model} does not fit {row.target} ({row.built_by}): {row.lacks}"
        for report in reports
        for row in report.rows
        if row.lacks
    ]


def flat(reports: Sequence[Report]) -> list[str]:
    """Notes of several reports, each once."""
    return list(dict.fromkeys(line for report in reports for line in notes(report)))
