/*
 * edgebat_exact_linear.c - fully connected layers and convolutions in the rounding of other engines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_exact.h"

#define FLOAT_BITS 24U
#define LARGEST (INT64_C(1) << 40)

/** x * multiplier * 2^(exponent - 31): halves up to 31 bits, then halves away from zero. */
static int64_t scaled_twice(int32_t x, int32_t multiplier, int32_t exponent) {
    const uint32_t left = (exponent > 0) ? (uint32_t)exponent : 0U;
    const uint32_t right = (exponent < 0) ? (uint32_t)-exponent : 0U;
    const int64_t product = (int64_t)x * (INT64_C(1) << left) * multiplier;
    const int64_t high = (product + (INT64_C(1) << 30)) >> 31;
    const int64_t half = (INT64_C(1) << right) >> 1;
    return (high + half - ((right != 0U && high < 0) ? 1 : 0)) >> right;
}

/** value / 2^shift, halves to even. */
static uint64_t to_even(uint64_t value, uint32_t shift) {
    if (shift == 0U) {
        return value;
    }
    if (shift > 63U) {
        return 0;
    }
    const uint64_t half = UINT64_C(1) << (shift - 1U);
    return (value + half - 1U + ((value >> shift) & 1U)) >> shift;
}

/** The float32 that is nearest to `value`: 24 significant bits, halves to even. */
static uint64_t to_float(uint64_t value) {
    uint32_t excess = 0;
    while ((value >> excess) >> FLOAT_BITS != 0U) {
        excess++;
    }
    return to_even(value, excess) << excess;
}

/** rint((float)x * (multiplier * 2^exponent)) with the roundings of float32. */
static int64_t scaled_float(int32_t x, int32_t multiplier, int32_t exponent) {
    const uint64_t magnitude = (x < 0) ? (uint64_t)-(int64_t)x : (uint64_t)x;
    const uint64_t product = to_float(to_float(magnitude) * (uint64_t)multiplier);
    uint64_t y = (exponent < 0) ? to_even(product, (uint32_t)-exponent) : product << exponent;
    y = (y > (uint64_t)LARGEST) ? (uint64_t)LARGEST : y;
    return (x < 0) ? -(int64_t)y : (int64_t)y;
}

void edgebat_exact_linear(const edgebat_exact_linear_t *layer, const int8_t *x, int8_t *y) {
    for (uint32_t t = 0; t < layer->positions; t++) {
        const int8_t *w = layer->weights;
        for (uint32_t o = 0; o < layer->outputs; o++) {
            const int8_t *in = &x[(layer->own != 0U) ? o : 0U];
            int32_t sum = layer->bias[o];
            for (uint32_t k = 0; k < layer->taps; k++) {
                for (uint32_t c = 0; c < layer->width; c++) {
                    sum += (int32_t)w[c] * in[c];
                }
                w += layer->width;
                in += layer->tap;
            }
            const int64_t scaled = (layer->rounding == EDGEBAT_EXACT_TWICE)
                                       ? scaled_twice(sum, layer->multiplier[o], layer->exponent[o])
                                       : scaled_float(sum, layer->multiplier[o], layer->exponent[o]);
            int64_t q = scaled + layer->zero_point;
            q = (q < layer->minimum) ? layer->minimum : q;
            y[o] = (int8_t)((q > layer->maximum) ? layer->maximum : q);
        }
        x += layer->step;
        y += layer->row;
    }
}
