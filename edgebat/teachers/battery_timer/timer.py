"""Timer: a decoder-only transformer over patches of a series, with the tensor names of the published weights.

Sources: thuml/timer-base-84m (config.json) and its model code as carried by Apache IoTDB (AINode, timerxl). Post-norm
blocks, rotary positions, SwiGLU; token i predicts the ``output_token_len`` values after patch i.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from edgebat.errors import ModelFileError, RecipeError


@dataclass(frozen=True)
class TimerConfig:
    """Sizes of a Timer. The names are those of the published config.json."""

    input_token_len: int = 96
    output_token_len: int = 96
    hidden_size: int = 1024
    intermediate_size: int = 2048
    num_hidden_layers: int = 8
    num_attention_heads: int = 8
    rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        width, heads = self.hidden_size, self.num_attention_heads
        sizes = [value for value in dataclasses.astuple(self) if value <= 0]
        if sizes or width % heads or (width // heads) % 2:
            raise RecipeError(
                f"a Timer cannot be built from {self}: all sizes must be positive, hidden_size an even multiple of "
                "num_attention_heads"
            )


PRESETS: dict[str, TimerConfig] = {
    # The published model: 84 142 080 parameters.
    "84m": TimerConfig(),
    # For training from scratch on capacity curves alone.
    "small": TimerConfig(
        input_token_len=24, hidden_size=256, intermediate_size=512, num_hidden_layers=4, num_attention_heads=4
    ),
    "tiny": TimerConfig(
        input_token_len=24, hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4
    ),
}


def timer_config(preset: str, **changes: Any) -> TimerConfig:
    """The preset's sizes with ``changes``. Raises RecipeError for an unknown preset or size."""
    if preset not in PRESETS:
        raise RecipeError(f"there is no Timer preset {preset!r}; allowed are {', '.join(PRESETS)}")
    try:
        return dataclasses.replace(PRESETS[preset], **changes)
    except TypeError:
        known = [f.name for f in dataclasses.fields(TimerConfig)]
        raise RecipeError(f"a Timer has no size among {sorted(changes)}; allowed are {known}") from None


class PatchEmbedding(nn.Module):
    """[B, tokens * patch] to [B, tokens, hidden]."""

    def __init__(self, config: TimerConfig) -> None:
        super().__init__()
        self.patch = config.input_token_len
        self.emb = nn.Linear(self.patch, config.hidden_size, bias=False)

    def forward(self, series: Tensor) -> Tensor:
        return self.emb(series.reshape(len(series), -1, self.patch))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Causal self-attention with rotary positions (half-split rotation); q, k, v have biases, o has none."""

    def __init__(self, config: TimerConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads, self.theta = config.num_attention_heads, config.rope_theta
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, hidden: Tensor, allowed: Tensor) -> Tensor:
        """hidden [B, tokens, width]; allowed [B, 1, tokens, tokens], True where a token may look."""
        q, k, v = (
            projection(hidden).reshape(*hidden.shape[:2], self.heads, -1).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        cosine, sine = rotary(hidden.shape[1], q.shape[-1], self.theta, q)
        mixed = functional.scaled_dot_product_attention(
            rotate(q, cosine, sine), rotate(k, cosine, sine), v, attn_mask=allowed
        )
        return self.o_proj(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def rotary(tokens: int, width: int, theta: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines [tokens, width] of the rotary positions 0 .. tokens - 1."""
    rates = theta ** (-torch.arange(0, width, 2, device=like.device, dtype=torch.float32) / width)
    angles = torch.arange(tokens, device=like.device, dtype=torch.float32)[:, None] * rates
    angles = torch.cat([angles, angles], dim=1)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the pairs (i, i + width / 2) of x [..., tokens, width] by their angles."""
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


class FeedForward(nn.Module):
    """SwiGLU without biases."""

    def __init__(self, config: TimerConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(hidden)) * self.up_proj(hidden))  # type: ignore[no-any-return]


class Block(nn.Module):
    """x = norm1(x + attention(x)); x = norm2(x + ffn(x))."""

    def __init__(self, config: TimerConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.ffn_layer = FeedForward(config)
        self.norm1 = nn.LayerNorm(config.hidden_size)
        self.norm2 = nn.LayerNorm(config.hidden_size)

    def forward(self, hidden: Tensor, allowed: Tensor) -> Tensor:
        hidden = self.norm1(hidden + self.self_attn(hidden, allowed))
        return self.norm2(hidden + self.ffn_layer(hidden))  # type: ignore[no-any-return]


class TimerModel(nn.Module):
    """Series to hidden states: [B, tokens * patch] to [B, tokens, hidden]."""

    def __init__(self, config: TimerConfig) -> None:
        super().__init__()
        self.embed_layer = PatchEmbedding(config)
        self.layers = nn.ModuleList([Block(config) for _ in range(config.num_hidden_layers)])
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(self, series: Tensor, padded: Tensor | None = None) -> Tensor:
        """padded: bool [B, tokens], True for tokens that hold no measurement; nobody looks at them."""
        hidden = self.embed_layer(series)
        tokens = hidden.shape[1]
        allowed = torch.ones(tokens, tokens, dtype=torch.bool, device=series.device).tril()[None, None]
        if padded is not None:
            # A padded token still sees itself: softmax over nothing would be NaN and poison the gradients.
            itself = torch.eye(tokens, dtype=torch.bool, device=series.device)
            allowed = allowed & (~padded[:, None, None, :] | itself)
        for layer in self.layers:
            hidden = layer(hidden, allowed)
        return self.norm(hidden)  # type: ignore[no-any-return]


class Timer(nn.Module):
    """The published network: hidden states in ``model``, one linear head in ``lm_heads.0``.

    forward: normalized series [B, tokens * patch] to predictions [B, tokens, output_token_len].
    """

    def __init__(self, config: TimerConfig) -> None:
        super().__init__()
        self.config = config
        self.model = TimerModel(config)
        self.lm_heads = nn.ModuleList([nn.Linear(config.hidden_size, config.output_token_len, bias=False)])
        self.apply(_initialize)

    def forward(self, series: Tensor, padded: Tensor | None = None) -> Tensor:
        return self.lm_heads[0](self.model(series, padded))  # type: ignore[no-any-return]

    def load_published(self, path: str | Path) -> None:
        """Fill the network with a user's copy of the published weights (``model.safetensors``).

        Names and shapes must agree exactly; buffers of rotary positions that some versions store are ignored.
        Raises ModelFileError.
        """
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ModelFileError(f"{path} cannot be read as safetensors: {error}") from None
        tensors = {name: value.float() for name, value in tensors.items() if "rotary_emb" not in name}
        try:
            self.load_state_dict(tensors)
        except RuntimeError as error:
            raise ModelFileError(f"{path} does not hold a Timer of the sizes {self.config}: {error}") from None


def _initialize(module: nn.Module) -> None:
    """N(0, 0.02) weights and zero biases, as published."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
