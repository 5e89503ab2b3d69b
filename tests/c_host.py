"""Generated C on this computer: compiled with every layout of weights, loaded as a library, called from NumPy."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from edgebat.formats.c.write import CModel, write_c
from edgebat.graph import IntGraph
from edgebat.paths import firmware_dir

# The three layouts of weights; the instructions of foreign cores are emulated in C.
VARIANTS = {
    "portable": ("-DEDGEBAT_DSP=0", "-DEDGEBAT_THUMB1=0"),
    "dsp": ("-DEDGEBAT_DSP=1",),
    "thumb1": ("-DEDGEBAT_DSP=0", "-DEDGEBAT_THUMB1=1"),
}
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wvla", "-Werror")
UNDEFINED = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
GUARD = 0x5A


def compilers() -> list[str]:
    """C compilers of this computer, gcc first."""
    return [name for name in ("gcc", "clang") if shutil.which(name)]


def c_compiler() -> str:
    """A C compiler of this computer, or skip the test."""
    found = [*compilers(), *(name for name in ("cc",) if shutil.which(name))]
    if not found:
        pytest.skip("no C compiler is installed")
    return found[0]


INCLUDES = [f"-I{firmware_dir() / folder}" for folder in ("include", "src")]
"""Where the headers of the kernels lie."""


def call(command: list[str | Path]) -> None:
    """Run a tool; its words become the failure of the test."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stderr}"


class Kernels:
    """The kernel library as object files, compiled once for each set of flags by a process, for all tests."""

    built: ClassVar[dict[tuple[str, ...], list[Path]]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def objects(self, flags: tuple[str, ...]) -> list[Path]:
        if flags not in self.built:
            folder = self.folder / f"objects{len(self.built)}"
            folder.mkdir(parents=True)
            command = [c_compiler(), "-O1", "-fPIC", "-c", *flags, *WARNINGS, *INCLUDES]
            sources = sorted(path for part in ("src", "exact") for path in (firmware_dir() / part).glob("*.c"))
            done = subprocess.run([*command, *map(str, sources)], cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            self.built[flags] = sorted(folder.glob("*.o"))
        return self.built[flags]


@dataclass
class HostModel:
    """A generated model in a loaded library."""

    model: CModel
    library: ctypes.CDLL

    def run(self, x: np.ndarray) -> np.ndarray:
        """Outputs [N, O] of windows int8 [N, ...]; scratch and output lie between guard bytes that must survive."""
        y = np.empty((len(x), self.model.output_len), self.model.output_dtype)
        for window, out in zip(x, y, strict=True):
            values = np.full(out.nbytes + 8, GUARD, np.uint8)
            scratch, guard = aligned(self.model.scratch_bytes)
            code = self.function("run")(pointer(np.ascontiguousarray(window)), pointer(values[:-8]), pointer(scratch))
            assert code == 0
            assert (guard == GUARD).all(), "the model wrote beyond its scratch memory"
            assert (values[-8:] == GUARD).all(), "the model wrote beyond its output"
            out[:] = values[:-8].view(out.dtype)
        return y

    def function(self, suffix: str) -> ctypes._NamedFuncPointer:
        return getattr(self.library, f"{self.model.name}_{suffix}")


def aligned(size: int) -> tuple[np.ndarray, np.ndarray]:
    """``size`` bytes aligned to 4 but not to 8, full of rubbish, and the guard bytes after them."""
    raw = np.full(size + 24, GUARD, np.uint8)
    start = -raw.ctypes.data % 8 + 4
    return raw[start : start + size], raw[start + size : start + size + 8]


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def load(
    graph: IntGraph,
    folder: Path,
    kernels: Kernels,
    flags: tuple[str, ...] = (),
    *,
    name: str = "net",
    mode: str = "balanced",
) -> HostModel:
    """Write, compile and load ``graph``; ``flags`` as for the kernels it is linked with."""
    model = write_c(graph, folder, name, mode=mode)
    library = folder / f"{name}.so"
    objects = kernels.objects(flags)
    include = [f"-I{model.include_dir}", f"-I{folder}"]
    call(
        [c_compiler(), "-O1", "-fPIC", "-shared", *flags, *WARNINGS, *include, model.files[1], *objects, "-o", library]
    )
    return HostModel(model, ctypes.CDLL(str(library)))
