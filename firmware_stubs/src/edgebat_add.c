/*
 * edgebat_add.c - sum of two tensors of different scales.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

void edgebat_add(const edgebat_add_t *layer, const int8_t *a, const int8_t *b, int8_t *y, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const int32_t sum = layer->factor_a * a[i] + layer->factor_b * b[i] + layer->bias;
        y[i] = (int8_t)EDGEBAT_INT8(sum, layer->multiplier, &layer->rounding);
    }
}
