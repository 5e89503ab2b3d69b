"""``edgebat replay``: cells live their lives again in front of a simulated BMS, with power cuts, and CAN tells the story.

The firmware runs on a simulated Cortex-M4 (or on this computer), the same samples go through the NumPy estimator, and
both must agree in every state and every frame that is compared. After a power cut the board must come up with the state
it saved before, or the one it was saving, whole.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.bms.can import DETAILS, FIRST_ID, HEALTH, dbc_text, pack_frames
from edgebat.bms.drive import Cycle, drawn_life
from edgebat.bms.estimator import Config, Estimator, Result, Sample, Status
from edgebat.bms.virtual import SAMPLES, BoardFirmware, Firmware, Frame, HostFirmware, Samples, slices_of
from edgebat.cells import CellHistory, CellKey, Condition, seen_cells
from edgebat.data.fleet import Fleet
from edgebat.errors import DataError, EdgebatError, require
from edgebat.files import atomic_write
from edgebat.graph import IntGraph
from edgebat.models import load_model
from edgebat.predict import predict_windows, spec_of
from edgebat.tasks.health.charge_counter import UNKNOWN
from edgebat.tasks.health.windows import health_windows, reference_capacity_ah, usable_rows

FRAME_MS = 600_000
INSTRUCTIONS_PER_SAMPLE = 500
"""Of the virtual BMS, about: power cuts fall anywhere in a cycle."""


class Twin:
    """The firmware of the virtual board in Python: the estimator, and when it saves."""

    def __init__(self, graph: IntGraph, config: Config) -> None:
        self._graph, self._config = graph, config
        self._slices = slices_of(graph)
        self.estimator = Estimator(graph, config, self._slices)
        self.saved: list[bytes] = []
        self.frames: list[tuple[int, bytes]] = []
        """Identifier and data of every frame since ``frames`` was emptied."""
        self._start()

    def _start(self) -> None:
        self._since_frame_ms = self._alive = 0
        self.frames = []
        self._mark()

    def _mark(self) -> None:
        self._saved_revision = self.estimator.revision

    def run(self, samples: Samples) -> Result:
        """Work through samples; ``saved`` grows by the states that are written meanwhile."""
        estimator = self.estimator
        for mv, ma, dt, ddegc, valid in zip(
            samples["cell_mv"].tolist(),
            samples["current_ma"].tolist(),
            samples["dt_ms"].tolist(),
            samples["temperature_ddegc"].tolist(),
            samples["valid"].tolist(),
            strict=True,
        ):
            estimator.push(Sample(mv, ma, dt, ddegc, bool(valid & 1), bool(valid & 2), bool(valid & 4)))
            estimator.step()
            self._since_frame_ms += dt
            if self._since_frame_ms >= FRAME_MS:
                self._since_frame_ms = 0
                self.frames += pack_frames(estimator.model, estimator.result(), self._alive)
                self._alive = (self._alive + 1) % 16
            if estimator.revision != self._saved_revision:
                self._mark()
                self.saved.append(estimator.state())
        return estimator.result()

    def take(self, branch: Twin) -> None:
        """Go on where ``branch``, a copy of this twin, has come to."""
        self.__dict__.update(branch.__dict__)

    def power_on(self, state: bytes | None) -> None:
        """Begin anew from a saved state, or from nothing."""
        self.estimator = Estimator(self._graph, self._config, self._slices)
        if state is not None:
            self.estimator.restore(state)
        self._start()
        self.saved = [state] if state is not None else []


def newest_state(places: Iterable[bytes]) -> bytes | None:
    """The sound state with the highest sequence number among the places of the FRAM."""
    sound = [p for p in places if p[:3] == b"EBS" and zlib.crc32(p[:-4]) == int.from_bytes(p[-4:], "little")]
    return max(sound, key=lambda p: int.from_bytes(p[12:16], "little"), default=None)


@dataclass
class CellReplay:
    """What happened to one cell. ``rows``: per cycle its number, measured SOH, the model's and the published SOH on the
    device and the NumPy estimator's, all in % (655.35 where unknown), the status, and whether the estimate is new."""

    cell: CellKey
    condition: Condition
    rows: list[dict[str, Any]] = field(default_factory=list)
    samples: int = 0
    cuts: int = 0
    cut_cycles: list[int] = field(default_factory=list)
    cuts_while_saving: int = 0
    mismatches: int = 0
    frames: list[Frame] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)


