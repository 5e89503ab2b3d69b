/*
 * edgebat_compact.c - any fully connected layer, two rows at a time: the smallest code and tables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

/** Outputs are saturated to 16 bits when they come here. */
static inline void store(void *y, uint32_t i, int32_t value, uint32_t wide) {
    if (wide != 0U) {
        ((int16_t *)y)[i] = (int16_t)value;
    } else {
        ((int8_t *)y)[i] = (int8_t)EDGEBAT_SATURATE8(value);
    }
}

int edgebat_compact(const edgebat_compact_t *layer, const int8_t *x, void *y) {
    const edgebat_weights2_t *w = layer->weights;
    const edgebat_channels2_t *c = layer->channels;
    const int8_t *const end = &x[4U * layer->columns4];
    const edgebat_rounding_t *const r = &layer->rounding;
    uint32_t i = 0;
    for (;;) {
        const int8_t *p = x;
        int32_t a = c->bias[0];
        int32_t b = c->bias[1];
        do {
            edgebat_sum2(w, p, &a, &b);
            p += 4;
            w++;
        } while (p != end);
        store(y, i++, EDGEBAT_INT16_HI(a, b, c->multiplier[0], r), layer->wide);
        if (i == layer->outputs) {
            break;
        }
        store(y, i++, EDGEBAT_INT16_LO(b, c->multiplier[1], r), layer->wide);
        if (i == layer->outputs) {
            break;
        }
        c++;
    }
    return EDGEBAT_OK;
}
