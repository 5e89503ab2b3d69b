"""Where the windows of a model begin that reads charges through any, out of its task and into its C."""

from __future__ import annotations

from edgebat.errors import ModelFileError
from edgebat.formats.c.bms_description import MOST_V, TaskNumbers
from edgebat.ground import Starts

LABELS, CYCLE_BYTES = 2, 2
"""Of a row: columns between its increments and its rate, the start in mV and the age in cycles; bytes of its cycle in a
saved state."""
MOST_STARTS, MOST_AGE = 256, 30_000


def starts_of(name: str, task: TaskNumbers, level_uv: tuple[int, ...]) -> Starts:
    """Of the model ``name``, whose lowest window has these levels. Raises ModelFileError where they are no whole mV, in
    which a device counts them."""
    low, last, step = (task.number(key, MOST_V) for key in ("window_start_v", "last_start_v", "start_step_v"))
    step_mv, max_age = round(step * 1000), task.whole("max_age")
    count = int((last - low) / step + 1e-6) + 1
    whole = level_uv[0] % 1000 == 0 and abs(step * 1000 - step_mv) < 1e-6
    if not (whole and 1 <= count <= MOST_STARTS and max_age <= MOST_AGE):
        raise ModelFileError(
            f"model {name!r} reads windows from {low:g} to {last:g} V, {step:g} V apart, up to {max_age} cycles old; a "
            f"device takes {MOST_STARTS} at whole mV, up to {MOST_AGE} cycles old"
        )
    further, beside = divmod(level_uv[-1] - level_uv[0], step_mv * 1000)
    return Starts(count, step_mv, 0 if beside or further >= count else further, max_age)


def starts_text(starts: Starts, low_v: float) -> str:
    """In words, the lowest at ``low_v``."""
    last_v = low_v + starts.step_mv * (starts.count - 1) / 1000
    return f"from any of {starts.count} voltages between {low_v:g} and {last_v:g} V on"


def starts_members(starts: Starts) -> str:
    """The last members of the structure."""
    return f"""
    {starts.count}U, /* starts of windows */
    {starts.step_mv}U, /* from one to the next, mV */
    {starts.next}U, /* from a window's to that at its end */
    {starts.max_age}U, /* cycles: an older row is not read */"""
