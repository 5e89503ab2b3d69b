"""The task ``life``: cycle life and SOH curve from the discharge curves of the first cycles."""
