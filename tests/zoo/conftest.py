"""Tests of the zoo write ports without their checklist, which measures the model and has tests of its own."""

import pytest

from edgebat.bms import ports


@pytest.fixture(autouse=True)
def without_integration_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "integration_files", lambda *_, **_options: {})
