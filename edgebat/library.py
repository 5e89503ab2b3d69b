"""The library: what ``import edgebat as eb`` offers. See docs/library.md; the verbs of the command line call the same code.

::

    model = eb.load("health-lstm.ebat")
    model.predict("cell07.csv", nominal_ah=3.5)["soh_percent"]
    model.export("firmware", to=["c"])

    fleet = eb.read(["a.csv", "b.csv"], nominal_ah=3.5)
    eb.run("my.yaml", fleet).load("lstm").evaluate(fleet)

    eb.quantize(my_torch_module, windows, outputs={"soc": "0.01 %"}).export("firmware", to=["c"])
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebat.arrays import FloatArray
from edgebat.cells import packed_count
from edgebat.errors import DataError, ModelFileError, RecipeError, require
from edgebat.estimates import Estimates, device_estimates, of_windows, physical_estimates
from edgebat.files import Json
from edgebat.graph import IntGraph
from edgebat.models import Model, open_model, run_cells
from edgebat.predict import UNIT_SUFFIX, Prediction, asked, inputs_of_file, of_inputs
from edgebat.tasks.base import FileInputs, FileOptions
from edgebat.tasks.windows import Windows

if TYPE_CHECKING:
    import pandas as pd

    from edgebat.bulk.run import BulkResult
    from edgebat.data.fleet import Fleet
    from edgebat.evaluate import Evaluation
    from edgebat.networks.quantize import QuantizedNetwork


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself."""

    path: Path
    kind: str
    """``int8 lstm``, ``float lstm``, ``teacher ic2ml``."""
    task: str
    """``health``, ``forecast`` or ``life``."""
    summary: str
    """What it gives and from what, as a phrase."""
    definition: Json
    """The task's definition: voltage window, reference, end of life, ..."""
    input_shape: tuple[int, ...]
    """(T, C) of its windows; empty for a teacher, which sees whole windows of its task."""
    outputs: tuple[str, ...]
    """Columns that it estimates, as ``soh_percent``; what follows from them by a rule is not among them."""
    seen_cells: int
    """Cells it has learnt from or was tuned on."""
    synthetic: bool
    """It has learnt from simulated cells: its numbers say nothing about real ones."""
    provenance: Json
    """How it was trained, as far as the file says."""


