"""LSTM, GRU, TCN and CNN-LSTM of a user, each in five lines to int8 C: ``python -m bench.own_networks [--write]``.

They learn the SOC of a made-up cell from voltage, current and temperature (simulated here, seeded), are quantized on their
training windows, measured on others, and run on simulated cores: torch modules, the same as float ONNX files, and those of
Keras where tensorflow is installed. --write puts the table into docs/quantize.md.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import edgebat as eb
from bench.own_networks_cell import EPOCHS, MEAN, STD, cell
from bench.pages import print_or_write
from edgebat.bench.run import Options, bench

PAGE = Path(__file__).parents[1] / "docs" / "quantize.md"
BEGIN, END = "<!-- own networks: python -m bench.own_networks --write -->", "<!-- end of own networks -->"
TARGETS = ("cortex-m4f", "cortex-m0plus")


class Recurrent(nn.Module):
    """The last step of an LSTM or GRU."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU]) -> None:
        super().__init__()
        self.layer, self.head = kind(3, 16, batch_first=True), nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer((x - torch.tensor(MEAN)) / torch.tensor(STD))[0][:, -1])


class Tcn(nn.Module):
    """Dilated causal convolutions with residual additions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(3, 12, 1)
        self.convolutions = nn.ModuleList(nn.Conv1d(12, 12, 3, dilation=2**k) for k in range(4))
        self.head = nn.Linear(12, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(((x - torch.tensor(MEAN)) / torch.tensor(STD)).transpose(1, 2))
        for k, convolution in enumerate(self.convolutions):
            y = torch.relu(convolution(nn.functional.pad(y, (2 * 2**k, 0)))) + y
        return self.head(y[:, :, -1])


class CnnLstm(nn.Module):
    """A convolution with batch normalization, pooling, an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(3, 12, 5, padding=2), nn.BatchNorm1d(12)
        self.lstm, self.head = nn.LSTM(12, 12, batch_first=True), nn.Linear(12, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = ((x - torch.tensor(MEAN)) / torch.tensor(STD)).transpose(1, 2)
        y = torch.max_pool1d(torch.relu(self.norm(self.conv(z))), 2)
        return self.head(self.lstm(y.transpose(1, 2))[0][:, -1])


def trained(network: nn.Module, x: np.ndarray, y: np.ndarray) -> nn.Module:
    """``network`` after some epochs."""
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    inputs, labels = torch.from_numpy(x), torch.from_numpy((y - 50) / 25)
    generator = torch.Generator().manual_seed(0)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(x), generator=generator), 64):
            optimizer.zero_grad()
            ((network(inputs[rows]) - labels[rows]) ** 2).mean().backward()
            optimizer.step()
    with torch.no_grad():  # outputs in percent
        network.head.weight.mul_(25)
        network.head.bias.mul_(25).add_(50)
    return network.eval()


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "LSTM, 16 units": lambda: Recurrent(nn.LSTM),
    "GRU, 16 units": lambda: Recurrent(nn.GRU),
    "TCN, 4 dilated convolutions": Tcn,
    "CNN-LSTM": CnnLstm,
}


def onnx_of(network: nn.Module, x: np.ndarray, path: Path) -> Path:
    """``network`` as torch exports it to ONNX."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own doings
        torch.onnx.export(
            network, (torch.from_numpy(x[:2]),), path, input_names=["x"], dynamic_axes={"x": {0: "N"}}, dynamo=False
        )
    return path


def sources(x: np.ndarray, y: np.ndarray, folder: Path) -> Iterator[tuple[str, str, Any]]:
    """(network, from where, module or file), trained."""
    for title, build in NETWORKS.items():
        torch.manual_seed(0)
        network = trained(build(), x, y)
        yield title, "torch", network
        yield title, "ONNX", onnx_of(network, x, folder / "network.onnx")
    if importlib.util.find_spec("tensorflow"):
        # In a process of its own: torch and TensorFlow each bring threads and an OpenMP.
        subprocess.run([sys.executable, "-m", "bench.own_networks_keras", str(folder)], check=True)
        yield from ((title, "Keras", folder / f"keras_{index}.keras") for index, title in enumerate(NETWORKS))


def row(title: str, framework: str, source: Any, windows: tuple[np.ndarray, np.ndarray, np.ndarray]) -> str:
    """One row of the table; windows: for calibration, for evaluation, and labels of the latter."""
    x, others, truth = windows
    result = eb.quantize(
        source,
        x,
        input_units=("0.001 V", "0.001 A", "0.1 degC"),
        outputs={"soc": "0.01 %"},
        evaluation=others,
        labels=truth,
    )
    error = result.errors[-1]
    report = bench(result.graph, TARGETS, Options(compilers=("gcc",)))
    m4, m0 = ({one.target: one.figures for one in report.rows}[target] or {} for target in TARGETS)
    return (
        f"| {title} | {framework} | {error.float_label_rms:.2f} % | {error.int8_label_rms:.2f} % | {error.rms:.2f} % | "
        f"{m4['flash']:,} | {m4['ram']:,} | {m4['instructions']:,} | {m0['instructions']:,} |"
    )


def table() -> str:
    """All rows as Markdown."""
    torch.set_num_threads(1)
    x, y = cell(1000, 0)
    others, truth = cell(1000, 1)
    lines = [
        "| network | from | error against labels, float | int8 | int8 to float | flash | RAM | instructions, M4F | M0+ |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory(prefix="edgebat-own-") as folder:
        for source in sources(x, y, Path(folder)):
            lines.append(row(*source, (x, others, truth)))
            print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def main() -> None:
    """Print the table, or write it."""
    print_or_write(table(), PAGE, BEGIN, END)


if __name__ == "__main__":
    main()
