"""The verbs that take a model file: export, verify, predict, evaluate, info."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from edgebat.cli import complete
from edgebat.cli.app import (
    MODEL,
    CorpusOption,
    DatasetOption,
    JsonOption,
    NominalOption,
    PortOption,
    RoundingOption,
    app,
    plain,
)
from edgebat.cli.bulk import Many, Reading
from edgebat.cli.options import expanded
from edgebat.cli.recipe import Pipeline, is_recipe, run_until
from edgebat.errors import EdgebatError

if TYPE_CHECKING:
    from edgebat.graph import IntGraph


ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help=".ebat, .tflite or .onnx", autocompletion=complete.models)
]


@dataclass(frozen=True)
class Budget:
    """The board that a model must fit."""

    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            "-t",
            help="refuse a model that does not fit this board's budget",
            autocompletion=complete.targets,
        ),
    ] = None
    max_flash: Annotated[str, typer.Option("--max-flash", metavar="BYTES", help="8k; instead of the board's")] = ""
    max_ram: Annotated[str, typer.Option("--max-ram", metavar="BYTES", help="1k; instead of the board's")] = ""
    max_ms: Annotated[float | None, typer.Option("--max-ms", metavar="MS", help="time of one inference")] = None

    def check(self, graph: IntGraph, mode: str, json_: bool) -> None:
        """Refuse a model that does not fit; says what it needs when it does."""
        if self.target is None and (self.max_flash or self.max_ram or self.max_ms is not None):
            raise EdgebatError("--max-flash, --max-ram and --max-ms belong to a board: name it with --target")
        if self.target is not None:
            from edgebat.bench.budget import check_budget, size

            flash, ram = size(self.max_flash, "--max-flash"), size(self.max_ram, "--max-ram")
            need = check_budget(graph, self.target, max_flash=flash, max_ram=ram, max_ms=self.max_ms, mode=mode)
            print(f"fits {self.target} (simulator): {need}", file=sys.stderr if json_ else sys.stdout)


@dataclass(frozen=True)
class Firmware:
    """The firmware that a model is exported for."""

    port: PortOption = None
    nominal_mah: NominalOption = None
    forecast: Annotated[
        Path | None,
        typer.Option(
            "--forecast",
            metavar="MODEL",
            help="--port: a forecast model, for the forecaster",
            autocompletion=complete.models,
        ),
    ] = None
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            "--adapter",
            metavar="NAME",
            help="--port: C for a public protocol as well (edgebat export --adapter list); repeatable",
            autocompletion=complete.adapters,
        ),
    ] = None

    def check(self, model: str) -> None:
        """Raises EdgebatError when the options do not go together, or not with ``model``."""
        if self.port is None and self.nominal_mah is not None:
            raise EdgebatError("--nominal-mah belongs to a firmware: name it with --port")
        if self.port is None and self.forecast is not None:
            raise EdgebatError("--forecast belongs to a firmware: name it with --port")
        if self.port is None and self.adapter:
            raise EdgebatError("--adapter belongs to a firmware: name it with --port")
        if self.port is not None and is_recipe(model):
            raise EdgebatError(f"--port needs a model file (.ebat, .tflite or .onnx), not {model}")


@app.command(rich_help_panel=MODEL)
@expanded
def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|RECIPE",
            help=".ebat, .tflite or .onnx; or a recipe",
            show_default=False,
            autocompletion=complete.models_and_recipes,
        ),
    ] = "",
    *,
    to: Annotated[str, typer.Option("--to", help="formats, joined by commas: c, tflite, onnx, ebat")] = "c,tflite,onnx",
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="where the files go")] = Path("exported"),
    name: Annotated[str | None, typer.Option("--name", help="name of the files and of the C functions")] = None,
    mode: Annotated[str, typer.Option("--mode", help="C code: balanced, flash, ram or fast")] = "balanced",
    rounding: RoundingOption = "auto",
    budget: Budget,
    firmware: Firmware,
    pipeline: Pipeline,
    json_: JsonOption = False,
) -> None:
    """Write a model as C99, TFLite and ONNX; or, given a recipe, do its steps up to the export.

    [bold]Examples[/]

      edgebat export runs/demo/models/lstm.ebat --to c --out firmware/soh --name soh

      edgebat export soh.ebat -t cortex-m0plus --max-flash 8k --max-ms 20

      edgebat export soh.ebat --port foxbms --out soh_foxbms --nominal-mah 3500
    """
    if firmware.port == "list":
        from edgebat.bms.ports import list_ports, load_port

        ports = {one: load_port(one).manifest.summary for one in list_ports()}
        return _print_named(ports, json_)
    if firmware.adapter == ["list"]:
        from edgebat.bms.adapters import list_adapters

        return _print_named(list_adapters(), json_)
    if not model:
        raise EdgebatError(
            "edgebat export needs a model file or a recipe; without one it lists: --port list, --adapter list"
        )
    firmware.check(model)
    if is_recipe(model):
        return run_until("export", model, pipeline, json_)
    from edgebat.formats.export import export_all
    from edgebat.models import load_model

    graph = load_model(model, rounding)
    budget.check(graph, mode, json_)
    if firmware.port is not None:
        from edgebat.bms.ports import DEFAULT_NOMINAL_MAH, export_port

        mah = DEFAULT_NOMINAL_MAH if firmware.nominal_mah is None else firmware.nominal_mah
        trend = None if firmware.forecast is None else load_model(firmware.forecast)
        adapters = firmware.adapter or ()
        written = export_port(
            graph, firmware.port, out, name or "soh", nominal_mah=mah, mode=mode, forecast=trend, adapters=adapters
        )
        return _print_each([str(path) for path in written], json_)
    files, why = export_all(graph, out, to.split(","), name, mode=mode, given=Path(model))
    if why:
        Console(stderr=True).print(plain(why), soft_wrap=True)
    return _print_each([str(path) for path in files], json_)


def _print_named(summaries: Mapping[str, str], json_: bool) -> None:
    """What there is, by name."""
    _print_each(summaries if json_ else [f"{one:10} {summary}" for one, summary in summaries.items()], json_)


def _print_each(entries: Sequence[str] | Mapping[str, str], json_: bool) -> None:
    """One line each, or all of them as JSON."""
    if json_:
        print(json.dumps(entries, indent=1))
        return
    for entry in entries:
        print(entry)


@app.command(rich_help_panel=MODEL)
@expanded
def verify(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|RECIPE",
            help=".ebat, .tflite or .onnx; or a recipe",
            show_default=False,
            autocompletion=complete.models_and_recipes,
        ),
    ] = "",
    *,
    windows: Annotated[
        int, typer.Option("--windows", min=1, help="random inputs every engine gets (MODEL and --random)")
    ] = 1000,
    random: Annotated[
        int, typer.Option("--random", min=0, help="instead: so many random networks a family, in all engines installed")
    ] = 0,
    rounding: RoundingOption = "auto",
    json_: JsonOption = False,
    pipeline: Pipeline,
) -> None:
    """Count outputs that differ between NumPy, ONNX Runtime, LiteRT, host C and the simulated cores.

    Exit code 2 when an engine that must be equal is not.

    Example:  edgebat verify runs/demo/models/cnn.ebat

    Example:  edgebat verify --random 20 --windows 200
    """
    if random:
        return _verify_random(random, windows, json_)
    if not model:
        raise EdgebatError("edgebat verify needs a model file, a recipe, or --random N")
    if is_recipe(model):
        return run_until("verify", model, pipeline, json_)
    from edgebat.foreign import border_of
    from edgebat.models import load_model
    from edgebat.report.tables import equality_table, show
    from edgebat.verify.equality import require_equal, verify_model
    from edgebat.verify.given import verify_given
    from edgebat.verify.inputs import random_inputs

    graph = load_model(model, rounding)
    border, x = border_of(graph), random_inputs(graph, windows)
    given = border is not None and Path(model).suffix in (".tflite", ".onnx")
    found = verify_given(graph, border, Path(model), x) if border and given else verify_model(graph, x)
    rows = [row.to_row() for row in found]
    show(rows if json_ else equality_table(rows), json_)
    return require_equal(found)


def _verify_random(networks: int, windows: int, json_: bool) -> None:
    from edgebat.report.tables import equality_table, show
    from edgebat.verify.equality import require_equal
    from edgebat.verify.random_equality import random_equality

    found, searched = random_equality(networks, windows)
    rows = [row.to_row() for row in found]
    show({"rows": rows, "searched": searched} if json_ else equality_table(rows), json_)
    for family, (unproven, channels) in searched.items():
        if channels and not json_:
            print(
                f"{family}: int32 requantization proven equal to float32 for {channels - unproven} of {channels} channels"
            )
    require_equal(found)


@app.command(rich_help_panel=MODEL)
@expanded
def predict(
    model: ModelArgument,
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="cycler file, capacity history or windows, see above; or a folder")
    ],
    *,
    many: Many,
    reading: Reading,
    max_gap_ms: Annotated[
        int | None,
        typer.Option(
            "--max-gap-ms", min=1, help="a longer hole between two samples ends a measurement, as on a device"
        ),
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="only the newest window")] = False,
    rounding: RoundingOption = "auto",
    json_: JsonOption = False,
) -> None:
    """What a model predicts from a user's file, after every cycle that completes a window. Needs NumPy alone.

    Charges and windows unlike what the model has learnt from are refused, as a device refuses them. Exit code 3: all are.

    A health model reads cycler files of most makers and logs of battery managers (docs/data-layouts.md).
    A forecast model reads capacity histories: CSV with cycle and capacity_ah.
    Any model reads ready windows: .npy, or CSV without header.
    A folder of logs goes into a folder of results, by several processes or Ray; started again, it goes on.

    [bold]Examples[/]

      edgebat predict runs/demo/models/lstm.ebat cell07.bdf.csv --nominal-ah 3.5

      edgebat predict runs/forecast-students/models/lstm.ebat history.csv --nominal-ah 3.5

      edgebat predict model.tflite log.csv --map current=I_mA:1e-3 --map voltage=Kanal1 --set time_unit=min

      edgebat predict model.ebat logs/ --out results --nominal-ah 3.5 --ray local
    """
    from edgebat.predict import predict_text

    how = replace(reading.options, max_gap_ms=max_gap_ms)
    if Path(data).is_dir():
        return many.run("predict", model, Path(data), how, last=last, json_=json_)
    print(predict_text(model, data, how, last=last, as_json=json_, rounding=rounding))
    return None


@app.command(rich_help_panel=MODEL)
@expanded
def evaluate(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="teacher or student: .safetensors, .ebat, .tflite, .onnx",
            autocompletion=complete.models,
        ),
    ],
    *,
    many: Many,
    reading: Reading,
    logs: Annotated[
        Path | None, typer.Option("--logs", metavar="FOLDER", help="instead of --corpus: cycler files, one per cell")
    ] = None,
    corpus: CorpusOption = None,
    dataset: DatasetOption = None,
    train_corpus: Annotated[
        Path | None,
        typer.Option("--train-corpus", metavar="PATH", help="where baselines find the cells the model was trained on"),
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="write the table of cells there")] = None,
    json_: JsonOption = False,
) -> None:
    """Score any teacher or student on the cells of a corpus folder, per cell, beside the baselines of its task.

    The model says itself which task, window and reference it was trained for. Cells it was trained on are marked.

    [bold]Examples[/]

      edgebat evaluate runs/demo/models/lstm.ebat --corpus /data/cells --dataset TJU_NCA --json

      edgebat evaluate batlinet.safetensors --corpus /data/new --train-corpus /data/cells --csv cells.csv

      edgebat evaluate model.ebat --logs logs/ --out scores --nominal-ah 3.5    # against each log's own discharges
    """
    if logs is not None:
        return many.run("evaluate", model, logs, reading.options, json_=json_)
    from edgebat.evaluate import evaluate_file
    from edgebat.files import atomic_write
    from edgebat.report.tables import evaluation_table, show

    if corpus is None:
        raise EdgebatError("evaluate needs measured cells: give --corpus PATH or set EDGEBAT_CORPUS")
    result = evaluate_file(model, corpus, dataset, train_corpus)
    if csv is not None:
        atomic_write(csv, result.cells_csv())
    show(result.to_json() if json_ else evaluation_table(result), json_)
    return None


@app.command(rich_help_panel=MODEL)
def info(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="model, teacher, recipe, target, cycler file, or the folder of a run or a corpus"
        ),
    ],
    rounding: RoundingOption = "auto",
    json_: JsonOption = False,
) -> None:
    """What a file or folder is and what to do with it; of a model also task, layers, where it was trained.

    Example:  edgebat info runs/demo/models/mlp.tflite
    """
    from edgebat.describe import info_text

    print(info_text(path, as_json=json_, rounding=rounding))
