/*
 * edgebat_mul.c - product of two tensors.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_mul.h"
#include "edgebat_core.h"

void edgebat_mul(const edgebat_mul_t *layer, const int8_t *a, const int8_t *b, int8_t *y) {
    for (uint32_t r = 0; r < layer->rows; r++) {
        const int8_t *const values = &a[r * layer->a_row];
        const int8_t *const factors = &b[r * layer->b_row];
        int8_t *const row = &y[r * layer->row];
        for (uint32_t c = 0; c < layer->width; c++) {
            const int32_t product = (values[c] - layer->zero_a) * (factors[c * layer->own] - layer->zero_b);
            row[c] = (int8_t)EDGEBAT_INT8(product, layer->multiplier, &layer->rounding);
        }
    }
}
