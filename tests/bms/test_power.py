"""State that survives: power cuts at any instruction of the simulated board, and states gone bad."""

from __future__ import annotations

import copy
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms.estimator import Config
from edgebat.bms.results import Source
from edgebat.bms.twin import Twin, newest_state
from edgebat.bms.virtual import BoardFirmware, HostFirmware
from edgebat.graph import IntGraph, load_graph
from tests.bms_samples import KNOWN_SECONDS, NOMINAL_MAH, charge, cycles, discharge, rest

FULL = os.environ.get("EDGEBAT_TEST_SCALE") == "full"
INHERITED, LENGTH, BLANK, FORMAT, DAMAGED = 3, -7, -8, -9, -10

ONE = np.concatenate([discharge(minutes=20), rest(2), charge(ticks=60, seconds=KNOWN_SECONDS), rest(2)])


@pytest.fixture
def graph(model_file: Path) -> IntGraph:
    return load_graph(model_file)


def test_a_power_cut_at_any_instruction_leaves_the_old_or_the_new_state(graph: IntGraph, tmp_path: Path):
    config = Config(NOMINAL_MAH, max_gap_ms=120_000)
    board, twin = BoardFirmware(graph, config, tmp_path, frame_ms=60_000, steps_per_tick=1), Twin(graph, config)
    assert board.power_on() == 0
    board.run(cycles(4, seconds=KNOWN_SECONDS))
    twin.run(cycles(4, seconds=KNOWN_SECONDS))
    # The instructions of one cycle, so that cuts fall everywhere in it, the writing of states included.
    board.run(ONE)
    twin.run(ONE)
    total = 1000
    while board.run_until_cut(ONE, total):
        twin.power_on(newest_state(board.fram))
        assert board.power_on() == 0
        total = total * 5 // 4
    branch = copy.deepcopy(twin)
    branch.run(ONE)
    twin = branch
    rng = np.random.default_rng(3)
    outcomes: Counter[str] = Counter()
    # Halving between a cut that leaves the old state and one that leaves a new one ends while the state is written.
    places, latest, earliest = board.fram, 1, total
    while earliest - latest > 1:
        where = (latest + earliest) // 2
        board.run_until_cut(ONE, where)
        outcomes["cut while writing"] += any(newest_state([place]) is None for place in board.fram)
        is_old = newest_state(board.fram) == twin.saved[-1]
        latest, earliest = (where, earliest) if is_old else (latest, where)
        for number, place in enumerate(places):
            board.write_fram(number, place)
        assert board.power_on() == 0
    twin.power_on(newest_state(places))
    for number in range(10_000 if FULL else 200):
        close = max(min(latest, earliest) - 500, 1)
        where = int(rng.integers(close, earliest) if number % 2 else rng.integers(1, total))
        cut = board.run_until_cut(ONE, where)
        branch = copy.deepcopy(twin)
        branch.run(ONE)
        new = branch.saved[len(twin.saved) :]
        state = newest_state(board.fram)
        assert state is not None, "the state was lost"
        if not cut:
            outcomes["cycle was over"] += 1
            assert state == branch.saved[-1]
            twin = branch
            continue
        if state == twin.saved[-1]:
            outcomes["old state"] += 1
            latest = max(latest, where)
        else:
            assert state in new, "a state that was never saved"
            outcomes["new state"] += 1
            earliest = min(earliest, where)
        outcomes["cut while writing"] += any(newest_state([place]) is None for place in board.fram)
        assert board.power_on() == 0
        twin.power_on(state)
    print(f"\npower cuts: {dict(outcomes)}")
    assert outcomes["old state"]
    assert outcomes["new state"]
    assert outcomes["cut while writing"]
    # And life goes on as it would have.
    board.run(ONE)
    twin.run(ONE)
    assert newest_state(board.fram) == twin.saved[-1]


def init_code(host: HostFirmware, state: bytes) -> int:
    """What edgebat_init says to one state: the virtual board hands only sound ones on, so it is asked directly."""
    import ctypes

    library = host.library
    library.edgebat_state_check.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_uint32]
    library.edgebat_state_check.restype = ctypes.c_int
    model = ctypes.c_char.in_dll(library, "soh_model")
    config = ctypes.create_string_buffer(bytes(_config(host)))
    return int(library.edgebat_state_check(ctypes.addressof(model), config, state, len(state)))


def _config(host: HostFirmware) -> bytes:
    from edgebat.bms.virtual import config_bytes

    return config_bytes(host.config)


