/*
 * edgebat_exact_mul.c - product of two tensors in the rounding of other engines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_exact.h"

void edgebat_exact_mul(const edgebat_exact_mul_t *layer, const int8_t *a, const int8_t *b, int8_t *y) {
    for (uint32_t r = 0; r < layer->rows; r++) {
        const int8_t *const values = &a[r * layer->a_row];
        const int8_t *const factors = &b[r * layer->b_row];
        int8_t *const row = &y[r * layer->row];
        for (uint32_t c = 0; c < layer->width; c++) {
            const int32_t product = (values[c] - layer->zero_a) * (factors[c * layer->own] - layer->zero_b);
            row[c] = (int8_t)(layer->minimum + edgebat_exact_steps(layer->thresholds, product));
        }
    }
}
