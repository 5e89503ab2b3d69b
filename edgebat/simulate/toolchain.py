"""C compilers: which ones are here, what they are called with, how they fail.

Two routes lead to a microcontroller: ``zig cc`` (clang for every core, from PyPI, no root needed) and
``arm-none-eabi-gcc`` or ``riscv64-unknown-elf-gcc`` when installed. The host's own compiler is gcc, cc or zig.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from edgebat.errors import ToolError
from edgebat.simulate.targets import Target

KINDS = ("zig", "gcc")
# One section per function and table, so that the linker drops what is not called; unwinding tables are of no use in C.
COMMON_FLAGS = (
    "-std=c99",
    "-g0",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
)
_SECONDS = 600.0


@dataclass(frozen=True)
class Compiler:
    """A C compiler for one target. ``command`` is the driver, ``flags`` select the core."""

    kind: str
    command: tuple[str, ...]
    flags: tuple[str, ...]
    version: str

    def compile(
        self,
        source: Path,
        output: Path,
        *,
        flags: Sequence[str] = (),
        include: Sequence[Path] = (),
        defines: Mapping[str, str] | None = None,
    ) -> None:
        """Compile one .c or .S file into the object file ``output``. Raises ToolError with the compiler's own words."""
        macros = [f"-D{key}={value}" for key, value in (defines or {}).items()]
        folders = [f"-I{folder}" for folder in include]
        self.call([*COMMON_FLAGS, *flags, *macros, *folders, "-c", str(source), "-o", str(output)], f"compile {source}")

    def link(
        self, objects: Sequence[Path], output: Path, *, flags: Sequence[str] = (), libraries: Sequence[str] = ()
    ) -> None:
        """Link object files and ``libraries`` (for example "-lm") into ``output``. Raises ToolError."""
        self.call([*flags, *map(str, objects), *libraries, "-o", str(output)], f"link {output.name}")

    def call(self, arguments: Sequence[str], what: str) -> None:
        """Run the compiler with its target flags and ``arguments``; ``what`` names the step in the error."""
        run_tool([*self.command, *self.flags, *arguments], what, env=_environment(self.kind))


def find_compiler(target: Target, kind: str | None = None) -> Compiler:
    """The compiler for ``target``: ``kind`` "zig" or "gcc", or None for the first one that is installed.

    For a microcontroller zig comes first, because everybody can install it; for the host gcc does.
    Raises ToolError when there is none, saying what to install.
    """
    if kind is not None and kind not in KINDS:
        raise ToolError(f"compiler {kind!r} is unknown; choose zig or gcc")
    order = [kind] if kind else (KINDS if target.core != "native" else KINDS[::-1])
    for candidate in order:
        command = _find_zig() if candidate == "zig" else _find_gcc(target.core)
        flags = target.zig if candidate == "zig" else target.gcc
        if command and (flags or target.core == "native"):
            if candidate == "zig":
                # Zig traps undefined behaviour by default, which costs code and time a firmware does not have.
                return Compiler("zig", (*command, "cc"), (*flags, "-fno-sanitize=undefined"), _zig_version(command))
            return Compiler("gcc", command, flags, _gcc_version(command))
    raise ToolError(
        f"no C compiler for {target.name}: looked for {' and '.join(_wanted(target, item) for item in order)}; "
        'run: pip install "edgebat[sim]" (brings zig), or install gcc with your package manager'
    )


def run_tool(
    command: Sequence[str],
    what: str,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    seconds: float = _SECONDS,
) -> bytes:
    """Run an outside program and return its standard output.

    Raises ToolError when it is missing, fails or takes longer than ``seconds``; the text ends with what it printed.
    """
    try:
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            cwd=cwd,
            env=env,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise ToolError(f"cannot {what}: program {command[0]!r} is not installed") from None
    except subprocess.TimeoutExpired:
        raise ToolError(f"cannot {what}: {command[0]} did not end within {seconds:g} s") from None
    if done.returncode:
        words = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise ToolError(f"cannot {what}: {command[0]} ended with status {done.returncode}\n{words[-4000:]}")
    return done.stdout


def cache_dir() -> Path:
    """Where compiled helpers and zig's cache go: EDGEBAT_CACHE, else the user's cache folder, else a temporary one."""
    if named := os.environ.get("EDGEBAT_CACHE"):
        return Path(named)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    try:
        folder = home / "edgebat"
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return _temporary_cache()
    return folder


@lru_cache(maxsize=1)
def _temporary_cache() -> Path:
    # A name nobody can guess: compiled helpers are loaded from here.
    return Path(tempfile.mkdtemp(prefix="edgebat-cache-"))


def _environment(kind: str) -> dict[str, str] | None:
    if kind != "zig":
        return None
    folder = str(cache_dir() / "zig")
    return {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder, **os.environ}


def _find_zig() -> tuple[str, ...] | None:
    spec = find_spec("ziglang")
    if spec is not None and spec.origin:
        for name in ("zig", "zig.exe"):
            packaged = Path(spec.origin).with_name(name)
            if packaged.is_file():
                return (str(packaged),)
    on_path = shutil.which("zig")
    return (on_path,) if on_path else None


def _gcc_names(core: str) -> tuple[str, ...]:
    if core == "native":
        return ("gcc", "cc")
    if core.startswith("rv32"):
        return ("riscv64-unknown-elf-gcc", "riscv32-unknown-elf-gcc")
    return ("aarch64-linux-gnu-gcc",) if core == "cortex-a72" else ("arm-none-eabi-gcc",)


def _find_gcc(core: str) -> tuple[str, ...] | None:
    found = next(filter(None, map(shutil.which, _gcc_names(core))), None)
    return (found,) if found else None


def _wanted(target: Target, kind: str) -> str:
    return "zig" if kind == "zig" else " or ".join(_gcc_names(target.core))


@lru_cache(maxsize=8)
def _zig_version(command: tuple[str, ...]) -> str:
    zig = run_tool([*command, "version"], "ask zig for its version", env=_environment("zig")).decode().strip()
    clang = run_tool([*command, "cc", "--version"], "ask zig for its clang", env=_environment("zig")).decode()
    return f"zig {zig} ({clang.splitlines()[0]})"


@lru_cache(maxsize=8)
def _gcc_version(command: tuple[str, ...]) -> str:
    first = run_tool([*command, "--version"], f"ask {command[0]} for its version").decode().splitlines()[0]
    return f"{Path(command[0]).name} {first.split(') ')[-1] if ') ' in first else first}"
