"""``data.more`` of a recipe: more windows that teach, of the training cells, of a further corpus, and of drawn curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgebat.cells import CellKey
from edgebat.data.splits import Split
from edgebat.errors import RecipeError
from edgebat.paths import shipped
from edgebat.runs.recipe import Recipe
from edgebat.tasks.base import Loaded
from edgebat.tasks.windows import Windows, merged


def more_windows(recipe: Recipe, loaded: Loaded[Windows], split: Split) -> Windows:
    """All that ``recipe.data.more`` asks for. Raises RecipeError or DataError when there is no window of a kind."""
    task, spec, more = recipe.of_task, recipe.spec, recipe.data.more
    own = loaded.select(split.train)
    parts = [task.more_windows(own, spec, more)] if more.cut else []
    generator = np.random.default_rng(more.seed)
    parts += [_noisy(recipe, own.windows, generator) for _ in range(more.noisy)]
    if more.corpus:
        parts.append(_further(recipe, loaded, split))
    if more.drawn:
        parts.append(_drawn(recipe))
    return merged(parts)


def further_cells(more: Windows, split: Split) -> list[str]:
    """The cells of ``more`` windows that are no training cells, as ``dataset/cell``."""
    return sorted("/".join(cell) for cell in set(more.cells) - set(split.train))


def more_statement(windows: int, further: int) -> str:
    """What a report says of them."""
    of = f"the training cells and {further} others" if further else "the training cells"
    return f" {windows} more windows of {of} teach as well."


def _noisy(recipe: Recipe, windows: Windows, generator: np.random.Generator) -> Windows:
    """``windows`` with noise on what is measured, or as a device with a noisy voltage measures it."""
    more = recipe.data.more
    if not more.noise_mv:
        return windows.noisy(more.noise, generator)
    return recipe.of_task.noisy_windows(windows, more.noise_mv, generator)


def _further(recipe: Recipe, loaded: Loaded[Windows], split: Split) -> Windows:
    """Windows of the further corpus; none of a cell that the split names, under whatever name, or of a data set that is left
    out."""
    more, asked = recipe.data.more, recipe.data.split
    found = recipe.of_task.load(Path(more.corpus).expanduser(), recipe.spec)
    windows, curves = found.windows, set(_curves(loaded).values())
    known = set(split.cells) | {key for key, curve in _curves(found).items() if curve in curves}
    left_out = set(asked.hold_out) if asked.by == "dataset" else set()
    cells = [key for key in windows.cells if key not in known and key[0] not in left_out]
    if not cells:
        raise RecipeError(
            f"data.more.corpus {more.corpus} has {len(windows.cells)} cells with windows, all of them in the data already "
            "or of data sets that are left out; name a folder of other cells"
        )
    chosen = windows.select(cells=cells)
    return chosen if more.corpus_labels else chosen.without_labels()


def _curves(loaded: Loaded[Windows]) -> dict[CellKey, bytes]:
    """The capacities of each cell, where the task knows them."""
    if loaded.fleet is None:
        return {}
    return {each.key: each.capacity_ah[np.isfinite(each.capacity_ah)].tobytes() for each in loaded.fleet.histories()}


def _drawn(recipe: Recipe) -> Windows:
    """Windows of curves that a stored teacher draws, as if nobody had measured how they go on."""
    from edgebat.teachers.store import load_teacher

    more = recipe.data.more
    fleet = load_teacher(shipped(more.drawn_by)).draw_cells(more.drawn, more.drawn_steps, more.seed)
    return recipe.of_task.of_fleet(fleet, recipe.spec).windows.without_labels()
