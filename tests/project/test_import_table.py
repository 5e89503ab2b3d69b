"""Nothing points back up: which package may import which stands in one table, in ``bench/architecture.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.architecture import (
    GROUND,
    KNOWN,
    KNOWN_LONG,
    ROOT,
    TABLE,
    Import,
    against_the_table,
    allowed,
    circles,
    graph_of,
    imports,
    long_files,
    longest_chain,
    permitted,
)


@pytest.fixture(scope="module")
def found() -> list[Import]:
    return imports()


def test_every_import_is_one_the_table_allows(found: list[Import]) -> None:
    assert not [str(one) for one in against_the_table(found)]


def test_no_modules_import_each_other_in_a_circle(found: list[Import]) -> None:
    assert circles(graph_of(found)) == []


def test_no_file_is_longer_than_450_lines() -> None:
    assert long_files().keys() - KNOWN_LONG == set()


def test_what_is_known_is_still_there(found: list[Import]) -> None:
    """An exception that is not needed any more goes from its list."""
    upward = {(one.module, one.packages[1]) for one in found if not permitted(one)}
    assert KNOWN - upward == set()
    assert KNOWN_LONG - long_files().keys() == set()


def test_the_table_has_a_row_for_every_package_and_rows_name_rows_above_them_only() -> None:
    folder = ROOT / "edgebat"
    names = {path.name for path in folder.iterdir() if (path / "__init__.py").is_file()}
    names |= {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert names <= TABLE.keys()
    above: set[str] = set()
    for package, row in TABLE.items():
        assert {*row.may, *row.lazily} <= above, package
        above.add(package)


@pytest.mark.parametrize(
    ("package", "never"),
    [
        ("graph", {"data", "tasks", "students", "teachers", "training", "quantization"}),
        ("runtime", {"data", "tasks", "students", "teachers", "training", "quantization"}),
        ("formats", {"data", "students", "teachers", "training", "quantization", "simulate"}),
        ("data", {"tasks", "teachers"}),
        ("tasks", {"baselines", "teachers", "training", "students"}),
        ("students", {"teachers", "distill", "graph"}),
        ("teachers", {"students", "distill", "quantization"}),
        ("report", {"runs", "studies", "bms", "teachers"}),
        ("simulate", {"runs", "verify", "bench", "report"}),
    ],
)
def test_what_lies_below_the_waist_does_not_know_what_lies_above(package: str, never: set[str]) -> None:
    assert not allowed(package) & never
    assert allowed(package) >= set(GROUND)


def test_only_the_command_line_may_import_everything() -> None:
    assert TABLE.keys() - allowed("cli") == {"__main__"}


def imports_of(root: Path, files: dict[str, str]) -> list[Import]:
    """The imports of a little package ``edgebat``."""
    for name, text in files.items():
        (root / "edgebat" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "edgebat" / name).write_text(text)
    return imports(root / "edgebat")


def test_an_import_upward_is_found_also_inside_a_function(tmp_path: Path) -> None:
    found = imports_of(
        tmp_path,
        {
            "graph/model.py": "def draw():\n    from edgebat.report import svg\n",
            "report/svg.py": "from __future__ import annotations\n",
            "report/card.py": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from edgebat.runs import run\n",
            "evaluate.py": "def load():\n    from edgebat.teachers import store\n\n\nfrom edgebat.students import store\n",
            "teachers/store.py": "",
            "students/store.py": "from ..graph import model\n",
        },
    )
    assert [str(one) for one in found if not permitted(one)] == [
        "edgebat.evaluate:5 imports edgebat.students.store",
        "edgebat.graph.model:2 imports edgebat.report.svg",
        "edgebat.students.store:1 imports edgebat.graph.model",
    ]


def test_circular_imports_and_the_longest_chain_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"d"}, "x": {"y"}, "y": {"x"}}
    assert circles(graph) == [["x", "y"]]
    assert longest_chain(graph) == ["a", "b", "c", "d"]
