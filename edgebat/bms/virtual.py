"""A virtual battery management system: the firmware of ``firmware_stubs/ports/virtual``, on this computer or on a
simulated Cortex-M4 with RAM, FRAM and power that can be cut at any instruction."""

from __future__ import annotations

import ctypes
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebat.bms.can import FIRST_ID, burst
from edgebat.bms.ocv import ocv_source
from edgebat.bms.resistance import SAVED_BYTES, ResistanceConfig
from edgebat.bms.rest import OcvTable
from edgebat.bms.samples import Samples
from edgebat.errors import EdgebatError, ToolError, require
from edgebat.files import atomic_write
from edgebat.formats.c.bms import bms_sources, write_bms
from edgebat.formats.c.bms_models import forecast_model, health_model
from edgebat.formats.c.program import lower
from edgebat.formats.c.slices import slice_count
from edgebat.formats.c.write import CModel, write_c
from edgebat.graph import IntGraph
from edgebat.paths import firmware_dir
from edgebat.simulate.elf import Image
from edgebat.simulate.targets import load_target
from edgebat.simulate.toolchain import find_compiler
from edgebat.simulate.unicorn_run import CPUS
from edgebat.tasks.health.charge_types import Config

SAMPLES = 2048
FRAM_BYTES = 4096
_MAX_SECONDS = 600.0
MOST_MS = 2**32 - 1


@dataclass(frozen=True)
class Frame:
    """A CAN frame: milliseconds since the board was built, identifier, eight bytes."""

    time_ms: int
    id: int
    data: bytes


class Firmware(ABC):
    """The firmware, wherever it runs. ``fram`` is the memory that survives a power cut.

    forecast: a second model, which reads the history of what the first one measures. resistance: the firmware is compiled
    with EDGEBAT_RESISTANCE, and has this part of the configuration.
    """

    def __init__(
        self,
        graph: IntGraph,
        config: Config,
        *,
        forecast: IntGraph | None = None,
        resistance: ResistanceConfig | None = None,
        frame_ms: int = 1000,
        steps_per_tick: int = 1,
    ) -> None:
        self.model = health_model(graph)
        self.forecast = None if forecast is None else forecast_model(forecast)
        self.burst = burst(self.model, self.forecast, resistance=resistance is not None)
        """Frames that are sent together."""
        self._resistance = resistance
        self._head = struct.pack("<5I", 0, FIRST_ID, frame_ms, steps_per_tick, 0)
        self.configure(config)

    def configure(self, config: Config) -> None:
        """The configuration from the next ``power_on`` on."""
        self.config = config
        self._control = self._head + config_bytes(config, self._resistance)

    def power_on(self) -> int:
        """The board gets power; returns what ``edgebat_init`` and ``edgebat_selftest`` say, 0 when all is well."""
        self._write("vbms_control", self._control[4:], 4)  # its clock goes on
        return self._call("vbms_power_on", 0, signed=True)

    def run(self, samples: Samples) -> list[Frame]:
        """Work through samples (``samples_array``); returns the frames that were sent meanwhile."""
        frames: list[Frame] = []
        for start in range(0, len(samples), SAMPLES):
            part = samples[start : start + SAMPLES]
            self._write("vbms_samples", part.tobytes())
            frames += self._frames(self._call("vbms_run", len(part)))
        return frames

    def sleep(self, elapsed_ms: int) -> None:
        """Time passed without samples, at most ``MOST_MS``: ``edgebat_idle``."""
        self._call("vbms_sleep", elapsed_ms)

    def seed(self, soh_cpct: int, sigma_cpct: int) -> None:
        """Service puts another cell in: ``edgebat_seed``. Raises EdgebatError when it is refused."""
        if (code := self._call("vbms_seed", sigma_cpct << 16 | soh_cpct, signed=True)) != 0:
            raise EdgebatError(f"the virtual BMS takes no cell of {soh_cpct} +- {sigma_cpct} (0.01 %): {code}")

    @property
    def clock_ms(self) -> int:
        """Of the board since it was built; it begins anew after 2**32."""
        return int.from_bytes(self._read("vbms_control", 4), "little")

    def _frames(self, sent: int) -> list[Frame]:
        content = self._read("vbms_frames", 16 * sent)
        return [Frame(*struct.unpack_from("<2I8s", content, 16 * i)) for i in range(sent)]

    @property
    def fram(self) -> tuple[bytes, bytes]:
        """The two slots of the estimator's saved state, whole."""
        return self._slots("vbms_fram", self.model.saved_bytes + (0 if self._resistance is None else SAVED_BYTES))

    def erase(self) -> None:
        """A new board: nothing was ever saved on it, and its clock begins."""
        self._write("vbms_fram", bytes(2 * FRAM_BYTES))
        self._write("vbms_control", bytes(4))

    def take_fram(self, other: Firmware) -> None:
        """The memory of another firmware, whatever its model: an update over the air, on the same board."""
        self._write("vbms_fram", other._read("vbms_fram", 2 * FRAM_BYTES))

    @property
    def forecast_fram(self) -> tuple[bytes, bytes] | None:
        """The two slots of the forecaster's saved history, whole; None without a forecaster."""
        return None if self.forecast is None else self._slots("vbms_forecast_fram", self.forecast.saved_bytes)

    def _slots(self, symbol: str, size: int) -> tuple[bytes, bytes]:
        content = self._read(symbol, 2 * FRAM_BYTES)
        return content[:size], content[FRAM_BYTES : FRAM_BYTES + size]

    def write_fram(self, slot: int, content: bytes) -> None:
        """Overwrite the beginning of a slot: what a fault or an attacker does."""
        self._write("vbms_fram", content, slot * FRAM_BYTES)

    @abstractmethod
    def _call(self, function: str, argument: int, *, signed: bool = False) -> int: ...

    @abstractmethod
    def _read(self, symbol: str, size: int) -> bytes: ...

    @abstractmethod
    def _write(self, symbol: str, content: bytes, offset: int = 0) -> None: ...


