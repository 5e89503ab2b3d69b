"""What the descriptions of all kinds of models share."""

from __future__ import annotations

import re
from typing import Any

from edgebat.formats.c.border import Border
from edgebat.graph.model import IntGraph

ABI = 2
"""EDGEBAT_BMS_ABI of the C header."""
POINTS_MAX = 8
"""EDGEBAT_POINTS_MAX of the C header."""
UNKNOWN = 0xFFFF


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
