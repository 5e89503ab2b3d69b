/*
 * edgebat_gru.c - one time step of a GRU layer, int8 activations and int16 state, products of 32 bits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_gru.h"
#include "edgebat_core.h"
#include "edgebat_sigmoid.h"

/* What all products of a step read: where the next weights lie, and a vector with its offset. */
typedef struct {
    const edgebat_weights_t *weights;
    const edgebat_bias_t *bias;
    const int8_t *x;
    const int8_t *x_end;
    const int8_t *h;
    const int8_t *h_end;
    int32_t x_offset;
    int32_t h_offset;
} walk_t;

static const edgebat_bias_t no_bias = {{0, 0, 0, 0}};

#if EDGEBAT_DSP

#define ROW_HI(hi, lo, p) EDGEBAT_SATURATE16(edgebat_smmlar(edgebat_hi256((hi), (lo)), (p)->multiplier, 0))
#define ROW_LO(lo, p) EDGEBAT_SATURATE16(edgebat_smmlar((int32_t)((uint32_t)(lo) << 8), (p)->multiplier, 0))

#else

static inline int32_t scaled(int32_t sum, const edgebat_product_t *p) {
    return EDGEBAT_SATURATE16((sum * p->multiplier + p->half) >> p->shift);
}

#define ROW_HI(hi, lo, p) scaled((hi), (p))
#define ROW_LO(lo, p) scaled((lo), (p))

#endif

/** The next four rows times a vector, as int16 with scale 2^-12. */
static EDGEBAT_NOINLINE void rows(walk_t *walk, int of_h, const edgebat_bias_t *bias,
                                  const edgebat_product_t *product, int32_t y[4]) {
    const int8_t *const v = (of_h != 0) ? walk->h : walk->x;
    const int8_t *const end = (of_h != 0) ? walk->h_end : walk->x_end;
    const int32_t offset = (of_h != 0) ? walk->h_offset : walk->x_offset;
    const edgebat_sums_t s = edgebat_sum4(&walk->weights, v, end, edgebat_start(bias->sum, offset));
    y[0] = ROW_HI(s.a, s.b, product);
    y[1] = ROW_LO(s.b, product);
    y[2] = ROW_HI(s.c, s.d, product);
    y[3] = ROW_LO(s.d, product);
}

/** Reset or update gates of four units, 0 to 32767. */
static EDGEBAT_NOINLINE void sigmoids(walk_t *walk, const edgebat_products_t *gate, int32_t y[4]) {
    int32_t from_h[4];
    rows(walk, 0, walk->bias, &gate->input, y);
    walk->bias++;
    rows(walk, 1, &no_bias, &gate->recurrent, from_h);
    for (uint32_t i = 0; i < 4U; i++) {
        y[i] = edgebat_sigmoid(EDGEBAT_SATURATE16(y[i] + from_h[i]));
    }
}

/**
 * A value times a gate of 0 to 32767, rounded half up to one half of it, then half away from zero. In one step
 * that is (p + 2^14 + 1 - 2 * (p < 0)) >> 15; the value tells the sign.
 */
static inline int32_t times(int32_t gate, int32_t value) {
    return (gate * value + (1 << 14) + 1 + 2 * edgebat_sign(value)) >> 15;
}

/** The upper byte, rounded like that. */
static inline int8_t byte_of(int32_t value) {
    return (int8_t)EDGEBAT_SATURATE8((value + (1 << 7) + 1 + 2 * edgebat_sign(value)) >> 8);
}

/** The state after the step, from that before, the update gate and the sum of the new gate. */
static inline int16_t next_state(int32_t h, int32_t update, int32_t sum) {
    const int32_t candidate = edgebat_tanh(3 * EDGEBAT_SATURATE16(sum));
    return (int16_t)EDGEBAT_SATURATE16(candidate - times(update, candidate) + times(update, h));
}

static walk_t begin(const edgebat_gru_t *layer, const int8_t *x, const int8_t *h) {
    walk_t walk = {.weights = layer->weights, .bias = layer->bias, .x = x, .h = h};
    walk.x_end = &x[4U * layer->columns4_x];
    walk.h_end = &h[4U * layer->columns4_h];
    walk.x_offset = edgebat_offset(x, walk.x_end);
    walk.h_offset = edgebat_offset(h, walk.h_end);
    return walk;
}

/** The upper byte of each state, rounded, is the layer's output and what the next step reads. */
static void publish(int8_t *y, const int16_t *state, uint32_t count) {
    for (uint32_t u = 0; u < count; u++) {
        y[u] = byte_of(state[u]);
    }
}

void edgebat_gru_step(const edgebat_gru_t *layer, const int8_t *x, int8_t *state) {
    walk_t walk = begin(layer, x, state);
    const edgebat_bias_t *recurrent = layer->recurrent_bias;
    int16_t *const first = (int16_t *)(void *)&state[4U * layer->columns4_h];
    int16_t *h = first;
    for (uint32_t block = 0; block < layer->columns4_h; block++) {
        int32_t reset[4], update[4], from_x[4], from_h[4];
        sigmoids(&walk, &layer->gate[0], reset);
        sigmoids(&walk, &layer->gate[1], update);
        rows(&walk, 0, walk.bias, &layer->gate[2].input, from_x);
        walk.bias++;
        rows(&walk, 1, recurrent, &layer->gate[2].recurrent, from_h);
        recurrent++;
        for (uint32_t i = 0; i < 4U; i++) {
            *h = next_state(*h, update[i], from_x[i] + times(reset[i], from_h[i]));
            h++;
        }
    }
    publish(state, first, 4U * layer->columns4_h);
}

void edgebat_gru_before_step(const edgebat_gru_t *layer, const int8_t *x, int8_t *state) {
    walk_t walk = begin(layer, x, state);
    int16_t *const h = (int16_t *)(void *)&state[4U * layer->columns4_h];
    int8_t *const kept = &state[12U * layer->columns4_h];
    for (uint32_t block = 0; block < layer->columns4_h; block++) {
        int32_t reset[4];
        sigmoids(&walk, &layer->gate[0], reset);
        for (uint32_t i = 0; i < 4U; i++) {
            kept[4U * block + i] = byte_of(times(reset[i], h[4U * block + i]));
        }
    }
    walk_t after = walk;
    after.h = kept;
    after.h_end = &kept[4U * layer->columns4_h];
    after.h_offset = edgebat_offset(kept, after.h_end);
    for (uint32_t block = 0; block < layer->columns4_h; block++) {
        int32_t update[4], from_x[4], from_h[4];
        sigmoids(&walk, &layer->gate[1], update);
        after.weights = walk.weights;
        rows(&after, 0, walk.bias, &layer->gate[2].input, from_x);
        walk.bias++;
        rows(&after, 1, &no_bias, &layer->gate[2].recurrent, from_h);
        walk.weights = after.weights;
        for (uint32_t i = 0; i < 4U; i++) {
            h[4U * block + i] = next_state(h[4U * block + i], update[i], from_x[i] + from_h[i]);
        }
    }
    publish(state, h, 4U * layer->columns4_h);
}
