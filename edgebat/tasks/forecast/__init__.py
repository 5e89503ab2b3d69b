"""The task ``forecast``: the capacities of the next cycles from those of the last ones."""

KEY = "min_history"
"""Of this task's definition and no other; files written before definitions carried a name are known by it."""
