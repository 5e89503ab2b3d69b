"""What ``edgebat data simulate`` takes and prints."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from edgebat.errors import DataError
from edgebat.physics.fleet import Progress, Simulated, simulate_fleet
from edgebat.physics.settings import FleetSettings


def given_settings(given: Mapping[str, str | int]) -> FleetSettings:
    """Settings from what was given on the command line; lists are texts with commas. Raises DataError."""
    values: dict[str, object] = dict(given)
    if chemistries := values.pop("chemistry", None):
        values["chemistries"] = tuple(_parts(str(chemistries)))
    for option, field in (("rates", "rates_c"), ("temperatures", "temperatures_degc")):
        if (text := values.pop(option, None)) is not None:
            values[field] = _numbers(option, str(text))
    return FleetSettings(**values)  # type: ignore[arg-type]


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in _parts(text))
    except ValueError:
        raise DataError(
            f"--{option} {text!r} is no list of numbers; give them with commas, for example 0.25,0.5"
        ) from None


def run_simulate(corpus: Path, settings: FleetSettings, jobs: int, progress: Progress, as_json: bool = False) -> str:
    """Do it; returns what to print. Raises EdgebatError."""
    done = simulate_fleet(corpus, settings, jobs, progress)
    if as_json:
        cells = [{"dataset": plan.dataset, "cell_id": plan.cell_id, "protocol": plan.protocol,
                  "temperature_c": plan.temperature_degc} for plan in done.plans]  # fmt: skip
        return json.dumps({"corpus": str(corpus), "new": done.new, "cycles": done.cycles, "cells": cells}, indent=1)
    return "\n".join(_lines(corpus, settings, done))


def _lines(corpus: Path, settings: FleetSettings, done: Simulated) -> list[str]:
    kept = len(done.plans) - done.new
    return [
        f"corpus {corpus}: {len(done.plans)} simulated cells, {done.cycles} cycles"
        + (f"; {kept} cells were there already" if kept else ""),
        f"every cycle is simulated with {settings.model}" if settings.stride == 1 else
        f"one cycle in {settings.stride} is simulated with {settings.model}, those between are interpolated",
        f"next: edgebat init my.yaml --corpus {shlex.quote(str(corpus))}",
    ]  # fmt: skip
