"""Counts that say whether the code keeps to its layers: ``python -m bench.architecture``.

Prints lines of Python per package, files over 450 lines, the longest chain of imports between modules, imports against the
table of packages, and circular imports. Exit code 1 for a circular import, one the table does not allow or a file too long.
An import inside a function counts like one at the top unless the table allows it ``lazily``; one for type checkers only
does not count. The table is the one of docs/architecture.md; tests/project/test_import_table.py holds it.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgebat.runs.closure import imported, only_for_type_checkers, parse

ROOT = Path(__file__).parents[1]
MOST_LINES = 450
GROUND = ("edgebat", "errors", "files", "paths", "arrays")


@dataclass(frozen=True)
class Row:
    """What a package may import: itself, ``may`` and all that those may; inside functions ``lazily`` too."""

    may: tuple[str, ...] = ()
    lazily: tuple[str, ...] = ()


TRAINED = ("baselines", "training", "students", "teachers")
TABLE: dict[str, Row] = {
    **{name: Row() for name in GROUND},
    "extras": Row(GROUND),
    "workers": Row(GROUND),
    "lock": Row(GROUND),
    "cells": Row(GROUND),
    "chemistry": Row(GROUND),
    "ground": Row(("chemistry",)),
    "interval": Row(GROUND),
    "data": Row(("cells",)),
    "tasks": Row(("data", "ground", "interval")),
    "baselines": Row(("tasks",)),
    "training": Row(("tasks", "workers")),
    "graph": Row(("ground", "interval")),
    "runtime": Row(("graph", "cells")),
    "formats": Row(("runtime",)),
    "students": Row(("training",)),
    "teachers": Row(("training", "baselines")),
    "models": Row(("formats", "tasks"), TRAINED),
    "quantization": Row(("students", "runtime")),
    "distill": Row(("teachers", "quantization", "models", "workers")),
    "foreign": Row(("runtime",)),
    "user_units": Row(("foreign",)),
    "predict": Row(("models", "user_units")),
    "networks": Row(("quantization", "predict", "formats")),
    "estimates": Row(("predict",)),
    "describe": Row(("models", "user_units")),
    "evaluate": Row(("models", "predict"), TRAINED),
    "simulate": Row(("formats",)),
    "verify": Row(("simulate", "quantization", "predict")),
    "bench": Row(("verify",)),
    "report": Row(("simulate", "evaluate", "baselines", "extras")),
    "assemble": Row(("report", "lock")),
    "physics": Row(("assemble", "workers")),
    "bms": Row(("simulate", "predict", "report")),
    "lives": Row(("bms", "workers")),
    "studies": Row(("distill", "evaluate", "report")),
    "runs": Row(("studies", "verify", "bench", "bms", "lock", "workers")),
    "search": Row(("runs", "workers")),
    "zoo": Row(("runs",)),
    "bulk": Row(("runs", "estimates", "workers", "assemble")),
    "library": Row(("bulk", "networks")),
    "cli": Row(("search", "zoo", "library", "describe", "lives", "physics")),
    "__main__": Row(("extras",), ("cli", "predict", "zoo", "describe")),
}
"""Package (or module directly below ``edgebat/``) -> what it may import; a row names rows above it only."""

KNOWN: set[tuple[str, str]] = set()
"""(module, package): imports the table does not allow and that are still there. To be emptied; nothing is added."""
KNOWN_LONG: set[str] = set()
"""Files over 450 lines that are still there. To be emptied; nothing is added."""


@dataclass(frozen=True, order=True)
class Import:
    """``module`` imports ``target`` in ``line``; ``lazy``: inside a function."""

    module: str
    line: int
    target: str
    lazy: bool

    @property
    def packages(self) -> tuple[str, str]:
        """The packages of both."""
        return package_of(self.module), package_of(self.target)

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def package_of(module: str) -> str:
    """The package a dotted module lies in."""
    return module.split(".")[1] if "." in module else module


@cache
def allowed(package: str) -> frozenset[str]:
    """Every package that ``package`` may import, itself included."""
    row = TABLE.get(package, Row())
    return frozenset({package}.union(*(allowed(name) for name in row.may)))


def permitted(found: Import) -> bool:
    """Whether the table allows the import."""
    package, target = found.packages
    lazily = (name for start in TABLE[package].lazily for name in allowed(start)) if package in TABLE else ()
    return target in allowed(package) or (found.lazy and target in lazily)


def imports(package: Path = ROOT / "edgebat") -> list[Import]:
    """Every import between modules of the package, found in the source."""
    names = {dotted(package, path): path for path in package.rglob("*.py") if "_share" not in path.parts}
    found = set()
    for name, path in names.items():
        module = parse(path, name)
        for node, lazy in import_statements(ast.parse(path.read_text(encoding="utf-8"))):
            for _, (source, item) in imported(module, node):
                target = f"{source}.{item}" if f"{source}.{item}" in names else source
                found.add(Import(name, node.lineno, target, lazy))
    return sorted(one for one in found if one.target != one.module)


def dotted(package: Path, path: Path) -> str:
    """The dotted name of a file of the package."""
    parts = (package.name, *path.relative_to(package).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_statements(node: ast.AST, lazy: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Import statements below ``node`` and whether they stand in a function; those for type checkers are left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, lazy
        elif not (isinstance(child, ast.stmt) and only_for_type_checkers(child)):
            yield from import_statements(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def against_the_table(found: list[Import]) -> list[Import]:
    """Imports that the table does not allow and that are not known yet."""
    return [one for one in found if not permitted(one) and (one.module, one.packages[1]) not in KNOWN]


def graph_of(found: list[Import]) -> dict[str, set[str]]:
    """Module -> modules it imports, without the imports that are allowed only because they are lazy."""
    graph: dict[str, set[str]] = {}
    for one in found:
        package, target = one.packages
        if one.lazy and target not in allowed(package) and permitted(one):
            continue
        graph.setdefault(one.module, set()).add(one.target)
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other (Tarjan's strongly connected components), each sorted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in index:
                visit(target)
            if target in stack:
                low[node] = min(low[node], low[target])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[-len(group) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def longest_chain(graph: Mapping[str, set[str]]) -> list[str]:
    """The most modules that stand one on the other, from the top; a circle is entered once."""
    chains: dict[str, list[str]] = {}

    def chain(node: str, above: frozenset[str]) -> list[str]:
        if node not in chains:
            below = [chain(t, above | {node}) for t in sorted(graph.get(node, ())) if t not in above | {node}]
            chains[node] = [node, *max(below, key=len, default=[])]
        return chains[node]

    return max((chain(node, frozenset()) for node in sorted(graph)), key=len, default=[])


def long_files(root: Path = ROOT) -> dict[str, int]:
    """Hand-written Python and C files over 450 lines, with their lengths."""
    folders = {"edgebat": (".py",), "bench": (".py",), "tests": (".py",), "firmware_stubs": (".c", ".h")}
    files = [p for folder, ends in folders.items() for p in sorted((root / folder).rglob("*")) if p.suffix in ends]
    lines = {str(path.relative_to(root)): line_count(path) for path in files if "build" not in path.parts}
    return {name: count for name, count in lines.items() if count > MOST_LINES}


def line_count(path: Path) -> int:
    """Lines of a text file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def main() -> int:
    """Print the counts; 0 when nothing is against the table."""
    lines: Counter[str] = Counter()
    for path in sorted((ROOT / "edgebat").rglob("*.py")):
        lines[package_of(dotted(ROOT / "edgebat", path))] += line_count(path)
    for package, count in sorted(lines.items(), key=lambda item: -item[1]):
        print(f"{count:7,}  {package}")
    print(f"{lines.total():7,}  lines of Python in edgebat\n")

    found = imports()
    graph = graph_of(found)
    chain = longest_chain(graph)
    print(f"{len(chain)} modules in the longest chain: {' > '.join(name.removeprefix('edgebat.') for name in chain)}\n")

    long, circular = long_files(), circles(graph)
    upward, news = [one for one in found if not permitted(one)], against_the_table(found)
    print(f"{len(long)} files over {MOST_LINES} lines, {len(long.keys() - KNOWN_LONG)} of them new")
    for name, count in long.items():
        print(f"  {name}: {count}")
    print(f"{len(upward)} imports against the table, {len(news)} of them new")
    for one in upward:
        print(f"  {one}")
    print(f"{len(circular)} circular imports")
    for group in circular:
        print(f"  {', '.join(group)}")
    return int(bool(circular or news or long.keys() - KNOWN_LONG))


if __name__ == "__main__":
    sys.exit(main())
