"""What becomes of int8 files of other tools: ``python -m bench.foreign_files FOLDER [--windows N] [--write]``.

Each .tflite and .onnx file of the folder is read with the rounding that is its default, compared as `edgebat verify` does
(with the given file in its own engine first), exported to C and measured on simulated cores; or it is refused.
--write puts the table into docs/foreign-models.md. Exit code 2 when an engine that must be equal is not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.pages import print_or_write
from edgebat.bench.run import Options, bench, require_good
from edgebat.errors import EdgebatError
from edgebat.foreign import border_of
from edgebat.graph import IntGraph
from edgebat.models import load_model
from edgebat.verify.equality import Equality
from edgebat.verify.given import GIVEN, verify_given
from edgebat.verify.inputs import random_inputs

PAGE = Path(__file__).parents[1] / "docs" / "foreign-models.md"
BEGIN, END = (
    "<!-- files of others: python -m bench.foreign_files tests/files --write -->",
    "<!-- end of files of others -->",
)
TARGETS = ("cortex-m4f", "cortex-m0plus")


@dataclass(frozen=True)
class Row:
    """One file: ``refusal`` or what was compared and measured."""

    file: str
    rounding: str = ""
    refusal: str = ""
    equalities: Sequence[Equality] = ()
    figures: Sequence[dict[str, int]] = ()

    @property
    def own(self) -> Equality:
        """The given file in the engine whose integers it stands for."""
        return next(row for row in self.equalities if row.engine.startswith(GIVEN))

    @property
    def outcome(self) -> str:
        """refused, exact, or where which integers differ."""
        if self.refusal:
            return "refused"
        if self.own.skipped:
            return f"not compared: {self.own.skipped}"
        wrong = [row for row in self.equalities if not row.passed]
        return ", ".join(f"{row.engine}: {row.mismatches} of {row.values} differ" for row in wrong) or "exact"

    def markdown(self) -> str:
        """The row of the table."""
        if self.refusal:
            return f"| {self.file} | {self.refusal} |"
        same = [row.engine for row in self.equalities if row.values and not row.mismatches]
        sizes = " | ".join(
            f"{one['flash']:,} / {one['ram']:,} | {one['instructions']:,}" if one else "too large | "
            for one in self.figures
        )
        compared = f"{self.own.values:,} in {len(same)} engines"
        return f"| {self.file} | {self.outcome} | {self.rounding} | {compared} | {sizes} |"


def row_of(path: Path, windows: int) -> Row:
    """Read, compare and measure one file. Raises EdgebatError when C or a core gives other integers than NumPy."""
    try:
        graph = load_model(path)
    except EdgebatError as error:
        return Row(path.name, refusal=str(error).replace(f"{path}: ", "").replace("|", "\\|"))
    border = border_of(graph)
    if border is None:
        raise EdgebatError(f"{path}: it is edgebat's own; this table is of files of other tools")
    equalities = verify_given(graph, border, path, random_inputs(graph, windows))
    return Row(path.name, border.file.rounding, equalities=equalities, figures=measured(graph))


def measured(graph: IntGraph) -> list[dict[str, int]]:
    """Flash and RAM in bytes and instructions of one window, on each core by gcc."""
    report = bench(graph, TARGETS, Options(compilers=("gcc",)))
    require_good([report])
    return [row.figures or {} for row in report.rows]


def table(rows: Sequence[Row]) -> str:
    """All rows as Markdown."""
    exact, refused = (sum(row.outcome == word for row in rows) for word in ("exact", "refused"))
    lines = [
        f"{len(rows)} files: {exact} exact, {refused} refused with a remedy, {len(rows) - exact - refused} other.",
        "",
        "| file | outcome | rounding | outputs compared | M4F: flash / RAM | instructions | M0+: flash / RAM "
        "| instructions |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(row.markdown() for row in rows if not row.refusal),
    ]
    if refused:
        lines += ["", "| file | refused because, and what to do |", "| --- | --- |"]
        lines += [row.markdown() for row in rows if row.refusal]
    return "\n".join(lines)


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--windows", type=int, default=1000, help="random inputs every engine gets")
    parser.add_argument("--write", action="store_true", help="put the table into docs/foreign-models.md")
    arguments = parser.parse_args()
    rows = []
    for path in sorted(path for path in arguments.folder.iterdir() if path.suffix in (".tflite", ".onnx")):
        rows.append(row_of(path, arguments.windows))
        print(rows[-1].markdown(), file=sys.stderr, flush=True)
    print_or_write(table(rows), PAGE, BEGIN, END)
    if any(row.outcome not in ("exact", "refused") for row in rows):
        sys.exit(2)


if __name__ == "__main__":
    main()
