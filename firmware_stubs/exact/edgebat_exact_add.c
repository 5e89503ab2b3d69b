/*
 * edgebat_exact_add.c - sum of two tensors in the rounding of other engines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_exact.h"

void edgebat_exact_add(const edgebat_exact_add_t *layer, const int8_t *a, const int8_t *b, int8_t *y,
                       uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const int32_t sum = layer->summands[a[i] + 128] + layer->summands[b[i] + 384];
        y[i] = (int8_t)(layer->minimum + edgebat_exact_steps(layer->thresholds, sum));
    }
}