def replay_cell(
    firmware: Firmware,
    twin: Twin,
    history: CellHistory,
    cycles: Iterable[Cycle],
    decode: Callable[[Frame], dict[str, Any]],
    *,
    cut_every: int = 0,
    seed: int = 1,
) -> CellReplay:
    """One cell's life through ``firmware`` and through ``twin``; about one cycle in ``cut_every`` ends in a power cut.

    Raises EdgebatError when the board comes up with a state that was never saved.
    """
    rng = np.random.default_rng(seed)
    out = CellReplay(history.key, history.condition)
    spec_rows = dict(zip(history.cycle.tolist(), history.capacity_ah.tolist(), strict=True))
    for cycle in cycles:
        out.samples += len(cycle.samples)
        if cut_every and isinstance(firmware, BoardFirmware) and rng.integers(cut_every) == 0:
            if _cut(firmware, twin, cycle, rng, out):
                continue
        else:
            _live(firmware, twin, cycle.samples, out)
        last = out.frames[-firmware.burst :]
        _note(cycle.number, twin.estimator.result(), spec_rows, last, out, decode)
    return out


def _live(firmware: Firmware, twin: Twin, samples: Samples, out: CellReplay) -> None:
    """Samples through both, and the comparison."""
    frames = firmware.run(samples)
    twin.run(samples)
    out.frames += frames
    out.mismatches += differences(firmware, twin, frames)


def _cut(firmware: BoardFirmware, twin: Twin, cycle: Cycle, rng: np.random.Generator, out: CellReplay) -> bool:
    """The power goes somewhere in this cycle, and what is left of it passes a dark board; false when the cycle was over
    before."""
    start = int(rng.integers(max(len(cycle.samples) - SAMPLES, 0) + 1))
    _live(firmware, twin, cycle.samples[:start], out)
    part = cycle.samples[start : start + SAMPLES]
    cut = firmware.run_until_cut(part, int(rng.integers(1, INSTRUCTIONS_PER_SAMPLE * len(part))))
    branch = copy.deepcopy(twin)
    branch.run(part)
    if not cut:
        twin.take(branch)
        frames = firmware.taken_frames()
        out.frames += frames
        out.mismatches += differences(firmware, twin, frames)
        _live(firmware, twin, cycle.samples[start + SAMPLES :], out)
        return False
    out.cuts += 1
    out.cut_cycles.append(cycle.number)
    allowed = twin.saved[-1:] + branch.saved[len(twin.saved) :]
    places = firmware.fram
    state = newest_state(places)
    if state is not None and state not in allowed:
        raise EdgebatError(f"after a power cut in cycle {cycle.number} the board holds a state that was never saved")
    if state is None and allowed and twin.saved:
        raise EdgebatError(f"after a power cut in cycle {cycle.number} the board has lost its state")
    whole = [place for place in places if newest_state([place]) is not None or not any(place)]
    out.cuts_while_saving += len(whole) < len(places)
    code = firmware.power_on()
    if code != 0:
        raise EdgebatError(f"after a power cut in cycle {cycle.number} the board says {code} instead of 0")
    twin.power_on(state)
    return True


def differences(firmware: Firmware, twin: Twin, frames: list[Frame]) -> int:
    """Frames, bit for bit, and saved states that are not what the twin says; empties the twin's list of frames."""
    wanted, twin.frames = twin.frames, []
    found = [(frame.id, frame.data) for frame in frames]
    wrong = sum(a != b for a, b in zip(found, wanted, strict=False)) + abs(len(found) - len(wanted))
    state = newest_state(firmware.fram)
    return wrong + (state != (twin.saved[-1] if twin.saved else None))


