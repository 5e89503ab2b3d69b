"""``edgebat replay``: cells live their lives again in front of a simulated BMS, with power cuts, and CAN tells the story.

The firmware runs on a simulated Cortex-M4 (or on this computer), the same samples go through the NumPy estimator and
forecaster, and both must agree in every state and every frame.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from edgebat.bms.can import dbc_text, outlook_names
from edgebat.bms.cell_replay import NAN, CellReplay, Decode, Signals, replay_cell
from edgebat.bms.drive import drawn_life
from edgebat.bms.estimator import Config
from edgebat.bms.picture import draw
from edgebat.bms.scores import score_cell
from edgebat.bms.twin import FRAME_MS, Twin
from edgebat.bms.virtual import BoardFirmware, Frame, HostFirmware
from edgebat.cells import CellHistory, CellKey, Condition, seen_cells
from edgebat.data.fleet import Fleet
from edgebat.errors import DataError, EdgebatError, require
from edgebat.files import atomic_write
from edgebat.formats.c.bms_models import ForecastModel, forecast_model, health_model
from edgebat.graph import IntGraph
from edgebat.models import load_model
from edgebat.predict import spec_of
from edgebat.tasks.health.windows import health_windows


@dataclass(frozen=True)
class ReplayOptions:
    """How cells are replayed."""

    target: str = "board"
    """``board``: a simulated Cortex-M4; ``host``: this computer, without power cuts."""
    cut_every: int = 20
    """About one cycle in so many ends in a power cut; 0: none."""
    noise_mv: float = 0.0
    """Standard deviation of the noise on the cell voltage, mV."""
    most_cycles: int | None = None
    """Only the first cycles of each cell."""


@dataclass(frozen=True)
class Wanted:
    """Which cells are replayed."""

    corpus: Path | None = None
    """Where they are; the synthetic fleet without one."""
    cells: tuple[str, ...] = ()
    """Names, ``dataset/cell`` or ``cell``."""
    count: int = 6
    """Otherwise so many that the model has not seen."""
    datasets: tuple[str, ...] = ()
    """Of the corpus; all unless named."""


@dataclass(frozen=True)
class Replayed:
    """What a replay came to."""

    graph: IntGraph
    forecast: IntGraph | None
    options: ReplayOptions
    synthetic: bool
    cells: list[CellReplay]

    @property
    def mismatches(self) -> int:
        """Frames and saved states that differ from NumPy's."""
        return sum(cell.mismatches for cell in self.cells)

    def document(self) -> dict[str, object]:
        """Content of ``replay.json``."""
        trend = self.forecast
        return {
            "model": self.graph.name,
            "fingerprint": self.graph.fingerprint,
            **({} if trend is None else {"forecast": trend.name, "forecast_fingerprint": trend.fingerprint}),
            "target": "Cortex-M4 (simulator)" if self.options.target == "board" else "host",
            "synthetic": self.synthetic,
            "cells": [_cell_summary(cell) for cell in self.cells],
        }

    def table(self) -> str:
        """The scores as plain text."""
        ahead = self.forecast is not None
        names = ["cell", "cycles", "samples", "power cuts", "frames", "estimates", "SOH RMSE device", "NumPy"]
        names += ["forecasts", "MAE", "persistence"] if ahead else []
        rows = []
        for cell in self.cells:
            row = ["/".join(cell.cell), str(cell.cycles), f"{cell.samples:,}", str(cell.cuts), f"{len(cell.frames):,}"]
            for count, errors in (
                ("estimates", ("device_rmse", "numpy_rmse")),
                *((("forecasts", ("forecast_mae", "persistence_mae")),) if ahead else ()),
            ):
                row.append(f"{cell.scores.get(count, 0):.0f}")
                row += [f"{cell.scores.get(name, float('nan')):.4f}" for name in errors]
            rows.append([*row, str(cell.mismatches)])
        table = [[*names, "differences"], *rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return "\n".join("  ".join(t.rjust(w) for t, w in zip(row, widths, strict=True)) for row in table)


def decoder(graph: IntGraph, forecast: ForecastModel | None = None) -> Decode:
    """Decodes frames with the generated ``.dbc``, NaN where unknown. Raises MissingExtra without cantools."""
    cantools = require("cantools", extra="sim")
    text = dbc_text(health_model(graph), forecast=forecast)
    database = cantools.database.load_string(text, database_format="dbc")

    def decode(frame: Frame) -> Signals:
        words = {name: str(value) for name, value in database.decode_message(frame.id, frame.data).items()}
        numbers = database.decode_message(frame.id, frame.data, decode_choices=False)
        return Signals({n: NAN if words[n] == "unknown" else float(v) for n, v in numbers.items()}, words)

    return decode


def unseen_cells(graph: IntGraph, fleet: Fleet, wanted: Iterable[str], count: int) -> list[CellHistory]:
    """Cells to replay: the ones asked for ("dataset/cell" or cell), else the first ``count`` the model was not trained
    on, from as many conditions as possible. Raises DataError when there is none."""
    names = set(wanted)
    with_curves = [h for h in fleet.histories() if h.charge_cycle.size]
    if names:
        chosen = [h for h in with_curves if names & {h.key[1], "/".join(h.key)}]
        missing = names - {n for h in chosen for n in (h.key[1], "/".join(h.key))}
        if missing:
            raise DataError(
                f"no charge curves of {', '.join(sorted(missing))}; there are {len(with_curves)} cells with some"
            )
        return chosen
    packed = graph.meta.get("training", {}).get("seen", "")
    seen = seen_cells(packed, [h.key for h in with_curves]) if packed else [False] * len(with_curves)
    unseen = [h for h, known in zip(with_curves, seen, strict=True) if not known]
    able = []
    for history in unseen:
        try:
            health_windows([history], spec_of(graph))
        except DataError:
            continue  # its charges do not cover the window
        able.append(history)
    if not able:
        raise DataError(
            "the model has seen every cell with charge curves here; name cells with --cell to replay them all the same"
        )
    # One of each condition first, then the second of each, ...
    rank: dict[Condition, int] = {}
    order = []
    for history in able:
        rank[history.condition] = rank.get(history.condition, 0) + 1
        order.append((rank[history.condition], str(history.condition), history.key, history))
    return [entry[-1] for entry in sorted(order, key=lambda entry: entry[:3])[:count]]


def config_for(history: CellHistory) -> Config:
    """The configuration of the virtual BMS for a cell of the corpus. Between full and empty nothing is counted: the
    discharge is drawn from the measured capacity, which counting would merely give back."""
    return Config(nominal_mah=round(history.nominal_ah * 1000), max_gap_ms=120_000)


def wanted_fleet(wanted: Wanted) -> Fleet:
    """The cells to choose from. Raises DataError as ``read_corpus`` does."""
    if wanted.corpus is None:
        from edgebat.data.synthetic import make_fleet

        # The demo was trained on the first forty names.
        return make_fleet(seed=99, cells=40 + 3 * wanted.count, max_cycles=600)
    from edgebat.data.corpus import read_corpus

    return read_corpus(wanted.corpus, list(wanted.datasets) or None)


def replay_model(
    model: str,
    folder: Path,
    wanted: Wanted,
    *,
    forecast: str | None,
    options: ReplayOptions,
    progress: Callable[[str], None],
) -> Replayed:
    """What ``edgebat replay`` does. Raises as ``replay`` and ``unseen_cells`` do."""
    graph = load_model(model)
    health_model(graph)  # or it is refused, before cells are looked for
    trend = None if forecast is None else load_model(forecast)
    fleet = wanted_fleet(wanted)
    chosen = unseen_cells(graph, fleet, wanted.cells, wanted.count)
    return replay(graph, chosen, folder, forecast=trend, options=options, synthetic=fleet.synthetic, progress=progress)


def replay(
    graph: IntGraph,
    histories: list[CellHistory],
    folder: Path,
    *,
    forecast: IntGraph | None = None,
    options: ReplayOptions | None = None,
    synthetic: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Replayed:
    """Replay cells and write ``replay.json``, ``replay.csv``, ``replay.svg``, ``<name>.dbc`` and a log of all frames
    per cell (``candump -L`` format) into ``folder``; with a ``forecast`` model the board forecasts as well.

    Raises ModelFileError when a model cannot do its part.
    """
    options = options or ReplayOptions()
    spec, trend = spec_of(graph), None if forecast is None else forecast_model(forecast)
    decode = decoder(graph, trend)
    folder.mkdir(parents=True, exist_ok=True)
    done = []
    for index, history in enumerate(histories):
        config = config_for(history)
        build = folder / "build" / f"{index}"
        kind = BoardFirmware if options.target == "board" else HostFirmware
        firmware = kind(graph, config, build, forecast=forecast, frame_ms=FRAME_MS, steps_per_tick=1)
        twin = Twin(graph, config, forecast)
        if (code := firmware.power_on()) != 0:
            raise EdgebatError(f"the virtual BMS does not start: {code}")
        temperature = _temperature(history)
        cycles = drawn_life(
            history, spec, ddegc=temperature, noise_mv=options.noise_mv, most_cycles=options.most_cycles
        )
        out = replay_cell(firmware, twin, history, cycles, decode, cut_every=options.cut_every, seed=index + 1)
        score_cell(out, history, graph, trend)
        done.append(out)
        progress(f"{'/'.join(out.cell)}: {len(out.rows)} cycles, {out.cuts} power cuts")
        atomic_write(folder / f"{_file_name(out.cell)}.log", _candump(out.frames))
    replayed = Replayed(graph, forecast, options, synthetic, done)
    atomic_write(folder / "replay.json", json.dumps(replayed.document(), indent=1) + "\n")
    atomic_write(folder / "replay.csv", _table(done, trend))
    atomic_write(folder / "replay.svg", draw(done, graph.name, spec.eol, forecast=trend, synthetic=synthetic))
    atomic_write(folder / f"{graph.name}.dbc", dbc_text(health_model(graph), forecast=trend))
    return replayed


def _cell_summary(out: CellReplay) -> dict[str, object]:
    forecasts = [
        {"cycle": row.outlook.begin, "points": list(row.outlook.points), "cycles_to_eol": row.outlook.eol_cycles}
        for row in out.rows
        if row.outlook is not None and row.outlook.points and row.outlook.begin == row.cycle
    ]
    return {
        "cell": "/".join(out.cell),
        "condition": str(out.condition),
        "cycles": out.cycles,
        "samples": out.samples,
        "cuts": out.cuts,
        "cuts_while_saving": out.cuts_while_saving,
        "mismatches": out.mismatches,
        "frames": len(out.frames),
        **out.scores,
        **({"outlooks": forecasts} if forecasts else {}),
    }


def _temperature(history: CellHistory) -> int:
    """0.1 degC of the chamber. Raises DataError where it is not stated: the estimator would get a made-up one."""
    degrees = history.condition.temperature_degc
    if degrees is None:
        raise DataError(f"cell {'/'.join(history.key)} cannot be replayed: cells.csv does not state its temperature_c")
    return round(degrees * 10)


def _file_name(cell: CellKey) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in "-".join(cell))


def _candump(frames: list[Frame]) -> str:
    return "".join(f"({f.time_ms / 1000:.3f}) can0 {f.id:03X}#{f.data.hex().upper()}\n" for f in frames)


_COLUMNS = ("cycle", "measured", "device_model", "device_published", "numpy_model", "ideal", "status", "fresh")


def _table(done: list[CellReplay], forecast: ForecastModel | None) -> str:
    text = io.StringIO()
    points = [] if forecast is None else outlook_names(forecast)
    outlook = [] if forecast is None else ["outlook_status", "outlook_cycle", "cycles_to_eol", *points]
    writer = csv.DictWriter(text, ["cell", *_COLUMNS, *outlook], lineterminator="\n", restval="")
    writer.writeheader()
    for out in done:
        for row in out.rows:
            values: dict[str, float | int | str | None] = {name: getattr(row, name) for name in _COLUMNS}
            if row.outlook is not None:
                values |= {"outlook_status": row.outlook.status, "outlook_cycle": row.outlook.begin}
                values |= {"cycles_to_eol": row.outlook.eol_cycles}
                values |= dict(zip(points, row.outlook.points, strict=False))
            shown = {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in values.items()}
            writer.writerow({"cell": "/".join(out.cell), **shown})
    return text.getvalue()
