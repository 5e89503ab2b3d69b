"""What becomes of a folder of cycler files: ``edgebat predict`` and ``edgebat data add`` on each, answered or refused.

::

    python -m bench.case_files FOLDER --nominal-ah 3.5 [--like base.csv] [--arguments cases.json] [--words]

One row a file: how many estimates and which, and how far they are at most from those of the file ``--like``, newest against
newest; or that the command refuses it, or refuses it as outside the model's ground. ``--arguments`` names a JSON file of
``{name: [file, words of predict's command line]}``; in them ``@nom=3500`` stands for another nominal capacity. ``--words``
also prints what is said. Exit code 2 when a command ends in an error of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebat.__main__ import main as edgebat
from edgebat.assemble.sources import find_sources

ANSWERED, ADDED, REFUSED, OUTSIDE, ERROR = "answered", "added", "refused", "refused as outside the ground", "ERROR"
ORDER = (ANSWERED, ADDED, REFUSED, OUTSIDE, ERROR)
OUTCOMES = {0: ANSWERED, 2: REFUSED, 3: OUTSIDE}
"""Of a command's exit code."""
NOMINAL = "@nom="


@dataclass(frozen=True)
class Outcome:
    """Of one command on one file."""

    outcome: str
    message: str
    """The refusal, or the remarks."""
    soh: tuple[float, ...] = ()
    """Estimates, %, oldest first."""

    def off(self, like: Outcome | None) -> float | None:
        """Largest difference to the estimates of ``like``, newest against newest, points; None without either."""
        pairs = zip(reversed(self.soh), reversed(like.soh if like else ()), strict=False)
        return max((abs(own - other) for own, other in pairs), default=None)

    def cell(self, like: Outcome | None = None) -> str:
        """For the table."""
        if self.outcome != ANSWERED or not self.soh:
            return self.outcome
        text = f"{len(self.soh)}, {min(self.soh):.1f} to {max(self.soh):.1f} %"
        off = self.off(like)
        return text if off is None else f"{text}, {off:.1f} off"


@dataclass(frozen=True)
class Row:
    """One file."""

    name: str
    predicted: Outcome
    added: Outcome


def asked(words: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = edgebat(list(words))
    return code, out.getvalue(), " ".join(err.getvalue().split()).removeprefix("error: ")


def predicted(model: str, file: Path, words: Sequence[str]) -> Outcome:
    """Of ``edgebat predict``."""
    code, out, message = asked(["predict", model, str(file), *words, "--json"])
    if code:
        return Outcome(OUTCOMES.get(code, ERROR), message)
    found = json.loads(out)
    soh = tuple(row["soh_percent"] for row in found["windows"] if row["soh_percent"] is not None)
    left_out = [f"{count} x {reason}" for reason, count in found["left_out"].items()]
    return Outcome(ANSWERED if soh else OUTSIDE, "; ".join([*left_out, *found["remarks"]]), soh)


def added(file: Path, words: Sequence[str]) -> Outcome:
    """Of ``edgebat data add`` into a corpus of its own, which has one option for answers and columns."""
    known = ["--set" if word == "--map" else word for word in words]
    with tempfile.TemporaryDirectory() as folder:
        code, out, message = asked(["data", "add", str(file), "--out", f"{folder}/corpus", *known, "--json"])
    failed = json.loads(out)["failed"].values() if out else ()
    return Outcome(ADDED if code == 0 else OUTCOMES.get(code, ERROR), " ".join([message, *failed]).strip())


def rows_of(folder: Path, model: str, nominal_ah: float, arguments: Mapping[str, str] | None = None) -> list[Row]:
    """One for each file of the folder; arguments: words of the command line by file name."""
    sources, twice = find_sources([folder], ["*.json"])
    rows = []
    for name in sorted([*(source.name for source in sources), *(duplicate.name for duplicate in twice)]):
        given = shlex.split((arguments or {}).get(name, ""))
        nominal = next((word.removeprefix(NOMINAL) for word in given if word.startswith(NOMINAL)), f"{nominal_ah:g}")
        words = ["--nominal-ah", nominal, *(word for word in given if not word.startswith(NOMINAL))]
        rows.append(Row(name, predicted(model, folder / name, words), added(folder / name, words)))
    return rows


def summary(rows: Sequence[Row], like: Outcome | None = None) -> str:
    """How many of which, and the largest difference of those that are answered."""
    parts = []
    for verb, outcomes in (("predict", [r.predicted for r in rows]), ("data add", [r.added for r in rows])):
        counts = Counter(outcome.outcome for outcome in outcomes)
        parts.append(f"{verb}: {', '.join(f'{counts[what]} {what}' for what in ORDER if counts[what])}")
    far = sorted(((off, row.name) for row in rows if (off := row.predicted.off(like)) is not None), reverse=True)
    text = f"{len(rows)} files. {'; '.join(parts)}."
    return f"{text} Furthest off: {', '.join(f'{name} {off:.1f}' for off, name in far[:4])}." if like else text


def table(rows: Sequence[Row], like: Outcome | None = None, words: bool = False) -> str:
    """As Markdown."""
    lines = ["| file | predict | data add |", "| --- | --- | --- |"]
    for row in rows:
        messages = (row.predicted.message, row.added.message) if words else ("", "")
        cells = (row.predicted.cell(like), row.added.cell())
        texts = [f"{cell}: {text}" if text else cell for cell, text in zip(cells, messages, strict=True)]
        lines.append(f"| {row.name} | {' | '.join(text.replace('|', '/') for text in texts)} |")
    return "\n".join(lines)


def main() -> None:
    """The table, and one line that counts it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nominal-ah", type=float, required=True)
    parser.add_argument("--model", default="demo-mlp")
    parser.add_argument("--like", metavar="FILE", help="the file of the folder that the others are compared with")
    parser.add_argument("--arguments", type=Path, metavar="FILE.json", help="{name: [file, words]}")
    parser.add_argument("--words", action="store_true", help="what the commands say as well")
    given = parser.parse_args()
    listed = json.loads(given.arguments.read_text(encoding="utf-8")) if given.arguments else {}
    rows = rows_of(given.folder, given.model, given.nominal_ah, dict(listed.values()))
    like = next((row.predicted for row in rows if row.name == given.like), None)
    if given.like and like is None:
        parser.error(
            f"{given.like} is no file of {given.folder}; one of {', '.join(row.name for row in rows[:5])}, ..."
        )
    print(table(rows, like, given.words))
    print(f"\n{summary(rows, like)}")
    if any(ERROR in (row.predicted.outcome, row.added.outcome) for row in rows):
        sys.exit(2)


if __name__ == "__main__":
    main()
