"""Exported ports for real-time systems, compiled on this computer."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from edgebat.bms.estimator import Config
from edgebat.bms.resistance import ResistanceConfig
from tests.c_host import WARNINGS, c_compiler, call

HERE = Path(__file__).parent
CONTEXT = 3


def kconfig_defaults(folder: Path) -> dict[str, str]:
    """What Kconfig makes of an exported folder when nobody changes anything: CONFIG_... -> number."""
    text = (folder / "integration" / "Kconfig.pack").read_text()
    found = _numbers(text.split("if EDGEBAT_RESISTANCE")[0])
    assert len(found) == len(fields(Config)) - 1  # the sign is a bool that defaults to n
    return found


def kconfig_resistance(folder: Path) -> dict[str, str]:
    """The numbers below the option that compiles the resistance in."""
    text = (folder / "integration" / "Kconfig.pack").read_text()
    found = _numbers(text.split("if EDGEBAT_RESISTANCE")[1].split("endif")[0])
    assert len(found) == len(fields(ResistanceConfig)) - 2  # is_new is a bool; the table of temperatures is no option
    return found


def _numbers(text: str) -> dict[str, str]:
    found = re.findall(r"^config (\w+)\n\tint .*\n\tdefault (\d+)$", text, re.MULTILINE)
    return {f"CONFIG_{name}": value for name, value in found}


def build(folder: Path, output: Path, extra: list[Path], include: list[Path], *flags: str, without: str = "-") -> Path:
    """Compile the C of an exported folder with ``extra``, all warnings being errors."""
    sources = [path for path in sorted((folder / "src").glob("*.c")) if without not in path.name]
    search = [f"-I{path}" for path in (folder / "include", folder / "src", *include)]
    undefined = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    warnings = [w for w in WARNINGS if w != "-Wpedantic"]
    call([c_compiler(), *warnings, *undefined, *search, *flags, *sources, *extra, "-o", output])
    return output


def defines(values: dict[str, str]) -> list[str]:
    return [f"-D{name}={value}" for name, value in values.items()]


def zephyr_options(folder: Path) -> dict[str, str]:
    own = {"STACK_SIZE": "768", "PRIORITY": "14", "SETTINGS": "1"}
    return {**kconfig_defaults(folder), **{f"CONFIG_EDGEBAT_{name}": value for name, value in own.items()}}
