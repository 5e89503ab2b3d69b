"""Thousands of logs: every log is done once, whoever works and whatever is killed; a log that cannot be read costs itself.

The model of these tests answers SOH = 10 x the mean increment, so the expected numbers follow from the input alone.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import edgebat as eb
from edgebat.bulk import run as bulk_run
from edgebat.bulk.results import Log, Part, Results
from edgebat.bulk.run import BulkResult, Effort, Job, run_logs
from edgebat.bulk.work import Shared, predict_logs
from edgebat.errors import DataError, ToolError
from edgebat.models import load_model
from edgebat.tasks.base import FileOptions
from edgebat.workers import Processes, RayNodes, Workers, workers
from tests.cli.test_predict import BDF, write_cycler_file

Command = Callable[..., tuple[int, str, str]]
Hands = Workers[Shared, Sequence[Log], Part]
HOW = FileOptions(nominal_ah=2.0)
LOGS = 12


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Logs of twelve cells from 79 to 90 % SOH, every third as parquet, in two folders; one that is no log."""
    folder = tmp_path / "logs"
    (folder / "bench 2").mkdir(parents=True)
    for index in range(LOGS):
        file = folder / ("bench 2" if index % 2 else ".") / f"cell{index:02}.csv"
        write_cycler_file(file, BDF, cycles=4 + index % 3, increment=0.079 + 0.001 * index)
        if index % 3 == 0:
            pd.read_csv(file).to_parquet(file.with_suffix(".parquet"))
            file.unlink()
    (folder / "broken.csv").write_text("Test Time / s,Voltage / V,Current / A\n0,3.6,x\n")
    (folder / ".hidden").write_text("no log")
    return folder


@pytest.fixture
def job(model_file: Path, logs: Path, tmp_path: Path) -> Job:
    return Job("predict", load_model(model_file), logs, tmp_path / "out", HOW)


def rows(result: BulkResult) -> pd.DataFrame:
    return result.to_frame()


@pytest.fixture
def expected(job: Job, tmp_path: Path) -> pd.DataFrame:
    """The rows of one process that does one log after the other."""
    other = Job("predict", job.graph, job.logs, tmp_path / "expected", HOW)
    return rows(run_logs(other, Effort(shard=100)))


def test_a_folder_gives_what_its_files_give_one_by_one(job: Job, model_file: Path) -> None:
    result = run_logs(job, Effort(shard=5))
    frame = rows(result)
    assert result.to_json() | {"seconds": 0} == {
        "out": str(job.out), "logs": LOGS + 1, "refused": 1, "rows": len(frame), "done_now": LOGS + 1, "seconds": 0
    }  # fmt: skip
    model = eb.load(model_file)
    for name, own in frame.groupby("log"):
        alone = model.predict(job.logs / str(name), nominal_ah=2.0).to_frame()
        assert own.drop(columns="log").reset_index(drop=True).equals(alone)
    assert frame["log"].nunique() == LOGS
    # What any other program reads is the same.
    plain = pd.read_parquet(job.out / "parts").sort_values("log", kind="stable", ignore_index=True)
    assert plain.equals(frame)


def test_a_log_that_cannot_be_read_is_listed_with_the_reason(job: Job) -> None:
    result = run_logs(job)
    assert [record.name for record in result.refused] == ["broken.csv"]
    assert "broken.csv has no sample" in result.refused[0].error
    listed = list(csv.DictReader((job.out / "logs.csv").read_text().splitlines()))
    assert {row["name"]: row["error"] for row in listed}["broken.csv"] == result.refused[0].error
    assert sum(int(row["rows"]) for row in listed) == len(rows(result))
    assert "refused broken.csv" in result.text()


def counted(monkeypatch: pytest.MonkeyPatch, last: int = 1000) -> list[str]:
    """The logs that are read from now on; after ``last`` of them the machine is switched off."""
    read: list[str] = []

    def work(shared: Shared, own: Sequence[Log]) -> Part:
        if len(read) >= last:
            raise KeyboardInterrupt
        read.extend(log.name for log in own)
        return predict_logs(shared, own)

    monkeypatch.setattr(bulk_run, "WORK", {"predict": work})
    return read


