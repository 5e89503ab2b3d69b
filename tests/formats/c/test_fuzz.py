"""The fuzzing programs of the C library: a short run on generated models, and proof that they notice what is wrong."""

import os
import re
import shutil
import subprocess

import pytest

from edgebat.paths import firmware_dir
from tests.c_fuzz_models import MODELS, write_models
from tests.c_host import c_compiler

FULL = os.environ.get("EDGEBAT_TEST_SCALE") == "full"
CHOSEN = list(MODELS) if FULL else ["mlp_fast", "cnn", "lstm", "lstm_any"]

needs_tools = pytest.mark.skipif(
    not (shutil.which("make") and shutil.which("objcopy")), reason="make or objcopy is not installed"
)


def fuzz(folder, build, runs, *more):
    """``make fuzz-random`` of the library in ``folder``."""
    command = ["make", "-C", folder, "fuzz-random", f"CC={c_compiler()}", f"BUILD={build}", f"FUZZ_RUNS={runs}", *more]
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


@needs_tools
def test_kernels_and_models_survive_any_bytes_and_layouts_agree(tmp_path):
    write_models(tmp_path / "models", CHOSEN)
    done = fuzz(firmware_dir(), tmp_path / "build", 5000 if FULL else 300, f"MODELS={tmp_path / 'models'}")
    assert done.returncode == 0, done.stdout + done.stderr
    calls = [int(n) for n in re.findall(r"(\d+) calls of the library, all layouts equal", done.stderr)]
    assert len(calls) == 1 + len(CHOSEN)
    assert min(calls) > 1000


@needs_tools
@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("edgebat_dsp.h", "(value > 127) ? 127", "(value > 127) ? 126"),  # one layout gives another number
        ("edgebat_gather.c", "t < (int32_t)layer->rows", "t <= (int32_t)layer->rows"),  # reads one row too many
    ],
)
def test_a_planted_fault_is_found(tmp_path, file, right, wrong):
    library = tmp_path / "library"
    for part in ("src", "exact", "include", "tests"):
        shutil.copytree(firmware_dir() / part, library / part)
    shutil.copy(firmware_dir() / "Makefile", library)
    source = library / "src" / file
    text = source.read_text("utf-8")
    assert right in text
    source.write_text(text.replace(right, wrong, 1), "utf-8")
    done = fuzz(library, tmp_path / "build", 3000)
    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr or "fuzz: not as documented" in done.stderr
