"""IC2ML (J. Power Sources 666, 239148): health from pieces of ten charges."""

from edgebat.teachers.ic2ml.network import Ic2ml

TEACHERS = (Ic2ml,)