@dataclass(frozen=True)
class Estimator:
    """A model file, ready to use."""

    model: Model
    """As ``edgebat.models.open_model`` gives it."""

    @property
    def info(self) -> ModelInfo:
        """What the file says of itself."""
        model, origin = self.model, dict(self.model.provenance)
        heads = model.task.heads(model.spec)
        return ModelInfo(
            path=model.path,
            kind=model.kind,
            task=model.task.name,
            summary=model.task.summary(model.spec),
            definition=model.spec.to_dict(),
            input_shape=self._shape,
            outputs=tuple(f"{head.name}_{UNIT_SUFFIX[head.unit][0]}" for head in heads),
            seen_cells=packed_count(model.seen),
            synthetic=bool(origin.get("synthetic", False)),
            provenance={name: value for name, value in origin.items() if name not in ("task", "seen")},
        )

    def predict(
        self,
        data: str | Path | FloatArray | Mapping[str, Any] | pd.DataFrame | Fleet | Windows,
        *,
        nominal_ah: float | None = None,
        columns: Mapping[str, str] | Sequence[str] = (),
        sign: str | None = None,
        chemistry: str = "",
    ) -> Estimates:
        """Estimates after every cycle that completes a window.

        data: a file, as ``edgebat predict`` takes it; a DataFrame or mapping of columns of one cell (samples ``time_s``,
        ``voltage_v``, ``current_a`` and, where known, ``cycle`` for a health model; ``cycle`` and ``capacity_ah`` for a
        forecast model); ready windows [N, T, C] or [T, C], fractions of nominal capacity, oldest first; a fleet; or windows
        of the model's task. columns: other names and their factors to s, V, A, Ah, as ``{"current": "I_mA:1e-3"}``.
        nominal_ah: nominal capacity of the cell, Ah, where ``data`` does not state it. sign: ``positive_is_charge`` or
        ``positive_is_discharge``; None takes what the layout of a file says, else charging; checked against the voltage.
        chemistry: of the cell, as ``NCM811``; an int8 model refuses one that it does not know.

        A teacher predicts from a fleet or from windows. Raises DataError.
        """
        model = self.model
        if (windows := self._windows(data)) is not None:
            return of_windows(self._of_windows(windows), windows)
        if not self._shape:
            raise DataError(f"{model.kind} predicts from a fleet or from windows of its task, not from {_kind(data)}")
        how = FileOptions(nominal_ah, _mapping(columns), sign, chemistry=chemistry)
        if isinstance(model.network, IntGraph):
            inputs = self._inputs(data, asked(model.network, how))
            return device_estimates(model.network, of_inputs(model.network, inputs, chemistry))
        found = self._inputs(data, how)
        predicted = model.network.predict(np.asarray(found.x, dtype=np.float32))
        return physical_estimates(model.task, model.spec, predicted, found)

    def evaluate(self, fleet: Fleet | str | Path, *, train_fleet: Fleet | str | Path | None = None) -> Evaluation:
        """Scores by cell beside the baselines of the task; cells that the model has seen are marked.

        fleet: cells with measured capacities, or a corpus folder. train_fleet: where baselines find the cells that the
        model has learnt from, ``fleet`` unless given. Raises DataError, MissingExtra.
        """
        require("pandas", extra="data")
        from edgebat.evaluate import evaluate_model

        return evaluate_model(self.model, _folder(fleet), None, _folder(train_fleet or fleet))

    def predict_logs(
        self,
        logs: str | Path,
        out: str | Path,
        *,
        nominal_ah: float | Mapping[str, float] | None = None,
        columns: Mapping[str, str] | Sequence[str] = (),
        sign: str | None = None,
        chemistry: str = "",
        jobs: int = 1,
        ray: str = "",
    ) -> BulkResult:
        """``predict`` of every log in a folder and below it, into parquet files in the folder ``out``; called again, it goes
        on with the logs that are not done yet.

        nominal_ah: of all cells, or by log (its path below ``logs``). jobs: processes. ray: ``local`` or the address of a
        Ray cluster whose nodes find the logs under the same path. chemistry: as of ``predict``. Raises DataError,
        MissingExtra.
        """
        if not isinstance(self.model.network, IntGraph):
            raise ModelFileError(f"{self.model.path} is {self.model.kind}; logs are for int8 models (.ebat)")
        from edgebat.bulk.run import Effort, Job, run_logs

        by_log = nominal_ah if isinstance(nominal_ah, Mapping) else None
        how = FileOptions(None if isinstance(nominal_ah, Mapping) else nominal_ah, _mapping(columns), sign,
                          chemistry=chemistry)  # fmt: skip
        job = Job("predict", self.model.network, Path(logs), Path(out), how, nominal_ah=by_log)
        return run_logs(job, Effort(jobs, ray))

    def export(
        self,
        folder: str | Path,
        to: Sequence[str] = ("c", "tflite", "onnx"),
        *,
        name: str | None = None,
        mode: str = "balanced",
        port: str | None = None,
        nominal_mah: int | None = None,
        adapters: Sequence[str] = (),
    ) -> list[Path]:
        """Write the model to ``folder`` and return the files.

        to: of ``c``, ``tflite``, ``onnx``, ``ebat``. name: of the files and of the C code. mode: what the C code is to be
        good at, ``balanced``, ``flash``, ``ram`` or ``fast``. port: instead of ``to`` a folder for a firmware, as
        ``foxbms`` (``edgebat export MODEL --port list``), for a cell of nominal_mah. adapters: public protocols it speaks as
        well, as ``dronecan`` (``edgebat export MODEL --adapter list``).
        Raises ModelFileError for a model that is not int8, RecipeError for an unknown format.
        """
        graph = self.model.network
        if not isinstance(graph, IntGraph):
            raise ModelFileError(f"{self.model.path} is {self.model.kind}; int8 models (.ebat) alone are exported")
        if port is None:
            from edgebat.formats.export import export_all

            return export_all(graph, Path(folder), to, name, mode=mode)[0]
        from edgebat.bms.ports import DEFAULT_NOMINAL_MAH, export_port

        mah = nominal_mah or DEFAULT_NOMINAL_MAH
        return export_port(graph, port, Path(folder), name or "soh", nominal_mah=mah, mode=mode, adapters=adapters)

    @property
    def _shape(self) -> tuple[int, ...]:
        network = self.model.network
        return tuple(network.input_tensor.shape if isinstance(network, IntGraph) else getattr(network, "shape", ()))

    def _windows(self, data: object) -> Windows | None:
        """The windows in ``data``, when it is a fleet or windows of the model's task."""
        if isinstance(data, Windows):
            return data
        if "edgebat.data.fleet" not in sys.modules:  # nobody has made a fleet yet, perhaps without pandas
            return None
        from edgebat.data.fleet import Fleet

        return self.model.task.of_fleet(data, self.model.spec).windows if isinstance(data, Fleet) else None

    def _of_windows(self, windows: Windows) -> Estimates:
        model, cycle = self.model, np.asarray(windows.cycle, dtype=np.int64)
        if not isinstance(windows, model.task.Windows):
            raise DataError(f"{model.kind} is of the task {model.task.name}; these are {_kind(windows)}")
        if isinstance(model.network, IntGraph):
            return device_estimates(model.network, Prediction(cycle, run_cells(model.network, windows), {}))
        return physical_estimates(model.task, model.spec, model.predict(windows), FileInputs(windows.inputs(), cycle))

    def _inputs(self, data: Any, how: FileOptions) -> FileInputs:
        task, spec = self.model.task, self.model.spec
        if isinstance(data, str | Path):
            return inputs_of_file(task, spec, self._shape, Path(data), how)
        if isinstance(data, np.ndarray):
            x = data[None] if data.ndim == len(self._shape) else data
            return FileInputs(x, np.arange(len(x), dtype=np.int64))
        if isinstance(data, Mapping) or hasattr(data, "columns"):
            return task.inputs_of_columns(data, spec, how)
        raise DataError(
            f"a model predicts from a file, a DataFrame, a mapping of columns, an array, a fleet or windows, not from "
            f"{_kind(data)}"
        )


