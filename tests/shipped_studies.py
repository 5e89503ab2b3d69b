"""A study out of a recipe's file or the name of a shipped one, as the command line makes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebat.runs.document import find_study
from edgebat.studies.command import check_study
from edgebat.studies.runner import StudyRecipe


def load_study(recipe: str | Path, overrides: Sequence[str] = ()) -> StudyRecipe[Any]:
    document = find_study(recipe, overrides)
    assert document is not None
    return check_study(document, str(recipe))
