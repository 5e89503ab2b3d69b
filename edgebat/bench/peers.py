"""The three reference networks beside their goals and beside other tools, from one command: ``edgebat bench peers``.

Our figures are measured when the command runs. The peers' were measured once, outside this repository, because their
sources have to be built: same networks (random weights), same simulator (Unicorn 2.1.4, executed instructions, equal to
QEMU's count), arm-none-eabi-gcc 12.2.1, Cortex-M4 with DSP and Cortex-M0+. Their flash is .text + .rodata + .data with
about 0.6 kB of harness, their RAM .data + .bss + arena or heap + stack. 1 kB is 1,000 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgebat.bench.nets import NETS, lstm_alone, reference_net
from edgebat.bench.run import Options, Report, Row, bench
from edgebat.bench.tables import Table, count
from edgebat.errors import ToolError
from edgebat.formats.c.write import MODES

USUAL = Options(("gcc",), windows=1000)
"""The compiler of the peers, and many windows to compare."""
LSTM_WINDOWS = 16


@dataclass(frozen=True)
class Goal:
    """What the C code shall not exceed: ``limit`` for ``what`` ("instructions", "flash", "ram") on ``target``."""

    what: str
    target: str
    limits: tuple[int, int, int]


GOALS = (
    Goal("instructions", "cortex-m4f", (3_300, 50_000, 190_000)),
    Goal("instructions", "cortex-m0plus", (6_000, 150_000, 430_000)),
    Goal("flash", "cortex-m4f", (3_000, 15_000, 6_000)),
    Goal("ram", "cortex-m4f", (150, 1_000, 400)),
)
LSTM_GOALS = {(8, 32): 3.6, (8, 16): 5.0}
"""Instructions per MAC of one LSTM layer alone on the Cortex-M4, by (inputs, hidden units)."""

REASONS = {
    ("instructions", "cortex-m0plus", "mlp"): (
        "with int8 weights the inner loop takes 3.5 instructions per MAC on this core (load, multiplication, addition, a "
        "quarter of a load, the loop), and 6,000 are 3.3 for everything"
    ),
}
"""Why a goal is missed, where it is known; a goal that is met needs none."""


@dataclass(frozen=True)
class Peer:
    """Figures of another tool: per network (instructions, flash in kB, RAM in kB), None where it cannot do the network."""

    name: str
    target: str
    figures: tuple[tuple[int, float | None, float | None] | None, ...]


PEERS = (
    Peer("TFLite Micro, reference kernels", "cortex-m4f", (
        (15_162, 24.6, 2.0), (355_969, 47.6, 3.5), (912_260, 48.3, 4.1))),
    Peer("TFLite Micro + CMSIS-NN (int8-only registrations)", "cortex-m4f", (
        (7_588, 32.3, 2.3), (114_206, 56.6, 3.8), (420_392, 54.4, 5.0))),
    Peer("CMSIS-NN called directly, -O3", "cortex-m4f", ((6_682, 8.0, 1.6), (113_158, 28.3, 4.1), None)),
    Peer("NNoM (power-of-two scales)", "cortex-m4f", ((7_187, 7.9, 1.7), (231_962, 22.9, 3.2), (447_742, 11.4, 2.3))),
    Peer("onnx2c, float, -O3", "cortex-m4f", ((9_805, 9.4, 0.45), (138_213, 57.1, 4.9), (295_868, 14.4, 5.5))),
    Peer("onnx2c, int8 per tensor, -O3", "cortex-m4f", ((12_462, 3.9, 0.15), (238_054, 16.1, 1.0), None)),
    Peer("emlearn, float", "cortex-m4f", ((12_142, 11.8, 0.7), None, None)),
    Peer("TFLite Micro, reference kernels", "cortex-m0plus", (
        (23_400, None, None), (591_000, None, None), (1_800_000, None, None))),
    Peer("TFLite Micro + CMSIS-NN", "cortex-m0plus", (
        (17_400, None, None), (301_000, None, None), (1_010_000, None, None))),
    Peer("NNoM", "cortex-m0plus", ((12_000, None, None), (410_000, None, None), (905_000, None, None))),
)  # fmt: skip
_PEERS_NOTE = (
    "edgebat: measured now. The others: measured once, outside this repository, same network and simulator, "
    "arm-none-eabi-gcc 12.2.1; their flash holds about 0.6 kB of harness. Networks have random weights."
)
CMSIS_LSTM = {(8, 32): 5.5, (8, 16): 8.4}
"""CMSIS-NN's LSTM alone, commit 99f736a, -O2 -DARM_MATH_DSP."""


@dataclass(frozen=True)
class Comparison:
    """Our reports of the three networks and instructions per MAC of the LSTM alone.

    ``other_modes`` holds, for a goal (what, target, net) that is missed, the row of a mode that reaches it.
    """

    reports: dict[str, Report]
    lstm: dict[tuple[int, int], float]
    other_modes: dict[tuple[str, str, str], Row]

    def row(self, net: str, target: str) -> Row:
        """The only row of ``net`` on ``target``."""
        return next(row for row in self.reports[net].rows if row.target == target)

    def figure(self, goal: Goal, net: str) -> int:
        """Our figure for a goal: instructions (largest over the inputs), or bytes."""
        return _figure(self.row(net, goal.target), goal.what)


def _figure(row: Row, what: str) -> int:
    assert row.figures is not None
    return row.figures[what]