def _note(
    number: int,
    result: Result,
    capacity_ah: dict[int, float],
    last: list[Frame],
    out: CellReplay,
    decode: Callable[[Frame], dict[str, Any]],
) -> None:
    frames = {frame.id - FIRST_ID: decode(frame) for frame in last}
    said = frames.get(DETAILS, {}).get("SOH_Model", UNKNOWN / 100)
    published = frames.get(HEALTH, {}).get("SOH", UNKNOWN / 100)
    out.rows.append(
        {
            "cycle": number,
            "capacity_ah": capacity_ah.get(number, float("nan")),
            "device_model": said,
            "device_published": published,
            "numpy_model": result.model_cpct / 100,
            "status": str(frames.get(HEALTH, {}).get("Status", Status.WARMUP.name)),
            "fresh": result.age_cycles == 0,
        }
    )


def score_cell(out: CellReplay, history: CellHistory, graph: IntGraph) -> None:
    """RMSE in points of SOH of the device, of the NumPy estimator on the same samples, and of the same graph on the
    corpus' own increments; all over the cycles with a new estimate and a usable capacity."""
    spec = spec_of(graph)
    usable = usable_rows(history.capacity_ah, history.flagged, history.nominal_ah, spec)
    good = set(history.cycle[usable].tolist())
    reference = reference_capacity_ah(history.capacity_ah, history.flagged, history.nominal_ah, spec)
    rows = [row for row in out.rows if row["fresh"] and row["cycle"] in good]
    for row in out.rows:
        row["measured"] = 100 * row["capacity_ah"] / reference
    if not rows:
        return
    windows = health_windows([history], spec)
    ideal = dict(zip(windows.cycle.tolist(), predict_windows(graph, windows.x)["soh"][:, 0].tolist(), strict=True))

    def rmse(name: str, chosen: list[dict[str, Any]]) -> float:
        # Estimates are whole hundredths; decoding a frame leaves 80.25999999.
        wrong = np.array([round(row[name] * 100) / 100 - row["measured"] for row in chosen])
        return float(np.sqrt(np.mean(wrong**2))) if wrong.size else float("nan")

    for row in rows:
        row["ideal"] = ideal.get(row["cycle"], float("nan")) / 100
    both = [row for row in rows if np.isfinite(row["ideal"])]
    out.scores = {
        "estimates": float(len(rows)),
        "device_rmse": rmse("device_model", rows),
        "numpy_rmse": rmse("numpy_model", rows),
        "published_rmse": rmse("device_published", [r for r in rows if r["status"] == Status.OK.name]),
        "device_rmse_shared": rmse("device_model", both),
        "corpus_rmse_shared": rmse("ideal", both),
    }


def decoder(graph: IntGraph) -> Callable[[Frame], dict[str, Any]]:
    """Decodes frames with the generated ``.dbc``. Raises MissingExtra without cantools."""
    from edgebat.formats.c.bms import describe

    cantools = require("cantools", extra="sim")
    database = cantools.database.load_string(dbc_text(describe(graph)), database_format="dbc")

    def decode(frame: Frame) -> dict[str, Any]:
        found: dict[str, Any] = database.decode_message(frame.id, frame.data)
        return {name: (UNKNOWN / 100 if str(value) == "unknown" else value) for name, value in found.items()}

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


def replay_model(
    model: str,
    folder: Path,
    *,
    corpus: Path | None,
    cells: Iterable[str],
    count: int,
    dataset: Iterable[str],
    **options: Any,
) -> dict[str, Any]:
    """What ``edgebat replay`` does: ``count`` unseen cells of a corpus, or of the synthetic fleet without one."""
    graph = load_model(model)
    if corpus is None:
        from edgebat.data.synthetic import make_fleet

        # The demo was trained on the first forty names.
        fleet = make_fleet(seed=99, cells=40 + 3 * count, max_cycles=600)
    else:
        from edgebat.data.corpus import read_corpus

        fleet = read_corpus(corpus, list(dataset) or None)
    return replay(graph, unseen_cells(graph, fleet, cells, count), folder, synthetic=fleet.synthetic, **options)


