"""What the estimator costs with one model: instructions and stack of every call, flash and RAM, on a simulated core."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.bms.resistance import ResistanceConfig
from edgebat.bms.samples import Samples, samples_array
from edgebat.bms.virtual import BoardFirmware
from edgebat.formats.c.bms import kind_sources
from edgebat.formats.c.bms_models import BmsModel
from edgebat.graph import IntGraph
from edgebat.ground import Starts
from edgebat.simulate.elf import Image
from edgebat.simulate.targets import load_target
from edgebat.simulate.toolchain import find_compiler
from edgebat.simulate.unicorn_run import count_instructions
from edgebat.tasks.health.any_counter import ANY_LEAD_PART
from edgebat.tasks.health.charge_types import Config

FUNCTIONS = (
    "edgebat_push",
    "edgebat_step",
    "edgebat_result",
    "edgebat_can_pack",
    "edgebat_state_get",
    "edgebat_state_newest",
    "edgebat_init",
    "edgebat_selftest",
)
_PAINT = 0xA5
BELOW_UV = 20_000
"""A charge begins so far below the window, and ends as far above."""


@dataclass(frozen=True)
class CallCost:
    """One function: calls seen, instructions of the cheapest, the middle and the dearest call, bytes of stack."""

    function: str
    calls: int
    least: int
    median: int
    most: int
    stack: int


@dataclass(frozen=True)
class BmsCost:
    """All of it. Flash by part and RAM per battery in bytes; ``compiler`` with version and flags."""

    model: str
    target: str
    compiler: str
    calls: tuple[CallCost, ...]
    flash_estimator: int
    flash_kernels: int
    flash_model: int
    ram_battery: int
    ram_work: int
    saved_bytes: int

    @property
    def flash(self) -> int:
        """Everything a product links."""
        return self.flash_estimator + self.flash_kernels + self.flash_model


def measure_bms(
    graph: IntGraph,
    target: str = "cortex-m4f",
    compiler: str | None = None,
    optimize: str = "-O2",
    nominal_mah: int = 3500,
    *,
    resistance: ResistanceConfig | None = None,
) -> BmsCost:
    """Build the virtual BMS for ``target``, let it live through charges that take every path, and count.

    resistance: compiled with EDGEBAT_RESISTANCE, and steps of the current as well.
    Raises ToolError when there is no compiler or the firmware breaks.
    """
    with tempfile.TemporaryDirectory(prefix="edgebat-bms-") as folder:
        config = Config(nominal_mah, max_gap_ms=120_000, full_mv=4190, empty_mv=2710, rated_cycles=500)
        control: dict[str, Any] = {"resistance": resistance, "frame_ms": 60_000, "steps_per_tick": 1}
        board = BoardFirmware(graph, config, Path(folder), compiler, target, optimize, **control)
        counter = _Counter(board)
        with counter:
            board.power_on()
            for samples in [*_story(board.model, nominal_mah), *([] if resistance is None else [_pulses(nominal_mah)])]:
                board.run(samples)
            board.power_on()
        costs = tuple(counter.cost(name) for name in FUNCTIONS if counter.seen[name])
        estimator, kernels, model = _flash(board.image, Path(folder))
        driver = find_compiler(load_target(target), compiler)
        symbols = board.image.symbols
        return BmsCost(
            graph.name,
            target,
            f"{driver.version} {optimize}",
            costs,
            estimator,
            kernels,
            model,
            symbols["battery"].size,
            symbols["work"].size,
            len(board.fram[0]),
        )


def _story(model: BmsModel, nominal_mah: int) -> list[Samples]:
    """Charges through the window until the model speaks, one too fast to see the levels singly, one with bad samples."""
    level_uv, context = model.level_uv, model.context
    down = samples_array(np.linspace(4100, 2700, 62).astype(int), -nominal_mah, 60_000)
    full = samples_array(np.linspace(4190, 4195, 4).astype(int), max(nominal_mah // 40, 1), 60_000)
    # Increments in the middle of the model's range, so that it is asked.
    increments = list(zip(model.low_ppm, model.high_ppm, strict=True))[: len(level_uv) - 1]
    middle = np.array([(a + b) / 2e6 for a, b in increments])
    taken = np.concatenate(([0.0], np.cumsum(np.maximum(middle, 1e-4))))
    width_uv = level_uv[-1] - level_uv[0]
    slope = taken[-1] / width_uv
    more_uv = 0 if model.starts is None else _more_uv(model.starts, slope)
    low, high = (level_uv[0] - BELOW_UV) / 1000, (level_uv[-1] + more_uv + BELOW_UV) / 1000
    taken = np.concatenate(([-slope * BELOW_UV], taken, [taken[-1] + slope * (BELOW_UV + more_uv)]))
    volts = np.concatenate(([low], np.array(level_uv) / 1000, [high]))
    ticks = 400 * (width_uv + more_uv) // width_uv
    mv = np.interp(np.linspace(taken[0], taken[-1], ticks), taken, volts)
    dt_ms = round((taken[-1] - taken[0]) / 0.5 * 3_600_000 / ticks)
    ddegc = max(min(250, model.max_ddegc), model.min_ddegc)
    charge = samples_array(np.rint(mv).astype(int), max(nominal_mah // 2, 1), dt_ms, ddegc)
    jump = samples_array(np.array([low, high], dtype=int), max(nominal_mah // 2, 1), 1000)
    bad = charge.copy()
    bad["valid"][::3] = 0
    bad["cell_mv"][1::7] = 20_000
    rest = samples_array(np.full(3, 3300), 0, 60_000)
    normal = [down, rest, charge, full, rest]
    return [*normal * (context + 2), down, rest, jump, rest, down, rest, bad, rest]


def _more_uv(starts: Starts, slope: float) -> int:
    """How far above its lowest window a charge of ``slope``, nominal capacities per microvolt, has to go so that a model of
    any window gets one row: that of the first start above where the lead has flowed."""
    lead_uv, step_uv = round(1.0 / ANY_LEAD_PART / slope), starts.step_mv * 1000
    return 0 if lead_uv < BELOW_UV else min(lead_uv + step_uv, step_uv * (starts.count - 1))


def _pulses(nominal_mah: int) -> Samples:
    """Current on and off, often enough for two medians; samples beside the right one now and then."""
    on = np.repeat(np.arange(500) % 2, 40)
    mv = 3700 + 60 * on + np.arange(on.size) % 7
    return samples_array(mv, nominal_mah * on, 1000, 270)


class _Counter:
    """Counts instructions and stack per call while the board runs."""

    def __init__(self, board: BoardFirmware) -> None:
        self._board, self._core = board, board.core
        # edgebat_init is called by other names where other firmware must not link with it.
        self._entries = {
            board.image.address(symbol): name
            for name in FUNCTIONS
            for symbol in board.image.symbols
            if symbol == name or (name == "edgebat_init" and symbol.startswith("edgebat_init_with_"))
        }
        self._starts = {board.image.address(name) for name in ("vbms_power_on", "vbms_run")}
        self.seen: dict[str, list[tuple[int, int]]] = {name: [] for name in FUNCTIONS}
        self._bottom = board.image.address("stack_bottom")
        self._open: tuple[str, int, int] | None = None
        self._instructions = 0
        self._lengths: dict[tuple[int, int], int] = {}

    def __enter__(self) -> None:
        uc: Any = self._board.unicorn
        self._core.ctl_flush_tb()
        self._hook = self._core.hook_add(uc.UC_HOOK_BLOCK, self._on_block)

    def __exit__(self, *_: object) -> None:
        self._close()
        self._core.hook_del(self._hook)
        self._core.ctl_flush_tb()

    def _on_block(self, core: Any, address: int, size: int, _data: Any) -> None:
        board = self._board
        # A call that the compiler put last returns to where the simulator stops: it is over when the next one begins.
        if self._open is not None and (address == self._open[1] or address in self._starts):
            self._close()
        if self._open is None and address in self._entries:
            sp = core.reg_read(board.sp)
            core.mem_write(self._bottom, bytes([_PAINT]) * (sp - self._bottom))
            self._open = (self._entries[address], core.reg_read(board.lr) & ~1, sp)
            self._instructions = 0
        if self._open is not None:
            block = (address, size)
            if block not in self._lengths:
                self._lengths[block] = count_instructions(bytes(core.mem_read(address, size)), riscv=False)
            self._instructions += self._lengths[block]

    def _close(self) -> None:
        if self._open is not None:
            name, _, sp = self._open
            stack = np.frombuffer(self._core.mem_read(self._bottom, sp - self._bottom), np.uint8)
            touched = np.flatnonzero(stack != _PAINT)
            self.seen[name].append((self._instructions, sp - self._bottom - int(touched[0]) if touched.size else 0))
            self._open = None

    def cost(self, name: str) -> CallCost:
        """The calls of one function."""
        instructions = [count for count, _ in self.seen[name]]
        return CallCost(
            name,
            len(instructions),
            min(instructions),
            int(np.median(instructions)),
            max(instructions),
            max(stack for _, stack in self.seen[name]),
        )


def _flash(image: Image, folder: Path) -> tuple[int, int, int]:
    """Bytes of code and tables of the estimator, of the kernels with what the compiler's library adds, of the model."""

    def linked(choose: Callable[[str], bool]) -> int:
        names = {
            name
            for path in folder.glob("*.o")
            if choose(path.stem)
            for name, symbol in Image(path).symbols.items()
            if symbol.size
        }
        return sum(
            symbol.size for name, symbol in image.symbols.items() if name in names and symbol.address < _RAM_START
        )

    model = linked(lambda stem: stem.startswith("soh"))
    estimator = linked(lambda stem: stem in _ESTIMATOR)
    board = linked(lambda stem: stem in ("virtual_bms", "start_virtual"))
    text = image.sections.get(".text", 0)
    return estimator, text - board - estimator - model, model


