/*
 * edgebat_fill.c - one value everywhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

void edgebat_fill(int8_t *y, uint32_t count, int8_t value) {
    const int8_t *const end = &y[count];
    while (y != end) {
        y[0] = value;
        y[1] = value;
        y[2] = value;
        y[3] = value;
        y += 4;
        EDGEBAT_KEEP_LOOP();
    }
}
