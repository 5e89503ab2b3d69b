"""Whose a run folder is: one recipe's."""

from __future__ import annotations

import json
from pathlib import Path

from edgebat.errors import RecipeError
from edgebat.files import atomic_write, sha256_file
from edgebat.paths import recipes_dir

NOTE = "recipe.json"
"""Which file the folder's recipe is, and its sha256 when it was last run."""


def claim(folder: Path, recipe: Path) -> None:
    """Note that ``folder`` is of the recipe file ``recipe``; a recipe may change, but not into another file's.

    A shipped recipe is known by its name, any other by its path; a file with unchanged content may move. The run of a
    shipped recipe stays that one's, also when an unchanged copy is run in it: edited, the copy is another recipe. Raises
    RecipeError when the folder is another recipe's.
    """
    shipped = recipe.resolve().parent == recipes_dir().resolve()
    own = {"file": f"shipped:{recipe.stem}" if shipped else str(recipe.resolve()), "sha256": sha256_file(recipe)}
    try:
        noted = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        other = {"file": str(noted["file"]), "sha256": str(noted["sha256"])}
    except (OSError, ValueError, KeyError, TypeError):  # no note, or a damaged one: nothing to compare with
        other = {}
    if other and own["file"] != other["file"] and own["sha256"] != other["sha256"]:
        raise RecipeError(
            f"{folder} holds the run of another recipe of the same name, {other['file']}, and this one is {own['file']}; "
            f"choose another name: in the recipe or another --runs FOLDER, or delete {folder}"
        )
    copy = other.get("file", "").startswith("shipped:") and own["file"] != other["file"]
    if own != other and not copy:
        atomic_write(folder / NOTE, json.dumps(own, indent=1, sort_keys=True) + "\n")
