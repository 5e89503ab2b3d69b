"""What README, CONTRIBUTING and the pages of docs/ name is there: files, headings, verbs, options, packages, tests."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

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
EVERY = sorted(
    {*PAGES, "firmware_stubs/README.md", *(page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md"))}
)
OURS = ("bench/", "docs/", "edgebat/", "examples/", "export/", "firmware_stubs/", "tests/")
FOLDERS = ("", "edgebat", "edgebat/tasks", "firmware_stubs")
"""What paths in prose are relative to."""


def commands(page: str) -> list[list[str]]:
    """Arguments of every ``edgebat ...`` in a page's code, comments and placeholders left in."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^\$ (?:\.venv/bin/)?edgebat (.+)$", text, re.M) + re.findall(r"`edgebat ([^`]+)`", text)
    return [shlex.split(line.split("  #")[0]) for line in lines]


@cache
def verbs_of_edgebat() -> dict[str, Any]:
    """Verb -> its command, whose params have the options."""
    from typer.main import get_command

    from edgebat.cli.main import app

    return get_command(app).commands  # type: ignore[attr-defined, no-any-return]


def options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


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
    from edgebat.runs.document import find_recipe

    verbs = verbs_of_edgebat()
    for verb, *rest in commands(page):
        assert verb in verbs or verb.startswith("-"), verb
        if verb == "run" and re.fullmatch("[a-z-]+", rest[0]):
            assert find_recipe(rest[0]).is_file()
        for path in re.findall(r"export/[\w./-]+\w", " ".join(rest)):
            assert (ROOT / path).exists(), path


def headings(page: Path) -> set[str]:
    """What may stand behind the # of a link to a page, as GitHub makes it."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.M)}


@pytest.mark.parametrize("page", EVERY)
def test_links_lead_to_a_file_and_to_a_heading_of_it(page: str) -> None:
    text, here, dead = (ROOT / page).read_text(encoding="utf-8"), ROOT / page, []
    for link, file, heading in re.findall(r"\]\((([^)#:\s]*)(?:#([^)\s]+))?)\)", text):
        target = here.parent / file if file else here
        if not target.exists() or (heading and heading not in headings(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", EVERY)
def test_paths_of_this_repository_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    # Headers lie in edgebat/ of an export; names in capitals stand for others, as does a path before a placeholder.
    paths = re.findall(rf"(?<![\w/.-])(?:{'|'.join(OURS)})[\w./-]*\w(?![\w/*<-])", text)
    gone = {
        path for path in paths if not path.endswith(".h") and not re.search(r"\b[A-Z]+\b", path.removesuffix(".md"))
    }
    places = (ROOT, (ROOT / page).parent)
    missing = [path for path in sorted(gone) if not any((place / path).exists() for place in places)]
    assert [path for path in missing if path != "edgebat/_share"] == []


@pytest.mark.parametrize("page", EVERY)
def test_verbs_are_there_and_have_these_options(page: str) -> None:
    verbs, unknown = verbs_of_edgebat(), []
    for verb, *rest in (given for given in commands(page) if given[0] != "VERB" and not given[0].startswith("-")):
        assert verb in verbs, verb
        below = getattr(verbs[verb], "commands", {})
        known = options(verbs[verb]).union(*(options(one) for one in below.values()), {"--help", "--debug"})
        unknown += [(verb, word) for word in rest if re.match(r"--?[a-z]", word) and word not in known]
    assert unknown == []


def test_the_page_of_commands_names_every_verb() -> None:
    text, hidden = (ROOT / "docs/commands.md").read_text(encoding="utf-8"), {"bench model", "data recipe"}
    verbs = []
    for verb, command in verbs_of_edgebat().items():
        below = [f"{verb} {name}" for name in getattr(command, "commands", ())]
        verbs += [name for name in below if name not in hidden] or [verb]
    assert [verb for verb in verbs if f"`{verb}`" not in text] == []


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
