/*
 * edgebat_nn.h - integer neural network kernels for battery management systems.
 *
 * A generated model (<name>.c, written by `edgebat export`) is tables plus one short sequence of calls into
 * this library. All memory belongs to the caller. No kernel keeps state of its own, allocates, recurses or
 * touches floating point, and the number of executed instructions does not depend on the data.
 *
 * Options, decided at compile time; library and models must be compiled with the same ones. Outputs are the
 * same, bit for bit, whatever they are:
 *
 *   EDGEBAT_DSP       1: use the paired 16-bit multiply-accumulate of Arm cores with the DSP extension
 *                     (Cortex-M4, M7, M33, R5F); 0: do not. Default: 1 where a GNU compatible compiler
 *                     announces it.
 *   EDGEBAT_THUMB1    1: weights and inner loops for Cortex-M0 and M0+; 0: portable C99. Default: by the
 *                     compiler's target. Either of the two is emulated in C on other machines, for tests.
 *   EDGEBAT_SELFTEST  0: compile models without <name>_crc32 and <name>_selftest; 1, the default: with
 *                     them. A linker that drops unused functions leaves them out by itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_NN_H
#define EDGEBAT_NN_H

#include <stdint.h>

/** Version of the tables and signatures below. A generated model refuses to compile against another one. */
#define EDGEBAT_NN_ABI 1

#if !defined(EDGEBAT_DSP)
#if defined(__GNUC__) && defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)
#define EDGEBAT_DSP 1
#else
#define EDGEBAT_DSP 0
#endif
#endif

/* Cortex-M0, M0+, M1: sixteen-bit instructions on eight registers. */
#if !defined(EDGEBAT_THUMB1)
#if defined(__GNUC__) && defined(__thumb__) && !defined(__thumb2__)
#define EDGEBAT_THUMB1 1
#else
#define EDGEBAT_THUMB1 0
#endif
#endif

#include "edgebat_tables.h"

#if !defined(EDGEBAT_SELFTEST)
#define EDGEBAT_SELFTEST 1
#endif

#if defined(__cplusplus) && __cplusplus >= 201103L
#define EDGEBAT_STATIC_ASSERT(condition, name) static_assert((condition), #name)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define EDGEBAT_STATIC_ASSERT(condition, name) _Static_assert((condition), #name)
#else
#define EDGEBAT_STATIC_ASSERT(condition, name) typedef char edgebat_assert_##name[(condition) ? 1 : -1]
#endif

/* C leaves the shift of negative numbers to the compiler; all kernels round with it. */
EDGEBAT_STATIC_ASSERT((-3 >> 1) == -2, right_shift_is_arithmetic);
/* Products and shifts of small integers are made in int. */
EDGEBAT_STATIC_ASSERT(sizeof(int) >= 4U, int_has_32_bits);