def config_bytes(config: Config, resistance: ResistanceConfig | None = None) -> bytes:
    """``edgebat_config_t`` as the compiler lays it out, lowest byte first; with ``resistance``, where it has that part."""
    c = config
    base = struct.pack(
        "<2I2i3I5h4HBx",
        c.nominal_mah,
        c.reference_mah,
        c.max_current_ma,
        c.cutoff_ma,
        c.max_gap_ms,
        c.stuck_ppm,
        c.invalid_ms,
        c.min_mv,
        c.max_mv,
        c.full_mv,
        c.empty_mv,
        c.max_drop_mv,
        c.stale_cycles,
        c.slew_cpct_h,
        c.rated_cycles,
        c.counting_cpct,
        int(c.discharge_positive),
    )
    return base if resistance is None else base + resistance.to_bytes(c.nominal_mah)


def defines_of(graph: IntGraph, resistance: ResistanceConfig | None) -> dict[str, str]:
    """What a firmware is compiled with."""
    return health_model(graph).options | ({} if resistance is None else {"EDGEBAT_RESISTANCE": "1"})


def slices_of(graph: IntGraph, mode: str = "balanced") -> int:
    """Calls of ``edgebat_step`` that one inference takes, beside the one that takes a charge over."""
    return slice_count(lower(graph, mode))


def write_sources(
    graph: IntGraph,
    folder: Path,
    mode: str = "balanced",
    *,
    forecast: IntGraph | None = None,
    ocv: OcvTable | None = None,
) -> tuple[CModel, list[Path]]:
    """The models as C in ``folder``, with what binds them to the virtual board; returns all C files to compile."""
    model = write_c(graph, folder, "soh", mode=mode)
    written = [*model.files, *write_bms(graph, model, folder), *model.kernel_sources, *bms_sources(graph)]
    bound = (
        '#include "soh_bms.h"\n#define VBMS_MODEL soh_model\n#define VBMS_SAVED_BYTES SOH_SAVED_BYTES\n'
        "typedef soh_work_t vbms_work_t;\n"
    )
    if forecast is not None:
        trend = write_c(forecast, folder, "trend", mode=mode)
        written += [*trend.files, *write_bms(forecast, trend, folder), *trend.kernel_sources, *bms_sources(forecast)]
        bound += (
            '#include "trend_bms.h"\n#define VBMS_FORECAST_MODEL trend_model\n'
            "#define VBMS_FORECAST_SAVED_BYTES TREND_SAVED_BYTES\ntypedef trend_work_t vbms_forecast_work_t;\n"
        )
    if ocv is not None:
        bound += ocv_source(ocv, "cell") + "#define VBMS_OCV cell_ocv\n"
    atomic_write(folder / "vbms_model.h", bound)
    board = firmware_dir() / "ports" / "virtual" / "virtual_bms.c"
    # Both models may call the same kernels.
    return model, list(dict.fromkeys(path for path in [*written, board] if path.suffix == ".c"))


