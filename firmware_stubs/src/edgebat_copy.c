/*
 * edgebat_copy.c - rows of int8 into a buffer with padded rows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

void edgebat_copy(const int8_t *x, uint32_t x_step, int8_t *y, uint32_t y_step, uint32_t rows,
                  uint32_t width) {
    for (; rows != 0U; rows--) {
        for (uint32_t i = 0; i < width; i++) {
            y[i] = x[i];
            EDGEBAT_KEEP_LOOP();
        }
        x += x_step;
        y += y_step;
    }
}
