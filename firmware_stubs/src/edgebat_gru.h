/*
 * edgebat_gru.h - a GRU layer with int8 activations and an int16 state; docs/quantization-spec.md has the
 * formulas. `edgebat export` copies this header beside a model that has such a layer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_GRU_H
#define EDGEBAT_GRU_H

#include "edgebat_nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/** From a sum to int16 with scale 2^-12: (sum * k + 2^(n-1)) >> n. */
#if EDGEBAT_DSP
/* The rounded high word of 256 * sum times k * 2^(24-n), one SMMLAR. */
typedef struct {
    int32_t multiplier;
} edgebat_product_t;

#define EDGEBAT_PRODUCT(k, n) {(k) * (1 << (24 - (n)))}
#else
typedef struct {
    int32_t multiplier;
    int32_t half;
    uint32_t shift;
} edgebat_product_t;

#define EDGEBAT_PRODUCT(k, n) {(k), 1 << ((n) - 1), (n)}
#endif

/** A gate has two sums, of inputs and of hidden values. */
typedef struct {
    edgebat_product_t input;
    edgebat_product_t recurrent;
} edgebat_products_t;

/**
 * GRU layer. Gates in the order reset, update, new; four units are the rows of a block. Weights of four units
 * are three runs of blocks, one a gate: the columns of x, then those of h.
 */
typedef struct {
    const edgebat_weights_t *weights; /* [blocks][3][columns4_x + columns4_h], see edgebat_gru_before_step */
    const edgebat_bias_t *bias;       /* in the order of the runs; zero points of x are folded in */
    const edgebat_bias_t *recurrent_bias; /* [blocks], of the new gate; NULL where reset acts before */
    edgebat_products_t gate[3];           /* read as six products one after another */
    uint16_t columns4_x;                  /* inputs / 4, rounded up */
    uint16_t columns4_h;                  /* units / 4, rounded up: the number of blocks */
} edgebat_gru_t;

/**
 * One time step; the reset gate acts after the recurrent product, as in PyTorch. x: 4 * columns4_x values.
 * state: the hidden state as int8, 4 * columns4_h bytes, then as int16, twice as many. It is aligned to 4 bytes,
 * and all zero before the first step.
 */
void edgebat_gru_step(const edgebat_gru_t *layer, const int8_t *x, int8_t *state);

/**
 * The same where the reset gate acts on the hidden state before the recurrent product. weights: the reset gates
 * of all blocks, then update and new gate block by block. state: 4 * columns4_h bytes of working space follow.
 */
void edgebat_gru_before_step(const edgebat_gru_t *layer, const int8_t *x, int8_t *state);

#ifdef __cplusplus
}
#endif

#endif
