/*
 * edgebat_reverse.c - time turned round.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_reverse.h"

void edgebat_reverse(const int8_t *x, uint32_t x_step, int8_t *y, uint32_t y_step, uint32_t rows,
                     uint32_t width) {
    for (uint32_t t = 0; t < rows; t++) {
        edgebat_copy(&x[(rows - 1U - t) * x_step], x_step, &y[t * y_step], y_step, 1, width);
    }
}
