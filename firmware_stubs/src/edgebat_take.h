/*
 * edgebat_take.h - values moved to other places, for layers that transpose, pick channels or repeat.
 * `edgebat export` copies this header beside a model that has such a layer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_TAKE_H
#define EDGEBAT_TAKE_H

#include "edgebat_nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/** y[r * y_step + c] = x[place], two bytes of `places` for each value, the lower one first. */
void edgebat_take(const int8_t *places, const int8_t *x, int8_t *y, uint32_t y_step, uint32_t rows,
                  uint32_t width);

#ifdef __cplusplus
}
#endif

#endif
