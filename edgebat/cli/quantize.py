"""The verb ``quantize``: a network of the user's own as int8; or, given a recipe, its steps up to there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgebat.cli import complete
from edgebat.cli.app import MODEL, JsonOption, RoundingOption, app
from edgebat.cli.options import expanded
from edgebat.cli.recipe import Pipeline, is_recipe, run_until
from edgebat.errors import EdgebatError
from edgebat.paths import shipped

if TYPE_CHECKING:
    from edgebat.networks.ptq import Units
    from edgebat.quantization import QuantizeOptions


@dataclass(frozen=True)
class Data:
    """Windows and labels."""

    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration", "-c", metavar="FILE", help="windows as the network takes them: .npz, .npy, .parquet, .csv"
        ),
    ] = None
    evaluation: Annotated[
        Path | None, typer.Option("--evaluation", metavar="FILE", help="further windows to print the error on")
    ] = None
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="what the network should say: of --evaluation, or to train on"),
    ] = None


@dataclass(frozen=True)
class Border:
    """What integers on the device stand for."""

    input_unit: Annotated[
        list[str] | None,
        typer.Option(
            "--input-unit",
            metavar="UNIT",
            help="what one integer in is, e.g. '0.001 V'; repeatable, one for each column",
        ),
    ] = None
    output: Annotated[
        list[str] | None,
        typer.Option("--output", metavar="NAME=UNIT", help="what one integer out is, e.g. 'soc=0.01 %'; repeatable"),
    ] = None

    def units(self) -> Units:
        """The same as values. Raises EdgebatError."""
        from edgebat.networks.ptq import Units

        pairs = [text.partition("=") for text in self.output or ()]
        if any(not name or not equals for name, equals, _ in pairs):
            raise EdgebatError(f"--output {self.output}: allowed: NAME=UNIT, as 'soc=0.01 %'")
        units = tuple(unit for _, _, unit in pairs)
        return Units(tuple(self.input_unit or ()), units if any(units) else (), tuple(name for name, _, _ in pairs))


@dataclass(frozen=True)
class How:
    """How ranges and weights are found."""

    method: Annotated[str, typer.Option("--method", help="ranges of activations: mse, percentile or minmax")] = "mse"
    percentile: Annotated[float, typer.Option("--percentile", min=50.0, max=100.0, help="of --method percentile")] = (
        99.99
    )
    bias_correction: Annotated[bool, typer.Option(help="undo the mean rounding error of every layer")] = True
    qat_epochs: Annotated[
        int, typer.Option("--qat-epochs", min=0, help="epochs of training in integers; needs --labels")
    ] = 0

    def options(self) -> QuantizeOptions:
        """The same as a value. Raises EdgebatError."""
        from edgebat.quantization import QuantizeOptions
        from edgebat.quantization.observers import METHODS

        if self.method not in METHODS:
            raise EdgebatError(f"--method {self.method!r} is unknown; allowed: {', '.join(METHODS)}")
        return QuantizeOptions(self.method, self.percentile, self.bias_correction, self.qat_epochs)


@app.command(rich_help_panel=MODEL)
@expanded
def quantize(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE|RECIPE",
            help="float network: .pt2, .onnx, .tflite, .keras, .h5, SavedModel; or a recipe",
            autocompletion=complete.models_and_recipes,
        ),
    ],
    data: Data,
    border: Border,
    how: How,
    pipeline: Pipeline,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="the model, NAME.ebat")] = None,
    requantize: Annotated[
        bool,
        typer.Option("--requantize", help="of an int8 file of another tool: scales that run on the native kernels"),
    ] = False,
    rounding: RoundingOption = "auto",
    json_: JsonOption = False,
) -> None:
    """Turn a float network of your own into an int8 model (.ebat), calibrated on your windows; or the students of a recipe.

    Prints the error against float, and which layers lose most. Nothing of a file is run: no pickles, no Lambda layers.

    [bold]Examples[/]

      edgebat quantize soc.onnx --calibration windows.npz -o soc.ebat

      edgebat quantize soc.keras -c log.csv --input-unit '0.001 V' --input-unit '0.001 A' --output 'soc=0.01 %'

      edgebat quantize theirs-int8.tflite --requantize -c windows.npy

      edgebat quantize demo    # a recipe: its float students
    """
    if not is_network(source):
        return run_until("quantize", source, pipeline, json_)
    path = shipped(source)
    target = out or Path(f"{path.stem}.ebat")
    if target.suffix != ".ebat":
        raise EdgebatError(
            f"--out {target}: a quantized network is written as .ebat; edgebat export makes .tflite, .onnx and C"
        )
    if target.resolve() == path.resolve():
        raise EdgebatError(f"{path} is int8 already; edgebat export, verify and bench take it as it is")
    if requantize:
        from edgebat.networks import requantize as again

        found = again.requantize_file(path, data.calibration, rounding, target.stem)
        print(again.write(found, target, as_json=json_))
        return None
    from edgebat.networks import quantize as work

    if data.calibration is None:
        raise EdgebatError(
            f"{source}: ranges of layers are found on windows; give them with --calibration FILE, as the network takes them"
        )
    sets = work.Sets(data.calibration, data.evaluation, data.labels)
    result = work.quantize(path, sets, border.units(), how.options(), target.stem)
    print(work.write(result, target, as_json=json_))
    return None


def is_network(name: str) -> bool:
    """Whether the argument SOURCE|RECIPE is a network's file or folder, there or not, rather than a recipe."""
    from edgebat.networks.read import PICKLES, SUFFIXES

    path = Path(name)
    if path.suffix in (*SUFFIXES, *PICKLES, ".ebat"):
        return True
    return path.is_dir() or not is_recipe(name)
