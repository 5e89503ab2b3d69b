"""Ports for real-time systems, exported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgebat.bms.ports import export_port
from edgebat.graph import IntGraph, load_graph
from tests.bms_samples import NOMINAL_MAH


@pytest.fixture
def graph(model_file: Path) -> IntGraph:
    """A model of three charges of four increments."""
    return load_graph(model_file)


@pytest.fixture
def exported(
    graph: IntGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[Path, list[Path]]]:
    """Export a port for a cell of 2 Ah; returns its folder and files."""
    # What the model costs is another test's business, and takes seconds.
    monkeypatch.setattr("edgebat.bms.integration._cost", lambda *_: "Not measured.")

    def export(port: str) -> tuple[Path, list[Path]]:
        folder = tmp_path / port
        return folder, export_port(graph, port, folder, "pack", nominal_mah=NOMINAL_MAH)

    return export