class HostFirmware(Firmware):
    """The firmware as a library of this computer: fast, and with sanitizers if wanted."""

    def __init__(
        self,
        graph: IntGraph,
        config: Config,
        folder: Path,
        flags: Sequence[str] = (),
        *,
        forecast: IntGraph | None = None,
        ocv: OcvTable | None = None,
        resistance: ResistanceConfig | None = None,
        **control: int,
    ) -> None:
        super().__init__(graph, config, forecast=forecast, resistance=resistance, **control)
        folder.mkdir(parents=True, exist_ok=True)
        _, sources = write_sources(graph, folder, forecast=forecast, ocv=ocv)
        compiler = find_compiler(load_target("host"))
        library = folder / "virtual_bms.so"
        include = [f"-I{path}" for path in _include(folder)]
        defined = [f"-D{name}={value}" for name, value in defines_of(graph, resistance).items()]
        compiler.call(
            ["-std=c99", "-O2", "-shared", "-fPIC", *flags, *defined, *include, *map(str, sources), "-o", str(library)],
            "compile the virtual BMS",
        )
        self.library = ctypes.CDLL(str(library))

    def _call(self, function: str, argument: int, *, signed: bool = False) -> int:
        found = self.library[function]
        found.restype = ctypes.c_int32 if signed else ctypes.c_uint32
        return int(found(ctypes.c_uint32(argument)))

    def _address(self, symbol: str) -> int:
        return ctypes.addressof(ctypes.c_char.in_dll(self.library, symbol))

    def _read(self, symbol: str, size: int) -> bytes:
        return ctypes.string_at(self._address(symbol), size)

    def _write(self, symbol: str, content: bytes, offset: int = 0) -> None:
        ctypes.memmove(self._address(symbol) + offset, content, len(content))


def _include(folder: Path) -> list[Path]:
    return [folder, firmware_dir() / "include", firmware_dir() / "ports" / "virtual"]


