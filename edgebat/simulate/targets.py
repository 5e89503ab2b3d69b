"""Target descriptions: one board or core, one YAML file, every key checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from edgebat.errors import TargetError, require
from edgebat.paths import firmware_dir, targets_dir


@dataclass(frozen=True)
class Qemu:
    """How QEMU runs the target: a whole board (``system`` + ``machine``) or a Linux program (``user`` + ``cpu``)."""

    system: str = ""
    machine: str = ""
    user: str = ""
    cpu: str = ""


@dataclass(frozen=True)
class CycleBasis:
    """A cycle model, its stated error in percent, and what that error was found with."""

    model: str
    error_percent: int
    basis: str


@dataclass(frozen=True)
class Budget:
    """What of the board a model may take: shares of flash and RAM in percent, and milliseconds per inference (0: any)."""

    flash_percent: int = 100
    ram_percent: int = 100
    max_ms: int = 0


@dataclass(frozen=True)
class Target:
    """One board: compiler flags per compiler, memory sizes in bytes, clock in Hz and the simulators that can run it.

    ``float_abi`` is "soft" (integer registers only), "hard" or "native". Unless ``allow_float`` is set, an image that
    links floating-point helpers is refused. A zero clock or memory size means "not stated".
    """

    name: str
    description: str
    core: str
    float_abi: str
    zig: tuple[str, ...] = ()
    gcc: tuple[str, ...] = ()
    clock_hz: int = 0
    flash_bytes: int = 0
    ram_bytes: int = 0
    allow_float: bool = False
    linker_script: str = ""
    unicorn: str = ""
    qemu: Qemu | None = None
    cycles: CycleBasis | None = None
    budget: Budget | None = None

    @property
    def bare_metal(self) -> bool:
        """True for a microcontroller image, False for a program of an operating system."""
        return bool(self.linker_script)

    @property
    def routes(self) -> tuple[str, ...]:
        """The ways this target can be run, the preferred one first: "unicorn", "qemu"; programs of a system: "host"."""
        if not self.bare_metal:
            return ("host",)
        return tuple(route for route, there in (("unicorn", self.unicorn), ("qemu", self.qemu)) if there)


def list_targets() -> list[str]:
    """Names of the shipped targets, sorted."""
    return sorted(path.stem for path in targets_dir().glob("*.yaml"))


def load_target(name: str | Path) -> Target:
    """The shipped target called ``name``, or the one described in the YAML file ``name``.

    Raises TargetError: unknown name, unreadable file, unknown or missing key, value of the wrong type.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = targets_dir() / f"{name}.yaml"
        if not path.is_file():
            raise TargetError(f"there is no target {str(name)!r}; choose one of {', '.join(list_targets())}, or a file")
    yaml = require("yaml", extra="sim")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TargetError(f"target file {path}: cannot be read: {error}") from None
    target: Target = _build(Target, content, str(path))
    if target.float_abi not in ("soft", "hard", "native"):
        raise TargetError(f"target file {path}: float_abi is {target.float_abi!r}; allowed: soft, hard, native")
    scripts = firmware_dir() / "ports" / "baremetal"
    if target.linker_script and not (scripts / target.linker_script).is_file():
        known = ", ".join(sorted(item.name for item in scripts.glob("*.ld") if item.name != "sections.ld"))
        raise TargetError(
            f"target file {path}: linker_script {target.linker_script!r} is unknown; choose one of {known}"
        )
    budget = target.budget
    if budget and not (0 < budget.flash_percent <= 100 and 0 < budget.ram_percent <= 100):
        raise TargetError(f"target file {path}: budget: flash_percent and ram_percent are 1 to 100")
    if budget and budget.max_ms and not (target.cycles and target.clock_hz):
        raise TargetError(
            f"target file {path}: budget: max_ms needs clock_hz and cycles, without which no time is known"
        )
    qemu = target.qemu
    if qemu and not (qemu.system and qemu.machine if target.linker_script else qemu.user and qemu.cpu):
        raise TargetError(f"target file {path}: qemu needs system and machine for a board, user and cpu for a program")
    return target


def _build(kind: type[Any], content: object, where: str) -> Any:
    """An instance of the dataclass ``kind`` from a mapping; every key must be known and of the annotated type."""
    if not isinstance(content, Mapping):
        raise TargetError(f"target file {where}: expected keys and values, found {type(content).__name__}")
    known = {field.name: field for field in fields(kind)}
    if unknown := sorted(map(str, set(content) - set(known))):
        raise TargetError(f"target file {where}: unknown key {', '.join(unknown)}; allowed: {', '.join(known)}")
    required = {name for name, field in known.items() if field.default is MISSING}
    if missing := sorted(required - set(content)):
        raise TargetError(f"target file {where}: key {', '.join(missing)} is missing")
    hints = get_type_hints(kind)
    return kind(**{key: _convert(hints[key], value, f"{where}: {key}") for key, value in content.items()})


def _convert(hint: Any, value: object, where: str) -> object:
    options = [option for option in get_args(hint) if option is not type(None)]
    if get_origin(hint) is tuple:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise TargetError(f"target file {where}: expected a list of texts, found {value!r}")
    if options:
        return _build(options[0], value, where)
    if type(value) is not hint or (hint is int and isinstance(value, int) and value < 0):
        raise TargetError(f"target file {where}: expected {hint.__name__}, found {value!r}")
    return value
