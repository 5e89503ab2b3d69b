#!/usr/bin/env python3
"""Put this folder's estimator into a checkout of foxBMS 2 and say what was changed. Needs Python alone.

    python3 install.py path/to/foxbms-2            copy the files, make the edits
    python3 install.py path/to/foxbms-2 --check    only say what would be done

Edits are found by the names of the places they belong to; when one is not found nothing is written. Run it again after a
new export or another number of cell blocks: what edgebat wrote is replaced. Written for foxBMS 2 v1.11.0.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONFIG = "src/app/application/algorithm/state_estimation/soh/edgebat/soh_edgebat_cfg.h"
TEST = "tests/unit/app/application/algorithm/state_estimation/soh/edgebat/wscript"
SYSTEM = "src/app/application/config/battery_system_cfg.h"
FRAM = "src/app/driver/config/fram_cfg"
TX = "driver/can/cbs/tx-cyclic"
SHIM = "const CAN_SHIM_s *const kpkCanShim"
BLOCKS_MAX = 240  # FRAM_BLOCK_MAX is counted in a uint8_t


class Fault(Exception):
    """Nothing was written."""


class Tree:
    """Files of the checkout, changed in memory and written together."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.texts: dict[str, str] = {}
        self.notes: list[str] = []

    def read(self, path: str) -> str:
        if path not in self.texts:
            try:
                # As bytes, so that the file keeps its line ends.
                self.texts[path] = (self.root / path).read_bytes().decode()
            except OSError as error:
                raise Fault(f"{path}: {error.strerror}; is {self.root} a checkout of foxBMS 2?") from None
        return self.texts[path]

    def edit(self, path: str, what: str, pattern: str, new: str, done: str) -> None:
        """Replace every match of ``pattern``, unless ``done`` is found."""
        text = self.read(path)
        if re.search(done, text, re.DOTALL):
            return
        text, count = re.subn(pattern, new, text, flags=re.DOTALL)
        if not count:
            raise Fault(f"{path}: no place found to {what}; foxBMS has changed, make this edit by hand")
        self.texts[path] = text
        self.notes.append(f"{path}: {what}")

    def block(self, path: str, what: str, pattern: str, lines: list[str], indent: str = "") -> None:
        """Put ``lines`` between marks before the only match of ``pattern``; replaces what stands there from before."""
        text = self.read(path)
        begin, end = (f"{indent}/* edgebat {what}: {word} */\n" for word in ("begin", "end"))
        without = re.sub(re.escape(begin) + ".*?" + re.escape(end), "", text, flags=re.DOTALL)
        found = list(re.finditer(pattern, without, re.DOTALL | re.MULTILINE))
        if len(found) != 1:
            raise Fault(f"{path}: {len(found)} places found for the {what}, not one; make this edit by hand")
        at = found[0].start()
        added = begin + "".join(f"{indent}{line}".rstrip() + "\n" for line in lines) + end
        new = without[:at] + added + without[at:]
        if new != text:
            self.texts[path] = new
            self.notes.append(f"{path}: {what}")


def number(text: str, name: str) -> int:
    """Value of a macro that is a plain number."""
    found = re.search(rf"^#define\s+{name}\s+\(?(\d+)u?\)?\s*(?:/[/*].*)?$", text, re.MULTILINE)
    if found is None:
        raise Fault(f"{name} is not defined as a plain number; give --cells and --strings")
    return int(found[1])


def build_system(tree: Tree) -> None:
    tree.edit(
        "conf/bms/bms.json",
        'select "soh": "edgebat"',
        r'("soh"\s*:\s*)"[^"]*"',
        r'\1"edgebat"',
        r'"soh"\s*:\s*"edgebat"',
    )
    tree.edit(
        "tools/waf-tools/bms_config_validator_base.py",
        'allow "soh": "edgebat"',
        r"(self\.soh not in \()",
        r'\1"edgebat", ',
        r"self\.soh not in \([^)]*\"edgebat\"",
    )
    tree.edit(
        "src/app/main/include/app_build_cfg.h",
        "SOH_ALGORITHM_EDGEBAT",
        r"(\n\s*)SOH_ALGORITHM_INVALID\b",
        r"\1SOH_ALGORITHM_EDGEBAT,\1SOH_ALGORITHM_INVALID",
        "SOH_ALGORITHM_EDGEBAT",
    )
    tree.edit(
        "tools/dbc/foxbms.dbc",
        "the algorithm's name in the build configuration message",
        r"(VAL_ \d+ SOH_algorithm [^;]*?) ?;",
        r'\1 2 "Edgebat";',
        r"VAL_ \d+ SOH_algorithm [^;]*Edgebat",
    )


