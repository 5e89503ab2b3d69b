"""A float student as C with the float32 kernels of ``edgebat_float.h``: what int8 is compared with, never exported.

The functions have the signature the measuring harness calls; input and output are floats, and their lengths are bytes
and values: ``<NAME>_INPUT_LEN`` counts bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgebat.arrays import Float32
from edgebat.errors import ModelFileError
from edgebat.files import atomic_write
from edgebat.formats.c.memory import pad4
from edgebat.formats.c.tables import array
from edgebat.paths import firmware_dir
from edgebat.students import spec
from edgebat.students.spec import FloatModel

KERNELS = ("edgebat_float_dense", "edgebat_float_conv1d", "edgebat_float_lstm")
FLAGS = ("-DEDGEBAT_FLOAT", "-ffp-contract=fast")


def kernel_sources() -> list[Path]:
    """The C files a model needs; the linker drops what it does not call."""
    return [firmware_dir() / "src" / f"{name}.c" for name in KERNELS]


def write_float_c(model: FloatModel, folder: Path, name: str) -> None:
    """Write ``<name>.c`` and ``<name>.h`` into ``folder``. Raises ModelFileError for an order of layers not known here."""
    writer = _Writer(model)
    writer.walk()
    scratch = writer.place()
    steps, channels = model.input_shape
    upper = name.upper()
    atomic_write(
        folder / f"{name}.h",
        f"""/* {name}.h - {model.kind} in float32, for comparison. Written by edgebat/bench/float_c.py. */
#include <stdint.h>
#define {upper}_INPUT_LEN {4 * steps * channels} /* bytes: float[{steps}][{channels}], aligned to 4 */
#define {upper}_OUTPUT_LEN {writer.outputs}
#define {upper}_SCRATCH_BYTES {4 * scratch}
typedef float {name}_output_t;
int {name}_run(const int8_t *input, {name}_output_t *output, void *scratch);
""",
    )
    tables, body = "\n".join(writer.tables), "\n    ".join(writer.body)
    atomic_write(
        folder / f"{name}.c",
        f"""/* {name}.c - {model.kind} in float32, for comparison. Written by edgebat/bench/float_c.py. */
#include "{name}.h"
#include "edgebat_float.h"
#include <float.h>

