"""All cells of a string: the weakest, usable energy, a swapped module; and CAN frames that show what happened to them."""

from __future__ import annotations

import ctypes
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.can import protect
from edgebat.bms.pack import Pack
from edgebat.bms.results import Result, Source, Status
from edgebat.errors import DataError
from edgebat.paths import firmware_dir
from edgebat.tasks.health.charge_types import UINT32_MAX, UNKNOWN, ChargeEnd
from tests.c_host import c_compiler

FULL = os.environ.get("EDGEBAT_TEST_SCALE") == "full"
CELLS = 12
SAID = Result(
    *(9000, 150, UNKNOWN, 9000, UNKNOWN, 0, 0, 1, 0, (UNKNOWN,) * 8, 0, 0, Status.OK, Source.MODEL, ChargeEnd.OK),
    window_ppm=800_000,
)


def string(count: int = CELLS, saved: bytes | None = None) -> Pack:
    return Pack(count, 3650, 50_000, saved)


def charge(pack: Pack, cycle: int, parts: np.ndarray) -> None:
    """One charge of all cells, each taking its part through the window."""
    for cell, part in enumerate(parts):
        pack.set(cell, replace(SAID, cycle=cycle, window_ppm=round(800_000 * part)))
    pack.compare()


def lived(rng: np.random.Generator, pack: Pack, charges: int, *, noise: float = 0.005, first: int = 1) -> np.ndarray:
    """So many charges of cells that differ a little, grow apart a little, and are measured with noise."""
    parts = rng.uniform(0.93, 1.03, len(pack.cells))
    fading = rng.uniform(0, 5e-5, len(pack.cells))
    for cycle in range(first, first + charges):
        parts *= 1 - fading
        common = 1 + 0.03 * np.sin(cycle / 40)
        charge(pack, cycle, common * parts * (1 + rng.normal(0, noise, len(parts))))
    return parts


# --- the view --------------------------------------------------------------------------------------------------------


def test_the_weakest_cell_decides():
    pack = string(4)
    for cell, soh in enumerate([9100, 8400, 8800, 8400]):
        pack.set(cell, replace(SAID, soh_cpct=soh, sigma_cpct=100 + cell))
    view = pack.view()
    assert (view.weakest, view.weakest_cpct, view.sigma_cpct) == (1, 8400, 101)
    assert (view.mean_cpct, view.spread_cpct, view.known, view.status) == (8675, 700, 4, Status.OK)
    assert view.usable_mwh == 4 * 3650 * 42_000 // 1000, "613 Wh: all cells of a string give the same charge"


def test_what_is_not_known_is_not_guessed():
    pack = string(3)
    assert pack.view().weakest == UNKNOWN
    pack.set(1, replace(SAID, status=Status.STALE))
    view = pack.view()
    assert (view.weakest, view.known, view.usable_mwh, view.status) == (1, 1, UINT32_MAX, Status.WARMUP)


@pytest.mark.parametrize("numbers", [(0, 3650, 50_000), (1001, 3650, 50_000), (3, 0, 50_000), (3, 3650, 0)])
def test_what_is_no_pack_is_refused(numbers: tuple[int, int, int]):
    with pytest.raises(DataError, match="no pack of"):
        Pack(*numbers)


# --- a swapped module ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [0.80, 0.90, 1.08, 1.25])
def test_another_module_is_noticed_within_three_charges(other: float):
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(50):
        pack = string()
        parts = lived(rng, pack, 30)
        saved = pack.state()
        pack = string(saved=saved)  # it was swapped while the power was off
        cell = int(rng.integers(CELLS))
        parts[cell] *= other
        for cycle in range(100, 103):
            charge(pack, cycle, parts * (1 + rng.normal(0, 0.005, CELLS)))
        missed += pack.view().swapped != cell
    assert missed == 0


@pytest.mark.parametrize("noise", [0.001, 0.005, 0.015])
def test_no_more_than_one_false_alarm_in_ten_thousand_charges(noise: float):
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(200 if FULL else 20):
        pack = string()
        lived(rng, pack, 500, noise=noise)
        alarms += sum(cell.swapped for cell in pack.cells)
    assert alarms <= (10 if FULL else 1)


def test_one_wrong_charge_is_one_wrong_charge():
    rng = np.random.default_rng(3)
    pack = string()
    parts = lived(rng, pack, 20)
    for cycle in range(50, 90):
        wrong = parts * (1 + rng.normal(0, 0.005, CELLS))
        if cycle % 4 == 0:
            wrong[cycle % CELLS] *= 0.8
        charge(pack, cycle, wrong)
    assert pack.view().swapped == UNKNOWN


