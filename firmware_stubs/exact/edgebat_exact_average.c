/*
 * edgebat_exact_average.c - average pooling in the rounding of other engines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_exact.h"

void edgebat_exact_average(const edgebat_exact_average_t *layer, const int8_t *x, int8_t *y) {
    const uint32_t row = layer->row;
    for (uint32_t t = 0; t < layer->positions; t++) {
        for (uint32_t c = 0; c < row; c++) {
            int32_t sum = layer->bias;
            for (uint32_t i = 0; i < layer->size; i++) {
                sum += x[i * row + c];
            }
            y[c] = (int8_t)(layer->minimum + edgebat_exact_steps(layer->thresholds, sum));
        }
        x += (uint32_t)layer->stride * row;
        y += row;
    }
}
