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
from edgebat.search.clock import Clock, makespan
from edgebat.search.cost import Price, Prices
from edgebat.search.space import Candidate, hand_picked, smaller, suggest
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
    """Time for all of it, the confirmation and what went before the search too, as far as it can be foreseen; 0: as long as
    it takes."""
    epochs: int = 0
    """Of a trial; finalists get the recipe's. 0: the recipe's."""
    seed: int = 1
    """Of Optuna's choice; trainings start from the recipe's own seed."""
    finalists: int = 3
    """Best candidates that are confirmed."""
    seeds: int = 3
    """Trainings of each finalist, the median of which counts; one of what is over the budget, which cannot win."""


@dataclass(frozen=True)
class Trial:
    """A candidate, its price and what its training came to."""

    candidate: Candidate
    need: Need
    trained: Trained


@dataclass(frozen=True)
class Finalist:
    """A candidate with the errors of all its seeds. picked: it is the recipe's own; scaled: the recipe's own, as large as
    the budget allows; measured: what its trained student took on the target, ``price`` before training."""

    candidate: Candidate
    price: Price
    errors: tuple[float, ...]
    picked: bool = False
    measured: Need | None = None
    scaled: bool = False

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
    before: float = 0.0
    """Seconds that were spent before the search."""
    cut: list[str] = field(default_factory=list)
    """What was left out for want of time."""

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
        self.clock = Clock(self.plan.minutes, self.before)
        self._learn([seed])
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.plan.seed))
        while len(self.trials) < self.plan.trials:
            if self._out_of_time():
                self.cut.append(f"trials: {len(self.trials)} of {self.plan.trials}")
                break
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
            self.clock.used += makespan([trial.trained.seconds for trial in self.trials[-len(jobs) :]], workers.jobs)
        finished = {t.candidate.content: t for t in self.trials if t.trained.error is not None}
        if not finished:
            raise RecipeError(
                f"none of {self.asked} candidates takes at most {self.prices.limits} on {self.prices.board.name}; "
                "allow more, or search longer"
            )
        best = sorted(finished.values(), key=lambda t: (t.trained.error, t.candidate.content))
        return self._confirmed([t.candidate for t in best[: self.plan.finalists]])

    def _learn(self, seeds: Sequence[int]) -> None:
        """Have the lessons of these seeds ready for whoever trains."""
        content = sha256_bytes(json.dumps([self.origin, list(seeds)]).encode())[:32]
        self.taught = self.clock.noted(self.folder / "lessons" / f"{content}.json", lambda: self.lessons(seeds))
        self.workers.share(self.taught, self.recipe.threads)

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
            self.clock.used += price.seconds
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
        """Whether another generation would leave too little of the time for the confirmation."""
        if not self.plan.minutes or not self.trials:
            return False
        whole = [t.trained.seconds for t in self.trials if t.trained.error is not None]
        mean = statistics.mean(whole or [t.trained.seconds for t in self.trials])
        picked = hand_picked(self.recipe)
        fitting = sum(self._price(candidate).fits for candidate in picked)
        # One student of the recipe's is scaled to the budget when none is within it.
        finals = (self.plan.finalists + max(fitting, 1)) * self.plan.seeds + len(picked) - fitting
        whole_seconds = mean * self.recipe.distill.fit.epochs / self.epochs
        jobs = self.workers.jobs
        return not self.clock.enough_for(makespan([mean] * GENERATION, jobs) + makespan([whole_seconds] * finals, jobs))

    def _rivals(self, best: Candidate) -> tuple[list[Candidate], list[Candidate]]:
        """Students picked by hand: the recipe's own, and the one of the best candidate's family (else the first) made as
        large as the budget allows, unless one of them is within it."""
        picked = hand_picked(self.recipe)
        if any(self._price(candidate).fits for candidate in picked):
            return picked, []
        alike = next((candidate for candidate in picked if candidate.kind == best.kind), picked[0])
        return picked, [candidate for candidate in smaller(alike) if self._price(candidate).fits][:1]

    def _confirmed(self, best: Sequence[Candidate]) -> list[Finalist]:
        """The ``best`` candidates and those picked by hand, trained like any student of the recipe, seed after seed: all of
        them from the first, then those within the budget, fewer of them when time is short."""
        picked, scaled = self._rivals(best[0])
        candidates = {candidate.content: candidate for candidate in (*picked, *scaled, *best)}
        prices = {content: self._price(candidate) for content, candidate in candidates.items()}
        fit = self.recipe.distill.fit
        seeds = range(fit.seed, fit.seed + self.plan.seeds)
        self._learn(seeds)
        found: dict[str, list[Trained]] = {content: [] for content in candidates}
        still = list(candidates)
        known = {trial.candidate.content for trial in self.trials if self.epochs == fit.epochs}
        for number, seed in enumerate(seeds):
            if number:
                still = self._go_on([content for content in still if prices[content].fits], found, seed)
            jobs = [Job(candidates[content], seed, fit.epochs) for content in still]
            done = self._train(jobs, len(jobs))
            # A trial that was as long is the first training of its finalist, and has been counted.
            fresh = [t.seconds for c, t in zip(still, done, strict=True) if number or c not in known]
            self.clock.used += makespan(fresh, self.workers.jobs)
            for content, trained in zip(still, done, strict=True):
                found[content].append(trained)
        finalists = []
        for content, candidate in candidates.items():
            errors = tuple(map(_error, found[content]))
            measured = self._measured(Job(candidate, fit.seed, fit.epochs))
            finalist = Finalist(candidate, prices[content], errors, candidate in picked, measured, candidate in scaled)
            finalists.append(finalist)
        # Who was left behind for want of time was behind already.
        limits = self.prices.limits
        return sorted(finalists, key=lambda f: (not within(f, limits), -len(f.errors), f.error, f.candidate.content))

    def _go_on(self, still: list[str], found: dict[str, list[Trained]], seed: int) -> list[str]:
        """Which of ``still`` are trained from another seed: all, or as many of the best as there is time for."""
        ranked = sorted(still, key=lambda content: (statistics.median(map(_error, found[content])), content))
        wanted = len(ranked)
        while ranked and not self.clock.enough_for(
            makespan([statistics.mean(t.seconds for t in found[content]) for content in ranked], self.workers.jobs)
        ):
            ranked = ranked[: len(ranked) // 2]
        if len(ranked) < wanted:
            self.cut.append(f"seed {seed} of {wanted - len(ranked)} of {wanted} students within the budget")
        return [content for content in still if content in ranked]

    def _measured(self, job: Job) -> Need | None:
        """What the trained student of ``job`` takes on the target; None when C has no exact kernel for its numbers."""
        try:
            trained = load_graph(self._file(job).with_suffix(".ebat"))
            return measured_need(self.prices.whole(trained), self.prices.board)
        except ModelFileError:
            return None


def within(finalist: Finalist, limits: Limits) -> bool:
    """Whether the trained student is within the budget."""
    return finalist.measured is not None and not finalist.measured.excess(limits)


def _error(trained: Trained) -> float:
    return math.inf if trained.error is None else trained.error
