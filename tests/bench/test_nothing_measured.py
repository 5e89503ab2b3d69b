"""A bench that has no figure fails, and a model that is too large says how much is needed and there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebat.bench.nets import random_net
from edgebat.errors import TargetError, TooLarge
from edgebat.graph import save_graph
from edgebat.paths import targets_dir
from edgebat.simulate.image import _memory_lacking
from edgebat.simulate.targets import load_target

Command = Callable[..., tuple[int, str, str]]
GNU = """ld: /tmp/mlp.elf section `.model_rodata' will not fit in region `CODE'
ld: region `CODE' overflowed by 153176 bytes
ld: region `RAM' overflowed by 16 bytes"""
LLD = """ld.lld: error: section '.model_rodata' will not fit in region 'CODE': overflowed by 151844 bytes
ld.lld: error: section '.kernel_text' will not fit in region 'CODE': overflowed by 153440 bytes"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "board.ld"
    path.write_text(
        "MEMORY\n{\n    CODE (rx) : ORIGIN = 0x0, LENGTH = 256K\n    RAM (rw) : ORIGIN = 0x2, LENGTH = 16K\n}\n"
    )
    return path


def test_words_of_both_linkers_become_bytes_needed_and_there(script: Path) -> None:
    board = load_target("cortex-m0plus")
    simulated = "on the board that the simulator knows (524,288 on this one)"
    assert _memory_lacking(LLD, script, board) == f"flash 415,584 bytes needed, 262,144 there {simulated}"
    assert _memory_lacking(GNU, script, board).startswith(
        f"flash 415,320 bytes needed, 262,144 there {simulated}; RAM "
    )
    assert _memory_lacking("undefined reference to `memcpy'", script, board) == ""


def test_a_model_beyond_the_simulated_memory_is_no_fault_of_a_tool(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    save_graph(random_net("mlp", (32, 64), [200], 4), tmp_path / "big.ebat")
    options = ("-t", "cortex-m0plus", "--compiler", "zig", "--windows", "1")
    code, out, err = command("bench", tmp_path / "big.ebat", *options)
    assert code == 2
    assert "too large for cortex-m0plus: flash 4" in " ".join(out.split())
    assert "nothing could be measured" in err
    assert "ld.lld" not in out + err
    assert issubclass(TooLarge, TargetError)


def test_a_model_beyond_the_boards_own_memory_is_measured_and_marked(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    text = (targets_dir() / "cortex-m4f.yaml").read_text().replace("2_097_152", "2_048")
    (tmp_path / "small.yaml").write_text(text.replace("name: cortex-m4f", "name: small"))
    arguments = ("bench", "--net", "mlp", "-t", tmp_path / "small.yaml", "--compiler", "zig", "--windows", "1")
    code, out, _ = command(*arguments)
    assert code == 0
    assert "mlp does not fit small (zig): flash " in out
    (row,) = json.loads(command(*arguments, "--json")[1])
    assert row["lacks"] == f"flash {row['flash_bytes']:,} bytes needed, 2,048 there"


def test_a_bench_without_a_simulator_fails_and_names_the_extra(
    command: Command, model_file: Path, without_module: Callable[[str], None]
) -> None:
    for module in ("unicorn", "elftools", "capstone"):
        without_module(module)
    code, _, err = command("bench", model_file, "-t", "cortex-m0plus", "-t", "cortex-m4f")
    assert code == 2
    assert err.splitlines()[-1].endswith('run: pip install "edgebat[sim]"')
    assert command("bench", model_file, "-t", "cortex-m0plus", "--json")[0] == 2
