"""The task ``forecast``: the capacities of the next cycles from those of the last ones."""
