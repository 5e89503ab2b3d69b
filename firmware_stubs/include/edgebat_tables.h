/*
 * edgebat_tables.h - how generated tables lie in flash.
 *
 * The generator writes plain decimal weights and rounding constants. These macros turn them into what the
 * kernels of the core being compiled for want to read, so that one generated file serves every target and
 * either byte order. Included by edgebat_nn.h; nothing here is called by an application.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_TABLES_H
#define EDGEBAT_TABLES_H

#include <stdint.h>

#if EDGEBAT_DSP

/*
 * Two rows share a word; each halfword holds 256 * hi + lo. One SMLAD of the word with two activations adds
 * 256 * sum(hi) + sum(lo); a second one of its sign-extended low bytes (SXTB16) adds sum(lo) alone. That is
 * three instructions for four products and leaves the weights one byte each. Columns are paired (0, 2) and
 * (1, 3) because SXTB16 splits four activations that way. The generator proves that no row leaves the 24 bits
 * of sum(hi).
 */
typedef struct {
    uint32_t pair[4];
} edgebat_weights_t;

#define EDGEBAT_HALF_(hi, lo) (((uint32_t)(hi) * 256U + (uint32_t)(lo)) & 0xFFFFU)
#define EDGEBAT_PAIR_(hi0, hi1, lo0, lo1) (EDGEBAT_HALF_(hi0, lo0) | (EDGEBAT_HALF_(hi1, lo1) << 16))
#define EDGEBAT_WEIGHTS(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)                      \
    {                                                                                                        \
        {                                                                                                    \
            EDGEBAT_PAIR_(a0, a2, b0, b2), EDGEBAT_PAIR_(c0, c2, d0, d2), EDGEBAT_PAIR_(a1, a3, b1, b3),     \
                EDGEBAT_PAIR_(c1, c3, d1, d3)                                                                \
        }                                                                                                    \
    }

/* The same for a block of only two rows. */
typedef struct {
    uint32_t pair[2];
} edgebat_weights2_t;

#define EDGEBAT_WEIGHTS2(a0, a1, a2, a3, b0, b1, b2, b3)                                                     \
    {                                                                                                        \
        {                                                                                                    \
            EDGEBAT_PAIR_(a0, a2, b0, b2), EDGEBAT_PAIR_(a1, a3, b1, b3)                                     \
        }                                                                                                    \
    }

/* Rows a and c start where their words have arrived before the first product: 256 * own bias + the other
 * one's. */
#define EDGEBAT_HI_(hi, lo) ((int32_t)((uint32_t)(hi) * 256U + (uint32_t)(lo)))
#define EDGEBAT_BIAS2(a, b) {EDGEBAT_HI_(a, b), (b)}
#define EDGEBAT_BIAS(a, b, c, d) {EDGEBAT_HI_(a, b), (b), EDGEBAT_HI_(c, d), (d)}

/* (acc * k + 2^(n-1)) >> n is the high word of acc * (k << (32 - n)) + 2^31, one SMMLAR. */
#define EDGEBAT_MULTIPLIER(n, up, k) ((k) * (int32_t)(1L << (32 - (n) - (up))))
#define EDGEBAT_ROUNDING(n, split, up, zero_point) {(zero_point), (up), 8 - (up)}

/* (sum * k + 2^9) >> 10 is the rounded high word of 256 * sum, which rows a and c hold anyway, times k << 14:
 * SMMLAR. */
#define EDGEBAT_GATE(k, n) {(k) * (1 << 14), (1 << (n)) >> 1, ((n) != 0) ? 1 : 0, (n)}

typedef struct {
    int32_t zero_point; /* of the output */
    uint8_t up;         /* accumulators are shifted left by this, a multiplier of 0.5 or more needs it */
    uint8_t down;       /* 8 - up: the same for rows that carry a factor of 256 */
} edgebat_rounding_t;

#else

/*
 * Four rows by four columns, column by column. Thumb-1 has no signed byte load with an immediate offset, so
 * that weights are stored with 128 added there; the kernels take 128 * sum(x) off again, once per vector.
 */
#if EDGEBAT_THUMB1
typedef uint8_t edgebat_weight_t;
#define EDGEBAT_W_(w) ((uint8_t)((w) + 128))
#else
typedef int8_t edgebat_weight_t;
#define EDGEBAT_W_(w) (w)
#endif

typedef struct {
    edgebat_weight_t w[16];
} edgebat_weights_t;

/*
 * Fast layers on Thumb-1: with x = x0 + 2^16 * x2 and w = w2 + 2^16 * w0 the low word of x * w is
 * x0 * w2 + 2^16 * (x0 * w0 + x2 * w2). The first term is smaller than half of 2^16, so that a rounding shift
 * by 16 gives the sum of both products; and shifting to the right with ASRS, then adding with ADCS, rounds
 * for free.
 */
#if EDGEBAT_THUMB1
typedef struct {
    int32_t pair[8]; /* rows a to d of columns (0, 2), then of columns (1, 3) */
} edgebat_fast_t;

#define EDGEBAT_DUO_(w0, w2) ((w2) + (w0) * 65536)
#define EDGEBAT_FAST(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)                         \
    {                                                                                                        \
        {                                                                                                    \
            EDGEBAT_DUO_(a0, a2), EDGEBAT_DUO_(b0, b2), EDGEBAT_DUO_(c0, c2), EDGEBAT_DUO_(d0, d2),          \
                EDGEBAT_DUO_(a1, a3), EDGEBAT_DUO_(b1, b3), EDGEBAT_DUO_(c1, c3), EDGEBAT_DUO_(d1, d3)       \
        }                                                                                                    \
    }

