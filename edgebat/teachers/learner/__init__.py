"""The plain learners of ``edgebat/baselines`` as teachers: nearest neighbour, ridge, PLSR, forest, CPMLP.

Alone they are what a table holds a network against; in an ensemble they err elsewhere than networks do.
"""

from edgebat.teachers.learner.learner import ForecastLearner, HealthLearner, LifeLearner

TEACHERS = (HealthLearner, ForecastLearner, LifeLearner)
