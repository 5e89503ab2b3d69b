"""The cells of a string together, and which of them is another one: ``edgebat_pack.c`` in Python, the same integers."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from struct import calcsize, pack, unpack_from

from edgebat.bms.results import Result, Status
from edgebat.errors import DataError
from edgebat.tasks.health.charge_types import UINT16_MAX, UINT32_MAX, UNKNOWN, ChargeEnd

HUNDRED_PERCENT = 10_000
MOST_CELLS = 1000
USUAL = 8
"""So many charges make a cell's usual part; then each counts an eighth."""
LEAST_CHANGE_CPCT, TIMES_NOISE, FIRST_NOISE_CPCT = 300, 6, 100
"""A part that changes by less is noise; so is six times the usual distance; what that is taken to be at first."""
LEAST_CELLS = 3
MAGIC = b"EBP\x01"
HEADER, CELL = "<2I", "<2H2B"


@dataclass
class PackCell:
    """``edgebat_pack_cell_t``."""

    window_ppm: int = 0
    cycle: int = 0
    part: int = 0
    """Usual charge through the window beside the median, 0.01 %."""
    noise: int = 0
    soh_cpct: int = UNKNOWN
    sigma_cpct: int = UNKNOWN
    seen: int = 0
    away: int = 0
    swapped: bool = False
    status: Status = Status.WARMUP
    resistance_uohm: int = UINT32_MAX
    resistance_sigma_cpct: int = UNKNOWN
    resistance_cpct: int = UNKNOWN

    def compare(self, part: int) -> None:
        """A charge through the window beside the median of all."""
        apart, away = abs(part - self.part), 1 if part > self.part else 2
        if self.seen == 0:
            self.part, self.noise, self.seen = part, FIRST_NOISE_CPCT, 1
        elif self.seen == USUAL and apart > max(TIMES_NOISE * self.noise, LEAST_CHANGE_CPCT):
            if self.away == away:
                self.swapped, self.seen = True, 0  # what is usual now begins with the next charge
            self.away = away if self.seen else 0
        else:
            shares, self.away = self.seen + 1, 0
            self.part = _nearer(self.part, part, min(shares, USUAL))
            self.noise = _nearer(self.noise, min(apart, UINT16_MAX), USUAL)
            self.seen = min(shares, USUAL)


@dataclass(frozen=True)
class PackView:
    """``edgebat_pack_view_t``: 0.01 %, mWh and places of cells; UNKNOWN and 2**32 - 1 where nothing is known."""

    usable_mwh: int
    weakest: int
    weakest_cpct: int
    sigma_cpct: int
    mean_cpct: int
    spread_cpct: int
    known: int
    swapped: int
    status: Status
    resistance_uohm: int
    """Of all cells together at 25 degC. With what follows, in C with EDGEBAT_RESISTANCE only."""
    grown: int
    """The cell whose resistance has grown most, beside that when new, and the deviation of its resistance."""
    grown_cpct: int
    grown_sigma_cpct: int


