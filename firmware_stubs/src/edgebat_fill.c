/*
 * edgebat_fill.c - one value everywhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

void edgebat_fill(int8_t *y, uint32_t count, int8_t value) {
    for (; count != 0U; count--) {
        *y++ = value;
        EDGEBAT_KEEP_LOOP();
    }
}
