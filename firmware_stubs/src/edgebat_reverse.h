/*
 * edgebat_reverse.h - time turned round, for layers that read a window from its end. `edgebat export` copies
 * this header beside a model that has such a layer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_REVERSE_H
#define EDGEBAT_REVERSE_H

#include "edgebat_nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y[t] = x[rows - 1 - t], as edgebat_copy otherwise: rows of `width` values, `x_step` and `y_step` bytes apart. */
void edgebat_reverse(const int8_t *x, uint32_t x_step, int8_t *y, uint32_t y_step, uint32_t rows,
                     uint32_t width);

#ifdef __cplusplus
}
#endif

#endif
