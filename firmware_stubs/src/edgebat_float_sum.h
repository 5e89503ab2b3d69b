/*
 * edgebat_float_sum.h - four rows of float32 weights times one vector.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_FLOAT_SUM_H
#define EDGEBAT_FLOAT_SUM_H

/** s + W x; weights column by column. Returns where the next columns begin. */
static inline const float *edgebat_float_sum4(const float *w, const float *x, const float *end, float s[4]) {
    float a = s[0];
    float b = s[1];
    float c = s[2];
    float d = s[3];
    while (x != end) {
        const float value = *x++;
        a += w[0] * value;
        b += w[1] * value;
        c += w[2] * value;
        d += w[3] * value;
        w += 4;
    }
    s[0] = a;
    s[1] = b;
    s[2] = c;
    s[3] = d;
    return w;
}

#endif
