/*
 * edgebat_exact_lut.c - every channel through a table of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_exact.h"

void edgebat_exact_lut(const int8_t *tables, const int8_t *x, uint32_t x_step, int8_t *y, uint32_t y_step,
                       uint32_t rows, uint32_t width, uint32_t again) {
    const int8_t *table = tables;
    for (uint32_t r = 0; r < rows; r++) {
        table = (again != 0U) ? tables : table;
        for (uint32_t c = 0; c < width; c++) {
            y[c] = table[x[c] + 128];
            table += 256;
        }
        x += x_step;
        y += y_step;
    }
}
