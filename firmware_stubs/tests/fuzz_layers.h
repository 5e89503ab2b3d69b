/*
 * fuzz_layers.h - fully connected layers of arbitrary weights, sizes and roundings, packed for every kernel.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_TESTS_FUZZ_LAYERS_H
#define EDGEBAT_TESTS_FUZZ_LAYERS_H

#include "edgebat_nn.h"
#include "fuzz.h"

enum { MAX_ROWS = 12, MAX_COLUMNS4 = 6, MAX_BLOCKS = MAX_ROWS / 4, HI_LIMIT = 1 << 23 };

/** A fully connected layer before it is packed. */
typedef struct {
    uint32_t rows; /* true ones; those up to a multiple of four are zero */
    uint32_t columns4;
    int8_t w[MAX_ROWS][4 * MAX_COLUMNS4];
    int32_t bias[MAX_ROWS];
    int32_t k[MAX_ROWS];
    int32_t n, split, up, zero_point;
} plain_t;

/** Its tables, for all kernels that read it. */
typedef struct {
    edgebat_weights_t weights[MAX_BLOCKS * MAX_COLUMNS4];
    edgebat_channels_t channels[MAX_BLOCKS];
    edgebat_weights2_t pair_weights[MAX_ROWS / 2 * MAX_COLUMNS4];
    edgebat_channels2_t pair_channels[MAX_ROWS / 2];
    edgebat_fast_t fast_weights[MAX_BLOCKS * MAX_COLUMNS4];
    edgebat_rounding_t rounding;
} packed_t;

static inline int32_t bit_length(int64_t value) {
    int32_t bits = 0;
    for (; value > 0; value >>= 1) {
        bits++;
    }
    return bits;
}

/** n, split and up as lower_requant chooses them; 0 where it would refuse the layer. */
static inline int choose_rounding(plain_t *p, fuzz_input_t *in, int64_t reach, int wide) {
    p->n = fuzz_range(in, 2, 32);
    const int32_t most = p->n - 1 + ((wide != 0) ? 8 : 0);
    const int32_t bits = fuzz_range(in, 1, (most < 20) ? most : 20);
    int64_t largest = 1;
    for (uint32_t row = 0; row < p->rows; row++) {
        p->k[row] = 1 + (int32_t)((uint32_t)fuzz_word(in) % ((UINT32_C(1) << bits) - 1U));
        largest = (p->k[row] > largest) ? p->k[row] : largest;
    }
    p->zero_point = (wide != 0) ? 0 : fuzz_range(in, -128, 127);
    const int32_t excess = bit_length(largest) - (p->n - 1);
    p->up = (excess > 0) ? excess : 0;
    p->split = 32 - bit_length(largest);
    p->split = (p->split < p->n - 1) ? p->split : p->n - 1;
    const int64_t half =
        (INT64_C(1) << (p->n - p->split - 1)) +
        ((int64_t)((p->zero_point < 0) ? -p->zero_point : p->zero_point) << (p->n - p->split));
    const int64_t worst = ((reach >> p->split) + 1) * largest + largest + half;
    return p->up <= 8 && p->n + p->up <= 32 && reach << p->up <= INT32_MAX && worst <= INT32_MAX;
}

static inline int64_t random_row(plain_t *p, fuzz_input_t *in, uint32_t row) {
    p->bias[row] = fuzz_word(in) >> 11;
    int64_t reach = (p->bias[row] < 0) ? -(int64_t)p->bias[row] : p->bias[row];
    for (uint32_t i = 0; i < 4U * p->columns4; i++) {
        const int32_t w = fuzz_range(in, -127, 127);
        p->w[row][i] = (int8_t)w;
        reach += 128 * ((w < 0) ? -w : w);
    }
    return reach;
}

static inline int random_layer(plain_t *p, fuzz_input_t *in, uint32_t rows, uint32_t columns4, int wide) {
    const plain_t empty = {0};
    *p = empty;
    p->rows = rows;
    p->columns4 = columns4;
    int64_t reach = 0;
    for (uint32_t row = 0; row < rows; row++) {
        const int64_t own = random_row(p, in, row);
        reach = (own > reach) ? own : reach;
    }
    return reach < HI_LIMIT && choose_rounding(p, in, reach, wide);
}

#define BLOCK_OF(macro, w, r, c)                                                                             \
    macro((w)[r][c], (w)[r][(c) + 1], (w)[r][(c) + 2], (w)[r][(c) + 3], (w)[(r) + 1][c],                     \
          (w)[(r) + 1][(c) + 1], (w)[(r) + 1][(c) + 2], (w)[(r) + 1][(c) + 3], (w)[(r) + 2][c],              \
          (w)[(r) + 2][(c) + 1], (w)[(r) + 2][(c) + 2], (w)[(r) + 2][(c) + 3], (w)[(r) + 3][c],              \
          (w)[(r) + 3][(c) + 1], (w)[(r) + 3][(c) + 2], (w)[(r) + 3][(c) + 3])

static inline void pack(packed_t *t, const plain_t *p) {
    for (uint32_t r = 0; r < p->rows; r += 4U) {
        for (uint32_t c = 0; c < p->columns4; c++) {
            const edgebat_weights_t block = BLOCK_OF(EDGEBAT_WEIGHTS, p->w, r, 4U * c);
            const edgebat_fast_t fast = BLOCK_OF(EDGEBAT_FAST, p->w, r, 4U * c);
            t->weights[r / 4U * p->columns4 + c] = block;
            t->fast_weights[r / 4U * p->columns4 + c] = fast;
        }
        const edgebat_channels_t channels =
            EDGEBAT_CHANNELS(p->n, p->up, p->bias[r], p->k[r], p->bias[r + 1U], p->k[r + 1U], p->bias[r + 2U],
                             p->k[r + 2U], p->bias[r + 3U], p->k[r + 3U]);
        t->channels[r / 4U] = channels;
    }
    for (uint32_t r = 0; r < p->rows; r += 2U) {
        const int8_t *const a = p->w[r], *const b = p->w[r + 1U];
        for (uint32_t c = 0; c < 4U * p->columns4; c += 4U) {
            const edgebat_weights2_t pair =
                EDGEBAT_WEIGHTS2(a[c], a[c + 1], a[c + 2], a[c + 3], b[c], b[c + 1], b[c + 2], b[c + 3]);
            t->pair_weights[r / 2U * p->columns4 + c / 4U] = pair;
        }
        const edgebat_channels2_t channels =
            EDGEBAT_CHANNELS2(p->n, p->up, p->bias[r], p->k[r], p->bias[r + 1U], p->k[r + 1U]);
        t->pair_channels[r / 2U] = channels;
    }
    const edgebat_rounding_t rounding = EDGEBAT_ROUNDING(p->n, p->split, p->up, p->zero_point);
    t->rounding = rounding;
}

static inline edgebat_dense_t dense_of(const packed_t *t, const plain_t *p, uint32_t blocks) {
    const edgebat_dense_t layer = {t->weights, t->channels, t->rounding, (uint16_t)p->columns4,
                                   (uint16_t)blocks};
    return layer;
}

static inline edgebat_compact_t compact_of(const packed_t *t, const plain_t *p, int wide) {
    const edgebat_compact_t layer = {t->pair_weights,       t->pair_channels,  t->rounding,
                                     (uint16_t)p->columns4, (uint16_t)p->rows, (uint8_t)wide};
    return layer;
}

static inline uint32_t padded(uint32_t count) {
    return (count + 3U) & ~3U;
}

#endif
