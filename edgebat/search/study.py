"""Which candidates are trained, and which of them is the best: generations of Optuna's choice, each priced before it is
trained, and the few best confirmed with further seeds.

Nothing of Optuna is kept on disk. Prices and trained students are, each by its content; a search that starts again asks the
same questions and finds the answers there, so that it goes on where it stopped and comes to the same result, however many
processes or machines train.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import optuna

from edgebat.bench.budget import Limits, Need, measured_need
from edgebat.errors import DataError, ModelFileError, RecipeError
from edgebat.files import atomic_write, sha256_bytes
from edgebat.graph import IntGraph, load_graph, save_graph
from edgebat.runs.recipe import Recipe
from edgebat.search.cost import Price, Prices
from edgebat.search.space import Candidate, hand_picked, suggest
from edgebat.search.trial import Job, Lessons, Trained
from edgebat.workers import Workers

Trainers = Workers[Lessons, Job, tuple[Trained, IntGraph | None]]
"""Who trains: ``train_candidate`` of what all learn from and a job."""
GENERATION = 6
"""Trials that are chosen together: none of them knows of another's result, so that their order does not matter."""
MOST_ASKED = 40
"""Candidates that are priced for each one trained, at most."""
FEW = 5
"""Finished trainings before one is ended early."""
FREE_SHARE = 0.25
"""Of the epochs, during which none is ended."""


@dataclass(frozen=True)
class Plan:
    """How much is tried."""

    trials: int = 40
    """Trainings, those that are ended early too."""
    minutes: float = 0.0
    """Time for all of it, the confirmation too, as far as it can be foreseen; 0: as long as it takes."""
    epochs: int = 0
    """Of a trial; finalists get the recipe's. 0: the recipe's."""
    seed: int = 1
    """Of Optuna's choice; trainings start from the recipe's own seed."""
    finalists: int = 3
    """Best candidates that are confirmed."""
    seeds: int = 3
    """Trainings of each finalist, the median of which counts."""


@dataclass(frozen=True)
class Trial:
    """A candidate, its price and what its training came to."""

    candidate: Candidate
    need: Need
    trained: Trained


@dataclass(frozen=True)
class Finalist:
    """A candidate with the errors of all its seeds. picked: it is the recipe's own; measured: what its trained student took
    on the target, ``need`` before training."""

    candidate: Candidate
    price: Price
    errors: tuple[float, ...]
    picked: bool = False
    measured: Need | None = None

    @property
    def error(self) -> float:
        """The median."""
        return statistics.median(self.errors)


