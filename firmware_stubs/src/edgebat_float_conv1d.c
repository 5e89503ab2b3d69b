/*
 * edgebat_float_conv1d.c - 1-D convolution over [T, C] with fused maximum pooling in float32, for comparison.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#if defined(EDGEBAT_FLOAT)

#include "edgebat_float.h"

void edgebat_float_conv1d(const edgebat_float_conv1d_t *layer, const float *x, float *y) {
    const uint32_t row = 4U * layer->dense.blocks;
    for (uint32_t t = layer->positions; t != 0U; t--) {
        edgebat_float_dense(&layer->dense, x, y);
        x += layer->step;
        for (uint32_t p = layer->pool; p > 1U; p--) {
            edgebat_float_dense(&layer->dense, x, &y[row]);
            for (uint32_t i = 0; i < row; i++) {
                y[i] = (y[row + i] > y[i]) ? y[row + i] : y[i];
            }
            x += layer->step;
        }
        y += row;
    }
}

#else

typedef int edgebat_float_conv1d_nothing_t; /* C wants a translation unit to declare something */

#endif
