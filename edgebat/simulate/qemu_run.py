"""Running the same image in QEMU: a second opinion on outputs, instructions and stack.

The harness reads windows and writes outputs through semihosting. Instructions are counted by a small plugin
(``ports/baremetal/qemu_count.c``), compiled on first use: per inference, from the entry of the model's run function to
the instruction after the call, which is what ``unicorn_run`` counts. Programs for Linux run in QEMU's user mode.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from edgebat.arrays import Int8
from edgebat.errors import ToolError
from edgebat.files import sha256_bytes
from edgebat.paths import firmware_dir
from edgebat.simulate.elf import Image
from edgebat.simulate.targets import Target, load_target
from edgebat.simulate.toolchain import cache_dir, find_compiler, run_tool


@dataclass(frozen=True)
class QemuRun:
    """Output array of every window as bytes, its instructions, the deepest stack in bytes, and QEMU's version."""

    outputs: list[bytes]
    instructions: list[int]
    stack_bytes: int
    version: str


def program_for(target: Target) -> str:
    """Name of the QEMU program that runs ``target``; raises ToolError when QEMU cannot."""
    if target.qemu is None:
        raise ToolError(f"target {target.name} has no qemu entry; its routes are {', '.join(target.routes)}")
    return f"qemu-system-{target.qemu.system}" if target.qemu.system else f"qemu-{target.qemu.user}"


def find_qemu(target: Target) -> str:
    """Path of the QEMU program that runs ``target``. Raises ToolError with the package to install."""
    name = program_for(target)
    found = shutil.which(name) or shutil.which(f"{name}-static")
    if not found:
        raise ToolError(f"{name} is not installed; run: apt install {_package(name)}, or choose another simulator")
    return found


def run_image(image: Image, name: str, target: Target, windows: Int8, *, seconds: float = 300.0) -> QemuRun:
    """Run ``windows`` int8 [N, INPUT_LEN] through a bare-metal image on the board ``target.qemu`` names.

    Raises ToolError: QEMU or a compiler for its plugin is missing, the image faults or runs too long, a window's status
    is not 0, or plugin and outputs disagree about the number of windows.
    """
    qemu = find_qemu(target)
    version = qemu_version(qemu)
    assert target.qemu is not None
    entry, back = image.address(f"{name}_run"), image.address("bench_return")
    with tempfile.TemporaryDirectory(prefix="edgebat-qemu-") as folder:
        work = Path(folder)
        (work / "input.bin").write_bytes(windows.tobytes())
        command = [qemu, "-M", target.qemu.machine, "-nographic", "-monitor", "none", "-serial", "none"]
        command += ["-bios", "none"] if target.qemu.system.startswith("riscv") else []
        command += ["-semihosting-config", "enable=on,target=native", "-kernel", str(image.path.resolve())]
        command += ["-plugin", f"{counting_plugin(version)},entry={entry:#x},return={back:#x}", "-d", "plugin"]
        command += ["-D", "count.txt"]
        run_tool(command, f"run {image.path.name} on {target.qemu.machine}", cwd=work, seconds=seconds)
        output = (work / "output.bin").read_bytes()
        counts = [int(line) for line in (work / "count.txt").read_text("ascii").split()]
    info = image.info
    size = 4 + info.output_len * info.output_bytes
    if len(output) != size * len(windows) + 4 or len(counts) != len(windows):
        raise ToolError(
            f"{image.path.name} on {target.qemu.machine}: {len(windows)} windows went in, {len(output)} bytes and "
            f"{len(counts)} counts came out; expected {size * len(windows) + 4} bytes"
        )
    stack = int.from_bytes(output[-4:], "little")
    return QemuRun(split_records(output[:-4], size, "little", image.path.name), counts, stack, version)


def split_records(content: bytes, size: int, order: str, what: str) -> list[bytes]:
    """Cut the harness' records (status int32, outputs) apart; raises ToolError for a status other than 0."""
    outputs = []
    for index in range(len(content) // size):
        record = content[index * size : (index + 1) * size]
        status = int.from_bytes(record[:4], "little" if order == "little" else "big", signed=True)
        if status:
            raise ToolError(f"{what}: window {index}: the model returned status {status}, expected 0")
        outputs.append(record[4:])
    return outputs


@lru_cache(maxsize=8)
def qemu_version(qemu: str) -> str:
    """For example "QEMU emulator version 7.2.22"; raises ToolError when the program does not say."""
    first = run_tool([qemu, "--version"], f"ask {qemu} for its version").decode().splitlines()[0]
    if not re.search(r"version \d+", first):
        raise ToolError(f"cannot tell the version of {qemu}: it says {first!r}")
    return first.split(" (")[0]


@lru_cache(maxsize=8)
def counting_plugin(version: str) -> Path:
    """The compiled counting plugin for this QEMU. QEMU 9 dropped interface 1; what we call is the same in 2."""
    found = re.search(r"version (\d+)", version)
    api = 1 if found and int(found[1]) < 9 else 2
    source = firmware_dir() / "ports" / "baremetal" / "qemu_count.c"
    compiler = find_compiler(load_target("host"))
    key = sha256_bytes(source.read_bytes() + f"{compiler.version} {api}".encode())[:16]
    plugin = cache_dir() / f"qemu_count-{key}.so"
    if not plugin.is_file():
        plugin.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=plugin.parent) as folder:
            built = Path(folder) / plugin.name
            flags = ["-std=c99", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", f"-DQEMU_PLUGIN_API={api}"]
            # The functions of QEMU are found when QEMU loads the plugin.
            flags += ["-Wl,-z,undefs"] if compiler.kind == "gcc" else ["-fallow-shlib-undefined"]
            compiler.call([*flags, str(source), "-o", str(built)], "build the counting plugin for QEMU")
            built.replace(plugin)
    return plugin


def _package(program: str) -> str:
    if program == "qemu-system-arm":
        return "qemu-system-arm"
    return "qemu-system-misc" if "system" in program else "qemu-user"
