"""What a function of edgebat depends on: the source it can reach through names and imports, found without importing it.

The unit is a top-level function, class or constant of a module (of the class an entry names, a method). From an entry on,
every name is followed to where it is defined, through the re-exports of packages, and so are imports inside functions. Of
a module that is reached, statements that are no definitions count too, because they run. Followed as well: a string that
is the dotted name of a module, and ``f"edgebat.teachers.{name}"``, which reaches all of that folder. Not followed: the
annotations of functions and names imported for type checkers only, which decide nothing.

Files that are no Python count where the code that finds them does: ``firmware_stubs/`` with ``paths.firmware_dir``, target
descriptions with ``paths.targets_dir``, templates with the modules beside them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from edgebat.files import sha256_bytes, sha256_file
from edgebat.paths import firmware_dir, targets_dir

ROOT = Path(__file__).parents[1]
WHOLE, BODY = "*", ""
"""Names of a module that stand for all of it, and for its statements that are no definitions."""
FIRMWARE_FOLDERS = ("include", "src", "bms", "ports")
"""What a wheel carries of ``firmware_stubs/``; a checkout has tests and builds beside them."""
NO_SOURCE = (".py", ".pyc", ".o", ".a", ".elf")

Symbol = tuple[str, str]
"""(dotted module, name); the name is a definition, ``Class.method``, WHOLE or BODY."""


@dataclass
class Module:
    """One parsed file: its definitions, what its imports bind to (module, name or WHOLE), its other statements."""

    name: str
    path: Path
    lines: list[str]
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Symbol] = field(default_factory=dict)
    body: list[ast.stmt] = field(default_factory=list)

    @property
    def package(self) -> str:
        """The package relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def text(self, nodes: Iterable[ast.stmt]) -> str:
        """Source of the statements, decorators included."""
        return "\n".join("\n".join(self.lines[_first_line(node) - 1 : node.end_lineno]) for node in nodes)


def entry_of(action: Callable[..., Any]) -> str | None:
    """``module:name`` of a function or method of edgebat, also behind ``functools.partial``; None for any other."""
    while isinstance(action, partial):
        action = action.func
    module, name = getattr(action, "__module__", ""), getattr(action, "__qualname__", "")
    if not str(module).startswith("edgebat.") or not name:
        return None
    if "<" in name:
        raise ValueError(
            f"{module}:{name} has no name to start from; give the step a method or functools.partial of one"
        )
    return f"{module}:{name}"


def closure(entries: Iterable[str], apart: tuple[str, ...] = ()) -> frozenset[Symbol]:
    """All symbols that ``"edgebat.module"`` or ``"edgebat.module:name"`` (``:Class.method``) reach, themselves included.

    apart: packages and modules that are not entered, because what is reached in them decides nothing.
    Raises ValueError for an entry that does not exist.
    """
    waiting = [_entry(entry) for entry in entries]
    seen: set[Symbol] = set()
    while waiting:
        symbol = waiting.pop()
        if symbol not in seen and not any(f"{symbol[0]}.".startswith(f"{name}.") for name in apart):
            seen.add(symbol)
            waiting += _reached(symbol)
    return frozenset(seen)


def modules_of(symbols: Iterable[Symbol]) -> set[str]:
    """Dotted names of the modules that the symbols are from."""
    return {module for module, _ in symbols}


@cache
def digest(entries: tuple[str, ...], apart: tuple[str, ...] = ()) -> str:
    """sha256 over the sources and files that the entries reach. The same in a checkout and in an installed wheel."""
    symbols = closure(entries, apart)
    content = [f"{module}:{name}:{_source_digest(module, name)}" for module, name in sorted(symbols)]
    content += [f"{name}:{sha256_file(path)}" for name, path in sorted(resources(symbols).items())]
    return sha256_bytes("\n".join(content).encode())


