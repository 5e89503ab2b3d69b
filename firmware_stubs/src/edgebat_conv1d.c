/*
 * edgebat_conv1d.c - 1-D convolution over [T, C] with fused maximum pooling.
 *
 * Channels lie last and rows are padded to four, so every window is one contiguous vector and the convolution
 * is a fully connected layer that slides. Pooled positions are computed into the row after the one being
 * written and folded into it, so the unpooled map never exists.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

void edgebat_conv1d(const edgebat_conv1d_t *layer, const int8_t *x, int8_t *y) {
    const uint32_t row = 4U * layer->dense.blocks;
    for (uint32_t t = layer->positions; t != 0U; t--) {
        edgebat_dense(&layer->dense, x, y);
        x += layer->step;
        for (uint32_t p = layer->pool; p > 1U; p--) {
            edgebat_dense(&layer->dense, x, &y[row]);
            edgebat_maximum(y, &y[row], row);
            x += layer->step;
        }
        y += row;
    }
}