@dataclass(frozen=True)
class RunResult:
    """A run folder after its steps."""

    folder: Path

    @property
    def card(self) -> Json:
        """What was measured: accuracy, equality of the engines, sizes. Raises DataError before the step ``report``."""
        return self._json("card.json")

    @property
    def scores(self) -> Json:
        """Errors on the held-out cells by model, as ``lstm_int8``. Raises DataError before the step ``report``."""
        return self._json("metrics.json")

    @property
    def report(self) -> Path:
        """The report, one file for any browser."""
        return self.folder / "report.html"

    @property
    def models(self) -> dict[str, Path]:
        """The int8 models by name; those called ``..._alone`` were trained without a teacher."""
        return {path.stem: path for path in sorted((self.folder / "models").glob("*.ebat"))}

    def load(self, name: str) -> Estimator:
        """One of ``models``. Raises ModelFileError."""
        return load(self.models.get(name, self.folder / "models" / f"{name}.ebat"))

    def _json(self, name: str) -> Json:
        try:
            found: Json = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(f"{self.folder} has no {name} yet; run its recipe up to the step report") from None
        return found


def load(path: str | Path) -> Estimator:
    """The model in a file: int8 (``.ebat``, ``.tflite``, ``.onnx``; NumPy alone), float student or teacher
    (``.safetensors``; extra ``train``).

    Raises ModelFileError for a missing, damaged or foreign file, MissingExtra.
    """
    return Estimator(open_model(path))


def read(
    files: str | Path | Iterable[str | Path],
    *,
    nominal_ah: float | None = None,
    columns: Mapping[str, str] | Sequence[str] = (),
    sign: str | None = None,
    dataset: str = "OWN",
    name_pattern: str | None = None,
) -> Fleet:
    """A fleet out of cycler files of any kind that ``edgebat data add`` reads, built as it builds a corpus: files of one
    cell joined, cycles counted, whole discharges measured. A folder stands for the files in it. ``fleet.notes`` says what
    was judged and left out.

    nominal_ah: of cells whose files do not state theirs, Ah. columns, sign: as of ``Estimator.predict``. dataset: what the
    cells are called together. name_pattern: where a cell's name stands in a file's, as ``{cell}_*``; without one every file
    is a cell. Raises DataError naming the file, MissingExtra.
    """
    require("pandas", extra="data")
    from edgebat.assemble.fleet import read_fleet
    from edgebat.assemble.settings import AddSettings
    from edgebat.data.readers.cell import answers_of

    answers = answers_of(_mapping(columns)) | ({"sign": sign} if sign else {})
    given = [Path(files)] if isinstance(files, str | Path) else [Path(file) for file in files]
    return read_fleet(
        given, AddSettings(dataset=dataset, answers=answers, nominal_ah=nominal_ah, name_pattern=name_pattern)
    )


