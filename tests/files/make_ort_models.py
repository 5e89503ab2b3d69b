"""Makes the ``ort_*.onnx`` files beside it with ONNX Runtime's own quantizer: ``python -m tests.files.make_ort_models``."""

import tempfile
from pathlib import Path

from tests.formats.test_foreign_onnx import quantized

if __name__ == "__main__":
    for name, form, activation in (
        ("mlp", "QOperator", "QInt8"),
        ("cnn", "QDQ", "QUInt8"),
        ("pooled", "QOperator", "QUInt8"),
    ):
        with tempfile.TemporaryDirectory() as folder:
            content = quantized(name, Path(folder), form, activation, True).read_bytes()
        (Path(__file__).parent / f"ort_{name}_{form.lower()}.onnx").write_bytes(content)
