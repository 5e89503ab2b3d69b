/*
 * edgebat_gather.c - 1-D convolution that gathers each window first.
 *
 * For taps that do not lie side by side (dilation), and for maps without padded rows and channels, where it
 * saves the padded copy. Maximum pooling is fused as in edgebat_conv1d.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

/** The window that begins `first` rows into the map; rows outside of it hold the zero point. */
static void gather(const edgebat_gather_t *layer, const int8_t *x, int32_t first, int8_t *window) {
    const uint32_t row = (layer->width + 3U) & ~3U;
    for (uint32_t k = 0; k < layer->taps; k++) {
        const int32_t t = first + (int32_t)(k * layer->dilation);
        if (t >= 0 && t < (int32_t)layer->rows) {
            edgebat_copy(&x[(uint32_t)t * layer->step], row, window, row, 1, layer->width);
        } else {
            edgebat_fill(window, row, layer->zero_point);
        }
        window += row;
    }
}

void edgebat_gather(const edgebat_gather_t *layer, const int8_t *x, int8_t *y, int8_t *window) {
    const uint32_t row = 4U * layer->dense.blocks;
    int32_t first = -(int32_t)layer->left;
    for (uint32_t t = layer->positions; t != 0U; t--) {
        gather(layer, x, first, window);
        edgebat_dense(&layer->dense, window, y);
        first += (int32_t)layer->stride;
        for (uint32_t p = layer->pool; p > 1U; p--) {
            gather(layer, x, first, window);
            edgebat_dense(&layer->dense, window, &y[row]);
            edgebat_maximum(y, &y[row], row);
            first += (int32_t)layer->stride;
        }
        y += row;
    }
}
