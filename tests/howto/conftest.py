"""What a contributor would put into a checkout of edgebat lies in ``toy`` and is put on the packages' paths instead."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TOY = Path(__file__).parent / "toy"
FOLDERS = {
    "tasks": "tasks",
    "teachers": "teachers",
    "students": "students",
    "baselines": "baselines",
    "data.readers": "readers",
}
"""Package of edgebat -> folder here."""


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toy task, its baselines, the toy teachers, student family and reader are there, and gone afterwards."""
    pytest.importorskip("lightning")
    for name, folder in FOLDERS.items():
        package = importlib.import_module(f"edgebat.{name}")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(TOY / folder)])
    yield
    for name in [n for n, module in sys.modules.items() if str(getattr(module, "__file__", "")).startswith(str(TOY))]:
        parent, _, last = name.rpartition(".")
        if parent in sys.modules:
            vars(sys.modules[parent]).pop(last, None)
        del sys.modules[name]
