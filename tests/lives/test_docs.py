"""docs/lives.md lists every key; ``python -m tests.lives.test_docs`` writes the list anew."""

from __future__ import annotations

import json
import re
from pathlib import Path

from edgebat.lives.settings import Board, Charge, Climate, Event, Life, Section, Sensors, Use
from edgebat.runs.settings import field_docstrings

PAGE = Path(__file__).parents[2] / "docs" / "lives.md"
BEGIN, END = "<!-- keys -->\n", "<!-- end of keys -->\n"
SECTIONS: dict[str, type[Section]] = {
    "At the top": Life,
    "`day`: `kind: use`": Use,
    "`day`: `kind: charge`": Charge,
    "`climate`": Climate,
    "`sensors`": Sensors,
    "`board`": Board,
    "`events`": Event,
}


def keys_as_markdown() -> str:
    lines = []
    for title, owner in SECTIONS.items():
        texts = field_docstrings(owner)
        lines += [f"### {title}", "", "| key | default | |", "| --- | --- | --- |"]
        for name, field in owner.model_fields.items():
            plain = isinstance(field.default, bool | int | float | str | tuple) and name not in ("day", "events")
            given = f"`{json.dumps(field.default)}`" if plain else ""
            default = "must be given" if field.is_required() else given
            text = texts.get(name, "")
            lines.append(f"| `{name}` | {default} | {text} |")
        lines.append("")
    return "\n".join(lines)


def test_the_page_lists_every_key():
    text = PAGE.read_text(encoding="utf-8")
    assert text.split(BEGIN)[1].split(END)[0] == keys_as_markdown()


def test_every_key_says_what_it_does():
    for owner in SECTIONS.values():
        assert set(owner.model_fields) - set(field_docstrings(owner)) <= {"kind"}


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGE.read_text(encoding="utf-8"))
    assert [link for link in links if not (PAGE.parent / link).exists()] == []


if __name__ == "__main__":
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    PAGE.write_text(before + BEGIN + keys_as_markdown() + END + rest.split(END)[1], encoding="utf-8")
