"""What docs/firmware.md states of sources and statuses, number by number, order by order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgebat.bms import pack, rest
from edgebat.bms.estimator import KNOWN_SIGMA, Config, Estimator
from edgebat.bms.fusion import By
from edgebat.bms.results import Source, Status
from edgebat.graph import load_graph
from edgebat.tasks.health.charge_types import COUNTED_DDEGC, CURRENT_FLOOR, MOST_ANCHOR_MS, SEEN_MS
from tests.bms_samples import KNOWN_SECONDS, NOMINAL_MAH, as_sample, cycles
from tests.bms_samples import rest as quiet

PAGE = (Path(__file__).parents[2] / "docs" / "firmware.md").read_text("utf-8")


def rows(first: str) -> dict[str, list[str]]:
    """A table by the words in backticks in its first column; ``first``: how its heading begins."""
    lines = PAGE[PAGE.index(f"| {first} |") :].split("\n\n")[0].splitlines()[2:]
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {row[0].strip("`"): row[1:] for row in cells}


def section(title: str) -> str:
    """What stands below a heading of the third level."""
    return PAGE[PAGE.index(f"### {title}\n") :].split("\n### ")[0]


def test_every_source_is_in_the_table_and_no_other():
    assert set(rows("source")) == {source.name for source in Source} - {"NONE"}


def test_every_status_is_in_the_table_and_no_other():
    assert set(rows("status")) == {status.name for status in Status}


def test_no_part_of_what_happens_inside_is_longer_than_a_screen_and_each_is_linked_above():
    inside = PAGE[PAGE.index("## What happens inside") : PAGE.index("## Safety")]
    contents, *parts = inside.split("\n### ")
    assert len(parts) > 10
    assert [part.split("\n")[0] for part in parts if part.count("\n") > 60] == []
    links = set(re.findall(r"\(#([\w-]+)\)", contents))
    assert links == {re.sub(r"[^\w -]", "", part.split("\n")[0].lower()).replace(" ", "-") for part in parts}


def test_the_numbers_of_rests_are_those_of_the_code():
    text = " ".join(section("Rests").split())
    for words, value in (
        (r"less than (\d+) uV per second", 10**6 // rest.MS_PER_MV),
        (r"more than (\d+) % of charge", rest.MOST_SOC_SIGMA_CPCT // 100),
        (r"below (\d+) and above", rest.DDEGC[0] // 10),
        (r"above (\d+) degC", rest.DDEGC[1] // 10),
        (r"Below (\d+) degC a voltage has", COUNTED_DDEGC[0] // 10),
        (r"degC a voltage has (\d+) mV more", rest.COLD_MV),
        (r"moved by (\d+) mV at most", rest.MOST_MOVED_MV),
        (r"At least (\d+) % of charge", rest.LEAST_APART_CPCT // 100),
        (r"without current \(C/(\d+)\)", CURRENT_FLOOR),
        (r"own deviation \(([\d.]+) points", rest.OcvTable((1, 2)).sigma_cpct / 100),
        (r"another (\d+) % is taken to be lost", rest.UNSEEN_PERCENT),
        (r"(\d+) % of the capacity lost", rest.AGED_PERCENT),
        (r"longer than (\d+) s", SEEN_MS // 1000),
    ):
        found = re.search(words, text)
        assert found, words
        assert float(found[1]) == value, words
    assert "the newest weighs a ninth at least" in text
    assert rest.WHOLE // 9 == rest.LEAST_WEIGHT
    assert "after half an hour without current" in text
    assert rest.REST_MS == 30 * 60_000
    assert "in five minutes is saved" in text
    assert rest.CALM_MS == 5 * 60_000
    assert "five hours without power" in text
    assert rest.OFF_MS == 5 * 3_600_000
    assert "two days of samples" in text
    assert MOST_ANCHOR_MS == 2 * 86_400_000


def test_the_numbers_of_the_pack_are_those_of_the_code():
    text = " ".join(section("Pack").split())
    assert "more than 3 % and six times" in text
    assert (pack.LEAST_CHANGE_CPCT, pack.TIMES_NOISE) == (300, 6)


def test_the_first_question_that_is_answered_with_yes_decides(model_file: Path):
    diagram = PAGE[PAGE.index("edgebat_result\n  |") :].split("```")[0]
    order = [Status[word] for word in re.findall(r"yes --> ([A-Z_]+)", diagram)]
    assert sorted(order) == sorted(Status)
    graph = load_graph(model_file)
    estimator = Estimator(graph, Config(NOMINAL_MAH))
    for sample in cycles(4, seconds=KNOWN_SECONDS):
        estimator.push(as_sample(sample))
        estimator.settle()
    assert estimator.result().status == Status.OK
    # From the last question to the first: each answer is heard above those before it.
    answers = {
        Status.STALE: lambda: setattr(estimator.counter, "failed", 10),
        Status.CONFLICT: lambda: estimator.fusion.learn(By.COUNTING, estimator.published + 3000, 100),
        Status.WARMUP: lambda: estimator.forget(),
        Status.OUT_OF_DOMAIN: lambda: setattr(estimator, "outside", True),
        Status.OK: lambda: estimator.fusion.learn(By.INHERITED, estimator.published, 100),
        Status.INPUT_INVALID: lambda: estimator.idle(10_000),
        Status.MODEL_CORRUPT: lambda: setattr(estimator, "corrupt", True),
    }
    assert list(answers) == order[::-1]
    for status, answer in answers.items():
        answer()
        estimator.fusion.weigh()
        assert estimator.result().status == status


@pytest.mark.parametrize(("sigma", "status"), [(500, Status.OK), (501, Status.WARMUP)])
def test_the_number_of_a_known_soh_is_that_of_the_code(sigma: int, status: Status, model_file: Path):
    assert f"known to {KNOWN_SIGMA // 100} points" in rows("status")["OK"][0]
    estimator = Estimator(load_graph(model_file), Config(NOMINAL_MAH))
    estimator.seed(8765, sigma)
    estimator.settle()
    assert estimator.result().status == status


@pytest.mark.parametrize("source", [source for source in Source if source not in (Source.NONE, Source.DATASHEET)])
def test_every_source_that_measures_can_speak_alone(source: Source, model_file: Path):
    estimator = Estimator(load_graph(model_file), Config(NOMINAL_MAH))
    estimator.learn(By[source.name], 8765, 200)
    for sample in quiet(2):
        estimator.push(as_sample(sample))
        estimator.settle()
    assert (estimator.result().source, estimator.result().soh_cpct) == (source, 8765)
