"""Estimated clock cycles from a trace of executed blocks, for the cores whose manual gives instruction timings.

The timings are those of Arm's technical reference manuals (Cortex-M4 DDI0439, section 3.3; Cortex-M0+ DDI0484,
section 3.3), for memory without wait states; nothing is fitted. An estimate is always printed with its error, which
the target file states together with what it was compared with; cores without a published table (Cortex-M7,
Cortex-M33) have no model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from edgebat.errors import TargetError, ToolError, require
from edgebat.simulate.elf import Image
from edgebat.simulate.targets import CycleBasis

Block = tuple[int, int]  # address and size in bytes


@dataclass(frozen=True)
class Cycles:
    """An estimate: clock cycles, the model it comes from, its stated error in percent and where that is known from."""

    value: int
    model: str
    error_percent: int
    basis: str

    def __str__(self) -> str:
        return f"{self.value} cycles (model), ±{self.error_percent} %"


@dataclass(frozen=True)
class _Instruction:
    """What timing depends on: base name without condition or width, and for loads and stores the registers moved."""

    name: str
    registers: int


def estimate(basis: CycleBasis | None, image: Image, blocks: Sequence[Block]) -> Cycles | None:
    """Cycles of one inference, ``blocks`` in executed order; None when the target states no model.

    Raises TargetError for a model name that does not exist.
    """
    if basis is None:
        return None
    if basis.model not in _MODELS:
        raise TargetError(f"there is no cycle model {basis.model!r}; known: {', '.join(sorted(_MODELS))}")
    straight, taken = _MODELS[basis.model]
    decoded: dict[Block, list[_Instruction]] = {}
    costs: dict[Block, int] = {}
    total = 0
    followers = [address for address, _ in blocks[1:]] + [image.address("bench_return")]
    for block, follower in zip(blocks, followers, strict=True):
        if block not in decoded:
            decoded[block] = _decode(image.read(*block), block[0])
            costs[block] = straight(decoded[block])
        total += costs[block]
        if follower != block[0] + block[1]:
            total += taken(decoded[block][-1], follower)
    return Cycles(total, basis.model, basis.error_percent, basis.basis)


def _cortex_m4(instructions: Sequence[_Instruction]) -> int:
    """A block without its taken branch. Loads in a row are pipelined; an IT instruction is folded away."""
    cycles, after_load = 0, False
    for item in instructions:
        load = item.name.startswith(("ldr", "vldr")) and item.name != "ldrd"
        if item.name == "it":
            continue
        if load:
            cycles += 1 if after_load else 2
        elif item.name in _MULTIPLE:
            cycles += 1 + item.registers
        else:
            cycles += _M4_SLOW.get(item.name, 1)
        after_load = load
    return cycles


def _cortex_m4_taken(_last: _Instruction, target: int) -> int:
    """Refilling the pipeline: two cycles, and one more where the target is not at the start of a fetched word."""
    return 2 if target % 4 == 0 else 3


def _cortex_m0plus(instructions: Sequence[_Instruction]) -> int:
    cycles = 0
    for item in instructions:
        if item.name in _MULTIPLE:
            cycles += 1 + item.registers
        elif item.name.startswith(("ldr", "str")):
            cycles += 2
        else:
            cycles += _M0_SLOW.get(item.name, 1)
    return cycles


def _cortex_m0plus_taken(last: _Instruction, _target: int) -> int:
    return 2 if last.name in ("bl", "pop") else 1


_MULTIPLE = frozenset(
    ["ldm", "stm", "ldmdb", "stmdb", "push", "pop", "ldrd", "strd", "vldmia", "vstmia", "vpush", "vpop"]
)
# Division ends early for small quotients, 2 to 12 cycles; the middle is taken.
_M4_SLOW = {
    **dict.fromkeys(("tbb", "tbh", "mrs", "msr"), 2),
    **dict.fromkeys(("vmla", "vmls", "vfma", "vfms"), 3),
    **dict.fromkeys(("sdiv", "udiv"), 7),
    **dict.fromkeys(("vdiv", "vsqrt"), 14),
}
_M0_SLOW = {"mrs": 3, "msr": 3, "dsb": 3, "isb": 3, "dmb": 3}

_Straight = Callable[[Sequence[_Instruction]], int]
_Taken = Callable[[_Instruction, int], int]
_MODELS: dict[str, tuple[_Straight, _Taken]] = {
    "cortex-m4": (_cortex_m4, _cortex_m4_taken),
    "cortex-m0plus": (_cortex_m0plus, _cortex_m0plus_taken),
}


@lru_cache(maxsize=1)
def _disassembler() -> Any:
    capstone = require("capstone", extra="sim")
    engine = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
    engine.detail = True
    return engine


def _decode(code: bytes, address: int) -> list[_Instruction]:
    engine = _disassembler()
    decoded, size = [], 0
    for item in engine.disasm(code, address):
        registers = item.op_str.partition("{")[2]
        # Register lists are written out; the pair of ldrd and strd has no braces.
        decoded.append(_Instruction(engine.insn_name(item.id), registers.count(",") + 1 if registers else 2))
        size += item.size
    if size != len(code):
        raise ToolError(f"capstone cannot decode the instruction at {address + size:#010x}; no cycles can be estimated")
    return decoded
