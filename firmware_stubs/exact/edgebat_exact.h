/*
 * edgebat_exact.h - layers of models that other tools quantized, in the rounding of those tools' engines.
 *
 * The integers of TFLite Micro, LiteRT (XNNPACK) or ONNX Runtime, bit for bit, without floating point: with
 * 64-bit products where 32 bits do not do. Models that edgebat quantized never need these kernels and are
 * several times faster. `edgebat export` copies this header beside a model that does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_EXACT_H
#define EDGEBAT_EXACT_H

#include "edgebat_nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a sum becomes an output. */
#define EDGEBAT_EXACT_TWICE 0 /* * multiplier * 2^(exponent - 31), rounded twice: TFLite Micro, CMSIS-NN */
#define EDGEBAT_EXACT_FLOAT                                                                                  \
    1 /* * multiplier * 2^exponent in float32, halves to even: XNNPACK, ONNX Runtime */

/** Fully connected layer, 1-D convolution or depthwise convolution; zero points are folded into the biases. */
typedef struct {
    const int8_t *weights;     /* [outputs][taps][width] */
    const int32_t *bias;       /* [outputs] */
    const int32_t *multiplier; /* [outputs]; float: 24 bits */
    const int32_t *exponent;   /* [outputs] */
    uint16_t positions;        /* output rows */
    uint16_t outputs;          /* per row */
    uint16_t taps;
    uint16_t width; /* values per tap */
    uint16_t tap;   /* bytes from one tap to the next */
    uint16_t step;  /* bytes from one window to the next */
    uint16_t row;   /* bytes from one output row to the next */
    uint8_t own;    /* 1: each output reads the channel of its number; 0: all read all */
    uint8_t rounding;
    int8_t zero_point;
    int8_t minimum;
    int8_t maximum;
} edgebat_exact_linear_t;

/** Average pooling whose outputs are `minimum` plus the number of thresholds that the sum reaches. */
typedef struct {
    const int32_t *thresholds; /* [255], not decreasing */
    int32_t bias;
    uint16_t positions; /* output rows */
    uint16_t size;      /* rows per window */
    uint16_t stride;    /* rows from one window to the next */
    uint16_t row;       /* bytes per row, in and out */
    int8_t minimum;
} edgebat_exact_average_t;

/** Elementwise sum: summands of both values by table, and thresholds as above. */
typedef struct {
    const int32_t *summands;   /* [512]: of a + 128, then of 256 + b + 128 */
    const int32_t *thresholds; /* [255], not decreasing */
    int8_t minimum;
} edgebat_exact_add_t;

/** Elementwise product (a - zero_a) * (b - zero_b), and thresholds as above. */
typedef struct {
    const int32_t *thresholds; /* [255], not decreasing */
    int32_t zero_a;
    int32_t zero_b;
    uint16_t rows;
    uint16_t width; /* values per row */
    uint16_t a_row; /* bytes from one row to the next; of b 0 where one row gates all */
    uint16_t b_row;
    uint16_t row;
    uint8_t own; /* 1: each value of a row has a factor of its own; 0: all share the first of b's row */
    int8_t minimum;
} edgebat_exact_mul_t;

/** Average over windows that may reach beyond the sequence. */
typedef struct {
    const int32_t *values; /* [256] float32 of x + 128, by their bits; 0: integers, divided by their number */
    uint32_t scale;        /* float32 of the output, by its bits; likewise its zero point */
    uint32_t zero_point;
    uint16_t positions; /* output rows */
    uint16_t length;    /* input rows */
    uint16_t width;     /* values per row */
    uint16_t size;      /* rows per window */
    uint16_t stride;    /* rows from one window to the next */
    uint16_t left;      /* rows of the first window before the sequence */
    uint16_t row;       /* bytes per input row */
    uint16_t out;       /* bytes per output row */
    uint8_t middle;     /* taken off the result: 128 where the file's output is uint8 */
    uint8_t whole; /* 1: float sums are divided by `size`; 0: by the number of rows within the sequence */
} edgebat_exact_pool_t;

/** Whose softmax. */
#define EDGEBAT_EXACT_MICRO 0 /* TFLite Micro: exponentials with 31 fractional bits */
#define EDGEBAT_EXACT_LITERT 1
#define EDGEBAT_EXACT_ONNXRUNTIME 2

/** Softmax over each of `rows` rows. */
typedef struct {
    const int32_t *table; /* [256] exponential of each distance from the largest value */
    uint32_t
        scale; /* float32, by its bits: LiteRT's output scale, ONNX Runtime's whole part of its reciprocal */
    uint16_t rows;
    uint16_t width; /* values per row */
    uint16_t step;  /* bytes from one input row to the next */
    uint16_t row;   /* bytes from one output row to the next */
    uint8_t form;
    int8_t zero_point;
} edgebat_exact_softmax_t;

/** As edgebat_lstm_any_step, with a cell that is limited to [-limit, limit]. */
void edgebat_exact_lstm_step(const edgebat_lstm_any_t *layer, int32_t limit, const int8_t *x, int8_t *state);

/** Map x -> y[positions][out]. */
void edgebat_exact_pool(const edgebat_exact_pool_t *layer, const int8_t *x, int8_t *y);

void edgebat_exact_softmax(const edgebat_exact_softmax_t *layer, const int8_t *x, int8_t *y);

/** Map x -> y[positions][row]; rows of x may start anywhere. */
void edgebat_exact_linear(const edgebat_exact_linear_t *layer, const int8_t *x, int8_t *y);

/** Map x -> y[positions][row]. */
void edgebat_exact_average(const edgebat_exact_average_t *layer, const int8_t *x, int8_t *y);

void edgebat_exact_add(const edgebat_exact_add_t *layer, const int8_t *a, const int8_t *b, int8_t *y,
                       uint32_t count);

void edgebat_exact_mul(const edgebat_exact_mul_t *layer, const int8_t *a, const int8_t *b, int8_t *y);

/**
 * y[r][c] = tables[c][x[r][c] + 128] for `rows` rows of `width` values, x_step and y_step bytes apart.
 * again: 1: every row begins with the first table; 0: tables go on from row to row.
 */
void edgebat_exact_lut(const int8_t *tables, const int8_t *x, uint32_t x_step, int8_t *y, uint32_t y_step,
                       uint32_t rows, uint32_t width, uint32_t again);

/** How many of 255 thresholds `sum` reaches, by as many comparisons for every sum. */
static inline int32_t edgebat_exact_steps(const int32_t *thresholds, int32_t sum) {
    uint32_t reached = 0;
    for (uint32_t half = 128; half != 0U; half >>= 1) {
        reached += (thresholds[reached + half - 1U] <= sum) ? half : 0U;
    }
    return (int32_t)reached;
}

#ifdef __cplusplus
}
#endif

#endif
