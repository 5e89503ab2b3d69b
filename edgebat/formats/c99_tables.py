"""Constant tables of a model as C text: plain decimal weights inside the packing macros of ``edgebat_tables.h``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from edgebat.errors import ModelFileError
from edgebat.formats.c99_requant import Rounding

BLOCK = 4  # rows and columns of a weight block
HI_LIMIT = 2**23  # rows 0 and 2 of a block share 32-bit accumulators with rows 1 and 3: 24 bits are theirs
IntArray = npt.NDArray[np.signedinteger]


def pad4(n: int) -> int:
    """``n`` rounded up to a multiple of four."""
    return -(-n // BLOCK) * BLOCK


def blocked(weight: IntArray) -> npt.NDArray[np.int64]:
    """Rows by columns, zero padded to multiples of four, as [row blocks, column blocks, 4 rows, 4 columns]."""
    rows, columns = weight.shape
    padded = np.zeros((pad4(rows), pad4(columns)), np.int64)
    padded[:rows, :columns] = weight
    return padded.reshape(-1, BLOCK, padded.shape[1] // BLOCK, BLOCK).transpose(0, 2, 1, 3)


def check_rows(where: str, weight: IntArray, reach: npt.NDArray[np.int64]) -> None:
    """Raise ModelFileError when a row cannot share its words with its neighbour (see EDGEBAT_HALF_ in C)."""
    if int(reach[::2].max()) >= HI_LIMIT:
        raise ModelFileError(
            f"{where}: a row's accumulator reaches {int(reach[::2].max())}; the packed kernels allow {HI_LIMIT - 1}. "
            "Split the layer or use fewer inputs"
        )
    blocks = blocked(weight)
    halves = blocks[:, :, 0::2] * 256 + blocks[:, :, 1::2]
    if halves.size and int(halves.min()) < -(2**15):
        raise ModelFileError(f"{where}: a weight of -128 cannot be packed; quantize symmetrically, -127 to 127")


def weight_table(name: str, blocks: npt.NDArray[np.int64], titles: Sequence[str]) -> str:
    """Definition of ``edgebat_weights_t name[]``: 16 weights a line, a comment before each block of four rows."""
    lines = []
    for title, row_block in zip(titles, blocks, strict=True):
        lines.append(f"    /* {title} */")
        for block in row_block:
            lines.append(f"    EDGEBAT_WEIGHTS({', '.join(f'{v:d}' for v in block.reshape(-1))}),")
    return table("edgebat_weights_t", f"{name}[{blocks.shape[0] * blocks.shape[1]}]", lines)


def row_titles(rows: int) -> list[str]:
    """Comments for blocks of four rows."""
    return [f"rows {first} to {min(first + BLOCK, rows) - 1}" for first in range(0, rows, BLOCK)]


def channel_table(name: str, bias: IntArray, rounding: Rounding) -> str:
    """Definition of ``edgebat_channels_t name[]``: bias and multiplier, four rows an entry."""
    rows = len(bias)
    values = [(int(b), k) for b, k in zip(bias, rounding.k, strict=True)] + [(0, 0)] * (pad4(rows) - rows)
    lines = []
    for first in range(0, rows, BLOCK):
        pairs = ", ".join(f"{b}, {k}" for b, k in values[first : first + BLOCK])
        lines.append(f"    EDGEBAT_CHANNELS({rounding.n}, {rounding.up}, {pairs}),")
    return table("edgebat_channels_t", f"{name}[{len(lines)}]", lines)


def rest_tables(name: str, weight: IntArray, bias: IntArray, rounding: Rounding, first: int) -> tuple[str, int]:
    """Tables of the last one to three rows, ``first`` on, of a layer with int16 outputs; and their size in bytes."""
    rows, columns = weight.shape
    padded = np.zeros((rows + rows % 2, pad4(columns)), np.int64)
    padded[:rows, :columns] = weight
    values = [(int(b), k) for b, k in zip(bias, rounding.k[first:], strict=True)] + [(0, 0)] * (rows % 2)
    lines, channels = [], []
    for row in range(0, rows, 2):
        lines.append(f"    /* rows {first + row} to {first + min(row + 2, rows) - 1} */")
        for column in range(0, padded.shape[1], BLOCK):
            numbers = padded[row : row + 2, column : column + BLOCK].reshape(-1)
            lines.append(f"    EDGEBAT_WEIGHTS2({', '.join(f'{v:d}' for v in numbers)}),")
        pairs = ", ".join(f"{b}, {k}" for b, k in values[row : row + 2])
        channels.append(f"    EDGEBAT_CHANNELS2({rounding.n}, {rounding.up}, {pairs}),")
    count = padded.size // (2 * BLOCK)
    text = table("edgebat_weights2_t", f"{name}_weights[{count}]", lines) + "\n"
    text += table("edgebat_channels2_t", f"{name}_channels[{len(channels)}]", channels)
    return text, padded.size + 16 * len(channels)


def number_table(ctype: str, name: str, values: Iterable[str]) -> str:
    """Definition of a plain array, 16 values a line."""
    texts = list(values)
    lines = ["    " + ", ".join(texts[i : i + 16]) + "," for i in range(0, len(texts), 16)]
    return table(ctype, f"{name}[{len(texts)}]", lines)


def table(ctype: str, declarator: str, lines: Sequence[str]) -> str:
    """``static const`` definition with one initializer a line."""
    return f"static const {ctype} {declarator} = {{\n" + "\n".join(lines) + "\n};\n"


def structure(ctype: str, name: str, fields: Sequence[tuple[str, str]]) -> str:
    """``static const`` definition of a structure with designated initializers."""
    return table(ctype, name, [f"    .{field} = {value}," for field, value in fields])
