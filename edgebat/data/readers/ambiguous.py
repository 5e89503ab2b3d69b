"""What a reader raises when a guess about a file is not safe."""

from __future__ import annotations

from pathlib import Path

from edgebat.errors import DataError


class AmbiguousFile(DataError):
    """A file that can be read in more than one sense; ``questions`` name what to say, each with its ``--set``."""

    def __init__(self, path: Path, *questions: str) -> None:
        super().__init__(f"{path.name}: " + "; ".join(questions))
        self.questions: tuple[str, ...] = questions
