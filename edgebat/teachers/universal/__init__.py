"""The universal forecaster (arXiv 2601.00862): Battery-Timer by LoRA with a contrastive second task."""

from edgebat.teachers.universal.network import UniversalForecaster

TEACHERS = (UniversalForecaster,)
