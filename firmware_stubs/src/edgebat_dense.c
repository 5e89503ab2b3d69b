/*
 * edgebat_dense.c - fully connected layer, int8 to int8.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

#if defined(EDGEBAT_DSP_THUMB2)
#include "edgebat_dense_thumb2.h"
#else

void edgebat_dense(const edgebat_dense_t *layer, const int8_t *x, int8_t *y) {
    const edgebat_weights_t *w = layer->weights;
    const edgebat_channels_t *c = layer->channels;
    const int8_t *const end = &x[4U * layer->columns4];
    const edgebat_rounding_t r = layer->rounding;
    int8_t *const y_end = &y[4U * layer->blocks];
    const int32_t offset = edgebat_offset(x, end);
    do {
        const edgebat_sums_t s = edgebat_sum4(&w, x, end, edgebat_start(c->bias, offset));
        y[0] = (int8_t)EDGEBAT_INT8_HI(s.a, s.b, c->multiplier[0], &r);
        y[1] = (int8_t)EDGEBAT_INT8_LO(s.b, c->multiplier[1], &r);
        y[2] = (int8_t)EDGEBAT_INT8_HI(s.c, s.d, c->multiplier[2], &r);
        y[3] = (int8_t)EDGEBAT_INT8_LO(s.d, c->multiplier[3], &r);
        y += 4;
        c++;
    } while (y != y_end);
}

#endif
