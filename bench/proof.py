"""Proofs about the estimator's C: no overflow, no division by zero, no access outside its memory, for all inputs at once.

::

    python -m bench.proof [--short] [--write] [NAME ...]        make proof

Every ``firmware_stubs/tests/proof/proof_NAME.c`` is analysed by Eva, the abstract interpreter of Frama-C (Debian:
``apt-get install frama-c-base``). An alarm is a place where Eva could not exclude the fault. Prints docs/proof.md's table;
``--write`` puts it there. Ends with 1 when there is an alarm.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.pages import print_or_write
from edgebat.errors import ToolError
from edgebat.paths import firmware_dir

PAGE = Path(__file__).resolve().parent.parent / "docs" / "proof.md"
BEGIN, END = "<!-- proofs -->", "<!-- /proofs -->"
SHORT = ("push", "step", "rest")
"""What ``--short`` runs, ``push`` from a few states only."""
ANY_WINDOW = ("EDGEBAT_ANY_WINDOW=1",)
DEFINES = {"resistance": ("EDGEBAT_RESISTANCE=1",)} | {
    f"any_{name}": ANY_WINDOW for name in ("step", "restore", "check")
}
"""How the sources of a proof are compiled."""
DIVISION = "edgebat_bms_quotient"
"""What is a division to all proofs but its own."""
TRUSTED = re.compile(rf"Frama_C_\w+|proof_require\w*|{DIVISION}")
"""Functions whose specification Eva may take instead of their code."""
OPTIONS = (
    *("-machdep", "gcc_x86_32", "-c11", "-eva", "-eva-no-show-progress", "-eva-no-results"),
    *("-eva-msg-key=-initial-state,-final-states", "-eva-slevel", "12", "-eva-auto-loop-unroll", "500"),
    *("-eva-split-return", "auto", "-eva-split-return-function", "edgebat_push:0:2"),
    *("-eva-subdivide-non-linear-function", "track_extremes:8"),
    "-eva-slevel-function",
    "move:4000,edgebat_state_get:200,make_window:100,read_number:100,edgebat_state_number:100,is_blank:0,obeys:0",
)


@dataclass(frozen=True)
class Proof:
    """What Eva says of one harness: its alarms, the properties it had to show, and processor seconds it took."""

    name: str
    about: str
    alarms: tuple[str, ...]
    statements: int
    seconds: float


def version() -> str:
    """Frama-C's, as it prints it. Raises ToolError where it is not installed."""
    if not shutil.which("frama-c"):
        raise ToolError("frama-c is not installed: apt-get install frama-c-base")
    return subprocess.run(["frama-c", "-version"], capture_output=True, text=True, check=True).stdout.strip()


def names(library: Path) -> list[str]:
    """Of all harnesses of a library."""
    return sorted(path.stem.removeprefix("proof_") for path in library.glob("tests/proof/proof_*.c"))


def prove(library: Path, name: str, *defines: str) -> Proof:
    """Analyse one harness with the sources of ``library``. Raises ToolError when there is nothing to be said about it."""
    harness = library / "tests" / "proof" / f"proof_{name}.c"
    text = harness.read_text(encoding="utf-8")
    sources = sorted(library.glob("bms/*.c"))
    if "uint32_t edgebat_crc32(" not in text:
        sources.append(library / "src" / "edgebat_crc32.c")
    folders = ("include", "bms", "src", "tests/proof")
    flags = " ".join(
        [
            *(f"-I{library / folder}" for folder in folders),
            *(f"-D{define}" for define in (*DEFINES.get(name, ()), *defines)),
        ]
    )
    of_division = () if name == "quotient" else ("-eva-use-spec", DIVISION)
    command = ["frama-c", *OPTIONS, *of_division, f"-cpp-extra-args={flags}", *map(str, [harness, *sources])]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    reached = re.search(r"(\d+) statements reached", done.stdout)
    if done.returncode != 0 or reached is None or "done for function main" not in done.stdout:
        raise ToolError(f"frama-c has not analysed {harness}: {(done.stdout + done.stderr)[-2000:]}")
    taken = set(re.findall(r"using specification for function (\w+)", done.stdout))
    alarms = re.findall(r"\[eva:alarm\] (.*?)(?=\n\[|\n  No errors|\Z)", done.stdout, re.DOTALL)
    alarms += [f"{function} has no code" for function in sorted(taken) if not TRUSTED.fullmatch(function)]
    alarms += re.findall(r"NON TERMINATING.*|(?:degenerat|assuming terminat|recursive call).*", done.stdout)
    about = re.search(rf"proof_{name}\.c - (.*?)[.:]\s", text, re.DOTALL)
    return Proof(
        name,
        re.sub(r"\s*\*?\s+", " ", about.group(1)) if about else "",
        tuple(" ".join(alarm.replace(str(library) + "/", "").split()) for alarm in alarms),
        int(reached.group(1)),
        seconds,
    )


def table(proofs: list[Proof]) -> str:
    """One row per proof, as Markdown."""
    rows = [f"| `{p.name}` | {p.about} | {p.statements} | {len(p.alarms)} | {p.seconds:.0f} |" for p in proofs]
    head = "| proof | about | statements reached | alarms | s |\n|---|---|---|---|---|"
    return "\n".join([f"Frama-C {version()}, one core.", "", head, *rows])


def main() -> int:
    """Prove what the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--short", action="store_true", help=f"{', '.join(SHORT)}, within a minute")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    arguments = parser.parse_args()
    version()
    library = firmware_dir()
    chosen = arguments.names or (SHORT if arguments.short else names(library))
    proofs = []
    for name in chosen:
        proofs.append(prove(library, name, *(["PROOF_SHORT"] if arguments.short else [])))
        print(f"{name}: {len(proofs[-1].alarms)} alarms, {proofs[-1].seconds:.0f} s", file=sys.stderr)
        for alarm in proofs[-1].alarms:
            print(f"  {alarm}", file=sys.stderr)
    print_or_write(table(proofs), PAGE, BEGIN, END)
    return 1 if any(proof.alarms for proof in proofs) else 0


if __name__ == "__main__":
    sys.exit(main())
