"""Small networks as tutorials build them for batteries, in torch, ONNX and Keras, for `bench.gallery` and the tests.

Weights are random with a seed: what counts is that each layer is read right, not what the network predicts.
"""

from __future__ import annotations

import importlib.util
import io
import tempfile
from typing import Any

from bench.gallery_entry import Entry
from bench.gallery_files import keras_entries, onnx_entries
from bench.gallery_tflite import tflite_entries
from bench.gallery_torch import torch_entries


def entries() -> list[Entry]:
    """All whose framework is installed."""
    makers = (("torch", torch_entries), ("onnxruntime", onnx_entries), ("keras", keras_entries),
             ("ai_edge_litert", tflite_entries))  # fmt: skip
    return [entry for package, make in makers if importlib.util.find_spec(package) for entry in make()]


def pt2_of(module: Any, windows: Any) -> bytes:
    """A module as the content of a ``.pt2`` file."""
    import torch

    content = io.BytesIO()
    torch.export.save(torch.export.export(module, (torch.from_numpy(windows[:2]),)), content)
    return content.getvalue()


def scratch() -> Any:
    """A folder that goes."""
    return tempfile.TemporaryDirectory(prefix="edgebat-gallery-")