def test_a_module_that_is_known_now_is_noticed_again_when_it_goes():
    rng = np.random.default_rng(4)
    pack = string()
    parts = lived(rng, pack, 20)
    for swap in (0.8, 1.2):
        parts[5] *= swap
        for cycle in range(100 * round(10 * swap), 100 * round(10 * swap) + 12):
            charge(pack, cycle, parts)
        assert pack.view().swapped == 5
        pack.accept(5)
        assert pack.view().swapped == UNKNOWN
        for cycle in range(5000 * round(10 * swap), 5000 * round(10 * swap) + 12):
            charge(pack, cycle, parts)


def test_the_cell_whose_resistance_has_grown_most_is_told_and_the_string_is_their_sum():
    pack = string(4)
    for cell, grown_cpct in enumerate((10_400, 13_100, UNKNOWN, 13_100)):
        pack.set(cell, replace(SAID, resistance_uohm=900, resistance_cpct=grown_cpct, resistance_sigma_cpct=800 + cell))
    view = pack.view()
    assert (view.resistance_uohm, view.grown, view.grown_cpct, view.grown_sigma_cpct) == (3600, 1, 13_100, 801)
    pack.set(0, SAID)
    assert pack.view().resistance_uohm == UINT32_MAX, "that of one cell is not known"


def test_fewer_than_three_cells_are_not_compared():
    pack = string(2)
    pack.set(0, SAID)
    pack.set(1, SAID)
    assert not pack.compare()


def test_a_state_that_is_damaged_or_of_another_pack_is_refused():
    saved = string().state()
    for bad in (saved[:-1], saved[:20] + b"\x01" + saved[21:], b"", string(4).state()):
        with pytest.raises(DataError, match="damaged, or not of a pack"):
            string(saved=bad)


# --- C ---------------------------------------------------------------------------------------------------------------


class CResult(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint16) for name in ("soh", "sigma", "rul", "model", "counting", "age")),
        *((name, ctypes.c_uint32) for name in ("age_s", "cycle", "revision", "throughput_mah", "window_ppm")),
        ("points_cpct", ctypes.c_uint16 * 8),
        ("efc_quarters", ctypes.c_uint16),
        *((name, ctypes.c_uint8) for name in ("points", "warmup", "status", "source", "charge")),
    )


class CResistance(CResult):
    _fields_ = (
        ("resistance_uohm", ctypes.c_uint32),
        ("resistance_sigma_cpct", ctypes.c_uint16),
        ("resistance_cpct", ctypes.c_uint16),
    )


class CCell(ctypes.Structure):
    _fields_ = (
        ("window_ppm", ctypes.c_uint32),
        ("cycle", ctypes.c_uint32),
        *((name, ctypes.c_uint16) for name in ("part", "noise", "soh_cpct", "sigma_cpct")),
        *((name, ctypes.c_uint8) for name in ("seen", "away", "swapped", "status")),
    )


class COhmicCell(CCell):
    _fields_ = (
        ("resistance_uohm", ctypes.c_uint32),
        ("resistance_sigma_cpct", ctypes.c_uint16),
        ("resistance_cpct", ctypes.c_uint16),
    )


class CPack(ctypes.Structure):
    _fields_ = (
        ("cells", ctypes.c_void_p),
        ("reference_mah", ctypes.c_uint32),
        ("sequence", ctypes.c_uint32),
        ("count", ctypes.c_uint16),
        ("mean_mv", ctypes.c_int16),
    )


class CView(ctypes.Structure):
    _fields_ = (
        ("usable_mwh", ctypes.c_uint32),
        *(
            (name, ctypes.c_uint16)
            for name in ("weakest", "weakest_cpct", "sigma_cpct", "mean_cpct", "spread_cpct", "known", "swapped")
        ),
        ("status", ctypes.c_uint8),
    )


class COhmicView(CView):
    _fields_ = (
        ("resistance_uohm", ctypes.c_uint32),
        *((name, ctypes.c_uint16) for name in ("grown", "grown_cpct", "grown_sigma_cpct")),
    )


