"""Small C models for the tests of edgebat.simulate: self-contained, with the interface every exported model has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

INPUTS, OUTPUTS = 12, 3

HEADER = """\
#include <stdint.h>
#define {upper}_INPUT_LEN {inputs}
#define {upper}_OUTPUT_LEN {outputs}
#define {upper}_SCRATCH_BYTES {scratch}
typedef int16_t {name}_output_t;
int {name}_run(const int8_t *input, int16_t *output, void *scratch);
"""

MODEL = """\
#include "toy.h"
int32_t toy_dot(const int8_t *x, const int8_t *w, int n);
static const int8_t weights[3][12] = {
    {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12}, {127, -128, 0, 1, 0, 0, 0, 0, 5, 5, 5, 5}, {9, 9, 9, 9, 9, 9}};
int toy_run(const int8_t *input, int16_t *output, void *scratch) {
    int8_t *copy = scratch;
    for (int i = 0; i < 12; i++) {
        copy[i] = (int8_t)(input[i] < 0 ? 0 : input[i]);
    }
    for (int o = 0; o < 3; o++) {
        output[o] = (int16_t)(toy_dot(copy, weights[o], 12) / (o + 1));
    }
    return 0;
}
"""

KERNEL = """\
#include <stdint.h>
int32_t toy_dot(const int8_t *x, const int8_t *w, int n);
int32_t toy_dot(const int8_t *x, const int8_t *w, int n) {
    int32_t sum = 0;
    while (n-- > 0) {
        sum += *x++ * *w++;
    }
    return sum;
}
"""


def toy_in_numpy(windows: npt.NDArray[np.int8]) -> npt.NDArray[np.int16]:
    """What MODEL computes, int8 [N, 12] -> int16 [N, 3]; division truncates towards zero as in C."""
    weights = np.zeros((OUTPUTS, INPUTS), np.int64)
    weights[0] = [1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12]
    weights[1, [0, 1, 3, 8, 9, 10, 11]] = [127, -128, 1, 5, 5, 5, 5]
    weights[2, :6] = 9
    sums = np.maximum(windows, 0).astype(np.int64) @ weights.T
    return (np.sign(sums) * (np.abs(sums) // np.array([1, 2, 3]))).astype(np.int16)


def windows(count: int, seed: int = 0) -> npt.NDArray[np.int8]:
    """Random windows int8 [count, 12]."""
    return np.random.default_rng(seed).integers(-128, 128, (count, INPUTS)).astype(np.int8)


def write_model(folder: Path, source: str = MODEL, *, name: str = "toy", scratch: int = INPUTS) -> Path:
    """Write a model, its header and the kernel into ``folder``; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    header = HEADER.format(name=name, upper=name.upper(), inputs=INPUTS, outputs=OUTPUTS, scratch=scratch)
    (folder / f"{name}.h").write_text(header)
    (folder / f"{name}.c").write_text(source)
    (folder / "toy_dot.c").write_text(KERNEL)
    return folder


def body(statements: str, before: str = "") -> str:
    """A model whose run function consists of ``statements``; ``before`` goes to file level."""
    return f"""\
#include "toy.h"
{before}
int toy_run(const int8_t *input, int16_t *output, void *scratch) {{
    (void)input;
    (void)output;
    (void)scratch;
    {statements}
    return 0;
}}
"""
