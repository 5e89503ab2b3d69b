/*
 * edgebat_border.c - from engineering units to quantized integers and back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_nn.h"

int8_t edgebat_quantize(int32_t value, int32_t offset, int32_t multiplier, uint32_t shift,
                        int32_t zero_point) {
    const int64_t scaled = ((int64_t)value - offset) * multiplier + (INT64_C(1) << (shift - 1U));
    const int64_t q = (scaled >> shift) + zero_point;
    return (int8_t)((q > 127) ? 127 : ((q < -128) ? -128 : q));
}

int32_t edgebat_value(int32_t y, int32_t multiplier, uint32_t shift, int32_t offset) {
    return (int32_t)(offset + (((int64_t)y * multiplier + (INT64_C(1) << (shift - 1U))) >> shift));
}
