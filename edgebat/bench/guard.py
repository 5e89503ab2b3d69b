"""The regression guard: accepted figures in one file per target, and a readable difference when new ones differ.

::

    edgebat bench accept --net mlp -t cortex-m4f     # writes bench/baselines/cortex-m4f.json
    edgebat bench check --net mlp -t cortex-m4f      # fails when the code became slower or larger, or better

Figures of one compiler version are never compared with those of another: that is said, and does not fail.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgebat.bench.run import Report
from edgebat.errors import DataError
from edgebat.files import atomic_write

FORMAT = 1
INSTRUCTIONS_PERCENT = 1.0
"""A larger change of the instructions fails."""
BYTES = 16
"""This or a larger change of flash or RAM fails."""
BASELINES = Path("bench/baselines")


@dataclass(frozen=True)
class Baseline:
    """Accepted figures: instructions (largest over the inputs), flash and RAM in bytes; the rest says what was built."""

    model: str
    mode: str
    optimize: str
    built_by: str
    compiler: str
    sha256: str
    simulator: str
    instructions: int
    flash: int
    ram: int

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What must agree for figures to be comparable, apart from the compiler's version."""
        return self.model, self.mode, self.optimize, self.built_by


@dataclass(frozen=True)
class Finding:
    """One comparison in words; ``kind`` is "same", "changed" (fails), "missing" (fails) or "other compiler"."""

    kind: str
    text: str

    @property
    def fails(self) -> bool:
        return self.kind in ("changed", "missing")


def check(reports: Sequence[Report], folder: Path) -> list[Finding]:
    """Every measured row of ``reports`` against the baselines in ``folder``.

    Raises DataError when a baseline file is damaged.
    """
    found: list[Finding] = []
    for target, baselines in _by_target(reports).items():
        known = {item.key: item for item in load_baselines(folder, target)}
        found += [compare(target, known.get(new.key), new) for new in baselines]
    return found


def compare(target: str, old: Baseline | None, new: Baseline) -> Finding:
    """``new`` figures of one model on ``target`` beside the accepted ones."""
    name = f"{new.model} on {target} ({new.built_by} {new.optimize}, {new.mode})"
    if old is None:
        return Finding("missing", f"{name}: no baseline; accept one with: edgebat bench accept")
    if old.compiler != new.compiler:
        return Finding(
            "other compiler",
            f"{name}: not compared, the baseline was made with {old.compiler}, here is {new.compiler}; "
            "use that version, or accept a new baseline with: edgebat bench accept",
        )
    changes = [_change(label, getattr(old, label), getattr(new, label)) for label in ("instructions", "flash", "ram")]
    text = ", ".join(words for words, _ in changes)
    if new.sha256 != old.sha256:
        text += f"; the model itself changed ({old.sha256[:8]} to {new.sha256[:8]})"
    if not any(failed for _, failed in changes):
        return Finding("same", f"{name}: {text}")
    return Finding("changed", f"{name}: {text}; if this is meant, accept it with: edgebat bench accept")


def _change(label: str, old: int, new: int) -> tuple[str, bool]:
    """The change in words, and whether it is too large."""
    if old == new:
        return f"{label} {new:,}", False
    difference = new - old
    if label == "instructions":
        percent = 100.0 * difference / old
        too_much = abs(difference) * 100 > INSTRUCTIONS_PERCENT * old
        allowed = f"allowed ±{INSTRUCTIONS_PERCENT:g} %"
        size = f"{percent:+.2f} %"
    else:
        too_much = abs(difference) >= BYTES
        allowed = f"allowed less than ±{BYTES} bytes"
        size = f"{difference:+,} bytes"
    return f"{label} {old:,} to {new:,} ({size}{', ' + allowed if too_much else ''})", too_much


def accept(reports: Sequence[Report], folder: Path) -> list[Path]:
    """Write the figures of ``reports`` as the new baselines; entries of other models stay. Returns the files."""
    files = []
    for target, baselines in _by_target(reports).items():
        path = folder / f"{target}.json"
        merged = {item.key: item for item in [*load_baselines(folder, target), *baselines]}
        content = {"format": FORMAT, "target": target, "entries": [asdict(merged[key]) for key in sorted(merged)]}
        atomic_write(path, json.dumps(content, indent=1) + "\n")
        files.append(path)
    return files


def load_baselines(folder: Path, target: str) -> list[Baseline]:
    """The accepted figures of ``target``; none without a file. Raises DataError when the file is damaged."""
    path = folder / f"{target}.json"
    try:
        content: Any = json.loads(path.read_text("utf-8"))
        if content["format"] != FORMAT:
            raise DataError(
                f"baseline {path}: format {content['format']!r}, expected {FORMAT}; make it again with: edgebat bench accept"
            )
        return [Baseline(**entry) for entry in content["entries"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"baseline {path}: cannot be read: {error}; restore it, or make it again with: edgebat bench accept"
        ) from None


def _by_target(reports: Sequence[Report]) -> dict[str, list[Baseline]]:
    """The rows that can be compared, by target."""
    found: dict[str, list[Baseline]] = {}
    for report in reports:
        for row in report.rows:
            done, figures = row.measurement, row.figures
            if done is not None and figures is not None:
                item = Baseline(
                    report.model, row.mode, row.optimize, row.built_by, done.compiler, report.sha256, done.simulator,
                    **figures,
                )  # fmt: skip
                found.setdefault(row.target, []).append(item)
    return found
