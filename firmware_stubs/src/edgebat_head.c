/*
 * edgebat_head.c - the last fully connected layer, int8 to int16.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

void edgebat_head(const edgebat_dense_t *layer, const int8_t *x, int16_t *y)
{
    const edgebat_weights_t *w = layer->weights;
    const edgebat_channels_t *c = layer->channels;
    const edgebat_rounding_t r = layer->rounding;
    for (uint32_t left = layer->outputs;; left -= 4U) {
        const edgebat_sums_t s = edgebat_sum4(w, x, layer->columns4, edgebat_start(c->bias));
        y[0] = (int16_t)EDGEBAT_OUTPUT_HI(s.a, s.b, c->multiplier[0], &r, 16);
        if (left > 1U) {
            y[1] = (int16_t)EDGEBAT_OUTPUT_LO(s.b, c->multiplier[1], &r, 16);
        }
        if (left > 2U) {
            y[2] = (int16_t)EDGEBAT_OUTPUT_HI(s.c, s.d, c->multiplier[2], &r, 16);
        }
        if (left > 3U) {
            y[3] = (int16_t)EDGEBAT_OUTPUT_LO(s.d, c->multiplier[3], &r, 16);
        }
        if (left <= 4U) {
            break;
        }
        w += layer->columns4;
        y += 4;
        c++;
    }
}
