"""BatLiNet (10.1038/s42256-024-00972-x): cycle life from early cycles, judged against reference cells."""

from edgebat.teachers.batlinet.network import BatLiNet, BatLiNetEnsemble

TEACHERS = (BatLiNet, BatLiNetEnsemble)
