"""What a graph's file says of the cells it was trained on."""

from __future__ import annotations

from typing import Any

from edgebat.errors import ModelFileError
from edgebat.graph.model import IntGraph
from edgebat.ground import Ground, ground_of

SYNTHETIC = "SYNTHETIC: trained on simulated cells, not on measured ones; for trying things out, not for a battery"


def synthetic_note(graph: IntGraph) -> str:
    """``SYNTHETIC`` when the model was trained on simulated cells; "" for measured ones, and when its file does not say."""
    training: Any = graph.meta.get("training")
    return SYNTHETIC if isinstance(training, dict) and training.get("synthetic") is True else ""


def graph_ground(graph: IntGraph) -> Ground:
    """On which ground the model's answers stand; nothing stated for files written before models said so. Raises
    ModelFileError for a damaged entry, and for one of a model with another number of columns."""
    ground = ground_of(graph.meta, graph.name)
    columns = graph.input_tensor.shape[-1]
    if len(ground.rows.low_ppm) not in (0, columns):
        raise ModelFileError(
            f"model {graph.name!r} limits {len(ground.rows.low_ppm)} columns and reads {columns}; export it again"
        )
    return ground