def fram(tree: Tree, blocks: int, length: int) -> None:
    """Two blocks for each cell block; all of them share one buffer in RAM."""
    tree.block(
        f"{FRAM}.h",
        "FRAM block numbers",
        r"^ *FRAM_BLOCK_MAX\b",
        ["FRAM_BLOCK_ID_SOH_FIRST,", f"FRAM_BLOCK_ID_SOH_LAST = FRAM_BLOCK_ID_SOH_FIRST + {blocks - 1},"],
        "    ",
    )
    tree.block(
        f"{FRAM}.h",
        "FRAM structure",
        r"^/\*=+ Extern Constant and Variable Declarations",
        [
            "/** length of a saved state of the SOH estimator */",
            f"#define FRAM_SOH_STATE_LENGTH ({length}u)",
            "/** saved state of the SOH estimator of one cell block */",
            "typedef struct {",
            "    uint8_t stringNumber;                 /*!< string of the cell block */",
            "    uint16_t cell;                        /*!< cell block of the string */",
            "    uint8_t state[FRAM_SOH_STATE_LENGTH]; /*!< written and checked by the estimator */",
            "} FRAM_SOH_s;",
            "extern FRAM_SOH_s fram_soh;",
            "",
        ],
    )
    tree.block(
        f"{FRAM}.c", "FRAM variable", r"^/\*\*\n(?: \*[^\n]*\n)+FRAM_BASE_HEADER_s", ["FRAM_SOH_s fram_soh = {0};"]
    )
    entry = "{(void *)(&fram_soh), sizeof(fram_soh), 0},"
    table = r"(?<=\n)\};(?=[^{}]*/\*=+ Static Function Prototypes)"
    tree.block(f"{FRAM}.c", "FRAM entries", table, [entry] * blocks, "    ")


def can(tree: Tree) -> None:
    """The weakest cell block of the string, and of all strings, in the place of the constant 100 %."""
    string = f"src/app/{TX}/can_cbs_tx_f_string-state-estimation.c"
    tree.edit(
        string,
        "the string's minimum SOH instead of 100 %",
        r"(\bCANTX_CalculateStringSoh\([^;{)]*\) \{.*?float_t signalData\s*= )100\.0f;",
        r"\1kpkCanShim->pTableSoh->minimumSoh_perc[stringNumber];",
        r"pTableSoh->minimumSoh_perc\[stringNumber\]",
    )
    pack = f"src/app/{TX}/can_cbs_tx_f_pack-state-estimation.c"
    tree.edit(
        pack,
        "the smallest minimum SOH of all strings instead of 100 %",
        r"(\bCANTX_CalculatePackSoh\(void\) \{\s*?\n)([^\n]*?)float_t signalData\s*= CANTX_100_PERCENT_FLOAT;[^\n]*\n",
        r"\1\2float_t signalData = kpkCanShim->pTableSoh->minimumSoh_perc[0u];\n"
        r"\2for (uint8_t s = 1u; s < BS_NR_OF_STRINGS; s++) {\n"
        r"\2    if (signalData > kpkCanShim->pTableSoh->minimumSoh_perc[s]) {\n"
        r"\2        signalData = kpkCanShim->pTableSoh->minimumSoh_perc[s];\n"
        r"\2    }\n\2}\n",
        r"pTableSoh->minimumSoh_perc",
    )
    tree.edit(
        pack,
        "read the SOH table as well",
        r"DATA_READ_DATA\(kpkCanShim->pTableSoc, kpkCanShim->pTableSoe\)",
        "DATA_READ_DATA(kpkCanShim->pTableSoc, kpkCanShim->pTableSoe, kpkCanShim->pTableSoh)",
        r"DATA_READ_DATA\([^)]*pTableSoh",
    )
    tree.edit(
        pack,
        "calls with the tables",
        r"\bCANTX_CalculatePackSoh\(\)",
        "CANTX_CalculatePackSoh(kpkCanShim)",
        r"CalculatePackSoh\(kpkCanShim\)",
    )
    for path in (pack, f"src/app/{TX}/can_cbs_tx_cyclic.h"):
        tree.edit(
            path,
            "a parameter for the tables",
            r"CANTX_CalculatePackSoh\(void\)",
            f"CANTX_CalculatePackSoh({SHIM})",
            rf"CalculatePackSoh\({re.escape(SHIM)}\)",
        )


