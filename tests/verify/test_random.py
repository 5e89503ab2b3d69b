"""Random networks of every family: NumPy equals the engines of others, bit for bit, wherever edgebat promises it.

The everyday run takes a few networks; EDGEBAT_TEST_SCALE=full takes 1,000 a family with 100 inputs each.
"""

import os

import numpy as np
import pytest

from edgebat.errors import EdgebatError, GraphError
from edgebat.verify.engines import FOREIGN
from edgebat.verify.equality import compare, require_equal
from edgebat.verify.random_equality import random_equality
from edgebat.verify.random_graphs import FAMILIES, random_graph

FULL = os.environ.get("EDGEBAT_TEST_SCALE") == "full"


def test_numpy_equals_every_engine_where_equality_is_promised() -> None:
    rows, searched = random_equality(*((1000, 100) if FULL else (6, 60)))
    for row in rows:
        print(
            f"{row.model:16} {row.engine:14} {row.mismatches:>8} of {row.values}, largest {row.largest}  {row.promise}"
        )
    print("channels without a proven scale, of all searched:", searched)
    # All three engines belong to the test installation: a missing one would make this test say less than it should.
    assert {row.engine for row in rows} == {engine.name for engine in FOREIGN}
    assert [row for row in rows if not row.passed] == []
    assert all(fallbacks == 0 for fallbacks, _ in searched.values())


def test_promises_cover_each_family_by_two_foreign_engines() -> None:
    promised = {f: [e.name for e in FOREIGN if e.promise(random_graph(f, 0)) == "0"] for f in FAMILIES}
    assert promised == {
        "mlp": ["ONNX Runtime", "LiteRT"],
        "cnn": ["ONNX Runtime", "LiteRT"],
        "lstm": ["ONNX Runtime", "TFLite Micro"],
        "gru": ["ONNX Runtime", "TFLite Micro"],
        "bidirectional": ["ONNX Runtime", "TFLite Micro"],
    }


def test_a_difference_is_counted_and_fails_only_where_equality_is_promised() -> None:
    a, b = np.array([[1, 2], [3, 4]], np.int16), np.array([[1, 2], [3, 9]], np.int16)
    row = compare("net", "other", a, b)
    assert (row.mismatches, row.largest, row.share, row.passed) == (1, 5, 0.25, False)
    assert compare("net", "other", a, b, promise="rounds twice").passed
    with pytest.raises(GraphError, match="shape"):
        compare("net", "other", a, b[:1])
    with pytest.raises(EdgebatError, match="outputs differ where they must be equal: net in other: 1 of 4"):
        require_equal([row])
    require_equal([compare("net", "other", a, b, promise="rounds twice")])
