"""What a user gets from pip, without a network: the wheel of this checkout and the packages that chosen extras ask for.

The wheel is built and unpacked by pip, which also compiles it. The packages are links to those of the tests' environment,
found through requirements; what else is installed there stays out of sight.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata, util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def install_wheel(folder: Path, source: Path = ROOT) -> Path:
    """The wheel of ``source``, built and installed below ``folder``; the folder with the package."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    isolation = ["--no-build-isolation"] if util.find_spec("hatchling") else []
    subprocess.run([*pip, "wheel", "--no-deps", *isolation, "-w", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    # `--target` would unpack over packages of other environments; nothing is shared here.
    subprocess.run([*pip, "install", "--no-deps", "--compile", "--target", folder / "site", wheel], check=True)
    wheel.unlink()
    return folder / "site"


def packed_bytes(installed: Path) -> int:
    """Bytes of the files of an installed wheel, packed as in a wheel; what pip has compiled does not count."""
    files = [path for path in installed.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sum(len(zlib.compress(path.read_bytes(), 6)) for path in files)


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel and some extras."""

    wheel: Path
    packages: Path
    extras: tuple[str, ...]

    def beside(self, package: Path) -> Installed:
        """The same with what is installed in ``package``."""
        return replace(self, packages=Path(f"{self.packages}{os.pathsep}{package}"))

    def edgebat(self, *arguments: str | Path, cwd: Path, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run the command line in the folder ``cwd``; what it wrote is text of stdout and stderr."""
        return self.python("import sys; from edgebat.__main__ import main; sys.exit(main())", *arguments,
                           cwd=cwd, timeout_s=timeout_s)  # fmt: skip

    def python(
        self, code: str, *arguments: str | Path, cwd: Path, timeout_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run Python code in the folder ``cwd``."""
        paths = os.pathsep.join((str(self.wheel), str(self.packages)))
        # -S: no site-packages but ours. -s, -P: neither the user's nor the folder it runs in.
        command = [sys.executable, "-S", "-s", "-P", "-c", code, *(str(argument) for argument in arguments)]
        return subprocess.run(
            command,
            cwd=cwd,
            env={"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": paths, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )


def environment(wheel: Path, folder: Path, extras: Iterable[str]) -> Installed:
    """``pip install "edgebat[extras]"`` below ``folder``. Raises PackageNotFoundError when one is not installed here."""
    extras = tuple(sorted(extras))
    packages = folder / ("-".join(extras) or "numpy-alone")
    if not packages.is_dir():
        packages.mkdir(parents=True)
        (own,) = wheel.glob("edgebat-*.dist-info")
        for name in sorted(closure(metadata.PathDistribution(own), extras)):
            link(metadata.distribution(name), packages)
    return Installed(wheel, packages, extras)


def closure(start: metadata.Distribution, extras: tuple[str, ...]) -> set[str]:
    """Names of the distributions that ``start[extras]`` requires, directly or not, without its own."""
    found: set[str] = set()
    done: set[tuple[str, str]] = set()
    waiting = [(start, extra) for extra in ("", *extras)]
    while waiting:
        dist, extra = waiting.pop()
        if (dist.name, extra) in done:
            continue
        done.add((dist.name, extra))
        for name, wanted in requirements(dist, extra):
            if name == normal(start.name):
                waiting += [(start, one) for one in wanted]
                continue
            try:
                there = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                if dist is start:
                    raise
                continue  # for another system or Python
            found.add(name)
            waiting += [(there, one) for one in ("", *wanted)]
    return found


def requirements(dist: metadata.Distribution, extra: str) -> Iterator[tuple[str, list[str]]]:
    """Name and extras of each requirement of ``dist[extra]``; with extra "" of those that no extra asks for."""
    for text in dist.requires or ():
        match = re.match(r"([\w.-]+)\s*(?:\[([^]]*)\])?", text)
        assert match is not None
        asks = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", text)
        if (normal(asks[1]) if asks else "") == normal(extra):
            yield normal(match[1]), [one.strip() for one in (match[2] or "").split(",") if one.strip()]


def normal(name: str) -> str:
    """A distribution's or extra's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def link(dist: metadata.Distribution, folder: Path) -> None:
    """Link the distribution's top-level files and folders into ``folder``."""
    for file in {file.parts[0] for file in dist.files or () if file.parts[0] not in ("..", "__pycache__")}:
        if not (folder / file).exists():
            (folder / file).symlink_to(Path(str(dist.locate_file(file))))
