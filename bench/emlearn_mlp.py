"""The reference MLP by emlearn (float, its "loadable" code) on the simulated Cortex-M4F, beside edgebat's int8.

    pip install emlearn
    python bench/emlearn_mlp.py

emlearn has no convolution and no LSTM, and no fixed-point dense layer. Both tools get the same random weights; the FPU
is on for emlearn and gcc is needed, because emlearn's code includes headers of a C library.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import emlearn
import numpy as np
from emlearn.net import c_generate_net_loadable

from edgebat.bench.nets import reference_net
from edgebat.bench.run import KINDS, Options, bench
from edgebat.graph import Dense
from edgebat.simulate import BuildOptions, load_target, measure
from edgebat.verify.inputs import random_inputs

INPUT_STEP, OUTPUT_STEP = 2.0**-5, 2.0**-12
WRAPPER = """\
#include <stdint.h>
#include "emlearn_mlp.h"
#include "net.h"
int emlearn_mlp_run(const int8_t *input, int16_t *output, void *scratch) {
    float values[40];
    (void)scratch;
    for (int i = 0; i < 40; i++) {
        values[i] = (float)input[i] * 0.03125f;
    }
    output[0] = (int16_t)(net_regress1(values, 40) * 4096.0f);
    return 0;
}
"""
HEADER = """\
#include <stdint.h>
#define EMLEARN_MLP_INPUT_LEN 40
#define EMLEARN_MLP_OUTPUT_LEN 1
#define EMLEARN_MLP_SCRATCH_BYTES 0
typedef int16_t emlearn_mlp_output_t;
int emlearn_mlp_run(const int8_t *input, int16_t *output, void *scratch);
"""


def float_layers() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights [I, O] and biases [O] of the reference MLP, as the integer graph represents them."""
    graph = reference_net("mlp")
    weights, biases = [], []
    for node in graph.nodes:
        if isinstance(node, Dense):
            scale = node.weight_scale.astype(np.float64)
            step = graph.tensors[node.inputs[0]].scale
            weights.append((node.weight * scale[:, None]).T.astype(np.float32))
            biases.append((node.bias * scale * step).astype(np.float32))
    return weights, biases


def main() -> None:
    graph = reference_net("mlp")
    x = random_inputs(graph, 16, kinds=KINDS)
    weights, biases = float_layers()
    values = x.reshape(len(x), -1) * INPUT_STEP
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        values = values @ weight + bias
        values = np.maximum(values, 0) if index < len(weights) - 1 else values
    expected = values / OUTPUT_STEP
    m4 = load_target("cortex-m4f")
    with_fpu = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
    board = replace(m4, float_abi="hard", allow_float=True, gcc=with_fpu)
    with tempfile.TemporaryDirectory(prefix="edgebat-emlearn-") as folder:
        place = Path(folder)
        (place / "net.h").write_text(c_generate_net_loadable(["relu", "relu", "identity"], weights, biases, "net"))
        (place / "emlearn_mlp.h").write_text(HEADER)
        (place / "emlearn_mlp.c").write_text(WRAPPER)
        options = BuildOptions("gcc", kernels=(), include=[Path(emlearn.includedir)], libraries=("-lm",))
        done = measure(place, "emlearn_mlp", board, x, options)
    print(f"emlearn {emlearn.__version__}, {done.compiler} {' '.join(done.flags)}; {done.simulator}")
    print(f"largest difference to NumPy in float: {np.abs(done.outputs - expected).max() * OUTPUT_STEP:.5f}")
    ours = bench(graph, ["cortex-m4f"], Options(("gcc",), confirm=False)).rows[0].measurement
    print("\n| MLP on cortex-m4f | instructions (simulator) | flash | RAM |\n| --- | ---: | ---: | ---: |")
    for name, result in (("emlearn, float, FPU", done), ("edgebat, int8", ours)):
        print(f"| {name} | {result.instructions[1]:,} | {result.flash.total:,} | {result.ram.total:,} |")


if __name__ == "__main__":
    main()