class Pack:
    """One string of ``count`` cells in series; ``mean_mv`` of a cell between full and empty, ``reference_mah`` at 100 %.

    saved: what ``state`` returned before the power went. Raises DataError for numbers out of their range, and for a state
    that is not whole or of another pack.
    """

    def __init__(self, count: int, mean_mv: int, reference_mah: int, saved: bytes | None = None) -> None:
        if not (1 <= count <= MOST_CELLS and mean_mv > 0 and 0 < reference_mah <= 2_000_000):
            raise DataError(
                f"no pack of {count} cells of {mean_mv} mV and {reference_mah} mAh: give 1 to {MOST_CELLS} cells, a mean "
                "voltage above 0 and up to 2,000,000 mAh"
            )
        self.mean_mv, self.reference_mah, self.sequence = mean_mv, reference_mah, 0
        self.cells = [PackCell() for _ in range(count)]
        if saved is not None:
            self._restore(saved)

    def set(self, cell: int, result: Result) -> None:
        """What is known of one cell now."""
        known = self.cells[cell]
        known.soh_cpct, known.sigma_cpct, known.status = result.soh_cpct, result.sigma_cpct, result.status
        known.resistance_uohm, known.resistance_cpct = result.resistance_uohm, result.resistance_cpct
        known.resistance_sigma_cpct = result.resistance_sigma_cpct
        if result.cycle != known.cycle and result.charge == ChargeEnd.OK and result.window_ppm:
            known.cycle, known.window_ppm = result.cycle, result.window_ppm

    def compare(self) -> bool:
        """A charge has ended: compare all cells that have come through the window since; false when they are too few."""
        waiting = sorted(cell.window_ppm for cell in self.cells if cell.window_ppm)
        enough = len(waiting) >= LEAST_CELLS
        for cell in self.cells:
            if enough and cell.window_ppm:
                middle = waiting[(len(waiting) - 1) // 2]
                cell.compare(min(cell.window_ppm * HUNDRED_PERCENT // middle, UINT16_MAX))
            cell.window_ppm = 0
        return enough

    def accept(self, cell: int) -> None:
        """A cell that was swapped is known now."""
        known = self.cells[cell]
        known.swapped, known.seen, known.away, known.cycle = False, 0, 0, 0

    def view(self) -> PackView:
        """All cells together."""
        known = [cell for cell in self.cells if cell.soh_cpct != UNKNOWN]
        weakest = min(known, key=lambda cell: cell.soh_cpct, default=None)
        measured = [i for i, cell in enumerate(self.cells) if cell.resistance_cpct != UNKNOWN]
        grown = max(measured, key=lambda i: self.cells[i].resistance_cpct, default=UNKNOWN)
        usable = UINT32_MAX
        if weakest is not None and len(known) == len(self.cells):
            held = self.reference_mah * weakest.soh_cpct // HUNDRED_PERCENT
            usable = min(held * self.mean_mv * len(self.cells) // 1000, UINT32_MAX)
        return PackView(
            usable_mwh=usable,
            weakest=UNKNOWN if weakest is None else next(i for i, cell in enumerate(self.cells) if cell is weakest),
            weakest_cpct=UNKNOWN if weakest is None else weakest.soh_cpct,
            sigma_cpct=UNKNOWN if weakest is None else weakest.sigma_cpct,
            mean_cpct=sum(cell.soh_cpct for cell in known) // len(known) if known else UNKNOWN,
            spread_cpct=max(c.soh_cpct for c in known) - min(c.soh_cpct for c in known) if known else UNKNOWN,
            known=len(known),
            swapped=next((i for i, cell in enumerate(self.cells) if cell.swapped), UNKNOWN),
            status=next((cell.status for cell in self.cells if cell.status != Status.OK), Status.OK),
            resistance_uohm=min(sum(cell.resistance_uohm for cell in self.cells), UINT32_MAX),
            grown=grown,
            grown_cpct=UNKNOWN if grown == UNKNOWN else self.cells[grown].resistance_cpct,
            grown_sigma_cpct=UNKNOWN if grown == UNKNOWN else self.cells[grown].resistance_sigma_cpct,
        )

    def state(self) -> bytes:
        """What must survive without power, byte for byte that of ``edgebat_pack_state_get``."""
        self.sequence = (self.sequence + 1) & UINT32_MAX
        body = MAGIC + pack(HEADER, self.sequence, len(self.cells))
        for cell in self.cells:
            body += pack(CELL, cell.part, cell.noise, cell.seen, cell.away | cell.swapped << 2)
        return body + pack("<I", zlib.crc32(body))

    def _restore(self, saved: bytes) -> None:
        start, size = len(MAGIC) + calcsize(HEADER), calcsize(CELL)
        length = start + size * len(self.cells) + 4
        whole = len(saved) >= length and zlib.crc32(saved[: length - 4]) == int.from_bytes(
            saved[length - 4 : length], "little"
        )
        if not whole or saved[:4] != MAGIC or unpack_from(HEADER, saved, 4)[1] != len(self.cells):
            raise DataError(
                f"the saved state of {len(saved)} bytes is damaged, or not of a pack of {len(self.cells)} cells"
            )
        self.sequence = unpack_from(HEADER, saved, 4)[0]
        for i, cell in enumerate(self.cells):
            cell.part, cell.noise, seen, flags = unpack_from(CELL, saved, start + size * i)
            cell.seen, cell.away, cell.swapped = min(seen, USUAL), flags & 3, bool(flags >> 2 & 1)


def _nearer(here: int, there: int, part: int) -> int:
    step = abs(there - here) // part
    return here + step if here < there else here - step
