/*
 * edgebat_float_dense.c - fully connected layer in float32, for comparison.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#if defined(EDGEBAT_FLOAT)

#include "edgebat_float.h"
#include "edgebat_float_sum.h"

void edgebat_float_dense(const edgebat_float_dense_t *layer, const float *x, float *y) {
    const float *w = layer->weights;
    const float *bias = layer->bias;
    const float *const end = &x[layer->columns];
    float *const y_end = &y[4U * layer->blocks];
    const float minimum = layer->minimum;
    do {
        float s[4] = {bias[0], bias[1], bias[2], bias[3]};
        w = edgebat_float_sum4(w, x, end, s);
        for (uint32_t i = 0; i < 4U; i++) {
            *y++ = (s[i] > minimum) ? s[i] : minimum;
        }
        bias += 4;
    } while (y != y_end);
}

#else

typedef int edgebat_float_dense_nothing_t; /* C wants a translation unit to declare something */

#endif
