"""Which more windows are wanted to teach by, beside those that were measured as the task asks."""

from __future__ import annotations

from dataclasses import dataclass

from edgebat.errors import RecipeError

CUT = ("unlabelled", "shifted", "stretched", "paced")
"""Kinds that a task cuts out of its own cells, by the key that asks for them."""


@dataclass(frozen=True)
class MoreWindows:
    """More windows of the training cells and of others, for students alone: the teacher labels them."""

    unlabelled: bool = False
    """Charges whose capacity is missing or flagged too, such as those between two capacity checks. The teacher alone labels
    them: a student without one does not see them."""
    shifted: int = 0
    """So many copies of each cell whose charge curve is moved by a drawn voltage, as another current or resistance moves it.
    The teacher labels them by the curve that was measured."""
    shift_v: float = 0.02
    """At most so far, up or down, V."""
    stretched: tuple[int, ...] = ()
    """For each number n the cells charged n times as rarely: every n-th charge alone is seen. The teacher sees all."""
    paced: int = 0
    """So many copies of each cell that ages at another pace: its cycles, and with them what is to come, are stretched by a
    drawn factor. Measured labels change with it, and the teacher labels what it is shown (``forecast``, ``life``)."""
    pace: float = 1.5
    """At most so many times as slow, or as fast; ``life`` makes slower ones alone, whose early cycles were measured."""
    noisy: int = 0
    """So many copies of every training window with noise on what is measured. The teacher sees the window without it."""
    noise: float = 0.002
    """Its standard deviation, as a fraction of nominal capacity."""
    noise_mv: float = 0.0
    """Instead of it the noise of a device's voltage, mV RMS at each crossing of a level (``health``); 0: ``noise``."""
    corpus: str = ""
    """A further corpus folder whose cells teach as well, such as one of simulated cells; none of its cells that are in the
    split, or of data sets left out, is taken."""
    corpus_labels: bool = True
    """False: what the further corpus measured is not looked at, and the teacher alone labels it."""
    drawn: int = 0
    """So many whole capacity curves drawn by a stored teacher that can; the teacher alone labels their windows
    (``forecast``)."""
    drawn_by: str = "export/zoo/teachers/diffbatt/matr.safetensors"
    """That teacher's file."""
    drawn_steps: int = 25
    """Steps of a draw."""
    seed: int = 13
    """Draws voltages, factors, noise and curves."""

    def __post_init__(self) -> None:
        if self.shifted < 0 or not 0.0 < self.shift_v < 1.0:
            raise RecipeError(
                f"data.more: shifted is {self.shifted} and shift_v {self.shift_v}; 0 or more copies, moved by more than 0 "
                "and less than 1 V"
            )
        if any(step < 2 for step in self.stretched):
            raise RecipeError(
                f"data.more.stretched is {list(self.stretched)}; every second charge or fewer: 2 or larger"
            )

        if self.paced < 0 or not 1.0 < self.pace < 10.0:
            raise RecipeError(
                f"data.more: paced is {self.paced} and pace {self.pace}; 0 or more copies, by a factor between 1 and 10"
            )
        if self.noisy < 0 or not 0.0 < self.noise < 1.0 or not 0.0 <= self.noise_mv < 100.0:
            raise RecipeError(
                f"data.more: noisy is {self.noisy}, noise {self.noise} and noise_mv {self.noise_mv}; 0 or more copies, of "
                "noise between 0 and 1, or of 0 to 100 mV"
            )
        if self.drawn < 0 or self.drawn_steps < 1:
            raise RecipeError(
                f"data.more: drawn is {self.drawn} and drawn_steps {self.drawn_steps}; 0 or more curves, by 1 step or more"
            )

    @property
    def cut(self) -> tuple[str, ...]:
        """What is wanted that a task cuts out of its own cells."""
        return tuple(kind for kind in CUT if getattr(self, kind))

    @property
    def wanted(self) -> bool:
        """Whether anything is."""
        return bool(self.cut or self.noisy or self.corpus or self.drawn)