def resources(symbols: Iterable[Symbol]) -> dict[str, Path]:
    """Files that are no Python and decide what the symbols do, by a name that does not depend on the installation."""
    symbols = set(symbols)
    found: dict[str, Path] = {}
    if ("edgebat.paths", "firmware_dir") in symbols:
        for folder in FIRMWARE_FOLDERS:
            found |= _files(firmware_dir() / folder, f"firmware_stubs/{folder}")
    if ("edgebat.paths", "targets_dir") in symbols:
        found |= _files(targets_dir(), "export/targets")
    for package in {_module(name).package for name in modules_of(symbols)} - {"edgebat"}:
        found |= _files(_module(package).path.parent, package)
    return found


def parse(path: Path, name: str) -> Module:
    """The module ``name`` in the file ``path``. Raises SyntaxError and OSError."""
    text = path.read_text(encoding="utf-8")
    module = Module(name, path, text.splitlines())
    for statement in ast.parse(text, str(path)).body:
        _sort_in(module, statement)
    return module


def imported(module: Module, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Symbol]]:
    """(name that is bound, what it is) of an import of edgebat's own modules; other imports give nothing."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == "edgebat":
                yield alias.asname or alias.name, (alias.name, WHOLE)
        return
    source = node.module or ""
    if node.level:
        parts = module.package.split(".")
        source = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [source])])
    if source.split(".")[0] == "edgebat":
        for alias in node.names:
            yield alias.asname or alias.name, (source, alias.name)


def module_path(name: str) -> Path | None:
    """The file of a module of edgebat, None when there is none."""
    package, _, last = name.rpartition(".")
    bases = [folder / last for folder in _folders(package)] if package else [ROOT]
    found = (path for base in bases for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file())
    return next(found, None)


def _folders(package: str) -> list[Path]:
    """Where modules of a package lie: in its own folder, and where a user's task or teacher has been put on its path."""
    parent, _, last = package.rpartition(".")
    own = [folder / last for folder in _folders(parent)] if parent else [ROOT]
    return [*own, *map(Path, getattr(sys.modules.get(package), "__path__", ()))]


def only_for_type_checkers(statement: ast.stmt) -> bool:
    """Whether this is ``if TYPE_CHECKING:``."""
    return isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)


def _sort_in(module: Module, statement: ast.stmt) -> None:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        module.definitions.setdefault(statement.name, []).append(statement)
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        module.imports |= dict(imported(module, statement))
        if isinstance(statement, ast.Import):  # binds "edgebat" and runs the module: what it registers counts
            module.body.append(statement)
    elif isinstance(statement, ast.Assign | ast.AnnAssign) and (names := _assigned(statement)):
        for name in names:
            module.definitions.setdefault(name, []).append(statement)
    elif not only_for_type_checkers(statement) and not _is_docstring(statement):
        module.body.append(statement)
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module.imports |= dict(imported(module, node))


