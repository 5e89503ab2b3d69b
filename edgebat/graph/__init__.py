"""The integer graph: operators, checks, the rounding rules and edgebat's own file format. NumPy only."""

from edgebat.graph.check import check_graph
from edgebat.graph.model import (
    OPERATORS,
    Add,
    AveragePool1D,
    ClippedLstm,
    Concat,
    Conv1D,
    Dense,
    DepthwiseConv1D,
    Flatten,
    FloatPool1D,
    Gru,
    IntGraph,
    LastStep,
    Lstm,
    Lut,
    MaxPool1D,
    MeanPool1D,
    Mul,
    Node,
    Pad1D,
    Requant,
    Reverse,
    Softmax,
    Take,
    Tensor,
)
from edgebat.graph.store import load_graph, save_graph

__all__ = [
    "OPERATORS", "Add", "AveragePool1D", "ClippedLstm", "Concat", "Conv1D", "Dense", "DepthwiseConv1D", "Flatten",
    "FloatPool1D", "Gru", "IntGraph", "LastStep", "Lstm", "Lut", "MaxPool1D", "MeanPool1D", "Mul", "Node", "Pad1D",
    "Requant", "Reverse", "Softmax", "Take", "Tensor", "check_graph", "load_graph", "save_graph",
]  # fmt: skip
