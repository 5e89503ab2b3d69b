/*
 * edgebat_float.h - float32 layers for cores with a floating-point unit, for comparison with the integer
 * ones.
 *
 * Nothing of the integer library includes or calls this. Define EDGEBAT_FLOAT to compile it, and allow the
 * compiler to fuse multiplication and addition (-ffp-contract=fast). `python bench/float32.py` writes models
 * that call it and prints both beside each other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_FLOAT_H
#define EDGEBAT_FLOAT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Fully connected layer y = max(W x + b, minimum), rows in blocks of four. */
typedef struct {
    const float *weights; /* [blocks][columns][4], rows beyond the last one are zero */
    const float *bias;    /* [4 * blocks] */
    float minimum;        /* 0 for ReLU, -FLT_MAX for none */
    uint16_t columns;
    uint16_t blocks;
} edgebat_float_dense_t;

/** 1-D convolution over [T, C]: the same layer applied to windows of a padded map, then maximum pooling. */
typedef struct {
    edgebat_float_dense_t dense;
    uint16_t positions; /* output rows */
    uint16_t step;      /* values from one window to the next */
    uint16_t pool;      /* windows per output row; 1 = no pooling */
} edgebat_float_conv1d_t;

/** LSTM layer; gates in the order input, forget, cell, output. */
typedef struct {
    const float *weights; /* [units][inputs + units][4] */
    const float *bias;    /* [units][4] */
    uint16_t inputs;
    uint16_t units;
} edgebat_float_lstm_t;

/** x[columns] -> y[4 * blocks]. */
void edgebat_float_dense(const edgebat_float_dense_t *layer, const float *x, float *y);

/** Padded map x -> y[positions][4 * blocks]; with pooling, y has room for one more row. */
void edgebat_float_conv1d(const edgebat_float_conv1d_t *layer, const float *x, float *y);

/** One time step. state: hidden values, as many values of working space, cells; all zero before the first. */
void edgebat_float_lstm_step(const edgebat_float_lstm_t *layer, const float *x, float *state);

#ifdef __cplusplus
}
#endif

#endif
