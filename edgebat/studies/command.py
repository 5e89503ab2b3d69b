"""Studies: recipes that train one published teacher and score it beside the baselines, without a device at the end."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edgebat.errors import RecipeError, require
from edgebat.files import atomic_write
from edgebat.runs.recipe import is_study, read_document

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


@contextlib.contextmanager
def _silent_but_for_the_first() -> Iterator[None]:
    """Every process of a distributed training goes through the whole study; one of them prints."""
    from lightning.pytorch.utilities import rank_zero_only

    with contextlib.ExitStack() as stack:
        # Before a Trainer is made, Lightning knows the process of a node, but not the node.
        if getattr(rank_zero_only, "rank", 0) or int(os.environ.get("NODE_RANK", "0")):
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        yield


NOTE = "study.json"
"""The recipe that a folder's results are of."""


def refuse_other_results(folder: Path, document: dict[str, Any]) -> None:
    """Raise RecipeError when ``folder`` holds results of another recipe; title, seeds, folds, released predictions and
    variants that only one of the two has apart."""
    if not (folder / NOTE).exists():
        return
    own, other = _same_study(document), json.loads((folder / NOTE).read_text(encoding="utf-8"))
    common = own.get("variants", {}).keys() & other.get("variants", {}).keys()
    for part in (own, other):
        if "variants" in part:
            part["variants"] = {name: part["variants"][name] for name in sorted(common)}
    changed = sorted(key for key in own.keys() | other.keys() if own.get(key) != other.get(key))
    if changed:
        raise RecipeError(
            f"{folder} holds results of the same study with another {', '.join(changed)}; choose another --runs, or "
            "delete the folder"
        )


def _same_study(part: Any) -> Any:
    """What makes a study the same: plain data as JSON gives it back, less titles, ``seeds``, ``folds``, ``released``."""
    if isinstance(part, dict):
        return {str(k): _same_study(v) for k, v in part.items() if k not in ("seeds", "folds", "title", "released")}
    return [_same_study(v) for v in part] if isinstance(part, list | tuple) else part


def run_study(document: dict[str, Any], corpus: Path | None, runs: Path, only: Sequence[str] = ()) -> Path:
    """Run a study, or the parts of it named in ``only``, into ``runs/<name>`` and print its table; what is done there is
    kept. Raises RecipeError, DataError."""
    name, teacher = str(document.get("name", "")), str(document["teacher"])
    if teacher not in STUDIES:
        raise RecipeError(f"there is no study of the teacher {teacher!r}; allowed are {', '.join(STUDIES)}")
    if corpus is None:
        raise RecipeError(f"recipe {name!r} needs measured cells: give --corpus PATH or set EDGEBAT_CORPUS")
    folder = runs / name
    require("lightning", extra="train")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    from edgebat.studies import conditions as ic2ml_study
    from edgebat.studies import forecast as forecast_study
    from edgebat.studies import life as life_study

    kind: Any = {"life": life_study, "forecast": forecast_study, "conditions": ic2ml_study}[STUDIES[teacher]]
    study = kind.check_study(document)
    refuse_other_results(folder, document)
    try:
        with _silent_but_for_the_first():
            kind.run_study(study, corpus, folder, only)
    finally:
        # Interrupted or not: what lies there now is of this recipe.
        if folder.is_dir():
            atomic_write(folder / NOTE, json.dumps(_same_study(document), indent=1, sort_keys=True) + "\n")
    return folder
