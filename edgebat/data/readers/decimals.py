"""Whether a table's numbers have a decimal point or a decimal comma."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edgebat.data.readers.ambiguous import AmbiguousFile

_MARKED = re.compile(r"([+-]?[\d.,]*[.,][\d.,]*(?:[eE][+-]?\d+)?)(?:\s*°?[A-Za-z]{1,3})?")


def find_decimal(sample: Sequence[Sequence[str]], path: Path) -> str:
    """ "." or ",", by the values that can be read in one sense only. Raises AmbiguousFile."""
    comma = point = either = pointed = 0
    for text in (match[1] for row in sample for text in row if (match := _MARKED.fullmatch(text))):
        if "," in text and "." in text:
            comma += text.rindex(",") > text.rindex(".")
            point += text.rindex(".") > text.rindex(",")
        elif text.count(",") == 1:
            grouped = re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text)
            comma, either = comma + (not grouped), either + bool(grouped)
        else:
            grouped = re.fullmatch(r"[+-]?\d{1,3}(\.\d{3}){2,}", text)  # 1.234.567; dates are 13.03.2024
            comma, point = comma + bool(grouped), point + (text.count(".") == 1 or "," in text)
            pointed += text.count(".") == 1 and not re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", text)
    if (comma and point) or (either and point and not pointed):
        raise AmbiguousFile(
            path, "some numbers have a decimal comma and some a point; say --set decimal=, or --set decimal=."
        )
    if either and not comma and not point:
        raise AmbiguousFile(
            path,
            "numbers such as 3,512 may be 3.512 or 3512; say --set decimal=, or --set decimal=. (then the comma groups)",
        )
    return "," if comma else "."