def compare_with_peers(options: Options = USUAL) -> Comparison:
    """Measure the three networks on Cortex-M4 and Cortex-M0+ and the LSTM alone on Cortex-M4, by one compiler.

    Raises ToolError when compiler or simulator are missing or break.
    """
    targets = ("cortex-m4f", "cortex-m0plus")
    reports = {net: bench(reference_net(net), targets, options) for net in NETS}
    lstm = {}
    for size in LSTM_GOALS:
        report = bench(lstm_alone(*size), targets[:1], replace(options, windows=LSTM_WINDOWS, confirm=False))
        _require_figures(report)
        layer = next(layer for layer in report.rows[0].layers if "lstm" in layer.name)
        lstm[size] = layer.instructions / layer.macs
    for report in reports.values():
        _require_figures(report)
    comparison = Comparison(reports, lstm, {})
    for goal in GOALS:
        for net, limit in zip(NETS, goal.limits, strict=True):
            for other in (name for name in MODES if name != options.mode and comparison.figure(goal, net) > limit):
                report = bench(reference_net(net), (goal.target,), replace(options, mode=other))
                _require_figures(report)
                if _figure(report.rows[0], goal.what) <= limit:
                    comparison.other_modes[goal.what, goal.target, net] = report.rows[0]
                    break
    return comparison


def _require_figures(report: Report) -> None:
    for row in report.rows:
        if row.measurement is None:
            raise ToolError(f"{report.model} on {row.target}: no figures: {row.note}")


def goal_table(comparison: Comparison) -> Table:
    """Every goal, our figure and, where it is missed, the reason."""
    rows = []
    for goal in GOALS:
        for net, limit in zip(NETS, goal.limits, strict=True):
            ours = comparison.figure(goal, net)
            unit = "instructions" if goal.what == "instructions" else f"bytes of {goal.what.replace('ram', 'RAM')}"
            key = (goal.what, goal.target, net)
            known = REASONS.get(key) or _made_of(comparison.row(net, goal.target), goal.what)
            if other := comparison.other_modes.get(key):
                known += f"; reached with --mode {other.mode}: {count(_figure(other, goal.what))} "
                known += f"({count(_figure(other, 'flash'))} bytes of flash)"
            rows.append(_goal_row(f"{net}, {unit}", goal.target, ours, limit, known))
    for (inputs, hidden), limit_per_mac in LSTM_GOALS.items():
        name = f"LSTM alone ({inputs}, {hidden}), per MAC"
        ours_per_mac = comparison.lstm[inputs, hidden]
        rows.append(_goal_row(name, "cortex-m4f", ours_per_mac, limit_per_mac, "reason not known", 2))
    return Table(
        "Goals",
        ("figure", "target", "edgebat", "goal", "edgebat\n/ goal", "why it is missed"),
        tuple(rows),
        remark=True,
        note="1 kB is 1,000 bytes. Flash: model, kernels and API. RAM: state, scratch, one input, one output and stack.",
    )


def _goal_row(name: str, target: str, ours: float, limit: float, known: str, digits: int = 0) -> tuple[str, ...]:
    """A goal, and by how much and why it is missed where it is."""
    reason = f"{count(ours - limit, digits)} over: {known}" if ours > limit else ""
    return name, target, count(ours, digits), count(limit, digits), count(ours / limit, 2), reason


def _made_of(row: Row, what: str) -> str:
    """What a figure consists of, the largest part first: the honest answer where no other reason is known."""
    done = row.measurement
    assert done is not None
    parts: dict[str, int] = {layer.name: layer.instructions for layer in row.layers}
    if what == "ram":
        parts = vars(done.ram)
    elif what == "flash":
        parts = {key.replace("_", " "): size for key, size in vars(done.flash).items() if key != "harness"}
    ranked = sorted(parts.items(), key=lambda part: -part[1])
    return "made of " + ", ".join(f"{name} {count(size)}" for name, size in ranked if size)


def peer_tables(comparison: Comparison) -> list[Table]:
    """One table per network and core: edgebat first, then the peers, each as a multiple of edgebat."""
    return [
        _peer_table(comparison, net, index, target)
        for target in ("cortex-m4f", "cortex-m0plus")
        for index, net in enumerate(NETS)
    ] + [_lstm_table(comparison)]


def _peer_table(comparison: Comparison, net: str, index: int, target: str) -> Table:
    row = comparison.row(net, target)
    ours = _figure(row, "instructions")
    rows = [
        ("edgebat", count(ours), "1.0", count(_figure(row, "flash") / 1000, 1), count(_figure(row, "ram") / 1000, 2))
    ]
    for peer in PEERS:
        figures = peer.figures[index]
        if peer.target == target and figures:
            instructions, flash, ram = figures
            rows.append((peer.name, count(instructions), count(instructions / ours, 1), count(flash, 1), count(ram, 2)))
    return Table(
        f"{net.upper()} on {target}",
        ("tool", "instructions", "× edgebat", "flash kB", "RAM kB"),
        tuple(rows),
        texts=1,
        note=_PEERS_NOTE,
    )


def _lstm_table(comparison: Comparison) -> Table:
    rows = [
        (f"{size[0]} inputs, {size[1]} hidden units", count(comparison.lstm[size], 2), count(theirs, 2))
        for size, theirs in CMSIS_LSTM.items()
    ]
    return Table(
        "One LSTM layer alone on cortex-m4f, instructions per MAC",
        ("layer", "edgebat", "CMSIS-NN"),
        tuple(rows),
        texts=1,
    )


def all_tables(comparison: Comparison) -> Sequence[Table]:
    """Goals, then peers."""
    return [goal_table(comparison), *peer_tables(comparison)]
