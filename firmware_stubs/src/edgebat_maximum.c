/*
 * edgebat_maximum.c - elementwise maximum, the core of maximum pooling.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

void edgebat_maximum(int8_t *y, const int8_t *x, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const int32_t above = (int32_t)x[i] - y[i];
        y[i] = (int8_t)(y[i] + (above &
                                ~edgebat_sign(above))); /* no branch: the count must not depend on the data */
    }
}
