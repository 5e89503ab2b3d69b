/*
 * edgebat_exact_softmax.c - softmax over int8 values in the rounding of other engines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_exact.h"
#include "edgebat_exact_float.h"

#define SUM_SHIFT 12U /* exponentials have 31 fractional bits, their sum 19 */

/** a * b / 2^31, halves up. */
static int32_t high(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/** 2^31 / (sum / 2^31) of sum >= 2^31, by three steps of Newton and Raphson. */
static int32_t reciprocal(uint32_t sum) {
    const int32_t half = (int32_t)(sum >> 1);
    int32_t x = INT32_C(1515870810) + high(half, INT32_C(-1010580540));
    for (uint32_t i = 0; i < 3U; i++) {
        x += high(x, (INT32_C(1) << 29) - high(half, x)) * 4;
    }
    return (x >= (INT32_C(1) << 30)) ? INT32_MAX : x * 2;
}

static uint32_t distance(int8_t largest, int8_t x) {
    return (uint32_t)((int32_t)largest - x);
}

static int8_t saturated(int32_t value) {
    return (int8_t)((value > 127) ? 127 : (value < -128) ? -128 : value);
}

static void micro(const edgebat_exact_softmax_t *layer, int8_t largest, const int8_t *x, int8_t *y) {
    uint32_t sum = 0;
    for (uint32_t c = 0; c < layer->width; c++) {
        sum += ((uint32_t)layer->table[distance(largest, x[c])] + (UINT32_C(1) << (SUM_SHIFT - 1U))) >>
               SUM_SHIFT;
    }
    uint32_t shift = SUM_SHIFT + 23U;
    while ((sum >> 31) == 0U) {
        sum <<= 1;
        shift--;
    }
    const int32_t scale = reciprocal(sum);
    const int64_t half = INT64_C(1) << (shift - 1U);
    for (uint32_t c = 0; c < layer->width; c++) {
        y[c] =
            saturated((int32_t)((high(scale, layer->table[distance(largest, x[c])]) + half) >> shift) - 128);
    }
}

static void in_float(const edgebat_exact_softmax_t *layer, int8_t largest, const int8_t *x, int8_t *y) {
    const uint32_t litert = (layer->form == EDGEBAT_EXACT_LITERT) ? 1U : 0U;
    uint32_t sum = 0;
    for (uint32_t c = 0; c < layer->width; c++) {
        sum = edgebat_float_add(sum, (uint32_t)layer->table[distance(largest, x[c])]);
    }
    if (litert != 0U) {
        sum = edgebat_float_divide(UINT32_C(0x3F800000), edgebat_float_multiply(sum, layer->scale));
    }
    for (uint32_t c = 0; c < layer->width; c++) {
        uint32_t value = (uint32_t)layer->table[distance(largest, x[c])];
        if (litert != 0U) {
            value = edgebat_float_add(edgebat_float_multiply(value, sum), EDGEBAT_FLOAT_HALF);
        } else {
            value = edgebat_float_divide(edgebat_float_multiply(value, layer->scale), sum);
        }
        y[c] = saturated(edgebat_float_integer(value, 1024, litert) + layer->zero_point);
    }
}

void edgebat_exact_softmax(const edgebat_exact_softmax_t *layer, const int8_t *x, int8_t *y) {
    for (uint32_t r = 0; r < layer->rows; r++) {
        int8_t largest = x[0];
        for (uint32_t c = 1; c < layer->width; c++) {
            largest = (x[c] > largest) ? x[c] : largest;
        }
        if (layer->form == EDGEBAT_EXACT_MICRO) {
            micro(layer, largest, x, y);
        } else {
            in_float(layer, largest, x, y);
        }
        x += layer->step;
        y += layer->row;
    }
}