/* Multipliers of fast layers have 16 bits: split is 16, and 128 is added to the output until it is stored. */
typedef struct {
    int32_t half;
    uint32_t shift;
} edgebat_fast_rounding_t;

#define EDGEBAT_FAST_ROUNDING(n, zero_point)                                                                 \
    {(1 << ((n) - 17)) + ((zero_point) + 128) * (1 << ((n) - 16)), (n) - 16}
#endif

#define EDGEBAT_COLUMN_(a, b, c, d) EDGEBAT_W_(a), EDGEBAT_W_(b), EDGEBAT_W_(c), EDGEBAT_W_(d)
#define EDGEBAT_WEIGHTS(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)                      \
    {                                                                                                        \
        {                                                                                                    \
            EDGEBAT_COLUMN_(a0, b0, c0, d0), EDGEBAT_COLUMN_(a1, b1, c1, d1),                                \
                EDGEBAT_COLUMN_(a2, b2, c2, d2), EDGEBAT_COLUMN_(a3, b3, c3, d3)                             \
        }                                                                                                    \
    }

/* Two rows by four columns, column by column. */
typedef struct {
    int8_t w[8];
} edgebat_weights2_t;

#define EDGEBAT_WEIGHTS2(a0, a1, a2, a3, b0, b1, b2, b3)                                                     \
    {                                                                                                        \
        {                                                                                                    \
            (a0), (b0), (a1), (b1), (a2), (b2), (a3), (b3)                                                   \
        }                                                                                                    \
    }

#define EDGEBAT_BIAS2(a, b) {(a), (b)}
#define EDGEBAT_BIAS(a, b, c, d) {(a), (b), (c), (d)}

/*
 * (acc * k + 2^(n-1)) >> n without a 64-bit product: acc = high * 2^split + low, then
 * (high * k + ((low * k) >> split) + 2^(n-split-1)) >> (n - split), with the zero point folded into the
 * constant. The generator chooses split so that both products stay inside 32 bits.
 */
#define EDGEBAT_MULTIPLIER(n, up, k) (k)
#define EDGEBAT_ROUNDING(n, split, up, zero_point)                                                           \
    {(int32_t)(1L << ((n) - (split) - 1)) + (zero_point) * (int32_t)(1L << ((n) - (split))), (split),        \
     (n) - (split)}

#define EDGEBAT_GATE(k, n)                                                                                   \
    {(k), (1 << 9) + ((1 << (n)) >> 1) * (1 << 10), ((n) != 0) ? (1 << 10) : 0, 10 + (n)}

typedef struct {
    int32_t half; /* rounding half plus output zero point, scaled by 2^shift */
    uint8_t split;
    uint8_t shift;
} edgebat_rounding_t;

#endif

/** Biases of the four gates of an LSTM unit. */
typedef struct {
    int32_t sum[4];
} edgebat_bias_t;

#define EDGEBAT_UNIT(bias_i, bias_f, bias_g, bias_o) {EDGEBAT_BIAS(bias_i, bias_f, bias_g, bias_o)}

/**
 * From a sum to a gate's int16, rounded twice as TFLite Micro does: t = (sum * k + 2^9) >> 10, then t / 2^n,
 * half away from zero, which is (t + 2^(n-1) - (t < 0)) >> n unless n is 0. Both shifts are one where the
 * product fits 32 bits.
 */
typedef struct {
    int32_t multiplier;
    int32_t round;
    int32_t negative; /* taken off for a negative sum */
    uint32_t shift;
} edgebat_gate_t;

/** A gate has two sums, of inputs and of hidden values. */
typedef struct {
    edgebat_gate_t input;
    edgebat_gate_t recurrent;
} edgebat_gates_t;

/** Bias and multiplier of four rows. */
typedef struct {
    int32_t bias[4];
    int32_t multiplier[4];
} edgebat_channels_t;

#define EDGEBAT_CHANNELS(n, up, bias_a, k_a, bias_b, k_b, bias_c, k_c, bias_d, k_d)                          \
    {                                                                                                        \
        EDGEBAT_BIAS(bias_a, bias_b, bias_c, bias_d), {                                                      \
            EDGEBAT_MULTIPLIER(n, up, k_a), EDGEBAT_MULTIPLIER(n, up, k_b), EDGEBAT_MULTIPLIER(n, up, k_c),  \
                EDGEBAT_MULTIPLIER(n, up, k_d)                                                               \
        }                                                                                                    \
    }

/** Bias and multiplier of two rows. */
typedef struct {
    int32_t bias[2];
    int32_t multiplier[2];
} edgebat_channels2_t;

#define EDGEBAT_CHANNELS2(n, up, bias_a, k_a, bias_b, k_b)                                                   \
    {                                                                                                        \
        EDGEBAT_BIAS2(bias_a, bias_b), {                                                                     \
            EDGEBAT_MULTIPLIER(n, up, k_a), EDGEBAT_MULTIPLIER(n, up, k_b)                                   \
        }                                                                                                    \
    }

#if !EDGEBAT_THUMB1
#define edgebat_fast_t edgebat_weights_t
#define EDGEBAT_FAST EDGEBAT_WEIGHTS
#define EDGEBAT_FAST_ROUNDING(n, zero_point) EDGEBAT_ROUNDING((n), 16, 0, (zero_point))
#endif

#endif
