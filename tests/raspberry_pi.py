"""An emulated Raspberry Pi: Debian's Python for arm64 and PyPI's aarch64 wheels under qemu-aarch64.

The root folder is private (no root rights, nothing installed): Debian packages are downloaded and unpacked, wheels are
unzipped. What runs there is what ``pip install edgebat`` gives on a 64-bit Raspberry Pi OS, on an emulated Cortex-A72.
Times under emulation mean nothing; results do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from edgebat.errors import ToolError

CPU = "cortex-a72"  # Raspberry Pi 4
PYTHON = "3.11"  # of Debian 12, on which Raspberry Pi OS builds
PACKAGES = (
    "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libgcc-s1", "libstdc++6",
    "zlib1g", "libexpat1", "libbz2-1.0", "liblzma5", "libffi8", "libssl3", "libuuid1",
)  # fmt: skip
NUMPY = ("numpy",)
ENGINES = ("numpy", "onnxruntime", "ai-edge-litert", "flatbuffers", "protobuf", "packaging", "typing-extensions")
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
# Both engines count the cores of the Linux they run on; the emulator would show them the host's.
CPUINFO = "".join(
    f"processor\t: {core}\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n"
    "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n"
    for core in range(4)
)


def prepare(folder: str | Path, wheels: Sequence[str] = NUMPY) -> Path:
    """Make (or find) the root of an emulated Pi with ``wheels`` in the versions installed here; returns its path.

    folder: where roots are kept; an existing one for the same wheels is used again. Needs the network once.
    Raises ToolError when qemu-aarch64, apt-get or dpkg are missing or a download fails.
    """
    for tool, package in (("qemu-aarch64", "qemu-user"), ("apt-get", "apt"), ("dpkg", "dpkg")):
        if shutil.which(tool) is None:
            raise ToolError(f"{tool} is not installed; an emulated Raspberry Pi needs it: apt install {package}")
    pins = [f"{name}=={metadata.version(name)}" for name in wheels]
    root = Path(folder) / "-".join(["pi", *(pin.replace("==", "_") for pin in pins[:3])])
    if root.is_dir():
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".pi-") as scratch:
        made = Path(scratch) / "root"
        made.mkdir()
        _unpack_packages(Path(scratch), made)
        _unpack_wheels(Path(scratch), made / "site", pins)
        for name, text in {
            "proc/cpuinfo": CPUINFO,
            "sys/devices/system/cpu/possible": "0-3\n",
            "sys/devices/system/cpu/present": "0-3\n",
        }.items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_text(text)
        made.rename(root)
    return root


def run_python(
    root: Path, arguments: Sequence[str | Path], paths: Sequence[str | Path] = (), timeout: int = 600
) -> str:
    """Standard output of ``python ARGUMENTS`` on the emulated Pi; ``paths`` are put in front of its module path.

    Raises ToolError with the end of the error output when the program fails or takes longer than ``timeout`` seconds.
    """
    command = ["qemu-aarch64", "-cpu", CPU, "-L", root, root / f"usr/bin/python{PYTHON}", *arguments]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(p) for p in (*paths, root / "site")),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    environment.pop("PYTHONHOME", None)
    return _run(command, environment, timeout)


def _unpack_packages(scratch: Path, root: Path) -> None:
    options = ["-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64", "-oAPT::Sandbox::User="]
    options += [f"-oDir::State::Lists={scratch}/lists", f"-oDir::Cache={scratch}/cache"]
    for name in ("lists/partial", "cache/archives/partial", "debs"):
        (scratch / name).mkdir(parents=True)
    _run(["apt-get", *options, "-qq", "update"])
    _run(["apt-get", *options, "-qq", "download", *PACKAGES], cwd=scratch / "debs")
    for package in sorted((scratch / "debs").glob("*.deb")):
        _run(["dpkg", "-x", package, root])


def _unpack_wheels(scratch: Path, site: Path, pins: Sequence[str]) -> None:
    platforms = [option for platform in PLATFORMS for option in ("--platform", platform)]
    _run([
        sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version", PYTHON,
        "--implementation", "cp", *platforms, "-d", scratch / "wheels", *pins,
    ])  # fmt: skip
    for wheel in sorted((scratch / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


def _run(
    command: Sequence[str | Path],
    environment: dict[str, str] | None = None,
    timeout: int = 600,
    cwd: Path | None = None,
) -> str:
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=timeout, cwd=cwd)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{words[0]} took longer than {timeout} s: {' '.join(words[:8])} ...") from None
    if done.returncode:
        raise ToolError(f"{words[0]} failed with code {done.returncode}: {done.stderr.strip()[-600:]}")
    return done.stdout
