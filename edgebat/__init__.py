"""edgebat: big battery-ageing models, distilled into tiny int8 students for a battery management system.

Importing this package costs NumPy and nothing else::

    import edgebat as eb

    model = eb.load("health-lstm.ebat")
    model.predict("cell07.csv", nominal_ah=3.5)["soh_percent"]

``__all__`` lists the names that are kept stable, docs/library.md describes them. The parts behind them::

    edgebat.tasks       health, forecast, life: windows, heads, scores    NumPy
    edgebat.graph       the integer graph, one model for every engine     NumPy
    edgebat.runtime     runs it                                           NumPy
    edgebat.predict     a user's file in, the heads of a model out        NumPy
    edgebat.data        corpora, cycler files, a synthetic fleet          pip install 'edgebat[data]'
    edgebat.baselines   plain predictors of each task                     pip install 'edgebat[train]'
    edgebat.teachers, .students, .distill, .quantization                  pip install 'edgebat[train]'
    edgebat.networks    float networks of users to int8                   NumPy; torch modules: [train], Keras: [keras]
    edgebat.formats     .tflite, .onnx, C99                               NumPy to read; [onnx], [tflite] to write
    edgebat.simulate    microcontrollers: instructions, flash, RAM        pip install 'edgebat[sim]'
    edgebat.report      card and HTML report                              pip install 'edgebat[report]'

The command line, ``edgebat --help``, has one verb for each of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgebat.bulk.run import BulkResult
    from edgebat.data.fleet import ChargeCurves, Fleet
    from edgebat.data.synthetic import make_fleet as synthetic_fleet
    from edgebat.errors import EdgebatError
    from edgebat.estimates import Estimates
    from edgebat.evaluate import Evaluation
    from edgebat.library import Estimator, ModelInfo, RunResult, load, quantize, read, run
    from edgebat.networks.quantize import QuantizedNetwork

__version__ = "0.1.0"
__all__ = [
    "BulkResult",
    "ChargeCurves",
    "EdgebatError",
    "Estimates",
    "Estimator",
    "Evaluation",
    "Fleet",
    "ModelInfo",
    "QuantizedNetwork",
    "RunResult",
    "__version__",
    "load",
    "quantize",
    "read",
    "run",
    "synthetic_fleet",
]

_HOMES = {
    "BulkResult": ("bulk.run", "BulkResult", "data"),
    "ChargeCurves": ("data.fleet", "ChargeCurves", "data"),
    "EdgebatError": ("errors", "EdgebatError", ""),
    "Estimates": ("estimates", "Estimates", ""),
    "Estimator": ("library", "Estimator", ""),
    "Evaluation": ("evaluate", "Evaluation", ""),
    "Fleet": ("data.fleet", "Fleet", "data"),
    "ModelInfo": ("library", "ModelInfo", ""),
    "QuantizedNetwork": ("networks.quantize", "QuantizedNetwork", ""),
    "RunResult": ("library", "RunResult", ""),
    "load": ("library", "load", ""),
    "quantize": ("library", "quantize", ""),
    "read": ("library", "read", ""),
    "run": ("library", "run", ""),
    "synthetic_fleet": ("data.synthetic", "make_fleet", "data"),
}
"""Public name -> module, name there, extra that the module cannot be imported without."""


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for. Raises MissingExtra for one that needs more than NumPy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, own, extra = _HOMES[name]
    if extra:
        importlib.import_module(".errors", __name__).require("pandas", extra=extra)
    found = getattr(importlib.import_module(f".{module}", __name__), own)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
