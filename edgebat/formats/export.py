"""One integer graph out of the door: C99, TFLite, ONNX and edgebat's own file, under one name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from edgebat.errors import ModelFileError, RecipeError
from edgebat.files import atomic_write
from edgebat.formats.c.bms import export_bms
from edgebat.formats.c.write import write_c
from edgebat.formats.onnx.write import write_onnx
from edgebat.formats.tflite.write import write_tflite
from edgebat.graph.model import IntGraph
from edgebat.graph.store import save_graph

FORMATS = ("c", "tflite", "onnx", "ebat")
_WRITERS: dict[str, Callable[[IntGraph, Path], object]] = {
    "ebat": save_graph, "tflite": write_tflite, "onnx": write_onnx
}  # fmt: skip


def c_name(name: str) -> str:
    """``name`` as a C identifier: other characters become underscores, a leading digit gets one in front."""
    word = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{word}" if word[:1].isdigit() or not word else word


def export_model(
    graph: IntGraph,
    folder: Path,
    formats: Sequence[str] = ("c", "tflite", "onnx"),
    name: str | None = None,
    *,
    mode: str = "balanced",
) -> list[Path]:
    """Write ``graph`` to ``folder`` and return the files, sorted: ``<name>.tflite``, ``<name>.onnx``, ``c/<name>/...``.

    mode: what the C code is to be good at, see ``edgebat.formats.c.write.MODES``.
    Raises RecipeError for an unknown format and whatever the writers raise.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise RecipeError(f"cannot export to {', '.join(unknown) or 'nothing'}; formats are {', '.join(FORMATS)}")
    if name:
        graph = replace(graph, name=name)
    files: list[Path] = []
    folder.mkdir(parents=True, exist_ok=True)
    if "c" in formats:  # first, because it refuses most: then nothing is left behind
        target = folder / "c" / c_name(graph.name)
        model = write_c(graph, target, c_name(graph.name), mode=mode)
        # The kernels the model calls come along, so that the folder compiles as it is in any firmware.
        private = sorted(model.kernel_sources[0].parent.glob("*.h")) if model.kernel_sources else []
        for source in [*model.kernel_sources, *private, *sorted(model.include_dir.glob("*.h"))]:
            atomic_write(target / source.name, source.read_bytes())
        files += [path for path in target.iterdir() if path.is_file()]
    for kind, write in _WRITERS.items():
        if kind in formats:
            files.append(folder / f"{graph.name}.{kind}")
            write(graph, files[-1])
    return sorted(files)


def export_for_bms(graph: IntGraph, folder: Path, name: str | None = None) -> tuple[list[Path], str]:
    """What runs ``graph`` in a BMS, estimator or forecaster, beside the C that ``export_model`` has written to ``folder``.

    Returns the files, sorted, or why there are none.
    """
    called = c_name(name or graph.name)
    try:
        return export_bms(graph, folder / "c" / called / "bms", called), ""
    except ModelFileError as error:
        return [], f"no c/{called}/bms: {error}"


def export_all(
    graph: IntGraph,
    folder: Path,
    formats: Sequence[str] = ("c", "tflite", "onnx"),
    name: str | None = None,
    *,
    mode: str = "balanced",
) -> tuple[list[Path], str]:
    """``export_model``, and with C ``export_for_bms``: all files, and why there is none for a BMS where there could be."""
    files = export_model(graph, folder, formats, name, mode=mode)
    found, why = export_for_bms(graph, folder, name) if "c" in formats else ([], "")
    return [*files, *found], why
