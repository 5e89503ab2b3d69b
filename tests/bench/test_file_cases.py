"""No silent wrong number out of one file: every case of ``bench.file_cases`` through ``edgebat predict``."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.file_cases import CASES, CLOSE, Log, asked, healthy, worst

MODEL = "demo-mlp"
UNSEEN = {"current 5 % too large"}
"""A gain of the instrument scales charges and discharges alike; nothing in a file tells it."""
LOG = healthy()


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> float:
    return worst(LOG, asked(LOG, MODEL, tmp_path_factory.mktemp("untouched"))) + CLOSE


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_estimate_is_near_or_refused(name: str, allowed: float, tmp_path: Path) -> None:
    log = CASES[name](LOG)
    answer = asked(log, MODEL, tmp_path)
    assert answer.words
    if not answer.code and name not in UNSEEN:
        assert worst(log, answer) <= allowed


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("current offset of 50 mA", "the current stands at 0.05 A, and over 13 cycles"),
        ("current offset of -30 mA", "the current stands at -0.03 A"),
        (
            "constant-voltage part with the other sign",
            "14 times the current turns its direction and the voltage does not",
        ),
        (
            "voltage 20 mV too high",
            "charges end at 4.220 V, and chargers hold 4.20 V: if the voltage is read 20 mV too high",
        ),
        ("two cells, clock and number going on", "at cycle 15 and stays: two cells in one file?"),
        ("each row twice", "7697 rows come twice, first row 2: used once"),
        ("temperature in K, called degC", "298 degC then: not used"),
        ("temperature in F, not said", "Suspected: the file says that the cell is at 77 degC; another unit"),
    ],
)
def test_what_is_wrong_is_named(name: str, words: str, tmp_path: Path) -> None:
    assert words in asked(CASES[name](LOG), MODEL, tmp_path).words


def test_no_window_is_of_two_cells(tmp_path: Path) -> None:
    log: Log = CASES["two cells, clock and number going on"](LOG)
    assert asked(log, MODEL, tmp_path).cycle == (10, 11, 12, 13, 14, 24, 25, 26, 27, 28)


def test_a_load_that_is_really_there_is_no_offset(tmp_path: Path) -> None:
    assert asked(CASES["a true load of 30 mA while resting"](LOG), MODEL, tmp_path).code == 0
