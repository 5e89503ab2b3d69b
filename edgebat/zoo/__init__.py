"""The zoo: ready students to use at once, and trained teachers where they are installed."""

from edgebat.zoo.entries import Entry, find, students, teachers
from edgebat.zoo.get import get, student_file

__all__ = ["Entry", "find", "get", "student_file", "students", "teachers"]
