"""Models for the fuzzing programs of ``firmware_stubs/Makefile``: one folder each, all of them named ``net``.

``python -m tests.c_fuzz_models build/models && make -C firmware_stubs fuzz MODELS=$PWD/build/models``
"""

from __future__ import annotations

import sys
from pathlib import Path

from edgebat.formats.c.write import write_c
from tests.formats.c.test_equality import dense_per_step, foreign_lstm, whole_sequence
from tests.formats_graphs import FAMILIES

# Every kernel, every mode, with and without single steps.
MODELS = {
    "mlp": (lambda: FAMILIES["mlp"](1), "balanced"),
    "mlp_fast": (lambda: FAMILIES["mlp"](3), "fast"),
    "mlp_flash": (lambda: FAMILIES["mlp"](6), "flash"),
    "cnn": (lambda: FAMILIES["cnn"](1), "balanced"),
    "cnn_ram": (lambda: FAMILIES["cnn"](3), "ram"),
    "cnn_flash": (lambda: FAMILIES["cnn"](5), "flash"),
    "lstm": (lambda: FAMILIES["lstm"](3), "balanced"),
    "lstm_fast": (lambda: FAMILIES["lstm"](2), "fast"),
    "lstm_any": (lambda: foreign_lstm(True), "balanced"),
    "lstm_rows": (lambda: foreign_lstm(False), "balanced"),
    "padded": (lambda: FAMILIES["padded"](1), "balanced"),
    "clipped": (lambda: FAMILIES["padded"](2), "balanced"),
    "gru": (lambda: FAMILIES["gru"](3), "balanced"),
    "gru_fast": (lambda: FAMILIES["gru"](2), "fast"),
    "sequence": (whole_sequence, "balanced"),
    "steps": (dense_per_step, "flash"),
}


def write_models(folder: Path, names: list[str]) -> None:
    """Generate ``folder/<name>/net.c`` and ``net.h`` for every name."""
    for name in names:
        build, mode = MODELS[name]
        write_c(build(), folder / name, "net", mode=mode)


if __name__ == "__main__":
    write_models(Path(sys.argv[1]), list(MODELS))