@pytest.fixture
def library(tmp_path: Path, request: pytest.FixtureRequest) -> ctypes.CDLL:
    root = firmware_dir()
    sources = [root / "bms" / f"edgebat_{part}.c" for part in ("pack", "pack_state", "protect", "quotient")]
    out = tmp_path / "pack.so"
    flags = ["-std=c99", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    flags += ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", f"-I{root / 'include'}"]
    flags += [f"-DEDGEBAT_RESISTANCE={int(getattr(request, 'param', False))}"]
    command = [c_compiler(), *flags, *map(str, sources), str(root / "src" / "edgebat_crc32.c"), "-o", str(out)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(out))


@pytest.mark.parametrize(
    ("library", "kinds"),
    [(False, (CResult, CCell, CView)), (True, (CResistance, COhmicCell, COhmicView))],
    indirect=["library"],
    ids=["without resistance", "with it"],
)
def test_c_equals_python(library: ctypes.CDLL, kinds: tuple[type[CResult], type[CCell], type[CView]]):
    rng = np.random.default_rng(5)
    of_result, of_cell, of_view = kinds
    for count in (1, 3, CELLS, 40):
        pack, cells, board = string(count), (of_cell * count)(), CPack()
        begin = (count, 3650, 50_000)
        assert library.edgebat_pack_init(ctypes.byref(board), cells, *begin, None, 0) == 0
        parts = rng.uniform(0.7, 1.2, count)
        for cycle in range(1, 60):
            for cell in range(count):
                if rng.random() < 0.03:
                    parts[cell] *= rng.uniform(0.5, 1.5)
                said = replace(
                    SAID,
                    cycle=cycle if rng.random() < 0.9 else cycle - 1,
                    window_ppm=min(round(rng.choice([800_000, 2**31]) * parts[cell]), UINT32_MAX),
                    charge=ChargeEnd(int(rng.choice([0, 0, 0, 3]))),
                    soh_cpct=int(rng.choice([9000, 8000, UNKNOWN])),
                    status=Status(int(rng.integers(7))),
                    resistance_uohm=int(
                        rng.choice([900, 20_000_000, 200_000_000, UINT32_MAX], p=[0.6, 0.39, 0.005, 0.005])
                    ),
                    resistance_sigma_cpct=int(rng.integers(2000)),
                    resistance_cpct=int(rng.choice([9000, 13_000, 14_000, UNKNOWN])),
                )
                pack.set(cell, said)
                raw = of_result(soh=said.soh_cpct, sigma=said.sigma_cpct, cycle=said.cycle, window_ppm=said.window_ppm)
                raw.status, raw.charge = said.status, said.charge
                if isinstance(raw, CResistance):
                    for name, _ in CResistance._fields_:
                        setattr(raw, name, getattr(said, name))
                assert library.edgebat_pack_set(ctypes.byref(board), cell, ctypes.byref(raw)) == 0
            assert library.edgebat_pack_compare(ctypes.byref(board)) == (0 if pack.compare() else 2)
            view, wanted = of_view(), pack.view()
            assert library.edgebat_pack_view(ctypes.byref(board), ctypes.byref(view)) == 0
            names = [name for kind in {CView, of_view} for name, _ in kind._fields_]
            assert [getattr(view, name) for name in names] == [int(getattr(wanted, name)) for name in names]
            buffer = ctypes.create_string_buffer(16 + 6 * count)
            assert library.edgebat_pack_state_get(ctypes.byref(board), buffer, len(buffer)) == 0
            assert buffer.raw == pack.state()
            if rng.random() < 0.1:
                pack = string(count, buffer.raw)
                assert library.edgebat_pack_init(ctypes.byref(board), cells, *begin, buffer, len(buffer)) == 0
            if rng.random() < 0.1:
                cell = int(rng.integers(count))
                pack.accept(cell)
                assert library.edgebat_pack_accept(ctypes.byref(board), cell) == 0
        assert library.edgebat_pack_set(ctypes.byref(board), count, ctypes.byref(CResult())) == -5
        bad = bytearray(buffer.raw)
        bad[13] ^= 1
        assert library.edgebat_pack_init(ctypes.byref(board), cells, *begin, bytes(bad), len(bad)) == -10
        assert library.edgebat_pack_init(ctypes.byref(board), cells, *begin, bytes(bad), len(bad) - 1) == -7


# --- end-to-end protection -------------------------------------------------------------------------------------------


def test_a_protected_frame_shows_what_happened_to_it(library: ctypes.CDLL):
    rng = np.random.default_rng(6)
    last, lost = ctypes.c_uint8(255), ctypes.c_uint8(0)
    out = ctypes.create_string_buffer(12)

    def check(frame: bytes, data_id: int = 0x6E0) -> int:
        return int(library.edgebat_can_check(frame, data_id, ctypes.byref(last), ctypes.byref(lost)))

    for counter in (0, 1, 4, 255, 0):
        data = rng.bytes(8)
        assert library.edgebat_can_protect(data, 0x6E0, counter, out) == 0
        frame = out.raw
        assert frame == protect(data, 0x6E0, counter)
        assert check(frame, 0x6E1) == 2, "another frame's"
        for bit in range(8 * len(frame)):
            flipped = bytearray(frame)
            flipped[bit // 8] ^= 1 << bit % 8
            assert check(bytes(flipped)) == 2
        before = last.value
        assert check(frame) == 0
        assert lost.value == (counter - before - 1) % 256
        assert check(frame) == 1, "repeated"


def test_the_checksum_is_that_of_the_profile():
    # CRC-16/CCITT-FALSE of "123456789" is 0x29B1: the same polynomial, the same start.
    from binascii import crc_hqx

    assert crc_hqx(b"123456789", 0xFFFF) == 0x29B1
    assert protect(bytes(8), 0, 0)[:2] == crc_hqx(bytes(12), 0xFFFF).to_bytes(2, "little")
