"""What a graph's file says of the cells it was trained on."""

from __future__ import annotations

from typing import Any

from edgebat.graph.model import IntGraph

SYNTHETIC = "SYNTHETIC: trained on simulated cells, not on measured ones; for trying things out, not for a battery"


def synthetic_note(graph: IntGraph) -> str:
    """``SYNTHETIC`` when the model was trained on simulated cells; "" for measured ones, and when its file does not say."""
    training: Any = graph.meta.get("training")
    return SYNTHETIC if isinstance(training, dict) and training.get("synthetic") is True else ""
