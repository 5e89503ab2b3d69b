"""Distillation: teacher labels, losses and the training of students, with a teacher or without (extra ``train``).

The baselines stand in ``edgebat/baselines/health.py``, the scores in ``edgebat/evaluate.py``.
"""
