"""`edgebat export --port`: folders that drop into a firmware, compiled, run, and compared with the estimator in Python."""

from __future__ import annotations

import compileall
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgebat.bms import ports
from edgebat.bms.amalgamate import _PUBLIC, amalgamate
from edgebat.bms.estimator import Estimator
from edgebat.bms.ports import export_port, list_ports, load_port, port_files
from edgebat.errors import ModelFileError, TargetError
from edgebat.graph import IntGraph, load_graph
from edgebat.paths import firmware_dir
from edgebat.tasks.health.charge_types import Config
from tests.bms_samples import as_sample, cycles, discharge, rest, wild
from tests.c_host import VARIANTS, WARNINGS, c_compiler, compilers

Command = Callable[..., tuple[int, str, str]]
STANDIN = Path(__file__).parents[1] / "foxbms_standin"
NOMINAL_MAH = 2000


@pytest.fixture
def graph(model_file: Path) -> IntGraph:
    return load_graph(model_file)


@pytest.fixture(autouse=True)
def without_integration_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their checklist measures the model, which has tests of its own."""
    monkeypatch.setattr(ports, "integration_files", lambda *_, **_options: {})


def run(*arguments: str | Path, cwd: Path | None = None, text: str | None = None) -> str:
    done = subprocess.run([str(a) for a in arguments], cwd=cwd, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- every port ---


@pytest.mark.parametrize("name", list_ports())
def test_every_port_can_be_exported_twice_with_the_same_bytes(graph: IntGraph, tmp_path: Path, name: str) -> None:
    written = export_port(graph, name, tmp_path / "one", nominal_mah=NOMINAL_MAH)
    export_port(graph, name, tmp_path / "two", nominal_mah=NOMINAL_MAH)
    assert any(path.suffix == ".c" for path in written)
    for path in written:
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
    assert load_port(name).manifest.summary


@pytest.mark.parametrize("name", list_ports())
def test_what_a_file_includes_is_there(graph: IntGraph, name: str) -> None:
    files = port_files(graph, load_port(name), "cell")
    there = {part for path in files for part in (path.rsplit("/", 1)[-1], "/".join(path.rsplit("/", 2)[-2:]))}
    own = re.compile(r'^\s*#\s*include\s+"((?:edgebat|cell)[^"]*)"', re.MULTILINE)
    for path, content in files.items():
        if path.endswith((".c", ".h")):
            assert set(own.findall(content.decode())) <= there, path


def test_integration_files_stand_where_the_manifest_says(graph: IntGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ports, "integration_files", lambda graph, name, mah, big_endian: {f"{name}.dbc": f"{mah} mAh, {big_endian}\n"}
    )
    assert (
        port_files(graph, load_port("generic"), "cell", nominal_mah=2000)["integration/cell.dbc"]
        == b"2000 mAh, False\n"
    )


def test_the_command_line(command: Command, model_file: Path, tmp_path: Path) -> None:
    code, out, _ = command("export", model_file, "--port", "generic", "--out", tmp_path / "out", "--name", "cell")
    assert code == 0
    assert {Path(line).name for line in out.splitlines()} == {"README.md", "cell_edgebat.c", "cell_edgebat.h"}
    _, out, _ = command("export", model_file, "--port", "list")
    assert [line.split()[0] for line in out.splitlines()] == list_ports()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--port", "foxbm"], "there is no port 'foxbm'; choose one of"),
        (["--port", "generic", "--nominal-mah", "9"], "a nominal capacity of 9 mAh is not possible; allowed: 10 to"),
        (["--nominal-mah", "2000"], "--nominal-mah belongs to a firmware: name it with --port"),
        (["--port", "generic", "--name", "my cell"], "is not a C identifier"),
    ],
)
def test_one_line_says_what_is_wrong(
    command: Command, model_file: Path, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    code, _, err = command("export", model_file, "--out", tmp_path / "out", *arguments)
    assert code == 2
    assert reason in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def test_a_recipe_has_no_port(command: Command) -> None:
    assert "--port needs a model file" in command("export", "demo", "--port", "generic")[2]


def test_a_model_without_a_task_cannot_serve(graph: IntGraph, tmp_path: Path) -> None:
    bare = replace(graph, meta={key: value for key, value in graph.meta.items() if key != "task"})
    with pytest.raises(ModelFileError, match="does not say which task"):
        export_port(bare, "generic", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- manifests ---


def a_port(folder: Path, text: str, **files: str) -> Path:
    folder.mkdir()
    (folder / "port.yaml").write_text(text)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("folders: {model: src}", "summary: Field required"),
        (
            "summary: x\nplace: {}",
            "place: unknown key; allowed: amalgamate, big_endian, copy, folders, keep, once, render, summary",
        ),
        (
            "summary: x\nfolders: {modle: src}",
            "folders.modle: unknown key; allowed: estimator, headers, integration, kernels, model",
        ),
        ("summary: x\nfolders: {model: ../out}", "'../out' is not a path inside"),
        ("summary: x\ncopy: {a.c: /etc/a.c}", "'/etc/a.c' is not a path inside"),
        ("summary: x\ncopy: {a.c: a.c}", "named but missing: a.c"),
        ("summary: [", "cannot be read"),
        ("- summary", "file: Input should be"),
    ],
)
def test_a_manifest_is_checked(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(TargetError, match=re.escape(reason)):
        load_port(a_port(tmp_path / "mine", text))


def test_a_file_nobody_named_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"there but not named: b\.c"):
        load_port(a_port(tmp_path / "mine", "summary: x", b_c=""))


def test_what_python_compiled_in_a_port_is_not_a_file_of_it(tmp_path: Path) -> None:
    # pip compiles every .py of a wheel, firmware_stubs/ports/foxbms/install.py as well.
    folder = a_port(tmp_path / "mine", "summary: x\nkeep: [tool.py]", tool_py="")
    assert compileall.compile_dir(folder, quiet=1)
    assert list(folder.glob("__pycache__/tool.*.pyc"))
    assert load_port(folder).manifest.summary == "x"
    (folder / "tool.pyc").write_bytes(b"")  # not where Python puts its own
    with pytest.raises(TargetError, match=r"there but not named: tool\.pyc"):
        load_port(folder)


def test_a_port_of_ones_own(graph: IntGraph, tmp_path: Path) -> None:
    port = a_port(
        tmp_path / "mine",
        "summary: x\nfolders: {model: m, kernels: k, estimator: e, headers: h}\nonce: ['{name}.h']\n"
        "copy: {a.h: '{name}.h'}\nrender: {b.txt: b.txt}\n",
        a_h="// mine\n",
        b_txt="{{ NAME }} {{ nominal_mah }} {{ sources|length }} {{ include_dirs|join(' ') }}\n",
    )
    out = tmp_path / "out"
    export_port(graph, port, out, "cell", nominal_mah=2000)
    sources = list(out.rglob("*.c"))
    assert (out / "b.txt").read_text() == f"CELL 2000 {len(sources)} e h k m\n"
    assert (out / "m/cell_bms.c").is_file()
    assert (out / "h/edgebat/edgebat.h").is_file()
    # What a user edits is not written again.
    (out / "cell.h").write_text("// edited\n")
    (out / "b.txt").unlink()
    export_port(graph, port, out, "cell", nominal_mah=2000)
    assert (out / "cell.h").read_text() == "// edited\n"
    assert (out / "b.txt").is_file()


def test_a_template_that_names_the_unknown_is_an_error(graph: IntGraph, tmp_path: Path) -> None:
    port = a_port(tmp_path / "mine", "summary: x\nrender: {b.txt: b.txt}\n", b_txt="{{ nobody }}")
    with pytest.raises(TargetError, match=r"b\.txt cannot be rendered: 'nobody' is undefined"):
        export_port(graph, port, tmp_path / "out")


# --- generic ---


def readme_program(folder: Path) -> str:
    (code,) = re.findall(r"```c\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    return code


def samples_text(samples: np.ndarray) -> str:
    return "".join(f"{s['cell_mv']} {s['current_ma']} {s['temperature_ddegc']} {s['dt_ms']}\n" for s in samples)


@pytest.mark.parametrize("compiler", compilers())
def test_two_files_compile_without_a_warning(graph: IntGraph, tmp_path: Path, compiler: str) -> None:
    export_port(graph, "generic", tmp_path, "cell")
    for flags in (*VARIANTS.values(), ("-std=c11",), ("-DEDGEBAT_SELFTEST=0",)):
        run(compiler, *WARNINGS, *flags, "-c", "cell_edgebat.c", "-o", "cell.o", cwd=tmp_path)
    includes = re.findall(r"#\s*include\s+(\S+)", (tmp_path / "cell_edgebat.c").read_text())
    assert set(includes) <= {'"cell_edgebat.h"', "<stddef.h>", "<stdint.h>", "<arm_acle.h>"}


def test_two_files_compile_for_a_big_endian_arm_core_with_dsp(graph: IntGraph, tmp_path: Path) -> None:
    gcc = shutil.which("arm-none-eabi-gcc")
    if gcc is None:
        pytest.skip("no arm-none-eabi-gcc")
    export_port(graph, "generic", tmp_path, "cell")
    core = ("-mcpu=cortex-r5", "-mbig-endian", "-std=c11", "-pedantic-errors")
    run(gcc, *WARNINGS, *core, "-c", "cell_edgebat.c", "-o", "cell.o", cwd=tmp_path)


def test_the_program_of_the_readme_equals_the_estimator_in_python(graph: IntGraph, tmp_path: Path) -> None:
    export_port(graph, "generic", tmp_path, "cell", nominal_mah=NOMINAL_MAH)
    program = readme_program(tmp_path)
    assert program[program.index("int main") :].count("\n") <= 21
    tell = "(void)edgebat_result(&battery, &result);"
    report = program[program.index("    printf") : program.index("    return 0;")]
    assert program.count(tell) == 1
    # The same program that tells after every sample.
    traced = program.replace("    }\n    " + tell, f"    {tell}\n{report}    }}\n    {tell}")
    assert traced != program
    (tmp_path / "main.c").write_text(program)
    (tmp_path / "traced.c").write_text(traced)
    for name in ("main", "traced"):
        run(c_compiler(), *WARNINGS, f"{name}.c", "cell_edgebat.c", "-o", name, cwd=tmp_path)

    samples = np.concatenate([cycles(5, seconds=3850), discharge(), wild(3, 6), discharge(), rest()])
    samples["valid"] = 7  # the program knows valid samples only
    slices = int(re.search(r"#define CELL_SLICES (\d+)", (tmp_path / "cell_edgebat.h").read_text())[1])
    estimator = Estimator(graph, Config(NOMINAL_MAH), slices)
    expected = []
    for s in samples:
        estimator.push(as_sample(s))
        estimator.step()
        result = estimator.result()
        expected.append(
            f"SOH {result.soh_cpct}, RUL {result.rul_cycles}, status {int(result.status)}, cycle {result.cycle}"
        )
    text = samples_text(samples)
    traced_lines = run(tmp_path / "traced", text=text).splitlines()
    assert traced_lines[:-1] == expected
    assert run(tmp_path / "main", text=text) == expected[-1] + "\n"
    assert "status 0" in "".join(expected)


def test_all_kernels_fit_into_one_file(tmp_path: Path) -> None:
    """No private name is used twice; whatever a model needs can be joined."""
    files = {
        path.relative_to(firmware_dir()).as_posix(): path.read_bytes()
        for pattern in ("src/*.c", "src/*.h", "bms/*.[ch]", "include/**/*.h")
        for path in firmware_dir().glob(pattern)
        if not path.name.startswith("edgebat_float")  # for comparisons only
    }
    files |= {f"cell{suffix}": b"" for suffix in (".h", "_bms.h")}
    header, source = amalgamate(files, "cell")
    (tmp_path / "cell_edgebat.h").write_bytes(header)
    (tmp_path / "cell_edgebat.c").write_bytes(source)
    for flags in VARIANTS.values():
        run(c_compiler(), *WARNINGS, *flags, "-c", "cell_edgebat.c", "-o", "cell.o", cwd=tmp_path)
    chosen = [f"-DEDGEBAT_WITH_{part}" for part in ("OCV", "PACK", "PROTECT", "SERVICE")]
    run(c_compiler(), *WARNINGS, *chosen, "-c", "cell_edgebat.c", "-o", "cell.o", cwd=tmp_path)
    symbols = run("nm", "cell.o", cwd=tmp_path)
    assert {"edgebat_use_ocv", "edgebat_pack_view", "edgebat_can_protect", "edgebat_adopt"} <= set(symbols.split())


def test_names_that_collide_are_found() -> None:
    one = b"static int gain(int x) {\n    return x;\n}\n"
    headers = dict.fromkeys((*_PUBLIC,), b"")
    files = {**headers, "m.h": b"", "m_bms.h": b"", "a.c": one, "b.c": one}
    with pytest.raises(TargetError, match=r"b\.c and a\.c both define gain"):
        amalgamate(files, "m")
    with pytest.raises(TargetError, match=r"a\.c includes nobody\.h"):
        amalgamate({**files, "a.c": b'#include "nobody.h"\n'}, "m")


# --- foxBMS ---


@pytest.fixture
def foxbms(graph: IntGraph, tmp_path: Path) -> Path:
    """The stand-in with the port installed."""
    export_port(graph, "foxbms", tmp_path / "out", "cell")
    shutil.copytree(STANDIN, tmp_path / "foxbms")
    run(sys.executable, tmp_path / "out/install.py", tmp_path / "foxbms")
    return tmp_path / "foxbms"


ESTIMATION = "src/app/application/algorithm/state_estimation"


def run_unit_tests(root: Path, *flags: str) -> str:
    here = root / ESTIMATION / "soh/edgebat"
    test = root / "tests/unit/app/application/algorithm/state_estimation/soh/edgebat/test_soh_edgebat.c"
    cases = re.findall(r"^void (test\w+)\(void\)", test.read_text(), re.MULTILINE)
    calls = "".join(f'    setUp();\n    {case}();\n    tearDown();\n    puts("{case}");\n' for case in cases)
    protos = "".join(f"void {name}(void);\n" for name in ("setUp", "tearDown", *cases))
    (root / "runner.c").write_text(f"#include <stdio.h>\n{protos}int main(void) {{\n{calls}    return 0;\n}}\n")
    folders = ["main/include", "application/config", "engine/database", "driver/config", "driver/fram", "task/os"]
    include = [root / "src/app" / f for f in folders] + [root / ESTIMATION, here, here / "include", root / "mocks"]
    options = [f"-I{path}" for path in include] + ["-DUNITY_UNIT_TEST", "-include", str(here / "soh_edgebat_assert.h")]
    strict = ("-std=c11", "-pedantic-errors", "-Wall", "-Wextra", "-Werror")
    sources = [
        *sorted(here.glob("*.c")),
        test,
        root / "runner.c",
        root / "mocks/mocks.c",
        root / "src/app/driver/config/fram_cfg.c",
    ]
    undefined = ("-g", "-fsanitize=undefined", "-fno-sanitize-recover=all")
    run(c_compiler(), *strict, *undefined, *options, *flags, *sources, "-o", root / "tests.out")
    assert run(root / "tests.out").splitlines() == cases
    return here.name


def without_own_buffer(root: Path) -> None:
    """The test has the buffer of the mocked FRAM; in the stand-in the real table is compiled as well."""
    path = root / "tests/unit/app/application/algorithm/state_estimation/soh/edgebat/test_soh_edgebat.c"
    text = path.read_text()
    assert text.count("FRAM_SOH_s fram_soh = {0};\n") == 1
    path.write_text(text.replace("FRAM_SOH_s fram_soh = {0};\n", ""))


def test_foxbms_unit_tests_pass(foxbms: Path) -> None:
    without_own_buffer(foxbms)
    run_unit_tests(foxbms)
    run_unit_tests(foxbms, "-DSOH_NR_OF_CELLS_PER_STRING=(6u)", "-DBS_POSITIVE_DISCHARGE_CURRENT=(false)")


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (
            "EDGEBAT_DISCHARGE_POSITIVE : EDGEBAT_CHARGE_POSITIVE",
            "EDGEBAT_CHARGE_POSITIVE : EDGEBAT_DISCHARGE_POSITIVE",
        ),
        ("fram_soh.cell == cell", "fram_soh.cell != 0xFFFFu"),
        ("invalidStringCurrent[stringNumber] == 0u", "invalidStringCurrent[stringNumber] < 2u"),
        ("pCell->slot = (pCell->slot == 0u) ? 1u : 0u", "pCell->slot = 0u"),
        ("minimum_cpct = (soh_cpct < minimum_cpct)", "minimum_cpct = (soh_cpct > minimum_cpct)"),
    ],
)
def test_foxbms_unit_tests_notice_a_fault(foxbms: Path, good: str, bad: str) -> None:
    source = foxbms / ESTIMATION / "soh/edgebat/soh_edgebat.c"
    text = re.sub(r"\s+", " ", source.read_text().replace("\n", "\x00")).replace("\x00", "\n")
    flat = re.sub(r"\s*\n\s*(?=[?:&|=])", " ", text)
    assert flat.count(good) == 1, good
    source.write_text(flat.replace(good, bad))
    without_own_buffer(foxbms)
    with pytest.raises(AssertionError, match=r"(?s)testSE_InitializeStateOfHealth.*test_soh_edgebat\.c:\d+: "):
        run_unit_tests(foxbms)


def test_foxbms_is_edited_where_the_value_goes(foxbms: Path) -> None:
    def text(path: str) -> str:
        return (foxbms / path).read_text()

    assert '"soh": "edgebat"' in text("conf/bms/bms.json")
    assert "SOH_ALGORITHM_DEBUG,\n    SOH_ALGORITHM_EDGEBAT,\n    SOH_ALGORITHM_INVALID" in text(
        "src/app/main/include/app_build_cfg.h"
    )
    assert '2 "Edgebat";' in text("tools/dbc/foxbms.dbc")
    # 2 strings of 6 cell blocks, 2 places each.
    assert "FRAM_BLOCK_ID_SOH_FIRST + 23," in text("src/app/driver/config/fram_cfg.h")
    assert text("src/app/driver/config/fram_cfg.c").count("sizeof(fram_soh)") == 24
    cyclic = "src/app/driver/can/cbs/tx-cyclic/can_cbs_tx_"
    assert "kpkCanShim->pTableSoh->minimumSoh_perc[stringNumber];" in text(f"{cyclic}f_string-state-estimation.c")
    pack = text(f"{cyclic}f_pack-state-estimation.c")
    assert "100" not in pack
    assert pack.count("CANTX_CalculatePackSoh(const CAN_SHIM_s *const kpkCanShim)") == 2
    assert pack.count("CANTX_CalculatePackSoh(kpkCanShim)") == 1
    assert "pTableSoe, kpkCanShim->pTableSoh)" in pack
    assert "CalculatePackSoh(const CAN_SHIM_s *const kpkCanShim)" in text(f"{cyclic}cyclic.h")


def test_foxbms_install_can_be_repeated_and_changed(foxbms: Path, tmp_path: Path) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in foxbms.rglob("*") if path.is_file()}

    before = content()
    again = run(sys.executable, tmp_path / "out/install.py", foxbms)
    assert "edit" not in again
    assert content() == before
    printed = run(sys.executable, tmp_path / "out/install.py", foxbms, "--cells", "4", "--check")
    assert "2 strings of 4 cell blocks: 16 FRAM blocks" in printed
    assert content() == before
    run(sys.executable, tmp_path / "out/install.py", foxbms, "--cells", "4")
    assert (foxbms / "src/app/driver/config/fram_cfg.c").read_text().count("sizeof(fram_soh)") == 16
    assert "PER_STRING (4u)" in (foxbms / ESTIMATION / "soh/edgebat/soh_edgebat_cfg.h").read_text()


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("src/app/driver/config/fram_cfg.c", "", "0 places found for the FRAM variable"),
        ("conf/bms/bms.json", "{}", 'no place found to select "soh": "edgebat"'),
        ("src/app/application/config/battery_system_cfg.h", "", "BS_NR_OF_STRINGS is not defined as a plain number"),
    ],
)
def test_foxbms_install_writes_nothing_when_a_place_is_not_found(
    graph: IntGraph, tmp_path: Path, path: str, text: str, reason: str
) -> None:
    export_port(graph, "foxbms", tmp_path / "out")
    root = tmp_path / "foxbms"
    shutil.copytree(STANDIN, root)
    (root / path).write_text(text)
    before = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    done = subprocess.run([sys.executable, str(tmp_path / "out/install.py"), str(root)], capture_output=True, text=True)
    assert done.returncode == 1
    assert reason in done.stderr
    assert {file: file.read_bytes() for file in root.rglob("*") if file.is_file()} == before


def test_foxbms_install_needs_a_checkout_and_few_enough_cells(graph: IntGraph, tmp_path: Path) -> None:
    export_port(graph, "foxbms", tmp_path / "out")
    install = [sys.executable, str(tmp_path / "out/install.py")]
    done = subprocess.run([*install, str(tmp_path)], capture_output=True, text=True)
    assert "a checkout of foxBMS 2?" in done.stderr
    done = subprocess.run([*install, str(STANDIN), "--cells", "100", "--check"], capture_output=True, text=True)
    assert "follow fewer cell blocks: --cells" in done.stderr


def test_foxbms_refuses_a_cell_that_never_reaches_the_window(foxbms: Path) -> None:
    without_own_buffer(foxbms)
    with pytest.raises(AssertionError, match=r"is battery_cell_cfg\.h that of the cell the model was trained for"):
        run_unit_tests(foxbms, "-DBC_VOLTAGE_MAX_MSL_mV=(2800)")