def _assigned(statement: ast.Assign | ast.AnnAssign) -> list[str]:
    """Names a plain assignment defines; none when it also writes into something (``TABLE["x"] = ...``)."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    flat = [t for target in targets for t in (target.elts if isinstance(target, ast.Tuple) else [target])]
    return [t.id for t in flat if isinstance(t, ast.Name)] if all(isinstance(t, ast.Name) for t in flat) else []


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


@cache
def _module(name: str) -> Module:
    path = module_path(name)
    if path is None:
        raise ValueError(f"there is no module {name}")
    return parse(path, name)


def _entry(entry: str) -> Symbol:
    name, _, symbol = entry.partition(":")
    module = _module(name)
    if symbol and symbol.partition(".")[0] not in module.definitions:
        raise ValueError(f"{name} defines no {symbol}")
    return name, symbol or WHOLE


@cache
def _reached(symbol: Symbol) -> tuple[Symbol, ...]:
    """The symbols that one symbol names."""
    return tuple(_reach(*symbol))


def _reach(name: str, item: str) -> Iterator[Symbol]:
    module = _module(name)
    if item != BODY:
        yield name, BODY
    if item == WHOLE:
        yield from ((name, definition) for definition in module.definitions)
        yield from (found for _, found in _resolved(module.imports.items()))
        return
    owner, _, method = item.partition(".")
    for node in _nodes(module, item):
        yield from _references(module, node)
        if method:
            yield from _own_members(module, owner, node)


def _nodes(module: Module, item: str) -> list[ast.stmt]:
    """The statements a symbol stands for; those of a method are found in its class."""
    if item == BODY:
        return module.body
    owner, _, method = item.partition(".")
    nodes = module.definitions.get(owner, [])
    return [child for node in nodes for child in _members(node).get(method, [])] if method else nodes


def _members(node: ast.stmt) -> dict[str, list[ast.stmt]]:
    members: dict[str, list[ast.stmt]] = {}
    for child in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            members.setdefault(child.name, []).append(child)
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            for name in _assigned(child):
                members.setdefault(name, []).append(child)
    return members


def _own_members(module: Module, owner: str, node: ast.stmt) -> Iterator[Symbol]:
    """What a method reaches through ``self`` or its class's name, and everything of the class's bases."""
    for definition in module.definitions[owner]:
        members = _members(definition)
        for sub in ast.walk(node):
            match sub:
                case ast.Attribute(value=ast.Name(id=name), attr=member) if name in ("self", "cls", owner):
                    if member in members:
                        yield module.name, f"{owner}.{member}"
        for base in definition.bases if isinstance(definition, ast.ClassDef) else []:
            yield from _references(module, base)


def _references(module: Module, node: ast.AST) -> Iterator[Symbol]:
    """Symbols of edgebat that the names, imports and strings in ``node`` mean."""
    for sub in _walk(node):
        match sub:
            case ast.Import() | ast.ImportFrom():
                yield from (found for _, found in _resolved(imported(module, sub)))
            case ast.Name(id=name):
                if name in module.definitions:
                    yield module.name, name
                elif name in module.imports:
                    yield from (found for _, found in _resolved([(name, module.imports[name])]))
            case ast.Constant(value=str(text)) if text.startswith("edgebat.") and _is_module(text):
                yield text, WHOLE
            case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_]) if text.startswith("edgebat."):
                yield from _folder(text.rpartition(".")[0])
            case ast.JoinedStr(values=[ast.FormattedValue(value=ast.Name(id="__name__" | "__package__")), *_]):
                yield from _folder(module.package)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Like ``ast.walk`` without the annotations of functions and of their variables."""
    yield node
    for name, value in ast.iter_fields(node):
        if name == "returns" or (name == "annotation" and isinstance(node, ast.arg)):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.stmt) and only_for_type_checkers(child):
                continue
            if isinstance(child, ast.AST):
                yield from _walk(child)


def _resolved(bindings: Iterable[tuple[str, Symbol]]) -> Iterator[tuple[str, Symbol]]:
    """Where imported names are defined, re-exports followed; what a package binds itself hides its submodule."""
    for bound, (source, name) in bindings:
        while name != WHOLE:
            module = _module(source)
            if name in module.definitions:
                break
            if name in module.imports and module.imports[name] != (source, name):
                source, name = module.imports[name]
            elif _is_module(f"{source}.{name}"):
                source, name = f"{source}.{name}", WHOLE
            else:  # bound by a statement that is no definition
                name = WHOLE
        yield bound, (source, name)


def _folder(package: str) -> Iterator[Symbol]:
    """Every module of the package, when there is one of that name."""
    base = ROOT.joinpath(*package.split(".")[1:])
    for path in sorted(base.rglob("*.py")) if (base / "__init__.py").is_file() else []:
        parts = ("edgebat", *path.relative_to(ROOT).with_suffix("").parts)
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), WHOLE


@cache
def _is_module(name: str) -> bool:
    return all(part.isidentifier() for part in name.split(".")) and module_path(name) is not None


@cache
def _source_digest(name: str, item: str) -> str:
    module = _module(name)
    return "" if item == WHOLE else sha256_bytes(module.text(_nodes(module, item)).encode())


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _files(folder: Path, name: str) -> dict[str, Path]:
    """Files below a folder that are neither Python nor built, by their path from there behind ``name``."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in NO_SOURCE)
    return {f"{name}/{path.relative_to(folder).as_posix()}": path for path in paths}
