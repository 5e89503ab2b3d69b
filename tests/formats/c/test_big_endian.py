"""Generated C on big-endian machines gives the same numbers: MIPS, and Cortex-R5F as in foxBMS, with its DSP extension."""

import subprocess
import sys

import numpy as np
import pytest

from edgebat.formats.c.write import write_c
from edgebat.runtime import Engine
from tests.formats_graphs import FAMILIES, random_inputs

pytest.importorskip("ziglang")
unicorn = pytest.importorskip("unicorn")
elffile = pytest.importorskip("elftools.elf.elffile")

MACHINES = {
    "mips": ("-target", "mips-freestanding-eabi", "-mcpu=mips32r2", "-mno-abicalls"),
    "cortex-r5f": ("-target", "armeb-freestanding-eabi", "-mcpu=cortex_r5"),
}
MEMORY, INPUT, OUTPUT, SCRATCH, STACK, RETURN = 0x200000, 0x100000, 0x110000, 0x120000, 0x1E0000, 0x1F0000


class BigEndian:
    """A simulated big-endian machine that calls functions of one linked model."""

    def __init__(self, machine, elf):
        from unicorn import arm_const as arm
        from unicorn import mips_const as mips

        if machine == "mips":
            self.core = unicorn.Uc(unicorn.UC_ARCH_MIPS, unicorn.UC_MODE_MIPS32 | unicorn.UC_MODE_BIG_ENDIAN)
            self.arguments = (mips.UC_MIPS_REG_A0, mips.UC_MIPS_REG_A1, mips.UC_MIPS_REG_A2)
            self.back, self.stack, self.result = mips.UC_MIPS_REG_RA, mips.UC_MIPS_REG_SP, mips.UC_MIPS_REG_V0
        else:
            # BE8: instructions little-endian, data big-endian by bit 9 of the program status.
            self.core = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM)
            self.core.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_R5)
            self.core.reg_write(arm.UC_ARM_REG_CPSR, self.core.reg_read(arm.UC_ARM_REG_CPSR) | 1 << 9)
            self.arguments = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2)
            self.back, self.stack, self.result = arm.UC_ARM_REG_LR, arm.UC_ARM_REG_SP, arm.UC_ARM_REG_R0
        self.core.mem_map(0, MEMORY)
        with elf.open("rb") as stream:
            image = elffile.ELFFile(stream)
            assert not image.little_endian
            for segment in image.iter_segments("PT_LOAD"):
                self.core.mem_write(segment["p_vaddr"], segment.data())
            self.symbols = {s.name: s["st_value"] for s in image.get_section_by_name(".symtab").iter_symbols()}

    def call(self, name, *arguments):
        for register, value in zip(self.arguments, arguments, strict=False):
            self.core.reg_write(register, value)
        self.core.reg_write(self.back, RETURN)
        self.core.reg_write(self.stack, STACK)
        self.core.emu_start(self.symbols[name], RETURN)
        return np.int32(np.uint32(self.core.reg_read(self.result) & 0xFFFFFFFF))


def link(model, machine, elf):
    flags = [
        *MACHINES[machine],
        "-O2",
        "-std=c99",
        "-fno-PIC",
        "-ffreestanding",
        "-nostdlib",
        "-fno-sanitize=undefined",
        "-w",
    ]
    sources = map(str, [model.files[1], *model.kernel_sources])
    folders = [f"-I{model.include_dir}", f"-I{elf.parent}", "-Wl,-e,net_run", "-Wl,--image-base=0x10000"]
    subprocess.run([sys.executable, "-m", "ziglang", "cc", *flags, *folders, *sources, "-o", str(elf)], check=True)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_same_numbers_with_the_other_byte_order(tmp_path, machine, family):
    graph = FAMILIES[family](1)
    model = write_c(graph, tmp_path, "net")
    link(model, machine, tmp_path / "net.elf")
    core = BigEndian(machine, tmp_path / "net.elf")
    x = random_inputs(graph, 20, 2)
    dtype = np.dtype(model.output_dtype).newbyteorder(">")
    for window, expected in zip(x, Engine(graph).run(x), strict=True):
        core.core.mem_write(INPUT, window.tobytes())
        assert core.call("net_run", INPUT, OUTPUT, SCRATCH) == 0
        y = np.frombuffer(bytes(core.core.mem_read(OUTPUT, model.output_len * dtype.itemsize)), dtype)
        np.testing.assert_array_equal(y, expected.reshape(-1))
    # Golden vectors, and the CRC of the tables: it does not depend on the byte order either.
    assert core.call("net_selftest", OUTPUT, SCRATCH) == 0
