/*
 * edgebat_dense.c - fully connected layer, int8 to int8.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

void edgebat_dense(const edgebat_dense_t *layer, const int8_t *x, int8_t *y)
{
    const edgebat_weights_t *w = layer->weights;
    const edgebat_channels_t *c = layer->channels;
    const edgebat_channels_t *const end = &c[layer->blocks];
    const edgebat_rounding_t r = layer->rounding;
    do {
        const edgebat_sums_t s = edgebat_sum4(w, x, layer->columns4, edgebat_start(c->bias));
        y[0] = (int8_t)EDGEBAT_OUTPUT_HI(s.a, s.b, c->multiplier[0], &r, 8);
        y[1] = (int8_t)EDGEBAT_OUTPUT_LO(s.b, c->multiplier[1], &r, 8);
        y[2] = (int8_t)EDGEBAT_OUTPUT_HI(s.c, s.d, c->multiplier[2], &r, 8);
        y[3] = (int8_t)EDGEBAT_OUTPUT_LO(s.d, c->multiplier[3], &r, 8);
        w += layer->columns4;
        y += 4;
        c++;
    } while (c != end);
}