{tables}
int {name}_run(const int8_t *input, {name}_output_t *output, void *scratch)
{{
    const float *const x = (const float *)(const void *)input;
    float *const s = (float *)scratch;
    {body}
    return 0;
}}
""",
    )


class _Writer:
    """Walks over the layers. Tensors in working memory are "@0@", "@1@", ... until all their sizes are known."""

    def __init__(self, model: FloatModel) -> None:
        self.model = model
        self.tables: list[str] = []
        self.body: list[str] = []
        self.sizes: list[int] = []
        self.outputs = 0
        self.at = "x"

    def tensor(self, size: int) -> str:
        self.sizes.append(size)
        return f"@{len(self.sizes) - 1}@"

    def place(self) -> int:
        """Tensors take turns at two ends: a layer never writes over its input. Returns the floats of both."""
        first, second = max(self.sizes[::2], default=0), max(self.sizes[1::2], default=0)
        for index in range(len(self.sizes)):
            start = f"(s + {first})" if index % 2 else "s"
            self.body = [line.replace(f"@{index}@", start) for line in self.body]
        return first + second

    def table(self, name: str, values: Float32) -> str:
        texts = [f"{float(v):#.9g}f" for v in values.reshape(-1)]
        self.tables.append(array("float", name, texts, 8))
        return name

    def rows(self, label: str, weight: Float32, bias: Float32, activation: str) -> str:
        """Tables of a layer [O, I] in blocks of four rows; the initializer of an ``edgebat_float_dense_t``."""
        blocks = pad4(len(weight)) // 4
        missing = 4 * blocks - len(weight)
        full, padded = np.pad(weight, ((0, missing), (0, 0))), np.pad(bias, (0, missing))
        weights = self.table(f"{label}_weights", full.reshape(blocks, 4, -1).transpose(0, 2, 1))
        minimum = "0.0f" if activation == "relu" else "-FLT_MAX"
        return f"{{{weights}, {self.table(f'{label}_bias', padded)}, {minimum}, {weight.shape[1]}, {blocks}}}"

    def dense(self, label: str, weight: Float32, bias: Float32, activation: str, to: str) -> None:
        fields = self.rows(label, weight, bias, activation)
        self.tables.append(f"static const edgebat_float_dense_t {label} = {fields};\n")
        self.body.append(f"edgebat_float_dense(&{label}, {self.at}, {to});")

    def walk(self) -> None:
        layers = self.model.layers
        rows, width = self.model.input_shape
        for index, layer in enumerate(layers):
            label = f"layer{index}"
            match layer:
                case spec.DenseLayer() if index == len(layers) - 1:
                    self.head(label, layer)
                case spec.DenseLayer():
                    to = self.tensor(pad4(len(layer.weight)))
                    self.dense(label, layer.weight, layer.bias, layer.activation, to)
                    self.at = to
                case spec.Conv1DLayer():
                    follower = layers[index + 1]
                    pool = follower.size if isinstance(follower, spec.MaxPool1DLayer) else 1
                    rows, width = self.conv(label, layer, rows, width, pool)
                case spec.LstmLayer():
                    self.lstm(label, layer, rows)
                case spec.GruLayer():
                    raise ModelFileError(f"{label}: there is no float kernel of a GRU to compare with")
                case spec.FlattenLayer() | spec.LastStepLayer() | spec.MaxPool1DLayer():
                    pass

    def head(self, label: str, layer: spec.DenseLayer) -> None:
        """Blocks of four rows go to the output, the rest through working memory."""
        self.outputs = len(layer.weight)
        whole = self.outputs // 4 * 4
        if whole:
            self.dense(label, layer.weight[:whole], layer.bias[:whole], layer.activation, "output")
        if self.outputs > whole:
            rest = self.tensor(4)
            self.dense(f"{label}_rest", layer.weight[whole:], layer.bias[whole:], layer.activation, rest)
            self.body += [f"output[{i}] = {rest}[{i - whole}];" for i in range(whole, self.outputs)]

    def conv(self, label: str, layer: spec.Conv1DLayer, rows: int, width: int, pool: int) -> tuple[int, int]:
        """Over a map with a row of zeros at either end: the input is copied into one, a convolution leaves one."""
        outs, kernel, _ = layer.weight.shape
        if (kernel, layer.padding) != (3, 1) or outs % 4:
            raise ModelFileError(f"{label}: float convolutions have 3 taps, same padding and filters in fours")
        if self.at == "x":
            self.at = self.bordered(rows, width)
            self.body.append(f"for (uint32_t i = 0; i < {rows * width}U; i++) {{ {self.at}[{width}U + i] = x[i]; }}")
        fields = self.rows(label, layer.weight.reshape(outs, -1), layer.bias, layer.activation)
        positions = rows // pool
        self.tables.append(
            f"static const edgebat_float_conv1d_t {label} = {{{fields}, {positions}, {width}, {pool}}};\n"
        )
        source = self.at
        if pool == 1:
            self.at = self.bordered(rows, outs)
            self.body.append(f"edgebat_float_conv1d(&{label}, {source}, &{self.at}[{outs}]);")
        else:
            self.at = self.tensor((positions + 1) * outs)
            self.body.append(f"edgebat_float_conv1d(&{label}, {source}, {self.at});")
        return positions, outs

    def bordered(self, rows: int, width: int) -> str:
        name = self.tensor((rows + 2) * width)
        zeros = f"{name}[i] = 0.0f; {name}[{(rows + 1) * width}U + i] = 0.0f;"
        self.body.append(f"for (uint32_t i = 0; i < {width}U; i++) {{ {zeros} }}")
        return name

    def lstm(self, label: str, layer: spec.LstmLayer, rows: int) -> None:
        units, inputs = layer.weight_hidden.shape[1], layer.weight_input.shape[1]
        if self.at != "x":
            raise ModelFileError(f"{label}: a float LSTM is the first layer, and the only one of its kind")
        packed = np.concatenate([layer.weight_input, layer.weight_hidden], axis=1).reshape(4, units, -1)
        weights = self.table(f"{label}_weights", packed.transpose(1, 2, 0))
        bias = self.table(f"{label}_bias", layer.bias.reshape(4, units).T)
        self.tables.append(f"static const edgebat_float_lstm_t {label} = {{{weights}, {bias}, {inputs}, {units}}};\n")
        self.at = self.tensor(3 * units)
        step = f"edgebat_float_lstm_step(&{label}, &x[{inputs}U * t], {self.at});"
        self.body += [
            f"for (uint32_t i = 0; i < {3 * units}U; i++) {{ {self.at}[i] = 0.0f; }}",
            f"for (uint32_t t = 0; t < {rows}U; t++) {{ {step} }}",
        ]
