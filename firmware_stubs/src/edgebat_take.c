/*
 * edgebat_take.c - values moved to other places.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_take.h"

void edgebat_take(const int8_t *places, const int8_t *x, int8_t *y, uint32_t y_step, uint32_t rows,
                  uint32_t width) {
    uint32_t at = 0;
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t c = 0; c < width; c++) {
            const uint32_t low = (uint8_t)places[at];
            const uint32_t high = (uint8_t)places[at + 1U];
            y[r * y_step + c] = x[low | (high << 8)];
            at += 2U;
        }
    }
}
