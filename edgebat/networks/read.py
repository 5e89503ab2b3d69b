"""A float network out of any source: a torch module, or a file by its ending."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.networks.layers import FloatNetwork

SUFFIXES = (".pt2", ".onnx", ".tflite", ".keras", ".h5")
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt")


def read_network(source: Any, x: Array, name: str = "") -> FloatNetwork:
    """The layers of ``source``: a file, or a ``torch.nn.Module``; x: calibration windows [N, ...], for sizes it leaves open.

    Raises ModelFileError naming file, layer and operator, what was seen, what is allowed and what to do; MissingExtra.
    """
    if not isinstance(source, str | Path):
        if not hasattr(source, "forward") or not hasattr(source, "parameters"):
            raise ModelFileError(
                f"a network is a torch.nn.Module or a file ({', '.join(SUFFIXES)}, a SavedModel), not "
                f"{type(source).__module__}.{type(source).__qualname__}"
            )
        from edgebat.networks.torch import read_module

        return read_module(source, x[0], name)
    path = Path(source)
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise ModelFileError(
            f"there is no file {path}; a float network ends in {', '.join(SUFFIXES)}, or is a SavedModel"
        )
    if path.suffix in PICKLES:
        raise ModelFileError(
            f"{path} is a pickle, never opened, because it can run code. In Python: edgebat.quantize(model, windows); "
            "for a file: torch.export.save(torch.export.export(model.eval(), (windows,)), 'model.pt2')"
        )
    if path.suffix == ".ebat":
        raise ModelFileError(f"{path} is int8 already; edgebat export, verify and bench take it as it is")
    if path.suffix not in SUFFIXES:
        raise ModelFileError(f"{path}: a float network ends in {', '.join(SUFFIXES)}, not {path.suffix or 'nothing'!r}")
    if not path.stat().st_size:
        raise ModelFileError(f"{path} is empty; write the network again")
    match path.suffix:
        case ".pt2":
            from edgebat.networks.torch import read_pt2_file

            return read_pt2_file(path)
        case ".onnx":
            from edgebat.networks.onnx import read_float_onnx

            return read_float_onnx(path, x)
        case ".tflite":
            from edgebat.networks.tflite import read_float_tflite

            return read_float_tflite(path)
        case _:
            from edgebat.networks.keras import read_keras

            return read_keras(path, x)


def _folder(path: Path) -> FloatNetwork:
    if not (path / "saved_model.pb").is_file():
        raise ModelFileError(
            f"{path} is a folder without saved_model.pb; give a SavedModel or a file that ends in {', '.join(SUFFIXES)}"
        )
    from edgebat.networks.keras import read_saved_model

    return read_saved_model(path)