#ifdef __cplusplus
extern "C" {
#endif

/*** Return codes of generated models ***/

#define EDGEBAT_OK 0            /* done */
#define EDGEBAT_ERR_NULL (-1)   /* a pointer is NULL */
#define EDGEBAT_ERR_ALIGN (-2)  /* scratch or state does not start at a multiple of 4 */
#define EDGEBAT_ERR_CRC (-3)    /* self-test: the tables in flash are not those that were exported */
#define EDGEBAT_ERR_GOLDEN (-4) /* self-test: a golden input gives another output */
#define EDGEBAT_ERR_SLICE (-12) /* there is no such slice */

/*** Layers ***/

/**
 * Fully connected layer y = requantize(W x + b); zero points are folded into the biases.
 * Inputs are read in groups of four and rows are computed in blocks of four; weights beyond the true sizes
 * are zero.
 */
typedef struct {
    const edgebat_weights_t *weights;   /* [blocks][columns4] */
    const edgebat_channels_t *channels; /* [blocks] */
    edgebat_rounding_t rounding;
    uint16_t columns4; /* inputs / 4, rounded up */
    uint16_t blocks;   /* outputs / 4; rounded up for int8 outputs, down for int16 */
} edgebat_dense_t;

/** The last one to three rows of a layer with int16 outputs, in blocks of two. */
typedef struct {
    const edgebat_weights2_t *weights;   /* [(outputs + 1) / 2][columns4] */
    const edgebat_channels2_t *channels; /* [(outputs + 1) / 2] */
    edgebat_rounding_t rounding;
    uint16_t columns4;
    uint16_t outputs; /* 1 to 3 */
} edgebat_rest_t;

/**
 * Fully connected layer of a model exported for the smallest flash: rows in pairs, one kernel for all layers,
 * no padding of rows. Slower than the above.
 */
typedef struct {
    const edgebat_weights2_t *weights;   /* [(outputs + 1) / 2][columns4] */
    const edgebat_channels2_t *channels; /* [(outputs + 1) / 2] */
    edgebat_rounding_t rounding;
    uint16_t columns4;
    uint16_t outputs;
    uint8_t wide; /* 0: int8 outputs, 1: int16 outputs */
} edgebat_compact_t;

/**
 * Fully connected layer of a model exported for the fewest instructions. On Cortex-M0/M0+ weights take two
 * bytes and one multiplication makes two products; on other cores this is edgebat_dense.
 */
#if EDGEBAT_THUMB1
typedef struct {
    const edgebat_fast_t *weights;      /* [blocks][columns4] */
    const edgebat_channels_t *channels; /* [blocks] */
    edgebat_fast_rounding_t rounding;
    uint16_t columns4;
    uint16_t blocks;
} edgebat_fast_dense_t;
#else
typedef edgebat_dense_t edgebat_fast_dense_t;
#endif

/** 1-D convolution: the same layer applied to windows of a padded [T, C] map, then maximum pooling. */
typedef struct {
    edgebat_dense_t dense; /* over one window of kernel * (C rounded up to 4) values */
    uint16_t positions;    /* output rows */
    uint16_t step;         /* bytes from one window to the next */
    uint16_t pool;         /* windows per output row; 1 = no pooling */
} edgebat_conv1d_t;

/** The same for the smallest flash. */
typedef struct {
    edgebat_compact_t dense;
    uint16_t positions;
    uint16_t step;
    uint16_t pool;
    uint16_t row; /* bytes from one output row to the next */
} edgebat_compact_conv1d_t;

/** 1-D convolution over a map without padded rows, or with taps apart: every window is gathered first. */
typedef struct {
    edgebat_dense_t dense;
    uint16_t positions; /* output rows */
    uint16_t pool;      /* windows per output row; 1 = no pooling */
    uint16_t stride;    /* rows from one window to the next */
    uint16_t left;      /* rows of zero point before the first one */
    uint16_t rows;      /* of the map */
    uint16_t width;     /* values per row */
    uint16_t step;      /* bytes from one row to the next */
    uint16_t taps;      /* kernel size */
    uint16_t dilation;  /* rows from one tap to the next */
    int8_t zero_point;  /* of the map */
} edgebat_gather_t;

/**
 * LSTM layer with int8 activations and int16 cell, equal to TFLite Micro bit for bit. Gates in the order
 * input, forget, cell, output; the four gates of a unit are the four rows of a block, first the columns of x,
 * then those of h.
 */
typedef struct {
    const edgebat_weights_t *weights; /* [units][columns4_x + columns4_h] */
    const edgebat_bias_t *bias;       /* [units] */
    edgebat_gates_t gate[4];          /* from sums to gates */
    int32_t added_round; /* input gate * cell gate to the scale of the cell: 2^(added_shift-1) + 1 */
    int32_t added_shift;
    int32_t hidden_round; /* output gate * tanh(cell) to the scale of h: 2^(hidden_shift-1) + 1 */
    int32_t hidden_shift;
    int32_t tanh_factor; /* cell to 3 * 2^12 times its value: (cell * factor + half) >> right */
    int32_t tanh_half;
    int32_t tanh_right;
    uint16_t columns4_x; /* inputs / 4, rounded up */
    uint16_t columns4_h; /* units / 4, rounded up */
    uint16_t units;
} edgebat_lstm_t;

/** A multiplier of multiplier * 2^(exponent - 31), Q31 as TensorFlow Lite writes it. */
typedef struct {
    int32_t multiplier;
    int32_t exponent;
} edgebat_q31_t;

typedef struct {
    edgebat_q31_t input;
    edgebat_q31_t recurrent;
} edgebat_any_gate_t;

/** The same LSTM layer with any scales and zero points, at the price of 64-bit products. */
typedef struct {
    const edgebat_weights_t *weights;     /* [units][columns4_x + columns4_h] */
    const edgebat_bias_t *bias;           /* [units] */
    const edgebat_bias_t *recurrent_bias; /* [units], the zero point of h folded in */
    edgebat_any_gate_t gate[4];
    edgebat_q31_t kept;   /* forget gate * cell */
    edgebat_q31_t added;  /* input gate * cell gate */
    edgebat_q31_t hidden; /* output gate * tanh(cell) */
    int32_t hidden_zero_point;
    int32_t tanh_factor;
    int32_t tanh_half;
    int32_t tanh_right;
    uint16_t columns4_x;
    uint16_t columns4_h;
    uint16_t units;
} edgebat_lstm_any_t;

/** Elementwise sum: factor_a * a + factor_b * b + bias, requantized. Zero points are folded into the bias. */
typedef struct {
    int32_t factor_a;
    int32_t factor_b;
    int32_t bias;
    int32_t multiplier;
    edgebat_rounding_t rounding;
} edgebat_add_t;

/** Average pooling: sum of `size` rows plus bias, requantized. */
typedef struct {
    int32_t bias;
    int32_t multiplier;
    edgebat_rounding_t rounding;
    uint16_t positions; /* output rows */
    uint16_t size;      /* rows per window */
    uint16_t stride;    /* rows from one window to the next */
    uint16_t row;       /* bytes per row, in and out */
} edgebat_average_t;

/** Depthwise convolution: one filter of `kernel` taps per channel. */
typedef struct {
    const int8_t *weights;     /* [kernel][row] */
    const int32_t *bias;       /* [row] */
    const int32_t *multiplier; /* [row] */
    edgebat_rounding_t rounding;
    uint16_t positions; /* output rows */
    uint16_t kernel;    /* taps */
    uint16_t tap;       /* bytes from one tap to the next */
    uint16_t step;      /* bytes from one window to the next */
    uint16_t row;       /* channels, padded to four */
} edgebat_depthwise_t;

/** x[4 * columns4] -> y[4 * blocks], int8. x needs no alignment; x and y must not overlap. */
void edgebat_dense(const edgebat_dense_t *layer, const int8_t *x, int8_t *y);

/**
 * x[4 * columns4] -> int16 y[4 * blocks], and the rest of the rows: the last layer of a model. Both return
 * EDGEBAT_OK, so that a model can end in the call and needs no stack of its own then.
 */
int edgebat_head(const edgebat_dense_t *layer, const int8_t *x, int16_t *y);
int edgebat_head_rest(const edgebat_rest_t *layer, const int8_t *x, int16_t *y);

/** x[4 * columns4] -> y[outputs], int8_t or int16_t. Returns EDGEBAT_OK. */
int edgebat_compact(const edgebat_compact_t *layer, const int8_t *x, void *y);

/** Like edgebat_dense; work: 8 * columns4 bytes, aligned to 4. */
#if EDGEBAT_THUMB1
void edgebat_fast_dense(const edgebat_fast_dense_t *layer, const int8_t *x, int8_t *y, int8_t *work);
#else
#define edgebat_fast_dense(layer, x, y, work) edgebat_dense((layer), (x), (y))
#endif

/** Padded map x -> y[positions][4 * blocks]; with pooling, y has room for one more row. */
void edgebat_conv1d(const edgebat_conv1d_t *layer, const int8_t *x, int8_t *y);

/** Padded map x -> y[positions][row]; with pooling, y has room for one more row. */
void edgebat_compact_conv1d(const edgebat_compact_conv1d_t *layer, const int8_t *x, int8_t *y);

/** Map x -> y as edgebat_conv1d; window: working space of taps * (width rounded up to 4) bytes. */
void edgebat_gather(const edgebat_gather_t *layer, const int8_t *x, int8_t *y, int8_t *window);

/** Maps x -> y[positions][row]. */
void edgebat_average(const edgebat_average_t *layer, const int8_t *x, int8_t *y);
void edgebat_depthwise(const edgebat_depthwise_t *layer, const int8_t *x, int8_t *y);

/**
 * One time step. x: 4 * columns4_x values. state: the hidden state h, 4 * columns4_h bytes; as many bytes of
 * working space; the cell, units values of int16. It is aligned to 2 bytes, and all zero before the first
 * step.
 */
void edgebat_lstm_step(const edgebat_lstm_t *layer, const int8_t *x, int8_t *state);

/** The same for any scales; before the first step, h holds its zero point. */
void edgebat_lstm_any_step(const edgebat_lstm_any_t *layer, const int8_t *x, int8_t *state);

/** y[t] = maximum of `size` rows of x from row t * stride on; rows have `row` bytes, a multiple of four. */
void edgebat_max_pool(const int8_t *x, int8_t *y, uint32_t row, uint32_t positions, uint32_t size,
                      uint32_t stride);

/*** Element by element ***/

/** y[i] = max(y[i], x[i]); count is a multiple of four. */
void edgebat_maximum(int8_t *y, const int8_t *x, uint32_t count);

/** y[t][i] = x[t][i] for `rows` rows of `width` values that lie x_step and y_step bytes apart. */
void edgebat_copy(const int8_t *x, uint32_t x_step, int8_t *y, uint32_t y_step, uint32_t rows,
                  uint32_t width);

/** y[i] = value. */
void edgebat_fill(int8_t *y, uint32_t count, int8_t value);

/** y[i] = table[x[i] + 128]; x and y may be the same. */
void edgebat_lut(const int8_t table[256], const int8_t *x, int8_t *y, uint32_t count);

void edgebat_add(const edgebat_add_t *layer, const int8_t *a, const int8_t *b, int8_t *y, uint32_t count);

/** Limit y to [minimum, maximum]: fused activations narrower than the type. */
void edgebat_clamp(int8_t *y, uint32_t count, int8_t minimum, int8_t maximum);
void edgebat_clamp16(int16_t *y, uint32_t count, int16_t minimum, int16_t maximum);

/*** Border ***/

/** ((value - offset) * multiplier + 2^(shift-1)) >> shift, plus zero point, clipped to int8. */
int8_t edgebat_quantize(int32_t value, int32_t offset, int32_t multiplier, uint32_t shift,
                        int32_t zero_point);

/** offset + ((y * multiplier + 2^(shift-1)) >> shift). `edgebat export` sees to it that 32 bits suffice. */
int32_t edgebat_value(int32_t y, int32_t multiplier, uint32_t shift, int32_t offset);

/*** Integrity ***/

/** CRC-32 of `length` bytes, as zlib. crc: 0 for the first piece, the previous result for the next one. */
uint32_t edgebat_crc32(uint32_t crc, const void *data, uint32_t length);

/** CRC-32 of `count` table entries, words with their lowest byte first on every core. */
uint32_t edgebat_crc32_words(uint32_t crc, const int32_t *words, uint32_t count);
uint32_t edgebat_crc32_weights(uint32_t crc, const edgebat_weights_t *table, uint32_t count);
uint32_t edgebat_crc32_weights2(uint32_t crc, const edgebat_weights2_t *table, uint32_t count);
uint32_t edgebat_crc32_channels(uint32_t crc, const edgebat_channels_t *table, uint32_t count);
uint32_t edgebat_crc32_channels2(uint32_t crc, const edgebat_channels2_t *table, uint32_t count);
uint32_t edgebat_crc32_units(uint32_t crc, const edgebat_bias_t *table, uint32_t count);
#if EDGEBAT_THUMB1
uint32_t edgebat_crc32_fast(uint32_t crc, const edgebat_fast_t *table, uint32_t count);
#else
#define edgebat_crc32_fast edgebat_crc32_weights
#endif

#ifdef __cplusplus
}
#endif

#endif
