"""Networks as tutorials build them: read exactly, quantized closely, or refused with what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgebat as eb
from bench.gallery_entry import Entry
from bench.gallery_networks import entries, pt2_of
from edgebat.errors import ModelFileError
from edgebat.networks.read import read_network

ENTRIES = entries()
LARGEST = 0.1
"""Error of an int8 network against its float form, in the spread of its outputs; its weights are random."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:The tensor attributes:UserWarning"),
    # Of TensorFlow's own arrays beside NumPy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("entry", ENTRIES, ids=[f"{entry.framework}-{entry.name}" for entry in ENTRIES])
def test_a_network_is_read_exactly_and_quantized_closely_or_refused_with_a_remedy(entry: Entry, tmp_path: Path) -> None:
    source, reference = entry.make(tmp_path)
    x = entry.windows(64)
    if entry.refused:
        with pytest.raises(ModelFileError, match=entry.refused) as caught:
            eb.quantize(source, x)
        assert str(caught.value).count("\n") == 0
        return
    network = read_network(source, x)
    wanted = np.asarray(reference(x)).reshape(len(x), -1)
    read = network.forward(network.windows(x)).reshape(len(x), -1)
    np.testing.assert_allclose(read, wanted, atol=2e-5 * max(float(np.abs(wanted).max()), 1.0))
    found = np.concatenate([v.reshape(len(x), -1) for v in eb.quantize(source, x).predict(x).values()], axis=1)
    assert np.sqrt(np.mean((found - wanted) ** 2)) < LARGEST * wanted.std()


def test_a_module_and_its_file_give_the_same_integers(tmp_path: Path) -> None:
    entry = next(entry for entry in ENTRIES if (entry.framework, entry.name) == ("torch", "cnn-lstm"))
    module, _ = entry.make(tmp_path)
    x = entry.windows(64)
    (tmp_path / "net.pt2").write_bytes(pt2_of(module, x))
    assert eb.quantize(tmp_path / "net.pt2", x).graph.fingerprint == eb.quantize(module, x).graph.fingerprint
