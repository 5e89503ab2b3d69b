"""A ``.pt2`` file of ``torch.export.save`` taken apart: a zip of JSON and raw arrays, read with NumPy alone.

Nothing of it is unpickled or executed; a tensor that torch pickled is refused.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.networks.constants import MOST_VALUES
from edgebat.networks.refusals import ONE_INPUT

MAX_BYTES = 256 << 20
# Element types as torch's schema numbers them.
_DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
}
_BFLOAT16 = 13
_BY_NAME = 2
"""Kind of an argument that is given by its name."""
_DAMAGE = (OSError, EOFError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, RecursionError,
           zipfile.BadZipFile, zlib.error)  # fmt: skip


@dataclass(frozen=True)
class Node:
    """One operator: its arguments by name, those that are given by name only, the names it writes."""

    target: str
    arguments: dict[str, Any]
    named: dict[str, Any]
    outputs: list[str]


@dataclass(frozen=True)
class Name:
    """A tensor among arguments."""

    text: str


class Open(int):
    """The size of the batch, or what is computed with it."""


OPEN = Open(-1)


@dataclass(frozen=True)
class Program:
    """Operators in executing order, constants by name, the input, the outputs, and their names if the module gave some.

    sizes: of every tensor, with `OPEN` ones.
    """

    nodes: list[Node]
    constants: dict[str, Array]
    input: str
    shape: tuple[int, ...]
    outputs: list[str]
    output_names: list[str]
    sizes: dict[str, list[int]]


def read_program(data: bytes, what: str) -> Program:
    """Operators and constants of the file; ``what`` names it in errors. Raises ModelFileError."""
    try:
        return _program(data, what)
    except ModelFileError:
        raise
    except _DAMAGE as error:
        raise ModelFileError(
            f"{what} cannot be read as a .pt2 file of torch.export.save: {type(error).__name__}: {error}. Write it with "
            "torch.export.save(torch.export.export(model.eval(), (windows,)), 'model.pt2')"
        ) from None


def _program(data: bytes, what: str) -> Program:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        if sum(info.file_size for info in infos) > MAX_BYTES:
            raise ModelFileError(f"{what} unpacks to more than {MAX_BYTES} bytes")
        names = [info.filename for info in infos]
        models = [n for n in names if n.endswith(".json") and "/models/" in f"/{n}"]
        if len(models) != 1:
            pickled = any(n.endswith("data.pkl") for n in names)
            raise ModelFileError(
                f"{what} is " + ("a pickle of torch.save, which is never opened, because it can run code" if pickled
                                 else f"no file of torch.export.save: it holds {len(models)} models")
                + ". Write it with torch.export.save(torch.export.export(model.eval(), (windows,)), 'model.pt2')"
            )  # fmt: skip
        root = models[0].rpartition("models/")[0]
        document = json.loads(archive.read(models[0]))
        arrays: dict[str, Array] = {}
        for part in ("weights", "constants"):
            config = next(
                (n for n in names if n.startswith(f"{root}data/{part}/") and n.endswith("_config.json")), None
            )
            entries = {} if config is None else json.loads(archive.read(config))["config"]
            for key, entry in entries.items():
                meta = entry["tensor_meta"]
                if entry["use_pickle"] or meta is None:
                    raise ModelFileError(
                        f"{what}: tensor {key!r} is pickled, which is never opened, because it can run code"
                    )
                arrays[key] = _array(archive.read(f"{root}data/{part}/{entry['path_name']}"), meta)
    module = document["graph_module"]
    return _of_document(module, arrays, what)


def _array(content: bytes, meta: Any) -> Array:
    if meta["dtype"] == _BFLOAT16:
        values: Array = (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        values = np.frombuffer(content, np.dtype(_DTYPES[meta["dtype"]]).newbyteorder("<"))
    sizes, strides = ([one["as_int"] for one in meta[key]] for key in ("sizes", "strides"))
    offset = meta["storage_offset"]["as_int"]
    if any(value < 0 for value in (*sizes, *strides, offset)) or int(np.prod(sizes, dtype=object)) > MOST_VALUES:
        raise ValueError(f"sizes {sizes}, strides {strides}")
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if min(sizes, default=1) > 0 and not 0 <= last < len(values):
        raise ValueError(f"sizes {sizes} leave {len(values)} values")
    index = np.full(sizes, offset)
    for axis, stride in enumerate(strides):
        steps = np.arange(sizes[axis]) * stride
        index = index + steps.reshape(-1, *[1] * (len(sizes) - axis - 1))
    return np.asarray(values[index])


def _of_document(module: Any, arrays: dict[str, Array], what: str) -> Program:
    graph, signature = module["graph"], module["signature"]
    constants: dict[str, Array] = {}
    inputs: list[str] = []
    for spec in signature["input_specs"]:
        ((kind, entry),) = spec.items()
        if kind == "user_input":
            inputs.append(entry["arg"]["as_tensor"]["name"])
        else:
            key = next(entry[k] for k in ("parameter_name", "buffer_name", "tensor_constant_name") if k in entry)
            constants[entry["arg"]["name"]] = arrays[key]
    changed = [spec for spec in signature["output_specs"] if "user_output" not in spec]
    if changed:
        raise ModelFileError(
            f"{what} changes {next(iter(changed[0].values())).get('buffer_name', 'its input')!r} when it runs: a state "
            "between windows, or batch normalization in training mode. Export it after model.eval(), without such a state"
        )
    outputs = [spec["user_output"]["arg"] for spec in signature["output_specs"]]
    if len(inputs) != 1:
        raise ModelFileError(f"{what} has {len(inputs)} inputs; {ONE_INPUT}")
    sizes = {
        name: [size.get("as_int", OPEN) for size in meta["sizes"]] for name, meta in graph["tensor_values"].items()
    }
    nodes = []
    for entry in graph["nodes"]:
        given: tuple[dict[str, Any], dict[str, Any]] = {}, {}
        for one in entry["inputs"]:
            given[one.get("kind") == _BY_NAME][one["name"]] = _argument(one["arg"])
        written = [name for one in entry["outputs"] for name in _written(one)]
        nodes.append(Node(entry["target"], *given, written))
    written_out = [output["as_tensor"]["name"] for output in outputs if "as_none" not in output]
    return Program(nodes, constants, inputs[0], tuple(sizes[inputs[0]]), written_out, _keys(module), sizes)


def _written(output: Any) -> list[str]:
    """Names of what an operator gives: tensors, or a size."""
    ((_, value),) = output.items()
    each = value if isinstance(value, list) else [value]
    return [one["name"] if "name" in one else one["as_name"] for one in each]


def _keys(module: Any) -> list[str]:
    """The keys of a dictionary that the module returns."""
    version, form = json.loads(module["module_call_graph"][0]["signature"]["out_spec"])
    if version != 1 or form["type"] not in ("builtins.dict", "collections.OrderedDict"):
        return []
    return [key for key in json.loads(form["context"]) if isinstance(key, str)]


def _argument(entry: Any) -> Any:
    ((kind, value),) = entry.items()
    match kind:
        case "as_tensor":
            return Name(value["name"])
        case "as_tensors" | "as_optional_tensors":
            return [Name(one["name"]) if "name" in one else _argument(one) for one in value]
        case "as_none":
            return None
        case "as_sym_int" | "as_sym_float":
            return value.get("as_int", value.get("as_float", OPEN)) if isinstance(value, dict) else OPEN
        case "as_sym_ints":
            return [one.get("as_int", OPEN) for one in value]
        case _:
            return value
