/*
 * edgebat_exact_pool.c - averages over windows that may reach beyond the sequence, in the rounding of other
 * engines: integers divided by the number of positions, or float32 sums.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_exact.h"
#include "edgebat_exact_float.h"

static int8_t saturated(int32_t value) {
    return (int8_t)((value > 127) ? 127 : (value < -128) ? -128 : value);
}

/** sum / count, halves away from zero. */
static int8_t divided(int32_t sum, uint32_t count) {
    const uint32_t magnitude = (sum < 0) ? (uint32_t)-sum : (uint32_t)sum;
    const int32_t quotient = (int32_t)((magnitude + count / 2U) / count);
    return (int8_t)((sum < 0) ? -quotient : quotient);
}

static int8_t mean(const int8_t *x, uint32_t row, uint32_t count) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += x[i * row];
    }
    return divided(sum, count);
}

static int8_t float_mean(const edgebat_exact_pool_t *layer, const int8_t *x, uint32_t count) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum = edgebat_float_add(sum, (uint32_t)layer->values[x[i * layer->row] + 128]);
    }
    const uint32_t divisor = (layer->whole != 0U) ? layer->size : count;
    sum = edgebat_float_divide(sum, edgebat_float_rounded(0, divisor, 0));
    sum = edgebat_float_add(edgebat_float_divide(sum, layer->scale), layer->zero_point);
    return saturated(edgebat_float_integer(sum, 1024, 0) - (int32_t)layer->middle);
}

void edgebat_exact_pool(const edgebat_exact_pool_t *layer, const int8_t *x, int8_t *y) {
    int32_t first = -(int32_t)layer->left;
    for (uint32_t t = 0; t < layer->positions; t++) {
        const int32_t end = first + (int32_t)layer->size;
        const uint32_t begin = (first > 0) ? (uint32_t)first : 0U;
        const uint32_t count = ((end < (int32_t)layer->length) ? (uint32_t)end : layer->length) - begin;
        for (uint32_t c = 0; c < layer->width; c++) {
            const int8_t *const window = &x[begin * layer->row + c];
            y[c] = (layer->values != 0) ? float_mean(layer, window, count) : mean(window, layer->row, count);
        }
        first += (int32_t)layer->stride;
        y += layer->out;
    }
}
