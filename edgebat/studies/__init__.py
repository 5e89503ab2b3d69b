"""Studies of one teacher on many cells: leave one out, transfer, seeds, ablations."""
