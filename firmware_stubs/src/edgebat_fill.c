/*
 * edgebat_fill.c - one value everywhere.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_nn.h"

void edgebat_fill(int8_t *y, uint32_t count, int8_t value)
{
    for (uint32_t i = 0; i < count; i++) {
        y[i] = value;
    }
}
