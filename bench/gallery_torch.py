"""The gallery's networks in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.gallery_entry import COLUMNS, STEPS, Entry


def torch_entries() -> Iterator[Entry]:
    """PyTorch modules."""
    import torch
    from torch import nn

    def module(
        name: str, task: str, build: Callable[[], Any], shape: tuple[int, ...] = (STEPS, COLUMNS), refused: str = ""
    ) -> Entry:
        def make(folder: Path) -> tuple[Any, Callable[[Any], Any]]:
            torch.manual_seed(len(name))
            net = build().eval()
            for layer in net.modules():
                if isinstance(layer, nn.BatchNorm1d):
                    layer.running_mean.normal_(0, 0.3)
                    layer.running_var.uniform_(0.5, 2.0)
            with torch.no_grad():
                return net, lambda x: net(torch.from_numpy(x)).detach().numpy()

        return Entry(name, task, "torch", make, shape, refused)

    class Recurrent(nn.Module):
        def __init__(self, kind: str = "LSTM", hidden: int = 16, last: str = "step", **settings: Any) -> None:
            super().__init__()
            self.rnn = getattr(nn, kind)(COLUMNS, hidden, batch_first=True, **settings)
            width = settings.get("proj_size", hidden) * (2 if settings.get("bidirectional") else 1)
            self.last, self.head = last, nn.Linear(width, 1)

        def forward(self, x: Any) -> Any:
            sequence, state = self.rnn(x)
            if self.last == "hidden":
                return self.head(state[0][-1])
            return self.head(
                sequence if self.last == "all" else sequence.mean(1) if self.last == "mean" else sequence[:, -1]
            )

    class ConvNet(nn.Module):
        """Channels first, as torch has convolutions."""

        def __init__(self, *layers: Any, head: Any = None, transpose: bool = True) -> None:
            super().__init__()
            self.body, self.head, self.transpose = nn.Sequential(*layers), head, transpose

        def forward(self, x: Any) -> Any:
            y = self.body(x.permute(0, 2, 1) if self.transpose else x)
            return y if self.head is None else self.head(y)

    class Gated(nn.Module):
        """A dilated layer as WaveNet has them, with a squeeze-and-excite gate of its channels."""

        def __init__(self) -> None:
            super().__init__()
            norm = nn.utils.parametrizations.weight_norm
            self.filter, self.gate = norm(nn.Conv1d(COLUMNS, 8, 3)), norm(nn.Conv1d(COLUMNS, 8, 3))
            self.excite, self.head = nn.Linear(8, 8), nn.Linear(8, 1)

        def forward(self, x: Any) -> Any:
            x = x.permute(0, 2, 1)
            y = torch.tanh(self.filter(x)) * torch.sigmoid(self.gate(x))
            y = y * torch.sigmoid(self.excite(y.mean(-1))).unsqueeze(-1)
            return self.head(y.mean(-1))

    class ConvLstm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.lstm, self.head = (
                nn.Conv1d(COLUMNS, 12, 5, padding=2),
                nn.LSTM(12, 12, batch_first=True),
                nn.Linear(12, 1),
            )

        def forward(self, x: Any) -> Any:
            y = torch.max_pool1d(torch.relu(self.conv(x.transpose(1, 2))), 2)
            return self.head(self.lstm(y.transpose(1, 2))[0][:, -1])

    class Chomp(nn.Module):
        """A block of a temporal convolutional network: pad, convolve, cut, add."""

        def __init__(self, ins: int, outs: int, dilation: int) -> None:
            super().__init__()
            self.cut = 2 * dilation
            self.first = nn.Conv1d(ins, outs, 3, padding=self.cut, dilation=dilation)
            self.second = nn.Conv1d(outs, outs, 3, padding=self.cut, dilation=dilation)
            self.skip = nn.Conv1d(ins, outs, 1) if ins != outs else nn.Identity()

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.first(x)[:, :, : -self.cut])
            y = torch.relu(self.second(y)[:, :, : -self.cut])
            return torch.relu(y + self.skip(x))

    class Normalized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor([0.1, -0.2, 0.3]))
            self.register_buffer("std", torch.tensor([0.5, 2.0, 1.5]))
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(STEPS * COLUMNS, 16), nn.ReLU(), nn.Linear(16, 1))

        def forward(self, x: Any) -> Any:
            return self.net((x - self.mean) / self.std)

    class TwoBranches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.short, self.long = nn.Conv1d(COLUMNS, 6, 3, padding=1), nn.Conv1d(COLUMNS, 6, 7, padding=3)
            self.head = nn.Linear(12, 1)

        def forward(self, x: Any) -> Any:
            x = x.mT
            return self.head(torch.cat([torch.relu(self.short(x)), torch.tanh(self.long(x))], dim=1).mean(2))

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.head = nn.Linear(COLUMNS, 8), nn.Linear(COLUMNS, 8), nn.Linear(STEPS * STEPS, 1)

        def forward(self, x: Any) -> Any:
            return self.head(torch.softmax(self.q(x) @ self.k(x).transpose(1, 2), -1).flatten(1))

    def mlp(activation: Any, ins: int = 12, *more: Any) -> Callable[[], Any]:
        return lambda: nn.Sequential(
            nn.Linear(ins, 24), activation, nn.Linear(24, 12), activation, *more, nn.Linear(12, 1)
        )

    flat = (12,)
    yield module("mlp-relu", "SOC", mlp(nn.ReLU()), flat)
    yield module("mlp-tanh", "SOC", mlp(nn.Tanh()), flat)
    yield module(
        "mlp-sigmoid-output",
        "SOC",
        lambda: nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid()),
        flat,
    )
    yield module("mlp-leaky", "SOH", mlp(nn.LeakyReLU(0.1)), flat)
    yield module("mlp-elu", "SOH", mlp(nn.ELU()), flat)
    yield module("mlp-silu", "SOH", mlp(nn.SiLU()), flat)
    yield module("mlp-gelu", "RUL", mlp(nn.GELU()), flat)
    yield module("mlp-hardswish", "RUL", mlp(nn.Hardswish()), flat)
    yield module(
        "mlp-softplus-output",
        "RUL",
        lambda: nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 1), nn.Softplus()),
        flat,
    )
    yield module("mlp-prelu", "temperature", mlp(nn.PReLU()), flat)
    yield module(
        "mlp-batchnorm-dropout",
        "SOH",
        lambda: nn.Sequential(nn.Linear(12, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 1)),
        flat,
    )
    yield module(
        "mlp-batchnorm-after-relu",
        "SOH",
        lambda: nn.Sequential(nn.BatchNorm1d(12), nn.Linear(12, 24), nn.ReLU(), nn.BatchNorm1d(24), nn.Linear(24, 1)),
        flat,
    )
    yield module("mlp-layernorm", "SOH", mlp(nn.ReLU(), 12, nn.LayerNorm(12)), flat, "use batch normalization")
    yield module(
        "autoencoder",
        "anomaly",
        lambda: nn.Sequential(
            nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 12)
        ),
        flat,
    )
    yield module(
        "classifier-softmax",
        "anomaly",
        lambda: nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(1)),
        flat,
    )
    yield module(
        "cnn-padded-pooling",
        "SOH",
        lambda: ConvNet(
            nn.Conv1d(COLUMNS, 8, 3), nn.ReLU(), nn.MaxPool1d(3, 2, padding=1), nn.AvgPool1d(2), nn.Flatten(),
            nn.Linear((STEPS - 1) // 4 * 8, 1),
        ),
    )  # fmt: skip
    yield module(
        "cnn-classifier",
        "anomaly",
        lambda: ConvNet(
            nn.Conv1d(COLUMNS, 8, 5, padding=2), nn.Hardswish(), nn.MaxPool1d(4, ceil_mode=True), nn.AdaptiveAvgPool1d(1),
            nn.Flatten(), nn.Linear(8, 4), nn.Softmax(-1),
        ),
    )  # fmt: skip
    yield module("normalized-inside", "SOC", Normalized)
    yield module("lstm", "SOC", Recurrent)
    yield module("lstm-two-layers", "SOC", lambda: Recurrent(num_layers=2, dropout=0.1))
    yield module("lstm-final-state", "SOH", lambda: Recurrent(last="hidden"))
    yield module("lstm-every-step", "SOC", lambda: Recurrent(last="all"))
    yield module("lstm-mean", "temperature", lambda: Recurrent(last="mean"))
    yield module("lstm-bidirectional", "SOC", lambda: Recurrent(bidirectional=True))
    yield module("gru", "SOC", lambda: Recurrent("GRU"))
    yield module(
        "gru-bidirectional-two-layers", "SOH", lambda: Recurrent("GRU", bidirectional=True, num_layers=2, last="mean")
    )
    yield module("rnn", "SOC", lambda: Recurrent("RNN"))
    yield module("lstm-projected", "SOC", lambda: Recurrent(proj_size=4))
    yield module("cnn-lstm", "SOH", ConvLstm)
    yield module(
        "cnn-flatten",
        "SOH",
        lambda: ConvNet(
            nn.Conv1d(COLUMNS, 8, 3),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(8, 8, 3),
            nn.ReLU(),
            nn.Flatten(),
            head=nn.Linear(56, 1),
        ),
    )
    yield module(
        "cnn-channels-first",
        "SOH",
        lambda: ConvNet(
            nn.Conv1d(COLUMNS, 8, 3, padding="same"),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            head=nn.Linear(8, 1),
            transpose=False,
        ),
        (COLUMNS, STEPS),
    )
    yield module(
        "cnn-strided-depthwise",
        "RUL",
        lambda: ConvNet(
            nn.Conv1d(COLUMNS, 8, 3, stride=2),
            nn.ReLU6(),
            nn.Conv1d(8, 8, 3, groups=8),
            nn.Conv1d(8, 12, 1),
            nn.ReLU(),
            nn.AvgPool1d(2),
            nn.Flatten(),
            head=nn.Linear(36, 1),
        ),
    )
    yield module(
        "cnn-batchnorm-after-relu-padded",
        "SOH",
        lambda: ConvNet(
            nn.Conv1d(COLUMNS, 8, 3, padding=1),
            nn.ReLU(),
            nn.BatchNorm1d(8),
            nn.Conv1d(8, 8, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(1),
            nn.Flatten(),
            head=nn.Linear(8, 1),
        ),
    )
    yield module(
        "tcn",
        "SOC",
        lambda: ConvNet(Chomp(COLUMNS, 8, 1), Chomp(8, 8, 2), Chomp(8, 8, 4), nn.Flatten(), head=nn.Linear(160, 1)),
    )
    yield module("tcn-gated-weight-norm", "SOC", Gated)
    yield module("two-branches", "temperature", TwoBranches)
    yield module("attention", "RUL", Attention, refused="multiplies matrices of two layers")
