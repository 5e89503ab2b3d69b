"""Options that belong together as one dataclass, and verbs below a verb."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any, get_type_hints

from typer.core import TyperGroup


def expanded(function: Callable[..., None]) -> Callable[..., None]:
    """``function`` for Typer: each parameter that is a dataclass becomes one option per field.

    A field carries its option like a parameter does: ``mode: Annotated[str, typer.Option("--mode")] = "balanced"``.
    """
    hints, plain, groups = get_type_hints(function, include_extras=True), [], {}
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints[name]
        if not is_dataclass(kind):
            plain.append(parameter.replace(annotation=kind))
            continue
        assert isinstance(kind, type)
        groups[name] = kind
        types = get_type_hints(kind, include_extras=True)
        for field in fields(kind):
            default = inspect.Parameter.empty if field.default is MISSING else field.default
            plain.append(
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=types[field.name]
                )
            )

    @wraps(function)
    def call(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        function(**values)

    ordered = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in plain]
    call.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered}
    return call


class WithDefault(TyperGroup):
    """A verb with verbs below it; without one of them it does its first, which takes all arguments. Its help lists them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first = next(iter(self.commands))
        near = difflib.get_close_matches(args[0], self.commands, n=1, cutoff=0.75) if args else []
        if near and near[0] != args[0] and not Path(args[0]).exists():
            ctx.fail(f"{ctx.info_name} knows no {args[0]!r}, and there is no such file. Did you mean {near[0]!r}?")
        of_the_group = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if of_the_group else [first, *args])
