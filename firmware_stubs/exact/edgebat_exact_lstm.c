/*
 * edgebat_exact_lstm.c - one time step of an LSTM layer with any scales, as converters of others choose them.
 *
 * The same numbers as edgebat_lstm.c where both apply, but with 64-bit products: models that edgebat
 * quantized never need it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"
#include "edgebat_exact.h"
#include "edgebat_sigmoid.h"

#if EDGEBAT_DSP
#define SUM_HI(hi, lo) (edgebat_hi256((hi), (lo)) >> 8)
#else
#define SUM_HI(hi, lo) (hi)
#endif

/** x * multiplier * 2^(exponent - 31), rounded twice as TFLite Micro does. */
static EDGEBAT_NOINLINE int32_t requantize(int32_t x, const edgebat_q31_t *q) {
    const uint32_t left = (q->exponent > 0) ? (uint32_t)q->exponent : 0U;
    const uint32_t right = (q->exponent < 0) ? (uint32_t)-q->exponent : 0U;
    const int64_t product = (int64_t)x * (1 << left) * q->multiplier;
    const int32_t high = (int32_t)((product + (INT64_C(1) << 30)) >> 31);
    const int64_t half = (INT64_C(1) << right) >> 1;
    const int32_t away = (right != 0U) ? edgebat_sign(high) : 0;
    return (int32_t)((high + half + away) >> right);
}

static EDGEBAT_NOINLINE int32_t gate(int32_t x, int32_t h, const edgebat_any_gate_t *q) {
    const int32_t from_x = EDGEBAT_SATURATE16(requantize(x, &q->input));
    const int32_t from_h = EDGEBAT_SATURATE16(requantize(h, &q->recurrent));
    return EDGEBAT_SATURATE16(from_x + from_h);
}

static inline int32_t limited(int32_t value, int32_t limit) {
    const int32_t above = (value < -limit) ? -limit : value;
    return (above > limit) ? limit : above;
}

/** limit: of the cell, 32768 where there is none. */
static inline void step(const edgebat_lstm_any_t *layer, int32_t limit, const int8_t *x, int8_t *state) {
    const edgebat_weights_t *w = layer->weights;
    const int8_t *const x_end = &x[4U * layer->columns4_x];
    int8_t *const next = &state[4U * layer->columns4_h];
    int16_t *const cell = (int16_t *)(void *)&state[8U * layer->columns4_h];
    const int32_t x_offset = edgebat_offset(x, x_end);
    const int32_t h_offset = edgebat_offset(state, next);
    for (uint32_t u = 0; u < layer->units; u++) {
        const edgebat_sums_t sx = edgebat_sum4(&w, x, x_end, edgebat_start(layer->bias[u].sum, x_offset));
        const edgebat_sums_t sh =
            edgebat_sum4(&w, state, next, edgebat_start(layer->recurrent_bias[u].sum, h_offset));

        const int32_t i = edgebat_sigmoid(gate(SUM_HI(sx.a, sx.b), SUM_HI(sh.a, sh.b), &layer->gate[0]));
        const int32_t f = edgebat_sigmoid(gate(sx.b, sh.b, &layer->gate[1]));
        const int32_t g = edgebat_tanh(3 * gate(SUM_HI(sx.c, sx.d), SUM_HI(sh.c, sh.d), &layer->gate[2]));
        const int32_t o = edgebat_sigmoid(gate(sx.d, sh.d, &layer->gate[3]));

        const int32_t kept = EDGEBAT_SATURATE16(requantize(f * cell[u], &layer->kept));
        const int32_t added = EDGEBAT_SATURATE16(requantize(i * g, &layer->added));
        const int32_t c = limited(EDGEBAT_SATURATE16(kept + added), limit);
        cell[u] = (int16_t)c;
        const int32_t squashed =
            edgebat_tanh((c * layer->tanh_factor + layer->tanh_half) >> layer->tanh_right);
        const int32_t hidden = requantize(o * squashed, &layer->hidden) + layer->hidden_zero_point;
        next[u] = (int8_t)EDGEBAT_SATURATE8(hidden);
    }
    for (uint32_t u = 0; u < layer->units; u++) {
        state[u] = next[u];
    }
}

void edgebat_lstm_any_step(const edgebat_lstm_any_t *layer, const int8_t *x, int8_t *state) {
    step(layer, 32768, x, state);
}

void edgebat_exact_lstm_step(const edgebat_lstm_any_t *layer, int32_t limit, const int8_t *x, int8_t *state) {
    step(layer, limit, x, state);
}
