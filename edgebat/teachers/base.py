"""What every teacher is: a network that labels the windows of its task, and how one is trained."""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self

from torch import nn
from typing_extensions import TypeVar

from edgebat.arrays import FloatArray
from edgebat.errors import RecipeError
from edgebat.files import Json
from edgebat.tasks.windows import Windows
from edgebat.training.run import Run, TrainResult

if TYPE_CHECKING:
    from edgebat.data.fleet import Fleet

W = TypeVar("W", bound=Windows, default=Windows)
"""Windows of the teacher's task; of one that was looked up by name nobody but itself knows them."""


class Teacher(nn.Module, ABC, Generic[W]):
    """A network that labels windows of type ``W``."""

    name: ClassVar[str]
    """Its folder's, or that and ``_something``; stands in its files."""
    task: str
    """The task it serves: ``health``, ``forecast`` or ``life``."""
    study: ClassVar[str] = ""
    """The kind of study it is scored in, a ``Kind`` in ``edgebat/studies``: ``life.TRANSFERS``; empty for none."""
    part: ClassVar[int] = 0
    """Windows that may be labelled apart from the others, with the same result as all at once, where it labels in batches a
    multiple of one; 0: only all at once."""
    measured_only: ClassVar[bool] = False
    """Whether made-up windows are kept from its training."""
    quick_to_fit: ClassVar[bool] = False
    """Whether it is fitted in seconds, so that it can be judged by fits that leave cells out: it has ``anew``."""
    Settings: ClassVar[type[Any]]
    """Frozen dataclass: how to build and train one; has ``fit`` or says where its own is."""
    settings: Json
    """JSON-able constructor arguments."""

    @abstractmethod
    def predict(self, windows: W) -> dict[str, FloatArray]:
        """Physical predictions for N windows: head -> array with N rows, and ``<head>_spread``, its standard deviation,
        where the teacher knows one. No windows give no rows. Raises DataError for windows of another shape or kind."""

    def hidden(self, windows: W) -> FloatArray | None:
        """The state behind its predictions for N windows, float32 [N, D], for students to imitate; None from a teacher that
        offers none."""
        return None

    def predict_rows(self, windows: W, rows: range) -> dict[str, FloatArray]:
        """Those ``rows`` of ``predict(windows)``; they begin at a multiple of ``part``."""
        return self.predict(windows.take(rows))

    def sources(self) -> Sequence[Teacher]:
        """The teachers out of whose predictions its own are made, by ``combined``; none, unless it is made of others."""
        return ()

    def combined(self, windows: W, answers: Sequence[dict[str, FloatArray]]) -> dict[str, FloatArray]:
        """``predict(windows)`` out of what each teacher it asks has predicted."""
        raise NotImplementedError

    def choices(self) -> Json:
        """What ``configure`` has set; nothing, unless it knows of a choice."""
        return {}

    def notes(self, windows: W) -> list[str]:
        """What a reader of its predictions for ``windows`` must know; nothing, unless it knows of something."""
        return []

    def anew(self, train: W) -> Teacher[W]:
        """One like this, fitted to ``train`` instead. Raises RecipeError unless ``quick_to_fit``."""
        raise RecipeError(f"the teacher {self.name!r} is not fitted in seconds")

    def draw_cells(self, count: int, steps: int, seed: int) -> Fleet:
        """``count`` made-up cells with whole capacity curves, drawn from ``seed`` in so many ``steps``. Raises RecipeError
        from a teacher that draws none."""
        raise RecipeError(f"the teacher {self.name!r} draws no cells; one that does is diffbatt")

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Set how this teacher predicts; nothing, unless it knows of a choice. Raises RecipeError for an unknown key."""
        if settings:
            raise RecipeError(
                f"the teacher {self.name!r} is given as a file and has no settings; seen {sorted(settings)}"
            )

    @classmethod
    def fit(cls, train: W, val: W | None, settings: Any, run: Run) -> tuple[Self, TrainResult]:
        """A teacher built and trained after ``settings`` (a ``cls.Settings``), in eval mode on the CPU, and how that went.

        Same windows and settings, same bytes. val: for those that watch themselves on it, None for the others. Not called
        ``train``, which is torch's word for a mode. It is ``fit_teacher(kind, train, val, settings, run)`` of the module
        ``train`` beside the network, which only a training imports. Raises RecipeError when there is nothing to learn from.
        """
        module = f"{cls.__module__.rpartition('.')[0]}.train"
        if importlib.util.find_spec(module) is None:
            raise RecipeError(
                f"the teacher {cls.name!r} is not trained, but put together; give files of trained teachers"
            )
        trained: tuple[Self, TrainResult] = importlib.import_module(module).fit_teacher(cls, train, val, settings, run)
        return trained


def validated(val: W | None, name: str) -> W:
    """``val``, for a teacher that cannot do without. Raises RecipeError for None."""
    if val is None:
        raise RecipeError(f"the teacher {name!r} watches its training on validation windows; give some")
    return val
