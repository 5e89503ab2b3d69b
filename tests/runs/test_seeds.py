"""Seeds of one recipe by other workers: the files of their runs are those of a run here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from rich.console import Console

from bench.ray_search import RECIPE, equal_after_kills
from edgebat.runs.evidence import evidence
from edgebat.runs.seeds import SeedJob
from edgebat.workers import HERE, Machines, Workers

SEEDS = 2


class Elsewhere(Workers[Mapping[str, bytes], SeedJob, Mapping[str, bytes]]):
    """Another machine, without this one's disk, that is lost after so many seeds."""

    same_disk = False
    last = 99
    trained: ClassVar[list[str]] = []

    def run(self, jobs: Sequence[SeedJob]) -> Iterator[tuple[int, Mapping[str, bytes]]]:
        for index, job in enumerate(jobs):
            if len(self.trained) == self.last:
                raise ConnectionError("the machine is gone")
            assert job.folder is None
            self.trained.append(job.recipe.name)
            yield index, self.function(self.common, job)


def files(folder: Path) -> dict[str, str]:
    """Digest of every model and prediction, and of the evidence."""
    found = sorted(
        p for pattern in ("evidence.json", "seed*/models/*", "seed*/predictions/*") for p in folder.glob(pattern)
    )
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def test_seeds_trained_elsewhere_are_the_same_and_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe: Any = yaml.safe_load(RECIPE)

    def found(folder: str, machines: Machines) -> dict[str, str]:
        evidence(recipe, [], SEEDS, None, tmp_path / folder, Console(quiet=True), machines)
        return files(tmp_path / folder / "tiny-evidence")

    alone = found("alone", HERE)
    monkeypatch.setattr(Machines, "workers", lambda self, function: Elsewhere(function))
    monkeypatch.setattr(Elsewhere, "trained", [])
    monkeypatch.setattr(Elsewhere, "last", 1)
    with pytest.raises(ConnectionError):
        found("elsewhere", Machines(2))
    monkeypatch.setattr(Elsewhere, "last", 99)
    assert found("elsewhere", Machines(2)) == alone
    assert Elsewhere.trained == ["seed1", "seed2"], "none twice"
    assert not list(tmp_path.glob("elsewhere/*/seed*/checkpoints/labels")), "no student was trained by this process"


def test_all_seeds_judge_and_hear_the_same_teacher(tmp_path: Path) -> None:
    """One that a recipe trains is in every seed the recipe's own, judged by the validation cells like in the first."""
    evidence(yaml.safe_load(RECIPE), ["distill.listen=where_better"], SEEDS, None, tmp_path, Console(quiet=True))
    records = [(tmp_path / f"tiny-evidence/seed{n}/steps/teacher.json").read_text() for n in (1, SEEDS)]
    assert records[0] == records[1]
    assert json.loads(records[0])["results"]["seen"] == "", (
        "whoever has seen the validation cells is not judged by them"
    )


@pytest.mark.filterwarnings("default")  # Ray's own
def test_nodes_that_are_killed_change_no_label_and_no_seed(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    assert equal_after_kills(["labels", "seeds"], 3, tmp_path)
