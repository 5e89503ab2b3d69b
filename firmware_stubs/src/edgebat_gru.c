/*
 * edgebat_gru.c - one time step of a GRU layer, int8 activations and int16 state, products of 32 bits.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_gru.h"
#include "edgebat_core.h"
#include "edgebat_sigmoid.h"

/* What rows are multiplied with. */
typedef struct {
    const int8_t *x;
    const int8_t *end;
    int32_t offset;
} vector_t;

/* Where the next rows lie, and what most of them are multiplied with. */
typedef struct {
    const edgebat_weights_t *weights;
    const edgebat_bias_t *bias;
    vector_t x;
    vector_t h;
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

static void set_vector(vector_t *v, const int8_t *x, uint32_t columns4) {
    v->x = x;
    v->end = &x[4U * columns4];
    v->offset = edgebat_offset(x, v->end);
}

static void begin(walk_t *walk, const edgebat_gru_t *layer, const int8_t *x, const int8_t *h) {
    walk->weights = layer->weights;
    walk->bias = layer->bias;
    set_vector(&walk->x, x, layer->columns4_x);
    set_vector(&walk->h, h, layer->columns4_h);
}

/** The next four rows times a vector, as int16 with scale 2^-12. */
static EDGEBAT_NOINLINE void rows(walk_t *walk, const vector_t *v, const edgebat_bias_t *bias,
                                  const edgebat_product_t *product, int16_t y[4]) {
    const edgebat_sums_t s = edgebat_sum4(&walk->weights, v->x, v->end, edgebat_start(bias->sum, v->offset));
    y[0] = (int16_t)ROW_HI(s.a, s.b, product);
    y[1] = (int16_t)ROW_LO(s.b, product);
    y[2] = (int16_t)ROW_HI(s.c, s.d, product);
    y[3] = (int16_t)ROW_LO(s.d, product);
}

/**
 * Products `first` to `last` of the next four units, in the order of layer->gate: of x, of the hidden state. own: bias
 * of the last one; new_h: the vector it is with.
 */
static inline void products(walk_t *walk, const edgebat_gru_t *layer, uint32_t first, uint32_t last,
                            const edgebat_bias_t *own, const vector_t *new_h, int16_t *y) {
    const edgebat_product_t *const product = &layer->gate[0].input;
    for (uint32_t p = first; p <= last; p++) {
        const vector_t *const h = (p == 5U) ? new_h : &walk->h;
        const edgebat_bias_t *const bias = (p == 5U) ? own : &no_bias;
        rows(walk, ((p & 1U) != 0U) ? h : &walk->x, ((p & 1U) != 0U) ? bias : walk->bias, &product[p], y);
        walk->bias += 1U - (p & 1U);
        y += 4;
    }
}

/** Reset or update gate, 0 to 32767, from its two products. */
static EDGEBAT_OUTLINE int32_t gate_of(const int16_t *y) {
    return edgebat_sigmoid(EDGEBAT_SATURATE16(y[0] + y[4]));
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
static EDGEBAT_OUTLINE int16_t next_state(int32_t h, int32_t update, int32_t sum) {
    const int32_t candidate = edgebat_tanh(3 * EDGEBAT_SATURATE16(sum));
    return (int16_t)EDGEBAT_SATURATE16(candidate - times(update, candidate) + times(update, h));
}

/** Four states after the step, from their six products. */
static EDGEBAT_NOINLINE void advance(const int16_t *y, int16_t *h) {
    for (uint32_t i = 0; i < 4U; i++) {
        const int32_t sum = y[i + 16U] + times(gate_of(&y[i]), y[i + 20U]);
        h[i] = next_state(h[i], gate_of(&y[i + 8U]), sum);
    }
}

/** The upper byte of each state is the layer's output and what the next step reads. */
static void publish(int8_t *y, const int16_t *state, uint32_t count) {
    for (uint32_t u = 0; u < count; u++) {
        y[u] = byte_of(state[u]);
    }
}

void edgebat_gru_step(const edgebat_gru_t *layer, const int8_t *x, int8_t *state) {
    int16_t y[24];
    walk_t walk;
    const uint32_t units = 4U * layer->columns4_h;
    int16_t *const h = (int16_t *)(void *)&state[units];
    begin(&walk, layer, x, state);
    for (uint32_t u = 0; u < units; u += 4U) {
        products(&walk, layer, 0, 5, &layer->recurrent_bias[u / 4U], &walk.h, y);
        advance(y, &h[u]);
    }
    publish(state, h, units);
}

void edgebat_gru_before_step(const edgebat_gru_t *layer, const int8_t *x, int8_t *state) {
    int16_t y[16];
    walk_t walk;
    vector_t reset;
    const uint32_t units = 4U * layer->columns4_h;
    int16_t *const h = (int16_t *)(void *)&state[units];
    int8_t *const kept = &state[3U * units];
    begin(&walk, layer, x, state);
    for (uint32_t u = 0; u < units; u += 4U) {
        products(&walk, layer, 0, 1, &no_bias, &walk.h, y);
        for (uint32_t i = 0; i < 4U; i++) {
            kept[u + i] = byte_of(times(gate_of(&y[i]), h[u + i]));
        }
    }
    set_vector(&reset, kept, layer->columns4_h);
    for (uint32_t u = 0; u < units; u += 4U) {
        products(&walk, layer, 2, 5, &no_bias, &reset, y);
        for (uint32_t i = 0; i < 4U; i++) {
            h[u + i] = next_state(h[u + i], gate_of(&y[i]), y[i + 8U] + y[i + 12U]);
        }
    }
    publish(state, h, units);
}
