"""The integer graph: operators, checks, the rounding rules and edgebat's own file format. NumPy only."""

from edgebat.graph.check import check_graph
from edgebat.graph.model import (
    OPERATORS,
    Add,
    AveragePool1D,
    Concat,
    Conv1D,
    Dense,
    DepthwiseConv1D,
    Flatten,
    Gru,
    IntGraph,
    LastStep,
    Lstm,
    Lut,
    MaxPool1D,
    Node,
    Requant,
    Reverse,
    Tensor,
)
from edgebat.graph.store import load_graph, save_graph

__all__ = [
    "OPERATORS", "Add", "AveragePool1D", "Concat", "Conv1D", "Dense", "DepthwiseConv1D", "Flatten", "Gru", "IntGraph",
    "LastStep", "Lstm", "Lut", "MaxPool1D", "Node", "Requant", "Reverse", "Tensor", "check_graph", "load_graph",
    "save_graph",
]  # fmt: skip