def tests(tree: Tree) -> None:
    """foxBMS's own tests of the two messages: a table with the 100 % they expect."""
    tree.edit(
        f"{Path(TEST).parent.parent.as_posix()}/wscript",
        "build the estimator's tests",
        r'(bld\.recurse\(\[)("debug")',
        r'\1"edgebat", \2',
        '"edgebat"',
    )
    for which in ("string", "pack"):
        path = f"tests/unit/app/{TX}/test_can_cbs_tx_f_{which}-state-estimation.c"
        tree.edit(
            path,
            "a table with an SOH of 100 %",
            r"(static DATA_BLOCK_SOE_s can_tableSoe[^;]*;\n)",
            r"\1static DATA_BLOCK_SOH_s can_tableSoh = {.header.uniqueId = DATA_BLOCK_ID_SOH};\n",
            "can_tableSoh",
        )
        tree.edit(
            path,
            "the table in the shim",
            r"( *)\.pTableSoe\s*= &can_tableSoe,\n",
            r"\g<0>\1.pTableSoh = &can_tableSoh,\n",
            r"\.pTableSoh",
        )
        tree.edit(
            path,
            "its contents",
            r"(void setUp\(void\) \{\n)",
            r"\1    for (uint8_t s = 0u; s < BS_NR_OF_STRINGS; s++) {\n"
            r"        can_tableSoh.minimumSoh_perc[s] = 100.0f;\n    }\n",
            r"can_tableSoh\.minimumSoh_perc",
        )
    tree.edit(
        path,
        "three tables are read",
        r"DATA_Read2DataBlocks_ExpectAndReturn\(can_kShim\.pTableSoc, can_kShim\.pTableSoe, STD_OK\)",
        "DATA_Read3DataBlocks_ExpectAndReturn(can_kShim.pTableSoc, can_kShim.pTableSoe, can_kShim.pTableSoh, STD_OK)",
        "DATA_Read3DataBlocks_ExpectAndReturn",
    )
    tree.edit(
        path,
        "call with the tables",
        r"CANTX_CalculatePackSoh\(\)",
        "CANTX_CalculatePackSoh(&can_kShim)",
        r"CalculatePackSoh\(&can_kShim\)",
    )


def install(root: Path, cells: int | None, strings: int | None, check: bool) -> list[str]:
    """Everything; returns what was done. Raises Fault before anything is written."""
    tree = Tree(root)
    system = tree.read(SYSTEM)
    strings = strings or number(system, "BS_NR_OF_STRINGS")
    if cells is None:
        cells = number(system, "BS_NR_OF_MODULES_PER_STRING") * number(system, "BS_NR_OF_CELL_BLOCKS_PER_MODULE")
    blocks = 2 * strings * cells
    if not 2 <= blocks <= BLOCKS_MAX:
        raise Fault(
            f"{strings} strings of {cells} cell blocks need {blocks} FRAM blocks, foxBMS can count {BLOCKS_MAX} more; "
            "follow fewer cell blocks: --cells"
        )
    config = (HERE / CONFIG).read_text("utf-8")
    header = (HERE / CONFIG).with_name(re.search(r'#include "(\w+_bms\.h)"', config)[1]).read_text("utf-8")
    length = saved_length(header)
    build_system(tree)
    fram(tree, blocks, length)
    can(tree)
    tests(tree)
    files = {}
    for source in sorted(path for folder in ("src", "tests") for path in (HERE / folder).rglob("*") if path.is_file()):
        path = source.relative_to(HERE).as_posix()
        files[path] = source.read_bytes()
    files[CONFIG] = re.sub(
        r"(#define SOH_NR_OF_CELLS_PER_STRING )\(BS_\w+\)",
        rf"\1({cells}u)",
        files[CONFIG].decode(),
    ).encode()
    if not check:
        for path, content in {**files, **{path: text.encode() for path, text in tree.texts.items()}}.items():
            target = root / path
            if not target.is_file() or target.read_bytes() != content:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    return [
        f"{len(files)} files in {Path(CONFIG).parent.as_posix()} and its tests",
        *(f"edit {note}" for note in tree.notes),
        f"{strings} strings of {cells} cell blocks: {blocks} FRAM blocks of {length} bytes and header",
    ]


def saved_length(header: str) -> int:
    """Bytes of a saved state, from the arguments of EDGEBAT_SAVED_BYTES(increments, context, points)."""
    found = re.search(r"EDGEBAT_SAVED_BYTES\((\d+)U, (\d+)U, (\d+)U\)", header)
    increments, context, points = (int(value) for value in found.groups())
    api = (HERE / CONFIG).parent / "include" / "edgebat" / "edgebat.h"
    fixed = int(re.search(r"#define EDGEBAT_SAVED_HEADER (\d+)U", api.read_text("utf-8"))[1])
    return fixed + 2 * points + increments * context + 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("foxbms", type=Path, help="checkout of foxBMS 2")
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--cells", type=int, help="cell blocks of each string that are followed; default: all")
    parser.add_argument("--strings", type=int, help="default: BS_NR_OF_STRINGS")
    arguments = parser.parse_args()
    try:
        notes = install(arguments.foxbms, arguments.cells, arguments.strings, arguments.check)
    except Fault as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    print("\n".join(notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