def summary_table(summary: dict[str, Any]) -> str:
    """The scores as plain text."""
    names = [
        "cell",
        "cycles",
        "samples",
        "power cuts",
        "frames",
        "estimates",
        "SOH RMSE device",
        "NumPy",
        "differences",
    ]
    rows = [
        [
            cell["cell"],
            str(cell["cycles"]),
            f"{cell['samples']:,}",
            str(cell["cuts"]),
            f"{cell['frames']:,}",
            f"{cell.get('estimates', 0):.0f}",
            f"{cell.get('device_rmse', float('nan')):.4f}",
            f"{cell.get('numpy_rmse', float('nan')):.4f}",
            str(cell["mismatches"]),
        ]
        for cell in summary["cells"]
    ]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    return "\n".join("  ".join(t.rjust(w) for t, w in zip(row, widths, strict=True)) for row in [names, *rows])


def replay(
    graph: IntGraph,
    histories: list[CellHistory],
    folder: Path,
    *,
    target: str = "board",
    synthetic: bool = False,
    cut_every: int = 20,
    noise_mv: float = 0.0,
    most_cycles: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Replay cells and write ``replay.json``, ``replay.csv``, ``replay.svg``, ``<name>.dbc`` and a log of all frames
    per cell (``candump -L`` format) into ``folder``. target: ``board`` (simulated Cortex-M4) or ``host``."""
    spec = spec_of(graph)
    decode = decoder(graph)
    folder.mkdir(parents=True, exist_ok=True)
    done = []
    for index, history in enumerate(histories):
        config = config_for(history)
        build = folder / "build" / f"{index}"
        kind = BoardFirmware if target == "board" else HostFirmware
        firmware = kind(graph, config, build, frame_ms=FRAME_MS, steps_per_tick=1)
        twin = Twin(graph, config)
        if (code := firmware.power_on()) != 0:
            raise EdgebatError(f"the virtual BMS does not start: {code}")
        temperature = _temperature(history)
        cycles = drawn_life(history, spec, ddegc=temperature, noise_mv=noise_mv, most_cycles=most_cycles)
        out = replay_cell(firmware, twin, history, cycles, decode, cut_every=cut_every, seed=index + 1)
        score_cell(out, history, graph)
        done.append(out)
        progress(f"{'/'.join(out.cell)}: {len(out.rows)} cycles, {out.cuts} power cuts")
        atomic_write(folder / f"{_file_name(out.cell)}.log", _candump(out.frames))
    from edgebat.bms.picture import draw
    from edgebat.formats.c.bms import describe

    summary = {
        "model": graph.name,
        "fingerprint": graph.fingerprint,
        "target": "Cortex-M4 (simulator)" if target == "board" else "host",
        "synthetic": synthetic,
        "cells": [
            {
                "cell": "/".join(out.cell),
                "condition": str(out.condition),
                "cycles": len(out.rows) + out.cuts,
                **{k: v for k, v in asdict(out).items() if k in ("samples", "cuts", "cuts_while_saving", "mismatches")},
                "frames": len(out.frames),
                **out.scores,
            }
            for out in done
        ],
    }
    atomic_write(folder / "replay.json", json.dumps(summary, indent=1) + "\n")
    atomic_write(folder / "replay.csv", _table(done))
    atomic_write(folder / "replay.svg", draw(done, graph.name, spec.eol, synthetic=synthetic))
    atomic_write(folder / f"{graph.name}.dbc", dbc_text(describe(graph)))
    return summary


def _temperature(history: CellHistory) -> int:
    """0.1 degC of the chamber. Raises DataError where it is not stated: the estimator would be told a made-up one."""
    degrees = history.condition.temperature_degc
    if degrees is None:
        raise DataError(f"cell {'/'.join(history.key)} cannot be replayed: cells.csv does not state its temperature_c")
    return round(degrees * 10)


def _file_name(cell: CellKey) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in "-".join(cell))


def _candump(frames: list[Frame]) -> str:
    return "".join(f"({f.time_ms / 1000:.3f}) can0 {f.id:03X}#{f.data.hex().upper()}\n" for f in frames)


def _table(done: list[CellReplay]) -> str:
    text = io.StringIO()
    names = ["cell", "cycle", "measured", "device_model", "device_published", "numpy_model", "ideal", "status", "fresh"]
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n", restval="")
    writer.writeheader()
    for out in done:
        for row in out.rows:
            shown = {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()}
            writer.writerow({"cell": "/".join(out.cell), **shown})
    return text.getvalue()
