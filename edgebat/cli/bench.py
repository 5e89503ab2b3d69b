"""``edgebat bench``: a model on simulated targets; below it the peers, and the guard over accepted figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgebat.cli import complete
from edgebat.cli.app import MODEL, JsonOption, RoundingOption, app
from edgebat.cli.options import WithDefault, expanded
from edgebat.cli.recipe import Pipeline, is_recipe, run_until

if TYPE_CHECKING:
    from edgebat.bench import Options
    from edgebat.bench.command import Files

bench_app = typer.Typer(
    cls=WithDefault,
    help="""Flash, RAM, stack and instructions per inference on simulated microcontrollers; peers, check, accept.

    [bold]edgebat bench MODEL ...[/] is short for [bold]edgebat bench model MODEL ...[/]; options and examples:
    [bold]edgebat bench model --help[/].

    Example:  edgebat bench runs/demo/models/mlp.ebat -t cortex-m0plus
    """,
)
app.add_typer(bench_app, name="bench", rich_help_panel=MODEL)

ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL|RECIPE]",
        help=".ebat, .tflite or .onnx; or a recipe",
        autocompletion=complete.models_and_recipes,
    ),
]
WindowsOption = Annotated[int, typer.Option("--windows", min=1, help="seeded inputs every target gets")]


@dataclass(frozen=True)
class What:
    """Networks and targets."""

    net: Annotated[
        list[str] | None, typer.Option("--net", help="a reference network instead: mlp, cnn, lstm or gru; repeatable")
    ] = None
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            help="see: edgebat targets; repeatable; all: every one",
            autocompletion=complete.targets,
        ),
    ] = None


@dataclass(frozen=True)
class Build:
    """How the C code is made."""

    compiler: Annotated[str, typer.Option("--compiler", help="zig, gcc or both")] = "both"
    optimize: Annotated[str, typer.Option("--optimize", "-O", metavar="FLAG", help="-O2, -O3, -Os")] = "-O2"
    mode: Annotated[str, typer.Option("--mode", help="C code: balanced, flash, ram or fast")] = "balanced"

    def options(self, windows: int) -> Options:
        """For the measurer. Raises EdgebatError for an unknown compiler."""
        from edgebat.bench import Options
        from edgebat.bench.command import compilers_of

        return Options(compilers_of(self.compiler), self.optimize, self.mode, windows)


@dataclass(frozen=True)
class Output:
    """Where figures go besides the console."""

    json_: JsonOption = False
    markdown: Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="all tables as Markdown")] = None
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="all tables as one HTML file")] = None

    def files(self) -> Files:
        """For the writers."""
        from edgebat.bench.command import Files

        return Files(self.json_, self.markdown, self.html)


@bench_app.command("model")
@expanded
def bench_model(
    what: What,
    build: Build,
    output: Output,
    pipeline: Pipeline,
    model: ModelArgument = None,
    windows: WindowsOption = 16,
    layers: Annotated[bool, typer.Option("--layers", help="print the instructions of every layer as well")] = False,
    rounding: RoundingOption = "auto",
) -> None:
    """Flash, RAM, stack and instructions per inference on simulated microcontrollers, by section, kind and layer.

    [bold]Examples[/]

      edgebat bench runs/demo/models/mlp.ebat -t cortex-m0plus -t cortex-m4f --html bench.html

      edgebat bench --net lstm -t all --layers

      edgebat bench peers --markdown docs/benchmarks-figures.md    # beside goals and other tools

      edgebat bench accept firmware/soh.ebat -t cortex-m4f --compiler gcc --baselines ci/baselines

      edgebat bench check firmware/soh.ebat -t cortex-m4f --compiler gcc --baselines ci/baselines
    """
    if model and not what.net and is_recipe(model):
        return run_until("simulate", model, pipeline, output.json_)
    from edgebat.bench import command

    graphs = command.graphs_of(model, what.net or (), rounding)
    targets = command.targets_of(what.target or ())
    command.run_bench(graphs, targets, build.options(windows), output.files(), layers=layers)
    return None


@bench_app.command()
@expanded
def peers(build: Build, output: Output) -> None:
    """The three reference networks beside their goals and other tools; by gcc where no other compiler is named.

    Example:  edgebat bench peers --markdown docs/benchmarks-figures.md
    """
    from edgebat.bench import command, peers

    compilers = ("gcc",) if build.compiler == "both" else command.compilers_of(build.compiler)
    options = replace(peers.USUAL, compilers=compilers, optimize=build.optimize, mode=build.mode)
    command.run_peers(output.files(), options)


def guard(verb: str, text: str) -> None:
    """The verb that compares figures with the accepted ones, or accepts them; ``text`` is its help."""

    @expanded
    def go(
        what: What,
        build: Build,
        output: Output,
        model: ModelArgument = None,
        windows: WindowsOption = 16,
        baselines: Annotated[Path, typer.Option("--baselines", metavar="FOLDER", help="one file per target")] = Path(
            "bench/baselines"
        ),
    ) -> None:
        from edgebat.bench import command, nets

        # Without a model: the reference networks on every target that has a baseline.
        own = not (model or what.net)
        graphs = command.graphs_of(model, nets.NETS if own else what.net or ())
        usual = command.recorded_targets(baselines) if own else ()
        targets = command.targets_of(what.target or usual)
        reports = command.run_bench(graphs, targets, build.options(windows), output.files(), quiet=True)
        {"check": command.run_check, "accept": command.run_accept}[verb](reports, baselines)

    bench_app.command(verb, help=text)(go)


guard(
    "check",
    "Fail when figures differ from the accepted ones; without a model: the project's own networks and targets.\n\n"
    "Example:  edgebat bench check firmware/soh.ebat -t cortex-m4f --compiler gcc --baselines ci/baselines",
)
guard(
    "accept",
    "Write the figures as new baselines; without a model: the project's own networks and targets.\n\n"
    "Example:  edgebat bench accept firmware/soh.ebat -t cortex-m4f --compiler gcc --baselines ci/baselines",
)
