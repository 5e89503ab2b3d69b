"""Where a run is: bars on a terminal, plain lines in a log."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PARTS = 10
"""Lines of a long step in a log."""


class StepProgress:
    """Shows the steps of a run on ``console``; a context that is open as long as steps run."""

    def __init__(self, console: Console) -> None:
        self.console = console
        # Not Rich's own guess: with FORCE_COLOR it moves the cursor in a log as well.
        self.terminal = console.file.isatty() and not console.is_dumb_terminal
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[detail]}"),
            console=console,
            transient=True,
            disable=not self.terminal,
        )

    def __enter__(self) -> StepProgress:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def kept(self, title: str) -> None:
        """A step that is done already."""
        self.console.print(f"  [dim]= {title}  (kept)[/]")

    def start(self, title: str) -> None:
        """A step begins."""
        self.bars.add_task(title, total=None, detail="")
        if not self.terminal:
            self.console.print(f"  > {title}", highlight=False)

    def done(self, title: str, seconds: float) -> None:
        """It is done."""
        for bar in self.bars.task_ids:
            self.bars.remove_task(bar)
        self.console.print(f"  [green]✓[/] {title}  [dim]{seconds:.1f} s[/]")

    def epochs(self, total: int, of: str = "") -> Callable[[dict[str, float]], None]:
        """For a training of so many epochs (0: not known) in the step that runs: what it calls after each. of: which one."""
        for bar in self.bars.task_ids:
            self.bars.update(bar, total=total or None, completed=0)
        which = f" {of}" if of else ""

        def advance(losses: dict[str, float]) -> None:
            epoch = int(losses["epoch"]) + 1  # a resumed training does not begin at the first
            name = "val_loss" if "val_loss" in losses else "train_loss"
            loss = f"{'validation' if name == 'val_loss' else 'training'} loss {losses[name]:.4f}"
            for bar in self.bars.task_ids:
                self.bars.update(bar, completed=epoch, detail=f"{of} {loss}".strip())
            if not self.terminal and _worth_a_line(epoch, total):
                whole = f" of {total}" if total else ""
                self.console.print(f"      epoch {epoch}{whole}{which}, {loss}", highlight=False)

        return advance


def _worth_a_line(epoch: int, total: int) -> bool:
    """Each tenth of a training; 1, 2, 5, 10, 20 ... where its length is not known."""
    if total:
        return epoch * PARTS // total > (epoch - 1) * PARTS // total
    return str(epoch).rstrip("0") in ("1", "2", "5")
