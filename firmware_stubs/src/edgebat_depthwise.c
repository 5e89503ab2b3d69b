/*
 * edgebat_depthwise.c - depthwise 1-D convolution over [T, C], one filter per channel.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

void edgebat_depthwise(const edgebat_depthwise_t *layer, const int8_t *x, int8_t *y) {
    const uint32_t row = layer->row;
    for (uint32_t t = 0; t < layer->positions; t++) {
        for (uint32_t c = 0; c < row; c++) {
            int32_t sum = layer->bias[c];
            for (uint32_t k = 0; k < layer->kernel; k++) {
                sum += (int32_t)x[k * layer->tap + c] * layer->weights[k * row + c];
            }
            y[c] = (int8_t)EDGEBAT_INT8(sum, layer->multiplier[c], &layer->rounding);
        }
        x += layer->step;
        y += row;
    }
}
