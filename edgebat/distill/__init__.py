"""Distillation: teacher labels, losses by head, and the training of students, with a teacher or without (extra ``train``).

Nothing here asks for the task: baselines stand in ``edgebat/baselines/<task>.py``, scores in ``edgebat/tasks/<task>/``.
"""
