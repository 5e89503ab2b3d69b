"""Which more windows of the training cells are wanted, beside those that were measured as the task asks."""

from __future__ import annotations

from dataclasses import dataclass

from edgebat.errors import RecipeError


@dataclass(frozen=True)
class MoreWindows:
    """More windows of the training cells, for students alone: the teacher labels them."""

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
    seed: int = 13
    """Draws the voltages."""

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

    @property
    def wanted(self) -> bool:
        """Whether there is anything to cut."""
        return self.unlabelled or self.shifted > 0 or bool(self.stretched)