_RAM_START = 0x2000_0000
_ESTIMATOR = {path.stem for path in kind_sources(BmsModel)}


def cost_table(costs: list[BmsCost]) -> str:
    """Costs as Markdown."""
    lines = [
        "| model | core | flash: estimator + kernels + model | RAM per battery | saved | `push` median / worst | "
        "`step` worst | `result` | `state_get` | deepest stack of a call |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cost in costs:
        by_name = {call.function: call for call in cost.calls}
        push, step = by_name["edgebat_push"], by_name["edgebat_step"]
        lines.append(
            f"| {cost.model} | {cost.target} | {cost.flash_estimator:,} + {cost.flash_kernels:,} + {cost.flash_model:,} "
            f"= {cost.flash:,} B | {cost.ram_battery + cost.ram_work} B | {cost.saved_bytes} B "
            f"| {push.median:,} / {push.most:,} | {step.most:,} | {by_name['edgebat_result'].most:,} "
            f"| {by_name['edgebat_state_get'].most:,} | {max(call.stack for call in cost.calls)} B |"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """``python -m edgebat.bms.measure MODEL ... [--target T ...] [--compiler gcc]``: the table on standard output."""
    from edgebat.errors import EdgebatError
    from edgebat.models import load_model

    parser = argparse.ArgumentParser(prog="python -m edgebat.bms.measure", description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--target", action="append", help="default: cortex-m4f and cortex-m0plus")
    parser.add_argument("--compiler", choices=("zig", "gcc"))
    parser.add_argument("--optimize", default="-O2")
    parser.add_argument("--resistance", action="store_true", help="compiled with EDGEBAT_RESISTANCE")
    given = parser.parse_args(arguments)
    resistance = ResistanceConfig() if given.resistance else None
    try:
        costs = [
            measure_bms(load_model(model), target, given.compiler, given.optimize, resistance=resistance)
            for model in given.models
            for target in given.target or ("cortex-m4f", "cortex-m0plus")
        ]
    except EdgebatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(cost_table(costs))
    print(f"\n{costs[0].compiler}; instructions and bytes of stack per call, counted in a simulator.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