@dataclass
class Search:
    """One search. lessons: what seeds learn from; folder: keeps what was trained; watch: hears of progress."""

    recipe: Recipe
    plan: Plan
    prices: Prices
    lessons: Callable[[Sequence[int]], Lessons]
    folder: Path
    origin: str
    watch: Callable[[str, int, int], None] = lambda text, done, of: None
    trials: list[Trial] = field(default_factory=list)
    asked: int = 0
    fresh: int = 0
    """Trainings of this run; the others were there."""
    pricing_seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """Of a trial."""
        return self.plan.epochs or self.recipe.distill.fit.epochs

    def run(self, workers: Trainers) -> list[Finalist]:
        """The finalists and the recipe's own students, the best first among those within the budget, then the others.

        Raises RecipeError when no candidate is within the budget.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.workers, seed = workers, self.recipe.distill.fit.seed
        self.taught = self.lessons([seed])
        workers.share(self.taught, self.recipe.threads)
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.plan.seed))
        while len(self.trials) < self.plan.trials and not self._out_of_time():
            asked = self._generation(study, min(GENERATION, self.plan.trials - len(self.trials)))
            if not asked:
                break
            limits = self._limits()
            jobs = [Job(candidate, seed, self.epochs, limits) for _, candidate, _ in asked]
            for (trial, candidate, need), trained in zip(
                asked, self._train(jobs, self.plan.trials, len(self.trials)), strict=True
            ):
                self._tell(study, trial, trained)
                self.trials.append(Trial(candidate, need, trained))
        finished = {t.candidate.content: t for t in self.trials if t.trained.error is not None}
        if not finished:
            raise RecipeError(
                f"none of {self.asked} candidates takes at most {self.prices.limits} on {self.prices.board.name}; "
                "allow more, or search longer"
            )
        best = sorted(finished.values(), key=lambda t: (t.trained.error, t.candidate.content))
        return self._confirmed([t.candidate for t in best[: self.plan.finalists]])

    def _price(self, candidate: Candidate) -> Price:
        task, train = self.recipe.of_task, self.taught.train
        try:
            seen = candidate.seen(train.evenly(1))
            _, steps, channels = seen.inputs().shape
        except DataError as error:
            return Price(None, str(error), (1.0, 1.0, 1.0))
        return self.prices.of(candidate, task, seen.spec, (steps, channels))

    def _generation(self, study: optuna.Study, count: int) -> list[tuple[optuna.Trial, Candidate, Need]]:
        """The next candidates within the budget, none that was trained before; fewer when no more are found."""
        known = {trial.candidate.content for trial in self.trials}
        found: list[tuple[optuna.Trial, Candidate, Need]] = []
        for _ in range(MOST_ASKED * count):
            trial = study.ask()
            candidate = suggest(trial, self.recipe.of_task, self.recipe)
            price = self._price(candidate)
            self.asked += 1
            self.pricing_seconds += price.seconds
            self.watch(f"price {self.asked}: {candidate}", len(self.trials), self.plan.trials)
            for name, excess in zip(("flash", "ram", "time"), price.excess, strict=True):
                trial.set_constraint(name, excess)
            if price.need is None or not price.fits or candidate.content in known:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                continue
            known.add(candidate.content)
            found.append((trial, candidate, price.need))
            if len(found) == count:
                break
        return found

    def _tell(self, study: optuna.Study, trial: optuna.Trial, trained: Trained) -> None:
        for epoch, loss in enumerate(trained.losses):
            trial.report(loss, epoch)
        if trained.error is None or not math.isfinite(trained.error):
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, trained.error)

    def _limits(self) -> tuple[float, ...]:
        """Of each epoch the median, over the finished trainings of earlier generations, of the best loss so far."""
        losses = [t.trained.losses for t in self.trials if t.trained.error is not None]
        if len(losses) < FEW:
            return ()
        best = [[min(own[: epoch + 1]) for own in losses] for epoch in range(self.epochs)]
        free = math.ceil(self.epochs * FREE_SHARE)
        return tuple(math.inf if epoch < free else statistics.median(of) for epoch, of in enumerate(best))

    def _train(self, jobs: Sequence[Job], of: int, before: int = 0) -> list[Trained]:
        """What each job comes to: from its file when it was trained before, else by the workers. before, of: trainings that
        are done and wanted, for who watches."""
        found = {index: kept for index, job in enumerate(jobs) if (kept := self._kept(job))}
        missing = [index for index in range(len(jobs)) if index not in found]
        todo = [self._with_folder(jobs[index]) for index in missing]
        for index, (trained, graph) in self.workers.run(todo) if todo else ():
            job, file = todo[index], self._file(todo[index])
            if graph is not None:
                save_graph(graph, file.with_suffix(".ebat"))
            # Last: the graph of a finished record is always there.
            record = {"candidate": asdict(job.candidate), "seed": job.seed, "epochs": job.epochs, **asdict(trained)}
            atomic_write(file, json.dumps(record) + "\n")
            found[missing[index]] = trained
            self.fresh += 1
            came_to = "ended early" if trained.error is None else f"error {trained.error:.4g}"
            self.watch(f"{job.candidate}, seed {job.seed}: {came_to}", before + len(found), of)
        return [found[index] for index in range(len(jobs))]

    def _kept(self, job: Job) -> Trained | None:
        file = self._file(job)
        if not file.is_file():
            return None
        record = json.loads(file.read_text(encoding="utf-8"))
        return Trained(tuple(record["losses"]), record["error"], record["seconds"]).judged(job.limits)

    def _file(self, job: Job) -> Path:
        content = json.dumps([job.candidate.content, job.seed, job.epochs, self.origin])
        return self.folder / "trials" / f"{sha256_bytes(content.encode())[:32]}.json"

    def _with_folder(self, job: Job) -> Job:
        # Another machine has no such folder.
        return (
            replace(job, folder=self.folder / "checkpoints" / self._file(job).stem) if self.workers.same_disk else job
        )

    def _out_of_time(self) -> bool:
        """Whether another generation would leave too little of the time for the confirmation. Counted from what was noted
        when it was trained, so that a repeated search stops at the same place."""
        if not self.plan.minutes or not self.trials:
            return False
        whole = [t.trained.seconds for t in self.trials if t.trained.error is not None]
        mean = statistics.mean(whole or [t.trained.seconds for t in self.trials])
        finals = (self.plan.finalists + len(self.recipe.students)) * self.plan.seeds
        trained = sum(t.trained.seconds for t in self.trials)
        ahead = (GENERATION + finals * self.recipe.distill.fit.epochs / self.epochs) * mean
        return self.pricing_seconds + (trained + ahead) / self.workers.jobs > self.plan.minutes * 60

    def _confirmed(self, best: Sequence[Candidate]) -> list[Finalist]:
        picked = hand_picked(self.recipe)
        contents = [candidate.content for candidate in picked]
        candidates = [*picked, *(c for c in best if c.content not in contents)]
        fit = self.recipe.distill.fit
        seeds = range(fit.seed, fit.seed + self.plan.seeds)
        self.taught = self.lessons(seeds)
        self.workers.share(self.taught, self.recipe.threads)
        jobs = [Job(candidate, seed, fit.epochs) for candidate in candidates for seed in seeds]
        trained = self._train(jobs, len(jobs))
        finalists = []
        for index, candidate in enumerate(candidates):
            own = trained[index * len(seeds) : (index + 1) * len(seeds)]
            errors = tuple(math.inf if t.error is None else t.error for t in own)
            measured = self._measured(jobs[index * len(seeds)])
            finalists.append(Finalist(candidate, self._price(candidate), errors, candidate in picked, measured))
        return sorted(finalists, key=lambda f: (not within(f, self.prices.limits), f.error, f.candidate.content))

    def _measured(self, job: Job) -> Need | None:
        """What the trained student of ``job`` takes on the target; None when C has no exact kernel for its numbers."""
        try:
            return measured_need(load_graph(self._file(job).with_suffix(".ebat")), self.prices.board)
        except ModelFileError:
            return None


def within(finalist: Finalist, limits: Limits) -> bool:
    """Whether the trained student is within the budget."""
    return finalist.measured is not None and not finalist.measured.excess(limits)
