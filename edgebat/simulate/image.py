"""Building the program that is measured: model, kernels and a thin harness, for a microcontroller or for a computer."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgebat.errors import TargetError, TooLarge, ToolError
from edgebat.files import atomic_write
from edgebat.paths import firmware_dir
from edgebat.simulate.elf import Image
from edgebat.simulate.targets import Target
from edgebat.simulate.toolchain import Compiler, find_compiler

_BENCH_MODEL = """\
#include <stdint.h>
#include "{name}.h"

typedef {name}_output_t bench_output_t;

#define BENCH_RUN {name}_run
#define BENCH_INPUT_LEN {upper}_INPUT_LEN
#define BENCH_OUTPUT_LEN {upper}_OUTPUT_LEN
#define BENCH_SCRATCH_BYTES {upper}_SCRATCH_BYTES
#ifdef {upper}_STATE_BYTES
#define BENCH_STATE_BYTES {upper}_STATE_BYTES
#else
#define BENCH_STATE_BYTES 0
#endif
"""


@dataclass(frozen=True)
class Program:
    """A built program: the file, the compiler it came from, and every flag that shaped the code."""

    path: Path
    name: str
    target: Target
    compiler: Compiler
    flags: tuple[str, ...]


@dataclass(frozen=True)
class BuildOptions:
    """How a model is compiled and linked."""

    compiler: str | None = None
    """"zig" or "gcc"; None takes the first that is installed."""
    optimize: str = "-O2"
    """The compiler's flag for optimization."""
    kernels: Sequence[Path] | None = None
    """C files; None takes every other .c file of the model's folder, or else edgebat's own (the linker leaves out
    what is not called)."""
    include: Sequence[Path] = ()
    """Folders of headers, searched before edgebat's."""
    flags: Sequence[str] = ()
    """Further flags, after the common ones."""
    libraries: Sequence[str] = ()
    """Linked last ("-lm"), for code of others."""
    stack_bytes: int = 4096
    """Stack of a microcontroller's image."""
    host_harness: str = "bench_host.c"
    """The program around the model on a computer."""


PLAIN = BuildOptions()


def build(model_dir: Path, name: str, target: Target, build_dir: Path, options: BuildOptions = PLAIN) -> Program:
    """Compile ``<name>.c`` of ``model_dir`` with its kernels and the harness of ``target`` into ``build_dir``.

    Raises ToolError (no compiler, compiling or linking failed), TargetError (image needs more memory than the target
    allows, or brings floating point or dynamic memory where the target does not allow it).
    """
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise ToolError(f"model name {name!r} is not a C identifier")
    for suffix in (".c", ".h"):
        if not (model_dir / f"{name}{suffix}").is_file():
            raise ToolError(f"cannot build {name}: {model_dir / name}{suffix} is missing; export the model to C first")
    build_dir.mkdir(parents=True, exist_ok=True)
    driver = find_compiler(target, options.compiler)
    harness_dir = firmware_dir() / "ports" / "baremetal"
    atomic_write(build_dir / "bench_model.h", _BENCH_MODEL.format(name=name, upper=name.upper()))

    kernels, optimize = options.kernels, options.optimize
    if kernels is None:
        own = sorted(path for path in model_dir.glob("*.c") if path.name != f"{name}.c")
        kernels = own or sorted((firmware_dir() / "src").glob("*.c"))
    start = "start_riscv.S" if target.core.startswith("rv") else "start_arm.S"
    harness = [harness_dir / item for item in (("bench.c", start) if target.bare_metal else (options.host_harness,))]
    groups = {"model": [model_dir / f"{name}.c"], "kernel": list(kernels), "harness": harness}
    include = [build_dir, model_dir, *options.include, firmware_dir() / "include", firmware_dir() / "src"]
    if target.bare_metal and driver.kind == "zig":
        include.append(harness_dir / "include")

    # gcc turns the start-up loops into calls of memcpy and memset, which would count as the model's library.
    plain = {"harness": ["-fno-tree-loop-distribute-patterns"]} if driver.kind == "gcc" else {}

    def compile_one(job: tuple[str, Path]) -> Path:
        group, source = job
        output = build_dir / f"{source.stem}.{group}.o"
        macros = {"BENCH_RUN": f"{name}_run"} if source.suffix == ".S" else {}
        driver.compile(
            source, output, flags=[optimize, *options.flags, *plain.get(group, ())], include=include, defines=macros
        )
        return output

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [(group, source) for group, sources in groups.items() for source in sources]
        objects = list(pool.map(compile_one, jobs))

    program = build_dir / (f"{name}.elf" if target.bare_metal else name)
    link_flags = [optimize, "-g"]  # with -Os zig would leave out the symbol table, which is read afterwards
    if target.bare_metal:
        script = build_dir / "bench.ld"
        # One file, because zig hands the linker neither a search path for INCLUDE nor symbols from the command line.
        parts = [(harness_dir / item).read_text("utf-8") for item in (target.linker_script, "sections.ld")]
        atomic_write(script, "\n".join([f"stack_bytes = {options.stack_bytes};", *parts]))
        link_flags += ["-nostartfiles", f"-Wl,-T,{script}", "-Wl,--gc-sections"]
    try:
        driver.link(objects, program, flags=[*link_flags, *options.flags], libraries=options.libraries)
    except ToolError as error:
        if lacking := _memory_lacking(str(error), harness_dir / target.linker_script, target):
            raise TooLarge(f"model {name} is too large for {target.name}: {lacking}") from None
        raise
    if target.bare_metal and not target.allow_float and (found := Image(program).forbidden_symbols()):
        raise TargetError(
            f"model {name} on {target.name}: the image calls {', '.join(found)}, but the target allows neither "
            "floating point nor dynamic memory nor libm; change the model, or set allow_float: true in the target file"
        )
    return Program(program, name, target, driver, (*driver.flags, optimize, *options.flags))


def _memory_lacking(words: str, script: Path, target: Target) -> str:
    """What a linker says of regions that overflowed, as bytes needed and there; "" when it failed for another reason."""
    overflow: dict[str, int] = {}
    for region, excess in re.findall(r"region [`'](\w+)':? overflowed by (\d+) bytes", words):
        overflow[region] = max(int(excess), overflow.get(region, 0))
    if not overflow:
        return ""
    memory, parts = script.read_text("utf-8"), []
    for region, excess in overflow.items():
        length = re.search(rf"^\s*{region} .*LENGTH = (\d+)([KM]?)", memory, re.MULTILINE)
        what, own = ("RAM", target.ram_bytes) if region == "RAM" else ("flash", target.flash_bytes)
        if length is None:
            parts.append(f"{excess:,} bytes of {what} too many")
            continue
        there = int(length[1]) * {"": 1, "K": 1024, "M": 1024**2}[length[2]]
        simulated = f" on the board that the simulator knows ({own:,} on this one)" if own and own != there else ""
        parts.append(f"{what} {there + excess:,} bytes needed, {there:,} there{simulated}")
    return "; ".join(parts)
