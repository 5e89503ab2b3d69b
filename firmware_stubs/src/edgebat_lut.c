/*
 * edgebat_lut.c - any function of one int8, by table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_nn.h"

void edgebat_lut(const int8_t table[256], const int8_t *x, int8_t *y, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        y[i] = table[(int32_t)x[i] + 128];
    }
}
