"""Cycler files of any kind. Text needs NumPy only; other kinds, and speed, come with the extra ``data``.

``read_records`` gives what a file says, ``read_cell`` one cell with charging positive, its sign checked. Modules of this
folder with ``SUFFIXES`` and ``tables`` read files of those names; everything else is read as text.
"""

from __future__ import annotations

from edgebat.data.readers.cell import cell_of, read_cell
from edgebat.data.readers.raw import CurrentSign, RawCell, check_sign
from edgebat.data.readers.records import AmbiguousFile, Records, read_records
from edgebat.data.readers.sources import reader_of

__all__ = [
    "AmbiguousFile",
    "CurrentSign",
    "RawCell",
    "Records",
    "cell_of",
    "check_sign",
    "read_cell",
    "read_records",
    "reader_of",
]
