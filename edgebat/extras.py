"""Which optional packages exist, which command needs which, and the one ``pip install`` that is enough for a command."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgebat.errors import EdgebatError, MissingExtra
from edgebat.paths import recipes_dir

_CLI = {"typer": "typer", "rich": "rich", "pyyaml": "yaml", "pydantic": "pydantic"}
_DATA = {
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "python-calamine": "python_calamine",
    "fastnda": "fastnda",
    "scipy": "scipy",
}
_TRAIN = {"torch": "torch", "lightning": "lightning", "safetensors": "safetensors", **_DATA}
EXTRAS: dict[str, dict[str, str]] = {
    "cli": _CLI,
    "data": _DATA,
    "train": _TRAIN,
    "lora": {"peft": "peft", **_TRAIN},
    "tensorboard": {"tensorboard": "tensorboard", **_TRAIN},
    "baselines": {"scikit-learn": "sklearn", **_TRAIN},
    "onnx": {"onnx": "onnx", "onnxruntime": "onnxruntime"},
    "tflite": {"ai-edge-litert": "ai_edge_litert", "flatbuffers": "flatbuffers"},
    "keras": {"tensorflow-cpu": "tensorflow", "h5py": "h5py"},
    "sim": {
        "unicorn": "unicorn",
        "ziglang": "ziglang",
        "capstone": "capstone",
        "pyelftools": "elftools",
        "pyyaml": "yaml",
        "cantools": "cantools",
    },
    "tflm": {"tflite-micro": "tflite_micro"},
    "report": {"jinja2": "jinja2"},
    "search": {"optuna": "optuna"},
    "ray": {"ray": "ray"},
    "physics": {"pybamm": "pybamm", **_DATA},
}
"""By extra of pyproject.toml: its packages as pip knows them, with the module each brings."""

_RUN = ("train", "onnx", "report")
VERBS: dict[str, tuple[str, ...]] = {
    "run": _RUN,
    "data": ("train",),
    "init": ("train",),
    "train": ("train",),
    "distill": ("train",),
    "quantize": ("train",),
    "report": _RUN,
    "search": ("search", "sim", "train"),
    "evidence": ("train",),
    "settings": ("train",),
    "export": (),
    "verify": ("onnx",),
    "predict": (),
    "evaluate": ("data",),
    "replay": ("data", "sim"),
    "info": (),
    "zoo": (),
    "bench": ("sim",),
    "targets": (),
    "doctor": (),
}
"""The verbs of the command line with the extras that each cannot do without, besides ``cli``."""

OWN_FILES = {"add", "check", "fetch"}
"""Verbs below ``data`` that take files instead of a recipe."""
RESUMED = {"run", "data", "train", "distill", "quantize", "report", "search", "evidence"}
"""The verbs that go on where they stopped."""

_RECIPES = {"export": ("train", "onnx"), "verify": ("train", "onnx"), "bench": ("train", "onnx")}
_ASKED = (
    ("lora", r"\blora[:.]"),
    ("tensorboard", r"\btensorboard[:=] *true"),
    ("baselines", r"\bsynthesis[:=]"),
    ("ray", r"(^| )--ray\b"),
    ("data", r"^(predict|evaluate) .*(^| )(--out|-o|--logs)\b"),
)

_NETWORK = r"\.(pt2|onnx|tflite|keras|h5)( |$)"
_OF_NETWORKS = (("keras", r"\.(keras|h5)( |$)"), ("data", r"\.parquet( |$)"), ("train", r"--qat-epochs"))
"""What a network's own file asks for besides ``cli``."""


def extras_for(arguments: Sequence[str]) -> list[str]:
    """Extras that are enough for the command line ``arguments``, sorted; some may be there already.

    It goes by words, not by meaning, and is asked only when a package is missing: it may name one too many.
    """
    verb = next((argument for argument in arguments if argument in VERBS), "")
    words = " ".join(arguments)
    needed = {"cli", *VERBS.get(verb, ())}
    if verb == "data" and set(arguments) & OWN_FILES:
        return ["cli", "data", "report"]
    if verb == "data" and "simulate" in arguments:
        return ["cli", "physics"]
    if verb == "quantize" and re.search(_NETWORK, words):
        return sorted({"cli"} | {extra for extra, pattern in _OF_NETWORKS if re.search(pattern, words)})
    recipe = " ".join(_recipe_texts(arguments))
    if re.search(r"^study:", recipe, re.MULTILINE):
        needed -= {"onnx", "report"}
    elif recipe:
        needed |= set(_RECIPES.get(verb, ()))
    elif verb in ("export", "zoo"):
        needed |= _for_an_export(arguments)
    elif verb == "bench" and "host" in arguments:
        needed.add("onnx")
    if verb == "evaluate" and ".safetensors" in words:
        needed.add("train")
    needed |= {extra for extra, pattern in _ASKED if re.search(pattern, f"{words} {recipe}")}
    return sorted(needed)


def _for_an_export(arguments: Sequence[str]) -> set[str]:
    """Extras for the export of a model file."""
    words = " ".join(arguments)
    needed = {"sim"} if re.search(r"(^| )(-t|--target)\b", words) else set()
    formats = re.search(r"(^| )--to[ =]([\w,]+)", words)
    if "--port" in words:
        needed.add("report")
    elif formats is None or "onnx" in formats[2].split(","):
        needed.add("onnx")
    return needed


def _recipe_texts(arguments: Sequence[str]) -> Iterable[str]:
    """Recipes among the arguments, without their comments."""
    for argument in arguments:
        path = Path(argument) if argument.endswith((".yaml", ".yml")) else recipes_dir() / f"{argument}.yaml"
        if path.is_file():
            yield re.sub(r"#.*", "", path.read_text(encoding="utf-8", errors="replace"))


def installed(module: str) -> bool:
    """Whether a top-level module can be imported; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # a module that was made unimportable
        return False


def extra_of(module: str) -> str | None:
    """The extra that brings a module, which may be dotted; None for one of no extra."""
    top = module.split(".")[0]
    return next((extra for extra, packages in EXTRAS.items() if top in packages.values()), None)


def missing_for(arguments: Sequence[str], error: Exception) -> MissingExtra | None:
    """For an import that failed, what all the command line lacks; None for another error or a package that is there."""
    if isinstance(error, MissingExtra):
        module, extra = error.module, error.extra
    elif isinstance(error, ModuleNotFoundError) and error.name and (extra_found := extra_of(error.name)):
        module, extra = error.name, extra_found
    else:
        return None
    extras = lacking({*extras_for(arguments), extra})
    return MissingExtra(module, ",".join(extras)) if extras else None


def broken_package(error: Exception) -> EdgebatError | None:
    """For an optional package that is there but cannot be imported, what to do; None for another error."""
    if not isinstance(error, ImportError) or not error.name or (extra := extra_of(error.name)) is None:
        return None
    return EdgebatError(
        f"the Python package {error.name.split('.')[0]!r} is installed but cannot be imported: {error}; install it anew: "
        f'pip install --force-reinstall "edgebat[{extra}]"'
    )


def lacking(extras: Iterable[str]) -> list[str]:
    """The extras of which a package is not there, sorted; ``data`` is in ``train``, which is in others."""
    found = sorted(extra for extra in extras if not all(map(installed, EXTRAS[extra].values())))
    covers = {
        "data": {"train", "lora", "tensorboard", "baselines", "physics"},
        "train": {"lora", "tensorboard", "baselines"},
    }
    return [extra for extra in found if not covers.get(extra, set()) & set(found)]
