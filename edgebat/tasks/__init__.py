"""Tasks a model can serve: one folder each, with its windows, heads and scores. NumPy only."""
