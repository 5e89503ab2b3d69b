"""What the teachers' studies have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from edgebat.errors import RecipeError

Part = TypeVar("Part")


def chosen(only: Sequence[str], parts: Mapping[str, Part]) -> list[Part]:
    """The ``parts`` of a study named in ``only``, in the study's order; all when nothing is named. Raises RecipeError."""
    unknown = sorted(set(only) - set(parts))
    if unknown:
        allowed = f"allowed are {', '.join(parts)}" if parts else "it cannot be run in parts"
        raise RecipeError(f"--only {', '.join(unknown)}: the study has no such part; {allowed}")
    return [part for name, part in parts.items() if not only or name in only]
