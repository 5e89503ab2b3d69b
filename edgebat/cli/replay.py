"""The verb ``replay``: cells in front of the firmware, as they were tested or in everyday use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from edgebat.cli import complete
from edgebat.cli.app import MODEL, CorpusOption, DatasetOption, JsonOption, QuietOption, app, plain
from edgebat.cli.model import ModelArgument
from edgebat.cli.options import expanded
from edgebat.errors import EdgebatError

if TYPE_CHECKING:
    from edgebat.bms.replay import Wanted


@dataclass(frozen=True)
class Cells:
    """Which cells are replayed."""

    corpus: CorpusOption = None
    cell: Annotated[
        list[str] | None,
        typer.Option(
            "--cell",
            metavar="NAME",
            help="this cell (dataset/cell or cell); repeatable",
            autocompletion=complete.cells,
        ),
    ] = None
    cells: Annotated[int, typer.Option("--cells", min=1, help="otherwise so many cells the model has not seen")] = 6
    dataset: DatasetOption = None


@dataclass(frozen=True)
class Board:
    """What they are replayed in front of."""

    target: Annotated[str, typer.Option("--target", "-t", help="board: simulated Cortex-M4; host: this computer")] = (
        "board"
    )
    cut_every: Annotated[
        int, typer.Option("--cut-every", min=0, help="about one cycle in so many ends in a power cut; 0: none")
    ] = 20
    noise_mv: Annotated[float, typer.Option("--noise-mv", min=0.0, help="noise on the cell voltage, mV RMS")] = 0.0
    cycles: Annotated[int | None, typer.Option("--cycles", min=1, help="only the first cycles of each cell")] = None


@dataclass(frozen=True)
class Lived:
    """Everyday use instead of the test that the cells were aged by."""

    life: Annotated[
        list[str] | None,
        typer.Option(
            "--life",
            metavar="NAME",
            help="years of everyday use instead of the cells' test: commuter, ebike, solar, storage, taxi, all, or a "
            "YAML file; repeatable",
            autocompletion=complete.lives,
        ),
    ] = None
    lives: Annotated[int, typer.Option("--lives", min=1, help="lives of each kind")] = 1
    days: Annotated[int | None, typer.Option("--days", min=1, help="of a life at most")] = None
    seed: Annotated[int, typer.Option("--seed", help="draws what happens in the lives")] = 1
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="lives at the same time")] = 1
    update: Annotated[
        str | None,
        typer.Option(
            "--update", metavar="MODEL", help="what an update over the air brings", autocompletion=complete.models
        ),
    ] = None
    twin_days: Annotated[
        int, typer.Option("--twin-days", min=0, help="days compared with Python, at first and every 90 days")
    ] = 3


@app.command(rich_help_panel=MODEL)
@expanded
def replay(
    model: ModelArgument,
    *,
    forecast: Annotated[
        str | None,
        typer.Option(
            "--forecast",
            metavar="MODEL",
            help="a second model on the board, for the SOH to come",
            autocompletion=complete.models,
        ),
    ] = None,
    wanted: Cells,
    board: Board,
    lived: Lived,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="figure, tables, CAN log")] = Path(
        "replayed"
    ),
    quiet: QuietOption = False,
    json_: JsonOption = False,
) -> None:
    """Cells live again in front of a simulated BMS: samples in, CAN frames out, power cuts between.

    The firmware's SOH is decoded with the generated .dbc, drawn against the measured capacity and compared with NumPy.
    Without a corpus, cells are synthetic. A forecast model reads the history of SOH that the first model has measured.

    Example:  edgebat replay runs/health-tongji/models/lstm.ebat --corpus /data/cells --cells 6

    Example:  edgebat replay health-mlp-small --corpus /data/cells --life commuter --lives 20 --jobs 2 --target host
    """
    from edgebat.bms.replay import ReplayOptions, Wanted, replay_model
    from edgebat.report.tables import show

    if board.target not in ("board", "host"):
        raise EdgebatError(f"--target {board.target!r} is unknown; allowed: board, host")
    errors = Console(stderr=True, highlight=False, quiet=quiet)
    asked = Wanted(wanted.corpus, tuple(wanted.cell or ()), wanted.cells, tuple(wanted.dataset or ()))
    if lived.life:
        if forecast or board.cycles or board.noise_mv:
            raise EdgebatError(
                "--life takes no --forecast, --cycles or --noise-mv: a life's file says what its sensors are worth, and "
                "--days ends it"
            )
        _replay_lives(model, asked, board, lived, out, errors, quiet=quiet, json_=json_)
        return
    replayed = replay_model(
        model,
        out,
        asked,
        forecast=forecast,
        options=ReplayOptions(board.target, board.cut_every, board.noise_mv, board.cycles),
        progress=lambda text: errors.print(plain(text)),
    )
    if json_:
        show(replayed.document(), json_)
    elif not quiet:
        print(replayed.table())
        print(f"figure: {out / 'replay.svg'}   frames and database: {out}")
    if replayed.mismatches:
        raise EdgebatError("the firmware and NumPy differ; see the last column")


def _replay_lives(
    model: str, wanted: Wanted, board: Board, lived: Lived, out: Path, errors: Console, *, quiet: bool, json_: bool
) -> None:
    from edgebat.lives.many import LivesOptions, live_many
    from edgebat.lives.report import document, table, write_report
    from edgebat.lives.settings import list_lives
    from edgebat.report.tables import show

    kinds = list_lives() if "all" in (lived.life or ()) else list(lived.life or ())
    options = LivesOptions(
        tuple(kinds), lived.lives, lived.seed, lived.jobs, lived.days, lived.update, board.target, lived.twin_days
    )
    lives = live_many(model, out, wanted, options, lambda text: errors.print(plain(text)))
    write_report(lives, out)
    if json_:
        show(document(lives), json_)
    elif not quiet:
        print(table(lives))
        print(f"figure: {out / 'lives.svg'}   days: {out / 'lives.csv'}")
    if lives.mismatches:
        raise EdgebatError("the firmware and NumPy differ; see the last column")
