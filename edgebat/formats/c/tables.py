"""Constant tables of a model: their C text, plain decimal numbers inside the packing macros of ``edgebat_tables.h``,
and the bytes a compiler makes of them, for the checksum of the self-test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edgebat.arrays import Int64, IntArray
from edgebat.errors import ModelFileError
from edgebat.formats.c.memory import BLOCK, pad4

HI_LIMIT = 2**23  # rows 0 and 2 of a block share 32-bit accumulators with rows 1 and 3: 24 bits are theirs
LAYOUTS = ("dsp", "thumb1", "portable")
Fields = dict[str, str | int]  # of a C structure: initializers by name
# Fields of type uint16_t.
COUNTS = {
    "columns4", "columns4_x", "columns4_h", "blocks", "outputs", "units", "positions", "step", "pool", "stride",
    "left", "rows", "width", "taps", "tap", "dilation", "row", "size", "kernel", "a_row", "b_row",
    "length", "out",
}  # fmt: skip


@dataclass(frozen=True)
class Rounding:
    """Common constants of a layer: ``(acc * k[c] + 2**(n-1)) >> n``, computed with ``split`` or ``up`` (C side)."""

    n: int
    split: int
    up: int
    zero_point: int
    k: tuple[int, ...]

    @property
    def fast(self) -> bool:
        """True when the multipliers suit ``edgebat_fast_dense``: 16 bits, and a shift of 17 or more."""
        return self.n >= 17 and self.split >= 16

    def fast_macro(self) -> str:
        """The initializer of the rounding of an ``edgebat_fast_dense_t``."""
        return f"EDGEBAT_FAST_ROUNDING({self.n}, {self.zero_point})"

    def macro(self) -> str:
        """The initializer of an ``edgebat_rounding_t``."""
        return f"EDGEBAT_ROUNDING({self.n}, {self.split}, {self.up}, {self.zero_point})"

    def multiplier_macro(self, k: int) -> str:
        """The initializer of a channel's multiplier."""
        return f"EDGEBAT_MULTIPLIER({self.n}, {self.up}, {k})"


@dataclass(frozen=True)
class Table:
    """One definition. ``check`` is the C expression that adds it to a CRC; ``content`` what it adds, by layout."""

    text: str
    size: int
    check: str = ""
    content: dict[str, bytes] = field(default_factory=dict)


