"""A teacher in a folder: a line through everything a student reads, fitted head by head, for two tasks."""

from edgebat.teachers.line.network import Line, ToyLine

TEACHERS = (Line, ToyLine)
