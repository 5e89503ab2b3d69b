"""What a contributor would put into a checkout of edgebat lies in ``toy`` and is put on the packages' paths instead."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TOY = Path(__file__).parent / "toy"
PLACES = ("tasks", "teachers", "students", "baselines")


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toy task with its baselines, the toy teachers and the toy student family are there, and gone afterwards."""
    pytest.importorskip("lightning")
    before = set(sys.modules)
    packages = [importlib.import_module(f"edgebat.{name}") for name in PLACES]
    for name, package in zip(PLACES, packages, strict=True):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(TOY / name)])
    yield
    for name in set(sys.modules) - before:
        path = getattr(sys.modules[name], "__file__", None) or ""
        if path.startswith(str(TOY)):
            parent, _, last = name.rpartition(".")
            del sys.modules[name]
            if hasattr(sys.modules.get(parent), last):
                delattr(sys.modules[parent], last)
