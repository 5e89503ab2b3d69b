"""Networks as files: ``.safetensors`` with one JSON document in the header. Reading never executes anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from edgebat.errors import ModelFileError
from edgebat.files import Json, atomic_write

MAX_FILE_BYTES = 1 << 30
KEY = "edgebat"


def save_module(module: nn.Module, path: str | Path, header: Json) -> None:
    """Write the module's parameters and persistent buffers, and ``header`` (JSON-able, has "format"), to ``path``."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    atomic_write(Path(path), save(tensors, metadata={KEY: json.dumps(header, sort_keys=True)}))


@dataclass(frozen=True)
class StoredNetwork:
    """A network file, read once: its JSON header and its tensors."""

    path: Path
    header: Json
    tensors: dict[str, Tensor]

    def fill(self, module: nn.Module) -> None:
        """Put the tensors into ``module``. Raises ModelFileError unless names and shapes agree exactly."""
        try:
            module.load_state_dict(self.tensors)
        except RuntimeError as error:
            raise ModelFileError(f"{self.path} does not fit the network its header describes: {error}") from None


def read_network(path: str | Path, expected_format: str | None = None) -> StoredNetwork:
    """The network in ``path``. Raises ModelFileError when the file is damaged, or not of ``expected_format``."""
    content = _read(path)
    try:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        header = json.loads(metadata[KEY])
        found = header["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path} is not an edgebat network file: {type(error).__name__}: {error}; "
                             "write it with edgebat, or restore it from a backup") from None  # fmt: skip
    if expected_format is not None and found != expected_format:
        raise ModelFileError(f"{path} holds {found!r}, not {expected_format!r}; give a file of that kind")
    try:
        return StoredNetwork(Path(path), dict(header), load(content))
    except SafetensorError as error:
        raise ModelFileError(f"{path} does not fit the network its header describes: {error}") from None


def _read(path: str | Path) -> bytes:
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelFileError(f"{path} has {size} bytes; network files have at most {MAX_FILE_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from None


def round_to_half(network: nn.Module) -> None:
    """Store weights and references in float16; single numbers such as the label scale keep float32. In place."""
    for parameter in network.parameters():
        parameter.data = parameter.data.half()
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_floating_point() and buffer.numel() > 64:
                setattr(module, name, buffer.half())
