"""What an ELF image says about itself: sizes by group, symbols, the bytes to load."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebat.errors import ToolError, require

# Called by code that computes in floating point, allocates memory or uses the mathematical library.
_FORBIDDEN = re.compile(
    r"(_?(malloc|calloc|realloc|free)(_r)?|_?sbrk(_r)?"
    r"|__aeabi_[fd]\w+|__aeabi_u?[il]2[fd]|__\w+[sd]f[23]|__(fix|float)\w+"
    r"|(exp|log|sin|cos|tan|tanh|pow|sqrt|erf|floor|ceil|round|rint|fmin|fmax)f?)"
)


@dataclass(frozen=True)
class Symbol:
    """A named address in the image; ``address`` without the Thumb bit, ``size`` in bytes."""

    name: str
    address: int
    size: int
    is_function: bool


@dataclass(frozen=True)
class Flash:
    """Flash in bytes. ``total`` is what a product pays: everything but the measuring harness."""

    model_code: int
    model_tables: int
    kernel_code: int
    kernel_tables: int
    library: int
    initial_data: int
    harness: int

    @property
    def total(self) -> int:
        return int(sum(vars(self).values())) - self.harness


@dataclass(frozen=True)
class BenchInfo:
    """What the harness was compiled for: elements, bytes per output element, bytes of scratch and of LSTM state."""

    input_len: int
    output_len: int
    output_bytes: int
    scratch_bytes: int
    state_bytes: int


class Image:
    """A linked bench image, read once. Raises ToolError when the file is not one."""

    def __init__(self, path: Path) -> None:
        elffile = require("elftools.elf.elffile", extra="sim")
        try:
            with path.open("rb") as stream:
                self._read(elffile.ELFFile(stream))
        except (OSError, elffile.ELFError) as error:
            raise ToolError(f"image {path}: cannot be read as an ELF file: {error}") from None
        self.path = path
        self._functions = sorted((item for item in self.symbols.values() if item.is_function), key=lambda s: s.address)
        self._starts = [item.address for item in self._functions]

    def _read(self, reader: Any) -> None:
        thumb = reader["e_machine"] == "EM_ARM"
        self.entry: int = int(reader["e_entry"])
        self.sections: dict[str, int] = {}
        for section in reader.iter_sections():
            if section["sh_flags"] & 2:  # SHF_ALLOC: takes memory on the device
                self.sections[section.name] = section["sh_size"]
        self.segments: list[tuple[int, bytes]] = [
            (segment["p_paddr"], segment.data())
            for segment in reader.iter_segments()
            if segment["p_type"] == "PT_LOAD" and segment["p_filesz"]
        ]
        self.symbols: dict[str, Symbol] = {}
        table = reader.get_section_by_name(".symtab")
        for symbol in table.iter_symbols() if table else ():
            kind = symbol["st_info"]["type"]
            # "$t" and the like mark instruction sets; zig's library names each function twice, once with this prefix.
            if kind in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE") and not symbol.name.startswith(("$", "compiler_rt.")):
                function = kind == "STT_FUNC"
                address = symbol["st_value"] & ~1 if function and thumb else symbol["st_value"]
                self.symbols.setdefault(symbol.name, Symbol(symbol.name, address, symbol["st_size"], function))

    def address(self, name: str) -> int:
        """Address of a symbol; raises ToolError when the image does not have it."""
        if name not in self.symbols:
            raise ToolError(f"image {self.path.name}: symbol {name!r} is missing; was it built with the bench harness?")
        return self.symbols[name].address

    def function_at(self, address: int) -> str:
        """Name of the function that holds ``address``, or the address in hexadecimal where no function is."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._functions[index].address + max(self._functions[index].size, 2):
            return f"{address:#010x}"
        return self._functions[index].name

    def location(self, address: int) -> str:
        """``address`` as "symbol + offset", by the nearest symbol below that has a size."""
        below = [item for item in self.symbols.values() if item.size and item.address <= address]
        if not below:
            return f"{address:#010x}"
        nearest = max(below, key=lambda item: item.address)
        return f"{nearest.name} + {address - nearest.address}"

    @property
    def info(self) -> BenchInfo:
        """The five numbers the harness stores in bench_info."""
        words = self.read(self.address("bench_info"), 20)
        return BenchInfo(*(int.from_bytes(words[i : i + 4], "little") for i in range(0, 20, 4)))

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes of code or constants as linked; raises ToolError where the image has none."""
        for start, content in self.segments:
            if start <= address and address + size <= start + len(content):
                return content[address - start : address - start + size]
        raise ToolError(f"image {self.path.name}: there are no {size} bytes at {address:#010x}")

    @property
    def flash(self) -> Flash:
        """Flash by group, in bytes; paddings belong to the group before them."""
        size = self.sections.get
        return Flash(
            model_code=size(".model_text", 0),
            model_tables=size(".model_rodata", 0),
            kernel_code=size(".kernel_text", 0),
            kernel_tables=size(".kernel_rodata", 0),
            library=size(".library_text", 0),
            initial_data=size(".data", 0),
            harness=size(".harness_text", 0),
        )

    @property
    def variables(self) -> list[tuple[int, int]]:
        """Address ranges [start, end) of the variables of model, kernels and compiler library, initialized ones first."""
        marks = ("data_start", "data_end", "bss_start", "harness_bss_start", "harness_bss_end", "bss_end")
        ends = [self.address(mark) for mark in marks]
        return list(zip(ends[::2], ends[1::2], strict=True))

    @property
    def variable_bytes(self) -> int:
        """RAM of ``variables`` in bytes."""
        return sum(end - start for start, end in self.variables)

    def forbidden_symbols(self) -> list[str]:
        """Linked functions that only floating point, dynamic memory or the mathematical library bring, sorted."""
        return sorted(s.name for s in self.symbols.values() if s.is_function and _FORBIDDEN.fullmatch(s.name))
