"""Random networks of every family: NumPy equals the engines of others, bit for bit, wherever edgebat promises it.

The everyday run takes a few networks; EDGEBAT_TEST_SCALE=full takes 100 a family with 1,000 inputs each.
"""

import os

import numpy as np
import pytest

from edgebat.errors import GraphError
from edgebat.verify.equality import compare
from edgebat.verify.random_equality import ENGINES, promised, random_equality
from edgebat.verify.random_graphs import FAMILIES

FULL = os.environ.get("EDGEBAT_TEST_SCALE") == "full"


def test_numpy_equals_every_engine_where_equality_is_promised() -> None:
    rows, searched = random_equality(*((100, 1000) if FULL else (6, 60)))
    for row in rows:
        promise = "0 promised" if row.must_be_zero else "measured only"
        print(f"{row.model:16} {row.engine:14} {row.mismatches:>8} of {row.values}, largest {row.largest}  {promise}")
    print("channels without a proven scale, of all searched:", searched)
    # All three engines belong to the test installation: a missing one would make this test say less than it should.
    assert {row.engine for row in rows} == set(ENGINES)
    assert [row for row in rows if not row.passed] == []
    assert all(fallbacks == 0 for fallbacks, _ in searched.values())


def test_promises_cover_each_family_by_two_foreign_engines() -> None:
    assert {f: sum(promised(f, e) for e in ENGINES) for f in FAMILIES} == {"mlp": 2, "cnn": 2, "lstm": 2}


def test_a_difference_is_counted_and_fails_only_where_equality_is_promised() -> None:
    a, b = np.array([[1, 2], [3, 4]], np.int16), np.array([[1, 2], [3, 9]], np.int16)
    row = compare("net", "NumPy", a, "other", b, must_be_zero=True)
    assert (row.mismatches, row.largest, row.share, row.passed) == (1, 5, 0.25, False)
    assert compare("net", "NumPy", a, "other", b, must_be_zero=False).passed
    with pytest.raises(GraphError, match="shape"):
        compare("net", "NumPy", a, "other", b[:1], must_be_zero=True)
