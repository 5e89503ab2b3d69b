/*
 * edgebat_clamp.c - a fused activation whose range is narrower than int8, such as ReLU6.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

/* Without branches, so that the instruction count does not depend on the data. */
static int32_t at_least(int32_t value, int32_t low) {
    const int32_t above = value - low;
    return low + (above & ~edgebat_sign(above));
}

void edgebat_clamp(int8_t *y, uint32_t count, int8_t minimum, int8_t maximum) {
    for (uint32_t i = 0; i < count; i++) {
        y[i] = (int8_t)-at_least(-at_least(y[i], minimum), -maximum);
    }
}

void edgebat_clamp16(int16_t *y, uint32_t count, int16_t minimum, int16_t maximum) {
    for (uint32_t i = 0; i < count; i++) {
        y[i] = (int16_t)-at_least(-at_least(y[i], minimum), -maximum);
    }
}
