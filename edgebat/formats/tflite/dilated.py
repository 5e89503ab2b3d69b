"""Dilated convolutions as converters without fixed shapes leave them: SPACE_TO_BATCH_ND, convolution, BATCH_TO_SPACE_ND."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgebat.errors import ModelFileError
from edgebat.formats.roundings.tflm import TfliteMicro
from edgebat.formats.tflite.elementwise import ElementwiseImporter
from edgebat.formats.tflite.model import FileOperator
from edgebat.formats.tflite.schema import PADDING
from edgebat.graph.model import Tensor


@dataclass(frozen=True)
class _Spaced:
    """A sequence that is cut into ``block`` interleaved ones, after (left, right) positions of padding."""

    source: Tensor
    padding: tuple[int, int]
    block: int


class DilatedImporter(ElementwiseImporter):
    """The three operators become one convolution, with the dilation that they stand for."""

    def on_space_to_batch_nd(self, operator: FileOperator) -> None:
        self.expect_inputs(operator, 3)
        index = operator.inputs[0]
        source, padding = self.padded[index] if index in self.padded else (self.source(operator), (0, 0))
        block, (left, right) = self.of_time(operator, operator.inputs[0])
        free = self.model.tensors[operator.outputs[0]].shape[0] == -1
        if self.rounding.name == TfliteMicro.name and (free or left or right):
            raise ModelFileError(
                f"{operator.where} pads by {left} and {right} and makes {block} sequences of one of batch size "
                f"{'-1' if free else '1'}; TFLite Micro, which does not resize, computes that wrongly. Convert with a fixed "
                "batch of 1 and a padding layer in front, or choose --rounding xnnpack"
            )
        self.spaced[operator.outputs[0]] = _Spaced(source, (padding[0] + left, padding[1] + right), block)

    def of_time(self, operator: FileOperator, sequence: int) -> tuple[int, tuple[int, int]]:
        """(block, (left, right)) along time; raises ModelFileError when another axis is cut."""
        blocks = self.constant(operator, 1, "int32", rank=1).values
        amounts = self.constant(operator, 2, "int32", rank=2).values
        position = self.time_axis(self.model.tensors[sequence]) - 1
        others = [axis for axis in range(len(blocks)) if axis != position]
        fits = len(blocks) == len(self.model.tensors[sequence].shape) - 2 and amounts.shape == (len(blocks), 2)
        fits = fits and all(blocks[axis] == 1 and not amounts[axis].any() for axis in others)
        if not fits or not 1 <= blocks[position] <= 65535 or amounts.min() < 0 or amounts.max() > 65535:
            raise ModelFileError(
                f"{operator.where} has blocks {blocks.tolist()} and amounts {amounts.tolist()}; edgebat reads it along "
                "time, around a dilated convolution, only"
            )
        return int(blocks[position]), (int(amounts[position][0]), int(amounts[position][1]))

    def waits(self, operator: FileOperator) -> bool:
        """Whether the convolution works on a cut sequence; it is read when that is put together again."""
        if not operator.inputs or operator.inputs[0] not in self.spaced:
            return False
        options = operator.options
        steps = [options.get(f"{what}_{axis}", 1) for what in ("stride", "dilation") for axis in ("w", "h")]
        if options.get("padding", PADDING["same"]) != PADDING["valid"] or any(step not in (0, 1) for step in steps):
            raise ModelFileError(f"{operator.where} pads, strides or dilates between SPACE_TO_BATCH_ND and its reverse")
        self.waiting[operator.outputs[0]] = operator
        return True

    def passed_on(self, operator: FileOperator) -> bool:
        """Whether an axis of size 1 comes or goes on a cut sequence."""
        for waiting in (self.spaced, self.waiting):
            if operator.inputs and operator.inputs[0] in waiting:
                before, after = (self.model.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0]))
                if [size for size in before[1:] if size != 1] != [size for size in after[1:] if size != 1]:
                    raise ModelFileError(
                        f"{operator.where} turns {list(before)} into {list(after)} within a dilated convolution"
                    )
                waiting[operator.outputs[0]] = waiting[operator.inputs[0]]
                return True
        return False

    def on_batch_to_space_nd(self, operator: FileOperator) -> None:
        self.expect_inputs(operator, 3)
        convolution = self.waiting.get(operator.inputs[0])
        block, crops = self.of_time(operator, operator.inputs[0])
        if convolution is None:
            raise ModelFileError(
                f"{operator.where} follows no convolution of a sequence that SPACE_TO_BATCH_ND has cut"
            )
        spaced = self.spaced[convolution.inputs[0]]
        padding = (spaced.padding[0] - crops[0], spaced.padding[1] - crops[1])
        before, after = (self.model.tensors[end.outputs[0]] for end in (convolution, operator))
        same = len(before.scale) == len(after.scale) == 1 and np.array_equal(before.zero_point, after.zero_point)
        if spaced.block != block or min(padding) < 0 or not same or before.scale[0] != after.scale[0]:
            raise ModelFileError(
                f"{operator.where} has block {block} and crops {crops}; SPACE_TO_BATCH_ND before it has block "
                f"{spaced.block} and adds {spaced.padding}. It has to undo that"
            )
        # Another convolution may read the cut sequence as well, as the two of a gate do.
        del self.spaced[convolution.inputs[0]]
        self.padded[convolution.inputs[0]] = (spaced.source, padding)
        along = "w" if self.time_axis(self.model.tensors[convolution.inputs[0]]) == 2 else "h"
        whole = replace(
            convolution, outputs=operator.outputs, options=convolution.options | {f"dilation_{along}": block},
            where=convolution.where,
        )  # fmt: skip
        getattr(self, f"on_{convolution.kind.lower()}")(whole)
        del self.padded[convolution.inputs[0]]
        self.spaced[convolution.inputs[0]] = spaced
