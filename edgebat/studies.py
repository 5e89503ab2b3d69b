"""Studies: recipes that train one published teacher and score it beside the baselines, without a device at the end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebat.errors import RecipeError, require
from edgebat.recipe import is_study, read_document

STUDIES = {
    "batlinet": "life",
    "diffbatt": "life",
    "battery_timer": "forecast",
    "universal": "forecast",
    "ic2ml": "conditions",
}
"""Teacher -> kind of study."""


def find_study(recipe: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any] | None:
    """What the recipe says, when it is a study; None for a road. Raises RecipeError."""
    _, document = read_document(recipe, overrides)
    return document if is_study(document) else None


def run_study(document: dict[str, Any], corpus: Path | None, runs: Path, only: Sequence[str] = ()) -> Path:
    """Run a study, or the parts of it named in ``only``, into ``runs/<name>`` and print its table; what is done there is
    kept. Raises RecipeError, DataError."""
    name, teacher = str(document.get("name", "")), str(document["teacher"])
    if teacher not in STUDIES:
        raise RecipeError(f"there is no study of the teacher {teacher!r}; allowed are {', '.join(STUDIES)}")
    if corpus is None:
        raise RecipeError(f"recipe {name!r} needs measured cells: give --corpus PATH or set EDGEBAT_CORPUS")
    require("lightning", extra="train")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    folder = runs / name
    if STUDIES[teacher] == "life":
        from edgebat.teachers import life_study

        life_study.run_study(life_study.check_study(document), corpus, folder, only)
    elif STUDIES[teacher] == "forecast":
        from edgebat.teachers import forecast_study

        forecast_study.run_study(forecast_study.check_study(document), corpus, folder, only)
    else:
        from edgebat.teachers import ic2ml_study as condition_study

        condition_study.run_study(condition_study.check_study(document), corpus, folder, only)
    return folder
