"""Where windows of a pooling lie, as ONNX and torch say it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edgebat.formats.tflite.rules import same_padding
from edgebat.networks.build import Builder

Ends = Callable[[Any, Sequence[int], Sequence[int]], tuple[list[int], list[int]]]


def ceiled(length: int, size: int, stride: int, first: int) -> int:
    """Padding behind a sequence that is padded by ``first`` on both sides, so that an incomplete last window counts."""
    whole = length + 2 * first - size
    if whole % stride == 0 or -(-whole // stride) * stride >= length + first:
        return first
    return first + stride - whole % stride


def onnx_window(build: Builder, a: Any, shape: Sequence[int], ends_of: Ends) -> tuple[int, int, tuple[int, int], int]:
    """Size, stride, padding and the axis of time of a pooling with the attributes ``a`` on ``shape`` of the file."""
    size, axes = list(a["kernel_shape"]), len(a["kernel_shape"])
    stride = list(a.get("strides", [1] * axes))
    if any(d != 1 for d in a.get("dilations", [])):
        build.fail("it pools with dilation; use none")
    time = 0
    if axes == 2:
        time = next((1 - place for place in (0, 1) if shape[2 + place] == 1 and size[place] == 1), -1)
        if time < 0:
            build.fail(f"it pools over two dimensions of {list(shape)}; pool along time")
    k, s, length = size[time], stride[time], shape[2 + time]
    if a.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        small, large = same_padding(length, k, s, 1)
        return k, s, (small, large) if a["auto_pad"] == "SAME_UPPER" else (large, small), 2 + time
    first, last = ends_of(a, [n - 1 for n in size], stride)
    left, right = first[time], last[time]
    rest = (length + left + right - k) % s
    if a.get("ceil_mode") and rest and (length + left + right - k) // s * s + s < length + left:
        if right or a.get("count_include_pad"):
            build.fail("it pools an incomplete last group (ceil_mode) behind padding; use ceil_mode=False")
        right += s - rest
    return k, s, (left, right), 2 + time
