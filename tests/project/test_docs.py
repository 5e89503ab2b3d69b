"""What README, CONTRIBUTING and the architecture page name is there: files, verbs, recipes, packages, tests."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from bench.architecture import GROUND, KNOWN, KNOWN_LONG, TABLE

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/fleet-predict.md",
    "docs/guide.md",
    "docs/library.md",
    *(f"docs/adr/{p.name}" for p in (ROOT / "docs/adr").glob("*.md")),
)
FOLDERS = ("", "edgebat", "edgebat/tasks", "firmware_stubs")
"""What paths in prose are relative to."""


def commands(page: str) -> list[list[str]]:
    """Arguments of every ``edgebat ...`` in a page's code, comments and placeholders left in."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = re.findall(r"^\$ (?:\.venv/bin/)?edgebat (.+)$", text, re.M) + re.findall(r"`edgebat ([^`]+)`", text)
    return [shlex.split(line.split("  #")[0]) for line in lines]


@pytest.mark.parametrize("page", PAGES)
def test_files_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
    # Paths in backticks with an ending or a slash, without placeholders; what a run, a build or a corpus holds is not there.
    # A bare file name is one of a folder named in the same paragraph, item or row.
    made = ("runs/", "qv/", "segments/", "_share", "edgebat/_share", "/")
    missing = []
    for block in re.split(r"\n\n|\n(?=\d+\. |\* |\| )", text):
        paths = re.findall(r"`([\w./-]+/[\w.-]*\w|[\w./-]+/|\w+\.py)`", block)
        folders = [ROOT / folder for folder in FOLDERS]
        folders += [parent / path for parent in folders for path in paths if (parent / path).is_dir()]
        folders += [(parent / path).parent for parent in folders for path in paths if "/" in path]
        named = [path for path in paths if not path.startswith(made)]
        missing += [path for path in named if not any((folder / path).exists() for folder in folders)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_verbs_recipes_and_given_files_are_there(page: str) -> None:
    pytest.importorskip("typer")
    from typer.main import get_command

    from edgebat.cli.main import app
    from edgebat.runs.document import find_recipe

    verbs = get_command(app).commands  # type: ignore[attr-defined]
    for verb, *rest in commands(page):
        assert verb in verbs or verb.startswith("-"), verb
        if verb == "run" and re.fullmatch("[a-z-]+", rest[0]):
            assert find_recipe(rest[0]).is_file()
        for path in re.findall(r"export/[\w./-]+\w", " ".join(rest)):
            assert (ROOT / path).exists(), path


def test_the_architecture_page_has_a_row_for_every_package() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    named = {name.rstrip("/").removesuffix(".py") for name in re.findall(r"`([\w./]+)`", rows)}
    assert TABLE.keys() - named - {"edgebat"} == set()
    assert named & set(GROUND)


def test_the_architecture_page_names_the_exceptions_there_are_and_no_others() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    paragraphs = [block for block in text.split("\n\n") if "KNOWN" in block]
    named = set(re.findall(r"`([\w./]+[./][\w./]+)`", " ".join(paragraphs)))
    assert named == {module for module, _ in KNOWN} | KNOWN_LONG