def run(
    recipe: str | Path | Json,
    fleet: Fleet | str | Path | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    until: str = "report",
    runs: str | Path = "runs",
    quiet: bool = False,
) -> RunResult:
    """The steps of a recipe up to the stage ``until``; finished steps are kept, as in ``edgebat run``.

    recipe: a file, the name of a shipped one, or plain data. fleet: the cells, in memory or as a corpus folder; they take
    the place of a recipe's simulated cells. settings: changes of the recipe, as ``{"teacher.fit.epochs": 5}``. until:
    ``data``, ``teacher``, ``students``, ``quantize``, ``export``, ``verify``, ``simulate`` or ``report``. runs: where run
    folders are made. Raises RecipeError, DataError, StepFailed, MissingExtra.
    """
    require("torch", extra="train")
    require("rich", extra="cli")
    from rich.console import Console

    from edgebat.runs.document import find_recipe
    from edgebat.runs.recipe import load_recipe
    from edgebat.runs.run import run_recipe

    overrides = [f"{key}={json.dumps(value)}" for key, value in (settings or {}).items()]
    checked = load_recipe(recipe, overrides if fleet is None else [*overrides, "data.source=corpus"])
    file = None if isinstance(recipe, dict) else find_recipe(recipe)
    cells = None if fleet is None else _folder(fleet)
    return RunResult(run_recipe(checked, Path(runs), cells, until, console=Console(quiet=quiet), file=file))


def quantize(
    model: Any,
    calibration: Any,
    *,
    input_units: str | Sequence[str] = (),
    outputs: str | Sequence[str] | Mapping[str, str] = (),
    evaluation: Any = None,
    labels: Any = None,
    settings: Mapping[str, Any] | None = None,
    name: str = "",
) -> QuantizedNetwork:
    """A float network of your own as an int8 model, with its errors against float: ``.text()``, ``.predict(windows)``,
    ``.save("soc.ebat")``, ``.export("firmware", to=["c"])``.

    model: a ``torch.nn.Module``, or a file: ``.pt2``, ``.onnx``, ``.tflite``, ``.keras``, ``.h5``, a SavedModel; nothing in
    it is run. calibration: windows [N, T, C] or [N, F] as the network takes them: an array, a DataFrame, a file (``.npz``,
    ``.npy``, ``.parquet``, ``.csv``), or an iterable of batches. evaluation: further windows to measure the error on.
    labels: what the network should say of the evaluation windows, or of the calibration windows when it is to be trained.
    input_units: what one integer is that the device gives, as "0.001 V", one for all columns or one for each. outputs: the
    same of what it says, by name as {"soc": "0.01 %"}. settings: of `QuantizeOptions`, as {"method": "minmax",
    "qat_epochs": 5}. Raises ModelFileError naming layer, operator, reason and remedy; DataError, RecipeError, MissingExtra.
    """
    from edgebat.networks.quantize import Sets, units_of
    from edgebat.networks.quantize import quantize as quantize_network
    from edgebat.quantization import QuantizeOptions

    known = [entry.name for entry in fields(QuantizeOptions)]
    unknown = sorted(set(settings or {}) - set(known))
    if unknown:
        raise RecipeError(f"settings {', '.join(unknown)} are unknown; allowed: {', '.join(known)}")
    sets = Sets(calibration, evaluation, labels)
    return quantize_network(model, sets, units_of(input_units, outputs), QuantizeOptions(**(settings or {})), name)


def _mapping(columns: Mapping[str, str] | Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{k}={v}" for k, v in columns.items()) if isinstance(columns, Mapping) else tuple(columns)


def _folder(cells: Fleet | str | Path) -> Fleet | Path:
    return Path(cells) if isinstance(cells, str) else cells


def _kind(data: object) -> str:
    return f"{type(data).__module__}.{type(data).__qualname__}".removeprefix("builtins.")
