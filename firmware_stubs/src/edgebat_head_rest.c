/*
 * edgebat_head_rest.c - the last one to three rows of the last layer, two at a time.
 *
 * Padding them to a block of four would cost two rows of weights, which may be half a kilobyte.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

int edgebat_head_rest(const edgebat_rest_t *layer, const int8_t *x, int16_t *y)
{
    const edgebat_weights2_t *w = layer->weights;
    const edgebat_channels2_t *c = layer->channels;
    const edgebat_rounding_t *const r = &layer->rounding;
    uint32_t left = layer->outputs;
    for (;;) {
        const int8_t *p = x;
        int32_t a = c->bias[0];
        int32_t b = c->bias[1];
        for (uint32_t i = layer->columns4; i != 0U; i--) {
            edgebat_sum2(w, p, &a, &b);
            p += 4;
            w++;
        }
        y[0] = (int16_t)EDGEBAT_INT16_HI(a, b, c->multiplier[0], r);
        if (left == 1U) {
            break;
        }
        y[1] = (int16_t)EDGEBAT_INT16_LO(b, c->multiplier[1], r);
        if (left == 2U) {
            break;
        }
        left -= 2U;
        y += 2;
        c++;
    }
    return EDGEBAT_OK;
}
