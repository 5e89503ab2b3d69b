/*
 * edgebat_head_rest.c - the last one to three rows of the last layer, two at a time.
 *
 * Padding them to a block of four would cost two rows of weights, which may be half a kilobyte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

int edgebat_head_rest(const edgebat_rest_t *layer, const int8_t *x, int16_t *y) {
    const edgebat_weights2_t *w = layer->weights;
    const edgebat_channels2_t *c = layer->channels;
    const int8_t *const end = &x[4U * layer->columns4];
    const edgebat_rounding_t *const r = &layer->rounding;
    int16_t *const y_end = &y[layer->outputs];
    for (;;) {
        const int8_t *p = x;
        int32_t a = c->bias[0];
        int32_t b = c->bias[1];
        do {
            edgebat_sum2(w, p, &a, &b);
            p += 4;
            w++;
        } while (p != end);
        *y++ = (int16_t)EDGEBAT_INT16_HI(a, b, c->multiplier[0], r);
        if (y == y_end) {
            break;
        }
        *y++ = (int16_t)EDGEBAT_INT16_LO(b, c->multiplier[1], r);
        if (y == y_end) {
            break;
        }
        c++;
    }
    return EDGEBAT_OK;
}
