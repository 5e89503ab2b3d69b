"""An nn.LSTM, a TCN and a CNN-LSTM of a user, each in five lines to int8 C: ``python -m bench.own_networks [--write]``.

They learn the SOC of a made-up cell from voltage, current and temperature (simulated here, seeded), are quantized on their
training windows, measured on others, and run on simulated cores. --write puts the table into docs/quantize.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

import edgebat as eb
from bench.pages import print_or_write
from edgebat.bench.run import Options, bench

PAGE = Path(__file__).parents[1] / "docs" / "quantize.md"
BEGIN, END = "<!-- own networks: python -m bench.own_networks --write -->", "<!-- end of own networks -->"
STEPS, TARGETS = 32, ("cortex-m4f", "cortex-m0plus")
MEAN, STD = (3.7, 0.0, 25.0), (0.3, 1.5, 8.0)
EPOCHS = 20


def cell(windows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows float32 [N, STEPS, 3] in V, A, degC of a 3 Ah cell, a sample every 30 s, and its SOC [N, 1] in %."""
    rng = np.random.default_rng(seed)
    current = np.repeat(rng.normal(size=(windows, STEPS // 4)) * 1.5, 4, axis=1)
    temperature = rng.uniform(5, 40, (windows, 1)) + np.cumsum(rng.normal(size=(windows, STEPS)) * 0.05, axis=1)
    soc = rng.uniform(0.1, 0.9, (windows, 1)) + np.cumsum(current, axis=1) * 30 / 3600 / 3
    soc = np.clip(soc, 0.0, 1.0)
    resistance = 0.05 * np.exp((25 - temperature) / 40)
    voltage = 3.2 + 0.8 * soc + 0.15 * np.tanh(10 * (soc - 0.1)) + current * resistance
    voltage += rng.normal(size=voltage.shape) * 0.003
    return np.stack([voltage, current, temperature], axis=2).astype(np.float32), 100 * soc[:, -1:].astype(np.float32)


class Lstm(nn.Module):
    """The last step of an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 16, batch_first=True), nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm((x - torch.tensor(MEAN)) / torch.tensor(STD))[0][:, -1])


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


def table() -> str:
    """All rows as Markdown."""
    torch.set_num_threads(1)
    x, y = cell(1000, 0)
    others, truth = cell(1000, 1)
    lines = [
        "| network | error against labels, float | int8 | int8 against float | flash | RAM | instructions, M4F | M0+ |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for title, kind in (("nn.LSTM, 16 units", Lstm), ("TCN, 4 dilated convolutions", Tcn), ("CNN-LSTM", CnnLstm)):
        torch.manual_seed(0)
        net = trained(kind(), x, y)
        result = eb.quantize(
            net,
            x,
            input_units=("0.001 V", "0.001 A", "0.1 degC"),
            outputs={"soc": "0.01 %"},
            evaluation=others,
            labels=truth,
        )
        error = result.errors[-1]
        report = bench(result.graph, TARGETS, Options(compilers=("gcc",)))
        m4, m0 = ({row.target: row.figures for row in report.rows}[target] or {} for target in TARGETS)
        lines.append(
            f"| {title} | {error.float_label_rms:.2f} % | {error.int8_label_rms:.2f} % | {error.rms:.2f} % | "
            f"{m4['flash']:,} | {m4['ram']:,} | {m4['instructions']:,} | {m0['instructions']:,} |"
        )
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def main() -> None:
    """Print the table, or write it."""
    print_or_write(table(), PAGE, BEGIN, END)


if __name__ == "__main__":
    main()
