"""Tables of a life study: baselines and teacher over folds and seeds, all cells together and each data set apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgebat.tasks.life.score import by_dataset

Scores = dict[str, float]
Records = tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]
"""Of one fold: baseline -> its record, and the record of each of the teacher's seeds; each with ``scores`` and ``cells``."""


def study_table(title: str, teacher: str, found: Sequence[Records]) -> str:
    """Markdown: a line per baseline, then the teacher's mean +- standard deviation over seeds, then (with the record
    ``together`` of the first seed) the seeds as one teacher. Of several folds as ``over_folds`` has it."""
    rows = {name: [over_folds([own[name]["scores"] for own, _ in found])] for name in found[0][0]}
    seeds = [over_folds([record["scores"] for record in records]) for records in _seeds(found)]
    rows[f"{teacher}, {len(seeds)} seeds"] = seeds
    together = [records[0]["together"] for _, records in found if "together" in records[0]]
    if together:
        rows[f"{teacher}, the seeds together"] = [over_folds(together)]
    names = sorted({name for part in rows.values() for scores in part for name in scores})
    lines = [_line(title, names), "|---" * (len(names) + 1) + "|"]
    for who, part in rows.items():
        lines.append(_line(who, [_spread([s[name] for s in part if name in s], 2) for name in names]))
    return "\n".join(lines) + "\n"


def dataset_table(teacher: str, found: Sequence[Records]) -> str:
    """Markdown: RMSE in cycles and MAPE in percent of each data set's cells, all folds together, of baselines and teacher;
    empty when all cells are of one data set."""
    rows: dict[str, list[dict[str, Scores]]] = {
        name: [by_dataset([cell for own, _ in found for cell in own[name]["cells"]])] for name in found[0][0]
    }
    per_seed = [by_dataset([cell for record in records for cell in record["cells"]]) for records in _seeds(found)]
    rows[f"{teacher}, {len(per_seed)} seeds"] = per_seed
    datasets = {name: scores["cells"] for name, scores in sorted(per_seed[0].items()) if scores["cells"]}
    if len(datasets) < 2:
        return ""
    heads = [f"{name}, {count:.0f} cells" for name, count in datasets.items()]
    lines = [_line("RMSE, cycles (MAPE, %)", heads), "|---" * (len(heads) + 1) + "|"]
    for who, part in rows.items():
        said = []
        for name in datasets:
            rmse, mape = ([scores[name][metric] for scores in part] for metric in ("rmse", "mape"))
            said.append(f"{_spread(rmse, 1)} ({_spread(mape, 1)})")
        lines.append(_line(who, said))
    return "\n".join(lines) + "\n"


def over_folds(scores: Sequence[Scores]) -> Scores:
    """Over folds of like size: the root of the mean square of RMSEs in cycles, the mean of anything else; each over the
    folds that know it."""
    known = {name: [s[name] for s in scores if name in s] for name in dict.fromkeys(name for s in scores for name in s)}
    return {
        name: float(np.sqrt(np.mean(np.square(values))))
        if name in ("rmse", "rul_rmse", "rul_rmse_best")
        else float(np.mean(values))
        for name, values in known.items()
    }


def _seeds(found: Sequence[Records]) -> list[tuple[dict[str, Any], ...]]:
    """For each seed the records of all folds."""
    return list(zip(*(records for _, records in found), strict=True))


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return ""
    mean = f"{np.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values):.{digits}f}"


def _line(head: str, cells: Sequence[str]) -> str:
    return f"| {head} | " + " | ".join(cells) + " |"
