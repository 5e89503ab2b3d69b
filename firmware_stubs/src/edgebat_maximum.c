/*
 * edgebat_maximum.c - elementwise maximum, the core of maximum pooling.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

void edgebat_maximum(int8_t *y, const int8_t *x, uint32_t count) {
#if EDGEBAT_DSP
    for (uint32_t i = 0; i < count; i += 4U) {
        edgebat_maximum4(&y[i], &x[i]);
    }
#else
    for (uint32_t i = 0; i < count; i++) {
        const int32_t above = (int32_t)x[i] - y[i];
        y[i] = (int8_t)(y[i] + (above & ~edgebat_sign(above)));
    }
#endif
}
