"""Refuses unknown algorithms."""


class StateEstimation:
    def __init__(self, soh):
        self.soh = soh
        if self.soh not in ("debug", "none"):
            raise RuntimeError(self.soh)
