"""The task ``life``: cycle life and SOH curve from the discharge curves of the first cycles."""

KEY = "base_cycle"
"""Of this task's definition and no other; files written before definitions carried a name are known by it."""
