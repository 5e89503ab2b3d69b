/*
 * edgebat_compact_conv1d.c - 1-D convolution with fused maximum pooling, of models for the smallest flash.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

void edgebat_compact_conv1d(const edgebat_compact_conv1d_t *layer, const int8_t *x, int8_t *y) {
    const uint32_t row = layer->row;
    for (uint32_t t = layer->positions; t != 0U; t--) {
        (void)edgebat_compact(&layer->dense, x, y);
        x += layer->step;
        for (uint32_t p = layer->pool; p > 1U; p--) {
            (void)edgebat_compact(&layer->dense, x, &y[row]);
            edgebat_maximum(y, &y[row], row);
            x += layer->step;
        }
        y += row;
    }
}
