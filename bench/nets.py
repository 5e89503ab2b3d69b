"""The three networks that every table of speed and size uses; see edgebat/bench/nets.py."""

from edgebat.bench.nets import NETS, reference_net

__all__ = ["NETS", "reference_net"]
