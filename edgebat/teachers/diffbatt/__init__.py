"""DiffBatt (arXiv 2410.23893): SOH curves drawn by a diffusion model."""

from edgebat.teachers.diffbatt.network import DiffBatt, DiffBattEnsemble

TEACHERS = (DiffBatt, DiffBattEnsemble)