def test_corrupted_states_are_refused_with_a_reason(graph: IntGraph, tmp_path: Path):
    config = Config(NOMINAL_MAH)
    host = HostFirmware(graph, config, tmp_path)
    assert host.power_on() == 0
    host.run(cycles(4, seconds=KNOWN_SECONDS))
    good = newest_state(host.fram)
    assert good is not None
    assert init_code(host, good) == 0
    assert init_code(host, bytes(len(good))) == BLANK
    assert init_code(host, b"\xff" * len(good)) == BLANK
    rng = np.random.default_rng(8)
    codes: Counter[int] = Counter()
    for _ in range(10_000 if FULL else 2000):
        bad = bytearray(good)
        kind = rng.integers(5)
        if kind == 0:
            bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        elif kind == 1:
            start = int(rng.integers(len(bad)))
            bad[start:] = bytes(len(bad) - start)
        elif kind == 2:
            start = int(rng.integers(len(bad)))
            bad[start:] = rng.bytes(len(bad) - start)
        elif kind == 3:
            bad = bytearray(rng.bytes(len(bad)))
        else:
            a, b = sorted(int(v) for v in rng.integers(0, len(bad), 2))
            bad[a : b + 1] = bad[a : b + 1][::-1]
        if bytes(bad) == good:
            bad[20] ^= 1
        code = init_code(host, bytes(bad))
        assert code < 0, "a corrupted state was believed"
        codes[code] += 1
    print(f"\ncorrupted states: {dict(codes)}")
    assert set(codes) <= {LENGTH, BLANK, FORMAT, DAMAGED}


def test_a_stored_checksum_of_zero_is_a_checksum(graph: IntGraph, tmp_path: Path):
    """Elsewhere a zero checksum counted as absent, and a damaged model was believed (users' pain 19)."""
    host = HostFirmware(graph, Config(NOMINAL_MAH), tmp_path)
    host.power_on()
    host.run(cycles(4, seconds=KNOWN_SECONDS))
    good = newest_state(host.fram)
    assert good is not None
    assert init_code(host, good[:-4] + bytes(4)) == DAMAGED


def test_a_sound_checksum_over_impossible_contents_is_refused(graph: IntGraph, tmp_path: Path):
    import zlib

    host = HostFirmware(graph, Config(NOMINAL_MAH), tmp_path)
    host.power_on()
    host.run(cycles(4, seconds=KNOWN_SECONDS))
    good = newest_state(host.fram)
    assert good is not None

    def forged(offset: int, content: bytes) -> bytes:
        body = good[:offset] + content + good[offset + len(content) : 172]
        body += zlib.crc32(body).to_bytes(4, "little") + good[176:-4]
        return body + zlib.crc32(body).to_bytes(4, "little")

    assert init_code(host, forged(24, good[24:28])) == 0
    for offset, content, code in (
        (90, b"\xff\xff", DAMAGED),  # rows
        (102, b"\x02", DAMAGED),  # a flag
        (104, b"\x03", DAMAGED),  # anchor
        (24, bytes(4), DAMAGED),  # cycle
        (56, b"\xff\xff\xff\x7f", DAMAGED),  # cycle of the newest row
        (28, b"\xff" * 8, DAMAGED),  # throughput
        (44, b"\xff" * 7 + b"\x7f", DAMAGED),  # count
        (72, b"\xff" * 4, DAMAGED),  # time in the cold
        (84, b"\xfe\xff", DAMAGED),  # published
        (108, b"\xff\xff", DAMAGED),  # evidence of tomorrow
        (112, b"\x01\x00", DAMAGED),  # evidence of the model
        (114, b"\xff\xff", DAMAGED),  # its deviation
        (8, b"\x01\x02\x03\x04", INHERITED),  # model
        (16, b"\x01\x00\x00\x00", DAMAGED),  # capacity
        (16, b"\xe8\x03\x00\x00", INHERITED),  # capacity
        (20, b"\x01\x00\x00\x00", DAMAGED),  # reference
        (3, b"\x05", FORMAT),  # version
        (4, b"\xff\xff\xff\xff", LENGTH),  # length
        (4, b"\x10\x00\x00\x00", DAMAGED),
    ):
        assert init_code(host, forged(offset, content)) == code, (offset, content)


def test_a_new_model_inherits_what_was_known(graph: IntGraph, model_file: Path, tmp_path: Path):
    from dataclasses import replace

    del model_file
    first = HostFirmware(graph, Config(NOMINAL_MAH), tmp_path / "a")
    first.power_on()
    soh = int.from_bytes(first.run(cycles(4, seconds=KNOWN_SECONDS))[-4].data[:2], "little")
    state = newest_state(first.fram)
    assert state is not None
    dense = next(node for node in graph.nodes if hasattr(node, "weight"))
    changed = replace(dense, weight=np.where(dense.weight == 0, 1, dense.weight).astype(np.int8) * np.int8(-1))
    nodes = tuple(changed if node is dense else node for node in graph.nodes)
    other = HostFirmware(replace(graph, nodes=nodes), Config(NOMINAL_MAH), tmp_path / "b")
    assert init_code(other, state) == INHERITED
    other.write_fram(0, state)
    assert other.power_on() == 0
    frames = other.run(rest(1))
    assert int.from_bytes(frames[0].data[:2], "little") == soh
    assert frames[0].data[6] >> 4 == Source.INHERITED
    assert int.from_bytes(frames[-1].data[4:6], "little") == 5, "its cycles go on"
