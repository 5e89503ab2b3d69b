/*
 * edgebat_dilated.c - 1-D convolution whose taps do not lie side by side.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_nn.h"

void edgebat_dilated(const edgebat_dilated_t *layer, const int8_t *x, int8_t *y, int8_t *window) {
    for (uint32_t t = 0; t < layer->positions; t++) {
        edgebat_copy(x, layer->tap, window, layer->row, layer->taps, layer->row);
        edgebat_dense(&layer->dense, window, y);
        x += layer->step;
        y += 4U * layer->dense.blocks;
    }
}
