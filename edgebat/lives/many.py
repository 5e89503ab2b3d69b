"""Many lives of several kinds, each kept as a file as soon as it is over: a run that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from edgebat.arrays import Float64
from edgebat.bms.ocv import ocv_table
from edgebat.bms.replay import Wanted, unseen_cells, wanted_fleet
from edgebat.bms.rest import OcvTable
from edgebat.cells import CellHistory
from edgebat.errors import DataError
from edgebat.files import atomic_write
from edgebat.formats.c.bms_models import health_model
from edgebat.graph import IntGraph
from edgebat.lives.cell import STEPS, CurvesCell
from edgebat.lives.days import Living, shortened
from edgebat.lives.front import Bench, LifeRecord, config_for, lead
from edgebat.lives.scores import LifeScores, score, together
from edgebat.lives.settings import Life, load_life
from edgebat.models import load_model
from edgebat.paths import firmware_dir
from edgebat.workers import workers

MOST_CELLS = 10_000


@dataclass(frozen=True)
class LivesOptions:
    """Which lives are led, and by how many."""

    kinds: tuple[str, ...]
    """Shipped lives, or YAML files."""
    count: int = 1
    """Lives of each kind, of one cell after the other."""
    seed: int = 1
    jobs: int = 1
    """At the same time."""
    days: int | None = None
    """At most so long."""
    update: str | None = None
    """Model that an update over the air brings."""
    target: str = "host"
    twin_days: int = 3


@dataclass(frozen=True)
class Job:
    """One life to be led."""

    kind: str
    index: int
    life: Life
    history: CellHistory
    seed: int
    slow: list[tuple[Float64, float]]
    """Rest voltages of other cells like it, and their capacities in Ah."""


@dataclass(frozen=True)
class Led:
    """One life that is over."""

    kind: str
    index: int
    cell: str
    record: LifeRecord
    scores: LifeScores


@dataclass(frozen=True)
class Lives:
    """What many lives came to."""

    graph: IntGraph
    options: LivesOptions
    synthetic: bool
    led: list[Led]

    def by_kind(self) -> dict[str, LifeScores]:
        """Scores of all lives of a kind."""
        kinds = dict.fromkeys(one.kind for one in self.led)
        return {kind: together([one.scores for one in self.led if one.kind == kind]) for kind in kinds}

    @property
    def mismatches(self) -> int:
        """Frames and saved states that differ from NumPy's."""
        return sum(one.scores.mismatches for one in self.led)


@dataclass(frozen=True)
class _Common:
    bench: Bench
    folder: Path
    sources: str


def live_many(
    model: str, folder: Path, wanted: Wanted, options: LivesOptions, progress: Callable[[str], None]
) -> Lives:
    """Lead all lives that ``folder`` does not hold yet; see ``LivesOptions``. Raises EdgebatError for an unknown life or
    model, DataError without a cell that can live."""
    graph = load_model(model)
    health_model(graph)
    update = None if options.update is None else load_model(options.update)
    lives = [(name, shortened(life, options.days)) for name, life in map(load_life, options.kinds)]
    fleet = wanted_fleet(wanted)
    histories = _able(unseen_cells(graph, fleet, wanted.cells, MOST_CELLS), lives[0][1])
    everybody = list(fleet.histories())
    jobs = [
        Job(
            name,
            i,
            life,
            histories[i % len(histories)],
            zlib.crc32(f"{name}/{i}/{options.seed}".encode()),
            open_voltages(everybody, histories[i % len(histories)], life.drop_v),
        )
        for i in range(options.count)
        for name, life in lives
    ]
    common = _Common(Bench(graph, update, options.target, options.twin_days), folder, _sources())
    led: dict[int, Led] = {}
    with workers(_work, min(options.jobs, len(jobs))) as team:
        team.share(common)
        for index, one in team.run(jobs):
            led[index] = one
            progress(f"{len(led)} of {len(jobs)}: {one.kind} {one.index + 1}, {one.cell}, {one.scores.days} days")
    return Lives(graph, options, fleet.synthetic, [led[i] for i in range(len(jobs))])


