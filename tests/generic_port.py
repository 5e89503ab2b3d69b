"""The program in the README of an exported ``generic`` folder: self-test first, then samples from standard input."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.c_host import WARNINGS, c_compiler, call


def self_tested(folder: Path, samples: str = "") -> str:
    """Compile the program beside the two files in ``folder``, run it, return what it prints. A self-test that fails is exit
    code 1."""
    (code,) = re.findall(r"```c\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    (folder / "main.c").write_text(code)
    call([c_compiler(), *WARNINGS, "-O1", folder / "main.c", *folder.glob("*_edgebat.c"), "-o", folder / "main"])
    done = subprocess.run([folder / "main"], input=samples, capture_output=True, text=True)
    assert done.returncode == 0, "the self-test of the exported model failed"
    return done.stdout
