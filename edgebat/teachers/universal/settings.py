"""How the universal forecaster is trained."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgebat.teachers.battery_timer.settings import LoraSettings, TimerSettings


@dataclass(frozen=True)
class ContrastSettings:
    """The second task: windows whose charges look alike are drawn together, others pushed apart."""

    weight: float = 0.1
    """Of the contrastive loss, reached after ``warm_up`` steps."""
    temperature: float = 0.1
    """Of InfoNCE."""
    warm_up: int = 100
    """Steps until the loss has its full weight."""
    neighbours: int = 5
    """A window's positive is drawn from so many nearest windows of other cells."""
    hard_negatives: int = 4
    """Negatives drawn from between the 20th and 40th percentile of the distance."""
    width: int = 128
    """Of the sphere that states are projected onto."""
    cross_modal: bool = False
    """Draw a window's state to the embedding of its own descriptors instead of to the state of a window like it."""


@dataclass(frozen=True)
class UniversalSettings:
    """A forecaster's settings and the second task's."""

    timer: TimerSettings = field(default_factory=lambda: TimerSettings(lora=LoraSettings()))
    """The forecaster."""
    contrast: ContrastSettings | None = field(default_factory=ContrastSettings)
    """The second task; None leaves it out."""
    corpus: str = ""
    """Corpus folder whose tables describe the charges of the training windows; the second task needs it."""
