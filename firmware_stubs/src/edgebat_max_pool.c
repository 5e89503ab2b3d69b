/*
 * edgebat_max_pool.c - maximum pooling over [T, C] where it is not fused with a convolution.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_nn.h"

void edgebat_max_pool(const int8_t *x, int8_t *y, uint32_t row, uint32_t positions, uint32_t size,
                      uint32_t stride) {
    for (uint32_t t = 0; t < positions; t++) {
        edgebat_copy(x, row, y, row, 1, row);
        for (uint32_t i = 1; i < size; i++) {
            edgebat_maximum(y, &x[i * row], row);
        }
        x += stride * row;
        y += row;
    }
}