def test_an_interrupted_job_goes_on_and_reads_no_log_twice(
    job: Job, expected: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        first = counted(patch, last=6)
        with pytest.raises(KeyboardInterrupt):
            run_logs(job, Effort(shard=3))
    second = counted(monkeypatch)
    result = run_logs(job, Effort(shard=4))
    assert (len(first), len(second)) == (6, LOGS + 1 - 6)
    assert not set(first) & set(second)
    assert rows(result).equals(expected)
    assert run_logs(job).done_now == 0


def test_new_logs_are_added_and_changed_ones_done_again(
    job: Job, expected: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_logs(job, Effort(shard=4))
    write_cycler_file(job.logs / "cell02.csv", BDF, cycles=7, increment=0.083)
    write_cycler_file(job.logs / "cell99.csv", BDF, cycles=4, increment=0.085)
    read = counted(monkeypatch)
    frame = rows(run_logs(job, Effort(shard=4)))
    assert read == ["cell02.csv", "cell99.csv"]
    kept = ~frame["log"].isin(read)
    assert frame[kept].reset_index(drop=True).equals(expected[expected["log"] != "cell02.csv"].reset_index(drop=True))
    assert frame.loc[frame["log"] == "cell02.csv", "soh_percent"].to_numpy() == pytest.approx([83.0] * 5, abs=0.3)
    assert len(frame[frame["log"] == "cell99.csv"]) == 2


def test_results_of_another_job_are_not_mixed(job: Job, tmp_path: Path) -> None:
    run_logs(job)
    other = Job("predict", job.graph, job.logs, job.out, FileOptions(nominal_ah=2.1))
    with pytest.raises(DataError, match=r"nominal_ah 2\.0, now 2\.1; give another folder: --out"):
        run_logs(other)
    gaps = Job("predict", job.graph, job.logs, job.out, FileOptions(nominal_ah=2.0, max_gap_ms=5000))
    with pytest.raises(DataError, match="max_gap_ms None, now 5000"):
        run_logs(gaps)
    retold = replace(job.graph, meta={**job.graph.meta, "ground": {"rates_c": [1.0]}})  # the same weights, other limits
    with pytest.raises(DataError, match="model_states"):
        run_logs(Job("predict", retold, job.logs, job.out, HOW))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="files of something else"):
        run_logs(Job("predict", job.graph, job.logs, tmp_path / "mine", HOW))


def test_a_damaged_part_is_named(job: Job) -> None:
    run_logs(job, Effort(shard=4))
    part, records = next(iter(Results(job.out).records().items()))
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(DataError, match=f"{part.name} is not a part of these results"):
        run_logs(job)
    part.unlink()
    assert run_logs(job).done_now == len(records)


def test_every_cell_may_have_its_own_capacity(command: Command, model_file: Path, logs: Path, tmp_path: Path) -> None:
    (tmp_path / "cells.csv").write_text("log,nominal_ah\ncell02.csv,1.9\n")
    code, out, err = command("predict", model_file, logs, "--out", tmp_path / "out", "--nominal-ah", "2", "--jobs", "1",
                             "--cells", tmp_path / "cells.csv", "--last", "--json")  # fmt: skip
    assert (code, err) == (0, f"{LOGS + 1} of {LOGS + 1} logs\n")
    assert json.loads(out)["rows"] == LOGS
    soh = Results(tmp_path / "out").to_frame().set_index("log")["soh_percent"]
    assert soh["cell04.csv"] == pytest.approx(83.0, abs=0.3)
    assert soh["cell02.csv"] == pytest.approx(81.0 * 2 / 1.9, abs=0.3)


def test_a_capacity_of_a_log_that_is_not_there_is_not_passed_over(job: Job) -> None:
    misspelt = Job("predict", job.graph, job.logs, job.out, HOW, nominal_ah={"Cell02.csv": 1.9})
    with pytest.raises(DataError, match=r"a capacity is given for Cell02\.csv, not in .* and 2 Ah for all others"):
        run_logs(misspelt)


def test_what_is_no_key_and_value_is_refused_as_such(
    command: Command, model_file: Path, logs: Path, tmp_path: Path
) -> None:
    code, out, _ = command("evaluate", model_file, "--logs", logs, "--out", tmp_path / "out", "--nominal-ah", "2",
                           "--jobs", "1", "--map", "current")  # fmt: skip
    assert (code, "internal error" in out) == (2, False)
    assert "--map 'current' is not of the form quantity=column:factor" in out.replace("\n", " ")


def test_a_folder_needs_a_folder_for_its_results(command: Command, model_file: Path, logs: Path) -> None:
    code, _, err = command("predict", model_file, logs, "--nominal-ah", "2")
    assert code == 2
    assert "say with --out where the results go" in err.replace("\n", " ")


def test_when_no_log_can_be_used_the_command_fails(
    command: Command, model_file: Path, logs: Path, tmp_path: Path
) -> None:
    code, out, err = command(
        "predict", model_file, logs, "--out", tmp_path / "out", "--nominal-ah", "200", "--jobs", "1"
    )
    assert code == 2
    assert "13 refused" in out
    assert "none of 13 logs could be used; the reasons:" in err
    assert "files of one cell are joined by edgebat data add" in " ".join(err.split())


def test_evaluating_logs_compares_with_what_they_discharge(job: Job, tmp_path: Path) -> None:
    # Each discharge of 30 samples a minute apart takes 29/60 Ah of 2 Ah: 24.17 % SOH, and the model says 79 to 90 %.
    result = run_logs(Job("evaluate", job.graph, job.logs, tmp_path / "scores", HOW))
    frame = rows(result)
    assert frame["log"].nunique() == LOGS
    errors = frame.set_index("log")["soh_rmse_pct"]
    assert errors["cell02.csv"] == pytest.approx(81.0 - 100 * 29 / 60 / 2, abs=0.5)
    assert not frame["seen"].any()
    assert result.to_json()["errors"]["soh_rmse_pct"]["worst"] == pytest.approx(errors.max())
    assert "soh_rmse_pct" in result.text()
    # The model states no ground: what its int8 input clips is refused, and counted.
    assert ((frame["refused"] >= 0) & (frame["refused"] <= frame["windows"])).all()
    taken = frame["refused"] == 0
    assert taken.any()
    assert (frame["answered"] == frame["soh_rmse_pct"])[taken].all()


class KilledOnce(Processes[Shared, Sequence[Log], Part]):
    """Two processes, one of which is killed as soon as there is a result."""

    killed = 0

    def run(self, jobs: Sequence[Sequence[Log]]) -> Any:
        for done in super().run(jobs):
            yield done
            if not self.killed:
                assert self._pool is not None
                self.killed = next(iter(self._pool._processes))
                os.kill(self.killed, signal.SIGKILL)


def test_a_killed_process_changes_nothing(job: Job, expected: pd.DataFrame) -> None:
    hands = KilledOnce(predict_logs, 2)
    result = run_logs(job, Effort(shard=1), hands=hands)
    assert hands.killed
    assert rows(result).equals(expected)


def end_it(shared: None, job: int) -> int:
    """A job that no process survives."""
    os.kill(os.getpid(), signal.SIGKILL)
    return job


def test_a_job_that_always_kills_its_process_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgebat.workers.RETRIES", 1)
    with workers(end_it, 2) as hands:
        hands.share(None)
        with pytest.raises(ToolError, match="a worker process ended 2 times before its job did"):
            list(hands.run([1, 2]))


@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_node_that_is_killed_changes_nothing(job: Job, expected: pd.DataFrame, cluster: Any) -> None:
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20) for _ in range(2)]
    finished: list[int] = []

    def watch(done: int, of: int) -> None:
        finished.append(done)
        if len(finished) == 3:  # the first call comes before there is a result
            cluster.remove_node(nodes[0], allow_graceful=False)

    result = run_logs(job, Effort(shard=1), watch, RayNodes(predict_logs, cluster.address))
    assert len(finished) > 3
    assert rows(result).equals(expected)


def test_the_library_does_what_the_command_line_does(
    command: Command, model_file: Path, logs: Path, tmp_path: Path
) -> None:
    found = eb.load(model_file).predict_logs(logs, tmp_path / "a", nominal_ah=2.0)
    assert command("predict", model_file, logs, "--out", tmp_path / "b", "--nominal-ah", "2", "--jobs", "1")[0] == 0
    assert found.to_frame().equals(Results(tmp_path / "b").to_frame())
    shutil.rmtree(tmp_path / "b")
    assert np.isfinite(found.to_frame()["soh_percent"]).all()
