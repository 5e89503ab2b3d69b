/*
 * edgebat_mul.h - product of two tensors, for layers that gate others. `edgebat export` copies this header
 * beside a model that has such a layer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_MUL_H
#define EDGEBAT_MUL_H

#include "edgebat_nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Elementwise product: (a - zero_a) * (b - zero_b), requantized. */
typedef struct {
    int32_t zero_a;
    int32_t zero_b;
    int32_t multiplier;
    edgebat_rounding_t rounding;
    uint16_t rows;
    uint16_t width; /* values per row */
    uint16_t a_row; /* bytes from one row to the next; of b 0 where one row gates all */
    uint16_t b_row;
    uint16_t row;
    uint8_t own; /* 1: each value of a row has a factor of its own; 0: all share the first of b's row */
} edgebat_mul_t;

void edgebat_mul(const edgebat_mul_t *layer, const int8_t *a, const int8_t *b, int8_t *y);

#ifdef __cplusplus
}
#endif

#endif
