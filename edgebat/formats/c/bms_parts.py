"""What the descriptions of all kinds of models share."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from edgebat.errors import ModelFileError
from edgebat.formats.c.border import Border
from edgebat.graph.model import IntGraph

ABI = 2
"""EDGEBAT_BMS_ABI of the C header."""
POINTS_MAX = 8
"""EDGEBAT_POINTS_MAX of the C header."""
UNKNOWN = 0xFFFF


class TaskNumbers:
    """Numbers of the task a model was trained for, as its file carries it, checked one by one.

    Raises ModelFileError where the file says nothing of its task, or where a number is missing or impossible.
    """

    def __init__(self, graph: IntGraph) -> None:
        task: Any = graph.meta.get("task")
        if not isinstance(task, dict):
            raise ModelFileError(
                f"model {graph.name!r} does not say which task it was trained for; export it with edgebat"
            )
        self.name, self.values = graph.name, task

    def whole(self, key: str) -> int:
        """A whole number of at least 1."""
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._refused(key, value, "a whole number from 1")
        return value

    def number(self, key: str, most: float) -> float:
        """A number above 0 and below ``most``."""
        value = self.values.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 < value < most:
            raise self._refused(key, value, f"a number above 0 and below {most:g}")
        return float(value)

    def word(self, key: str, allowed: Collection[str]) -> str:
        """One of the ``allowed`` words."""
        value = self.values.get(key)
        if not isinstance(value, str) or value not in allowed:
            raise self._refused(key, value, f"one of {', '.join(allowed)}")
        return value

    def _refused(self, key: str, value: Any, allowed: str) -> ModelFileError:
        return ModelFileError(f"model {self.name!r} carries an unusable task: {key} is {value!r}, not {allowed}")


def data_fingerprint(graph: IntGraph) -> int:
    """The first 32 bits of the split's hash, 0 when the model does not say on which data it was trained."""
    training: Any = graph.meta.get("training", {})
    split = str(training.get("split_hash", "")) if isinstance(training, dict) else ""
    return int(split[:8], 16) if re.fullmatch("[0-9a-f]{8,}", split) else 0


def range_ppm(border: Border, zero_point: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Per column the least and the largest integer that the border does not clip."""
    low, high = [], []
    for offset, multiplier in zip(border.offset, border.multiplier, strict=True):
        half = 1 << (border.shift - 1)
        # -128 <= ((v - offset) * multiplier + half >> shift) + zero_point <= 127, solved for v
        least = ((-128 - zero_point) << border.shift) - half
        beyond = ((128 - zero_point) << border.shift) - half
        low.append(offset - (-least // multiplier))
        high.append(offset + (beyond - 1) // multiplier)
    limit = 2**31 - 1
    return tuple(max(v, -limit) for v in low), tuple(min(v, limit) for v in high)


def abi_check(name: str) -> str:
    """Lines of the header that refuse another version of edgebat.h."""
    return f"""#if EDGEBAT_BMS_ABI != {ABI}
#error "{name}_bms.h was generated for another edgebat.h (EDGEBAT_BMS_ABI {ABI}): export the model again"
#endif
"""


def selftest(name: str) -> str:
    """Lines of the source that define SELFTEST, the entry of a description."""
    return f"""#if EDGEBAT_SELFTEST
static int selftest(void *output, void *scratch)
{{
    return {name}_selftest(({name}_output_t *)output, scratch);
}}
#define SELFTEST &selftest
#else
#define SELFTEST NULL
#endif
"""
