"""What the tables of engines and targets leave out is known by name, so that it can be made up for later."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edgebat.errors import TargetError
from edgebat.runs.missing import missing_engines, missing_on

GCC = "#!/bin/sh\necho 'arm-none-eabi-gcc (fake) 13.2.1'\n"


def test_a_compiler_that_appears_is_not_missing_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    name = "gcc, unicorn: cortex-m4f"
    assert name in missing_on(["cortex-m4f"])
    tool = tmp_path / "arm-none-eabi-gcc"
    tool.write_text(GCC)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert name not in missing_on(["cortex-m4f"])


def test_an_engine_that_is_not_installed_is_missing(without_module: Callable[[str], None]) -> None:
    before = missing_engines()
    assert "ONNX Runtime" not in before
    without_module("onnxruntime")
    assert missing_engines() == before | {"ONNX Runtime"}


def test_an_unknown_target_is_an_error() -> None:
    with pytest.raises(TargetError, match="no target 'abacus'"):
        missing_on(["abacus"])
