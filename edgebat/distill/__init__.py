"""Distillation: teacher labels, losses, training of students, honest baselines and the score.

``baselines`` and ``score`` need NumPy only; training needs torch and lightning (extra ``train``).
"""
