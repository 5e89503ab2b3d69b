"""Compilers and other programs that edgebat calls: found, described, and heard when they complain."""

import shutil

import pytest

from edgebat.errors import ToolError
from edgebat.simulate import load_target, toolchain
from edgebat.simulate.toolchain import cache_dir, find_compiler, run_tool


def test_zig_comes_first_for_a_microcontroller_and_says_its_version():
    compiler = find_compiler(load_target("cortex-m4f"))
    assert compiler.kind == "zig"
    assert "-mcpu=cortex_m4" in compiler.flags
    assert "zig 0." in compiler.version
    assert "clang version" in compiler.version


@pytest.mark.skipif(not shutil.which("arm-none-eabi-gcc"), reason="arm-none-eabi-gcc is not installed")
def test_gcc_is_the_second_route():
    compiler = find_compiler(load_target("cortex-m4f"), "gcc")
    assert compiler.flags == ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft")
    assert compiler.version.startswith("arm-none-eabi-gcc ")


def test_without_any_compiler_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(toolchain, "find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r'looked for zig and arm-none-eabi-gcc; run: pip install "edgebat\[sim\]"'):
        find_compiler(load_target("cortex-m4f"))
    with pytest.raises(ToolError, match="looked for gcc or cc and zig"):
        find_compiler(load_target("host"))


def test_an_unknown_kind_of_compiler_is_refused():
    with pytest.raises(ToolError, match="'icc' is unknown; choose zig or gcc"):
        find_compiler(load_target("host"), "icc")


def test_a_compiler_error_is_passed_on(tmp_path):
    source = tmp_path / "wrong.c"
    source.write_text("int wrong(void) { return undeclared_name; }\n")
    with pytest.raises(ToolError, match=r"cannot compile .*wrong\.c.*[\s\S]*undeclared_name"):
        find_compiler(load_target("cortex-m4f")).compile(source, tmp_path / "wrong.o")


def test_run_tool_returns_what_the_program_prints():
    assert run_tool(["cat"], "copy", stdin=b"through") == b"through"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no-such-program"], "cannot try it: program 'no-such-program' is not installed"),
        (["sh", "-c", "echo broken >&2; exit 3"], r"ended with status 3\nbroken"),
        (["sleep", "30"], "did not end within 0.1 s"),
    ],
)
def test_run_tool_names_the_step_that_failed(command, message):
    with pytest.raises(ToolError, match=message):
        run_tool(command, "try it", seconds=0.1 if command[0] == "sleep" else 30)


def test_the_cache_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("EDGEBAT_CACHE", raising=False)
    assert cache_dir() == tmp_path / "edgebat"
    monkeypatch.setenv("EDGEBAT_CACHE", str(tmp_path / "elsewhere"))
    assert cache_dir() == tmp_path / "elsewhere"


@pytest.mark.parametrize("kind", ["zig", "gcc"])
@pytest.mark.parametrize(
    ("name", "has_dsp"), [("cortex-m3", 0), ("cortex-m4f", 1), ("cortex-m7", 1), ("cortex-m33", 1)]
)
def test_both_compilers_see_the_dsp_extension_where_it_is(tmp_path, name, has_dsp, kind):
    if kind == "gcc" and not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is not installed")
    source = tmp_path / "dsp.c"
    source.write_text(
        f"#if {has_dsp} != (defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32))\n#error\n#endif\n"
    )
    find_compiler(load_target(name), kind).compile(source, tmp_path / "dsp.o")