def _able(histories: Sequence[CellHistory], life: Life) -> list[CellHistory]:
    able, problem = [], "no cell"
    for history in histories:
        try:
            CurvesCell(history, life.drop_v)
        except DataError as error:
            problem = str(error)
        else:
            able.append(history)
    if not able:
        raise DataError(f"no cell here can live: {problem}")
    return able


def open_voltages(histories: Iterable[CellHistory], living: CellHistory, drop_v: float) -> list[tuple[Float64, float]]:
    """[STEPS] V from empty to full, and capacity in Ah, of every other cell of the data set that is charged at the lowest
    current, when new."""
    others = [h for h in histories if h.key[0] == living.key[0] and h.key != living.key and h.charge_cycle.size]
    lowest_c = min((h.condition.charge_rate_c or math.inf for h in others), default=math.inf)
    curves = []
    for history in others:
        if history.condition.charge_rate_c == lowest_c:
            try:
                cell = CurvesCell(history, drop_v)
            except DataError:
                continue
            new = cell.at(cell.first_age)
            curves.append((new.rest_v(np.linspace(0.0, new.capacity_ah, STEPS)), new.capacity_ah))
    return curves


def table_of(slow: Sequence[tuple[Float64, float]], reference_ah: float) -> OcvTable | None:
    """The integrator's table of open-circuit voltages; None where there are none, or where they stand still."""
    try:
        curves = [(volts, np.linspace(0.0, capacity_ah, STEPS)) for volts, capacity_ah in slow]
        return ocv_table(curves, reference_ah=reference_ah)
    except DataError:
        return None


def _work(common: _Common, job: Job) -> Led:
    """Lead a life, unless its file is there and was made of the same."""
    open_v = np.mean([volts for volts, _ in job.slow], axis=0) if job.slow else None
    cell = CurvesCell(job.history, job.life.drop_v, open_v)
    path, key = common.folder / "lives" / f"{job.kind}-{job.index}.json", _key(common, job)
    record = _kept(path, key)
    if record is None:
        reference_ah = config_for(common.bench.graph, job.life, cell).reference_mah / 1000
        table = table_of(job.slow, reference_ah) if job.life.ocv else None
        record = lead(common.bench, job.life, cell, Living(job.life, cell, job.seed).steps(), table)
        atomic_write(path, json.dumps({"key": key, "cell": cell.name, "record": asdict(record)}) + "\n")
    return Led(job.kind, job.index, cell.name, record, score(record))


def _kept(path: Path, key: str) -> LifeRecord | None:
    try:
        found = json.loads(path.read_text("utf-8"))
        return LifeRecord(**found["record"]) if found["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _key(common: _Common, job: Job) -> str:
    bench = common.bench
    digest = hashlib.sha256()
    for text in (
        common.sources,
        bench.graph.fingerprint,
        "" if bench.update is None else bench.update.fingerprint,
        f"{bench.target} {bench.twin_days} {job.seed} {job.history.key}",
        job.life.model_dump_json(),
    ):
        digest.update(text.encode() + b"\n")
    history = job.history
    for values in (
        history.capacity_ah,
        history.charge_voltage_v,
        history.charge_dq_ah,
        *(volts for volts, _ in job.slow),
    ):
        digest.update(values.tobytes())
    digest.update(repr([capacity_ah for _, capacity_ah in job.slow]).encode())
    return digest.hexdigest()


@cache
def _sources() -> str:
    """Of the code whose change may change a life."""
    here = Path(__file__).parent
    files = [*here.glob("*.py"), *(here.parent / "bms").glob("*.py")]
    for name in ("bms", "include", "ports/virtual"):
        files += [path for path in (firmware_dir() / name).rglob("*") if path.suffix in (".c", ".h")]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()