def blocked(weight: IntArray, height: int = BLOCK) -> Int64:
    """Zero padded blocks of ``height`` rows and four columns: [row blocks, column blocks, height, 4]."""
    rows, columns = weight.shape
    full = np.pad(weight.astype(np.int64), ((0, -rows % height), (0, pad4(columns) - columns)))
    return full.reshape(-1, height, full.shape[1] // BLOCK, BLOCK).transpose(0, 2, 1, 3)


def check_rows(where: str, weight: IntArray, reach: Int64) -> None:
    """Raise ModelFileError when a row cannot share its words with its neighbour (see EDGEBAT_HALF_ in C)."""
    if int(reach[::2].max()) >= HI_LIMIT:
        raise ModelFileError(
            f"{where}: a row's accumulator reaches {int(reach[::2].max())}; the packed kernels allow {HI_LIMIT - 1}. "
            "Split the layer or use fewer inputs"
        )
    if int(_halves(blocked(weight)).min()) < -(2**15):
        raise ModelFileError(f"{where}: a weight of -128 cannot be packed; quantize symmetrically, -127 to 127")


def _halves(blocks: Int64) -> Int64:
    """256 * hi + lo of neighbouring rows."""
    return blocks[..., 0::2, :] * 256 + blocks[..., 1::2, :]


def _words(values: Int64 | Sequence[int]) -> bytes:
    """32-bit words, lowest byte first, wrapping as C does."""
    return (np.asarray(values, np.int64) & 0xFFFFFFFF).astype("<u4").tobytes()


def _paired(blocks: Int64) -> bytes:
    """EDGEBAT_PAIR_ of every block: columns (0, 2) of all row pairs, then columns (1, 3)."""
    halves = _halves(blocks) & 0xFFFF
    even, odd = (halves[..., first] | halves[..., first + 2] << 16 for first in (0, 1))
    return _words(np.concatenate([even, odd], axis=-1))


def _by_columns(blocks: Int64, offset: int = 0) -> bytes:
    return ((blocks.swapaxes(-1, -2) + offset) & 0xFF).astype(np.uint8).tobytes()


def weight_table(name: str, blocks: Int64, titles: Sequence[str], kind: str = "weights") -> Table:
    """Definition of ``edgebat_weights_t name[]``, ``edgebat_weights2_t`` or ``edgebat_fast_t`` (``kind``).

    One block a line, and ``titles`` as comments before the blocks of the same rows.
    """
    lines = []
    for title, row_block in zip(titles, blocks, strict=True):
        lines.append(f"    /* {title} */")
        for block in row_block:
            lines.append(f"    EDGEBAT_{kind.upper()}({', '.join(f'{v:d}' for v in block.reshape(-1))}),")
    count = blocks.shape[0] * blocks.shape[1]
    flat = blocks.reshape(count, *blocks.shape[2:])
    content = {"dsp": _paired(flat), "thumb1": _by_columns(flat), "portable": _by_columns(flat)}
    if kind == "weights":
        content["thumb1"] = _by_columns(flat, offset=128)
    if kind == "fast":
        duo = flat[..., 2:] + (flat[..., :2] << 16)  # columns (0, 2) and (1, 3)
        content["thumb1"] = _words(duo.swapaxes(-1, -2))
    check = f"edgebat_crc32_{kind}(crc, {name}, {count})"
    return Table(table(f"edgebat_{kind}_t", f"{name}[{count}]", lines), blocks.size, check, content)


def row_titles(first: int, rows: int, height: int = BLOCK) -> list[str]:
    """Comments for blocks of ``height`` rows, the first of which is row ``first`` of its layer."""
    last = first + rows
    return [f"rows {row} to {min(row + height, last) - 1}" for row in range(first, last, height)]


def channel_table(name: str, bias: IntArray, k: Sequence[int], rounding: Rounding, height: int = BLOCK) -> Table:
    """Definition of ``edgebat_channels_t name[]`` or, ``height`` 2, ``edgebat_channels2_t``: biases and multipliers."""
    missing = -len(bias) % height
    values = [(int(b), m) for b, m in zip(bias, k, strict=True)] + [(0, 0)] * missing
    kind = "channels" if height == BLOCK else "channels2"
    lines, plain, packed = [], [], []
    for first in range(0, len(values), height):
        block = values[first : first + height]
        lines.append(
            f"    EDGEBAT_{kind.upper()}({rounding.n}, {rounding.up}, {', '.join(f'{b}, {m}' for b, m in block)}),"
        )
        plain += [b for b, _ in block] + [m for _, m in block]
        packed += _packed_bias([b for b, _ in block]) + [m << (32 - rounding.n - rounding.up) for _, m in block]
    check = f"edgebat_crc32_{kind}(crc, {name}, {len(lines)})"
    text = table(f"edgebat_{kind}_t", f"{name}[{len(lines)}]", lines)
    return Table(text, 8 * len(values), check, _by_layout(_words(plain), _words(packed)))


def _packed_bias(bias: Sequence[int]) -> list[int]:
    """EDGEBAT_BIAS with the DSP extension."""
    return [b * 256 + bias[i + 1] if i % 2 == 0 else b for i, b in enumerate(bias)]


def _by_layout(plain: bytes, dsp: bytes) -> dict[str, bytes]:
    return {"dsp": dsp, "thumb1": plain, "portable": plain}


def unit_table(name: str, bias: IntArray) -> Table:
    """Definition of ``edgebat_bias_t name[]`` from the folded biases [4, units] of an LSTM layer."""
    rows = [[int(b) for b in unit] for unit in bias.T]
    lines = [f"    EDGEBAT_UNIT({', '.join(map(str, row))})," for row in rows]
    content = _by_layout(
        _words([b for row in rows for b in row]), _words([b for row in rows for b in _packed_bias(row)])
    )
    check = f"edgebat_crc32_units(crc, {name}, {len(rows)})"
    return Table(table("edgebat_bias_t", f"{name}[{len(rows)}]", lines), 16 * len(rows), check, content)


def byte_table(name: str, values: Sequence[int]) -> Table:
    """Definition of an int8 array."""
    content = (np.asarray(values, np.int64) & 0xFF).astype(np.uint8).tobytes()
    check = f"edgebat_crc32(crc, {name}, {len(values)})"
    return Table(array("int8_t", name, [str(v) for v in values]), len(values), check, _by_layout(content, content))


def word_table(name: str, values: Sequence[int], rounding: Rounding | None = None) -> Table:
    """Definition of an int32 array, of requantization multipliers when ``rounding`` is given."""
    texts, dsp = [str(v) for v in values], list(values)
    if rounding is not None:
        texts = [rounding.multiplier_macro(v) for v in values]
        dsp = [v << (32 - rounding.n - rounding.up) for v in values]
    check = f"edgebat_crc32_words(crc, {name}, {len(values)})"
    per_line = 16 if rounding is None else 4
    text = array("int32_t", name, texts, per_line)
    return Table(text, 4 * len(values), check, _by_layout(_words(values), _words(dsp)))


def array(ctype: str, name: str, texts: Sequence[str], per_line: int = 16) -> str:
    """Text of a plain ``static const`` array."""
    lines = ["    " + ", ".join(texts[i : i + per_line]) + "," for i in range(0, len(texts), per_line)]
    return table(ctype, f"{name}[{len(texts)}]", lines)


def table(ctype: str, declarator: str, lines: Sequence[str]) -> str:
    """``static const`` definition with one initializer a line."""
    return f"static const {ctype} {declarator} = {{\n" + "\n".join(lines) + "\n};\n"


def structure(ctype: str, name: str, fields: Fields, size: int) -> Table:
    """``static const`` structure with designated initializers; the golden vectors check it, not the CRC.

    Raises ModelFileError when a count or a distance does not fit the 16 bits it has in C.
    """
    check_counts(name, fields)
    return Table(table(ctype, name, [f"    .{key} = {value}," for key, value in fields.items()]), size)


def initializer(name: str, fields: Fields) -> str:
    """A structure inside the structure ``name``. Raises ModelFileError as above."""
    check_counts(name, fields)
    return "{" + ", ".join(f".{key} = {value}" for key, value in fields.items()) + "}"


def check_counts(name: str, fields: Fields) -> None:
    """Raise ModelFileError when a count in ``fields`` needs more than 16 bits."""
    for key, value in fields.items():
        if key in COUNTS and int(value) > 65535:
            raise ModelFileError(f"{name}: {key} is {value}; C allows 65535. Use a smaller layer")
