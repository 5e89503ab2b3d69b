"""The gallery's float TFLite files of Keras: recurrent layers as loops and step by step, of ``tests/files/recurrent``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.gallery_entry import Entry

FOLDER = Path(__file__).parents[1] / "tests" / "files" / "recurrent"
NAMES = {
    "loop_lstm": "lstm-loop-two-layers",
    "loop_gru_before": "gru-loop-reset-before",
    "loop_both": "bidirectional-loops",
    "steps_lstm": "lstm-unrolled-two-layers",
    "steps_gru": "gru-unrolled",
    "steps_open": "gru-lstm-unrolled-open-batch",
}
REFUSED = {"loop_simple": "rnn-loop", "loop_hard": "lstm-loop-hard-sigmoid"}


def tflite_entries() -> Iterator[Entry]:
    """Files as TensorFlow converts Keras 3."""
    for file, name in {**NAMES, **REFUSED}.items():
        yield _entry(FOLDER / f"{file}.tflite", name, "no LSTM or GRU" if file in REFUSED else "")


def _entry(path: Path, name: str, refused: str) -> Entry:
    def make(folder: Path) -> tuple[Any, Any]:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

        def run(x: Any) -> Any:
            answers = []
            for window in x:
                interpreter.set_tensor(source["index"], window[None].astype(np.float32))
                interpreter.invoke()
                answers.append(interpreter.get_tensor(target["index"])[0])
            return np.array(answers)

        return path, run

    return Entry(name, "SOC", "TFLite", make, (5, 2), refused)