class BoardFirmware(Firmware):
    """The firmware on a simulated Cortex-M (Unicorn); ``target`` is the name of a Cortex-M target.

    Code cannot be written, data not executed, and a stack that overflows faults. ``cut`` is a power cut.
    """

    def __init__(
        self,
        graph: IntGraph,
        config: Config,
        folder: Path,
        compiler: str | None = None,
        target: str = "cortex-m4f",
        optimize: str = "-O2",
        *,
        forecast: IntGraph | None = None,
        ocv: OcvTable | None = None,
        resistance: ResistanceConfig | None = None,
        **control: int,
    ) -> None:
        super().__init__(graph, config, forecast=forecast, resistance=resistance, **control)
        self.image = build_board(
            graph, folder, compiler, target, optimize, forecast=forecast, ocv=ocv, resistance=resistance
        )
        self.unicorn: Any = require("unicorn", extra="sim")
        constants = require("unicorn.arm_const", extra="sim")
        self.pc, self.sp, self.lr, self._r0 = (
            getattr(constants, f"UC_ARM_REG_{name}") for name in ("PC", "SP", "LR", "R0")
        )
        uc = self.unicorn
        self.core = uc.Uc(uc.UC_ARCH_ARM, uc.UC_MODE_THUMB | uc.UC_MODE_MCLASS)
        self.core.ctl_set_cpu_model(getattr(constants, CPUS[load_target(target).unicorn]))
        for region, rights in (
            ("code", uc.UC_PROT_READ | uc.UC_PROT_EXEC),
            ("ram", uc.UC_PROT_READ | uc.UC_PROT_WRITE),
            ("fram", uc.UC_PROT_READ | uc.UC_PROT_WRITE),
        ):
            self.core.mem_map(self.image.address(f"{region}_start"), self.image.address(f"{region}_length"), rights)
        for address, content in self.image.segments:
            self.core.mem_write(address, content)
        self._idle = self.image.address("vbms_idle")
        self._reset()

    def _reset(self) -> None:
        """RAM forgets, the start-up code runs."""
        length = self.image.address("ram_length")
        self.core.mem_write(self.image.address("ram_start"), b"\xa5" * length)
        self.core.reg_write(self.sp, self.image.address("stack_top"))
        self._emulate(self.image.address("reset_handler"), 0)
        self._write("vbms_control", bytes(4))

    def cut(self) -> None:
        """The power goes and comes back; call ``power_on`` next."""
        clock = self._read("vbms_control", 4)
        self._reset()
        self._write("vbms_control", clock)

    def run_until_cut(self, samples: Samples, instructions: int) -> bool:
        """Work through at most 2048 samples, but the power goes after so many instructions; true when it did."""
        self._write("vbms_samples", samples[:SAMPLES].tobytes())
        self._prepare(len(samples[:SAMPLES]))
        self._emulate(self.image.address("vbms_run"), instructions)
        done = bool(self.core.reg_read(self.pc) == self._idle)
        if not done:
            self.cut()
        return not done

    def taken_frames(self) -> list[Frame]:
        """The frames of a ``run_until_cut`` that was over before the cut."""
        return self._frames(int(self.core.reg_read(self._r0)))

    def _emulate(self, begin: int, count: int) -> None:
        if count:
            # Unicorn counts in code that it translates anew; what it has translated before would run uncounted.
            self.core.ctl_flush_tb()
        try:
            self.core.emu_start(begin | 1, self._idle, timeout=int(_MAX_SECONDS * 1e6), count=count)
        except self.unicorn.UcError as error:
            pc = self.core.reg_read(self.pc)
            raise ToolError(f"the virtual BMS broke in {self.image.function_at(pc)} at {pc:#010x}: {error}") from None
        if count:
            self.core.ctl_flush_tb()

    def _prepare(self, argument: int) -> None:
        self.core.reg_write(self._r0, argument)
        self.core.reg_write(self.sp, self.image.address("stack_top"))
        self.core.reg_write(self.lr, self._idle | 1)

    def _call(self, function: str, argument: int, *, signed: bool = False) -> int:
        self._prepare(argument)
        self._emulate(self.image.address(function), 0)
        if self.core.reg_read(self.pc) != self._idle:
            raise ToolError(f"the virtual BMS did not come back from {function} within {_MAX_SECONDS:g} s")
        value = int(self.core.reg_read(self._r0))
        return value - 2**32 if signed and value >= 2**31 else value

    def _read(self, symbol: str, size: int) -> bytes:
        return bytes(self.core.mem_read(self.image.address(symbol), size))

    def _write(self, symbol: str, content: bytes, offset: int = 0) -> None:
        self.core.mem_write(self.image.address(symbol) + offset, content)


def build_board(
    graph: IntGraph,
    folder: Path,
    compiler: str | None = None,
    target: str = "cortex-m4f",
    optimize: str = "-O2",
    *,
    forecast: IntGraph | None = None,
    ocv: OcvTable | None = None,
    resistance: ResistanceConfig | None = None,
) -> Image:
    """Compile and link the firmware of the simulated board into ``folder``; the objects stay there."""
    folder.mkdir(parents=True, exist_ok=True)
    _, sources = write_sources(graph, folder, forecast=forecast, ocv=ocv)
    port = firmware_dir() / "ports" / "virtual"
    driver = find_compiler(load_target(target), compiler)
    include = _include(folder)
    if driver.kind == "zig":
        include.append(firmware_dir() / "ports" / "baremetal" / "include")

    def compile_one(source: Path) -> Path:
        output = folder / f"{source.stem}.o"
        flags = [optimize, "-fno-tree-loop-distribute-patterns"] if driver.kind == "gcc" else [optimize]
        defines = {"VBMS_BOARD": "1"} | defines_of(graph, resistance)
        driver.compile(source, output, flags=flags, include=include, defines=defines)
        return output

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, [*sources, port / "start_virtual.c"]))
    program = folder / "virtual_bms.elf"
    driver.link(
        objects,
        program,
        flags=[optimize, "-g", "-nostartfiles", f"-Wl,-T,{port / 'virtual.ld'}", "-Wl,--gc-sections"],
    )
    return Image(program)
