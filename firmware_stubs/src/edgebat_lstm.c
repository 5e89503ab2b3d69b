/*
 * edgebat_lstm.c - one time step of an LSTM layer, int8 activations and int16 cell.
 *
 * Everything between the sums and the new hidden value of a unit stays in registers. The two roundings of
 * each product and the interpolation are those of TFLite Micro; docs/quantization-spec.md has the formulas.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"
#include "edgebat_sigmoid.h"

/**
 * a * b / 2^shift as TFLite Micro rounds it: half up to one half of it, then half away from zero. In one step
 * that is (p + round - 2 * (p < 0)) >> shift with round = 2^(shift-1) + 1. a >= 0, so b tells the sign; where
 * a is 0 and b negative the result is 0 either way.
 */
static inline int32_t round_product(int32_t a, int32_t b, int32_t round, uint32_t shift) {
    return (a * b + round + 2 * edgebat_sign(b)) >> shift;
}

/* One product of a gate as int16: scaled, then shifted half away from zero. The sign of the sum serves for
 * both. */
#if EDGEBAT_DSP

#define GATE_HI(hi, lo) edgebat_hi256((hi), (lo))
#define GATE_LO(lo) ((int32_t)((uint32_t)(lo) << 8))

static inline int32_t gate_product(int32_t sum256, const edgebat_gate_t *gate) {
    const edgebat_gate_t g = *gate; /* a copy lets compilers use LDRD */
    return EDGEBAT_SATURATE16(
        (edgebat_smmlar(sum256, g.multiplier, g.round) - (edgebat_sign(sum256) & g.negative)) >> g.shift);
}

#else

#define GATE_HI(hi, lo) (hi)
#define GATE_LO(lo) (lo)

static inline int32_t gate_product(int32_t sum, const edgebat_gate_t *gate) {
    const int32_t product = sum * gate->multiplier;
    return EDGEBAT_SATURATE16((product + gate->round - (edgebat_sign(sum) & gate->negative)) >> gate->shift);
}

#endif

/** A gate before its activation, int16 with scale 2^-12. */
static inline int32_t gate_sum(int32_t x, int32_t h, const edgebat_gates_t *gate) {
    return EDGEBAT_SATURATE16(gate_product(x, &gate->input) + gate_product(h, &gate->recurrent));
}

static EDGEBAT_OUTLINE int32_t gate_sigmoid(int32_t x, int32_t h, const edgebat_gates_t *gate) {
    return edgebat_sigmoid(gate_sum(x, h, gate));
}

static inline int32_t gate_tanh(int32_t x, int32_t h, const edgebat_gates_t *gate) {
    return edgebat_tanh(3 * gate_sum(x, h, gate));
}

static inline int8_t new_hidden(const edgebat_lstm_t *layer, int32_t o, int32_t c) {
    const int32_t squashed = edgebat_tanh((c * layer->tanh_factor + layer->tanh_half) >> layer->tanh_right);
    return (int8_t)EDGEBAT_SATURATE8(
        round_product(o, squashed, layer->hidden_round, (uint32_t)layer->hidden_shift));
}

void edgebat_lstm_step(const edgebat_lstm_t *layer, const int8_t *x, int8_t *state) {
    static const int32_t zero[4] = {0, 0, 0, 0};
    const edgebat_weights_t *w = layer->weights;
    const int32_t x_offset = edgebat_offset(x, &x[4U * layer->columns4_x]);
    const int32_t h_offset = edgebat_offset(state, &state[4U * layer->columns4_h]);
    for (uint32_t u = 0; u < layer->units; u++) {
        const edgebat_sums_t sx =
            edgebat_sum4(&w, x, &x[4U * layer->columns4_x], edgebat_start(layer->bias[u].sum, x_offset));
        const edgebat_sums_t sh =
            edgebat_sum4(&w, state, &state[4U * layer->columns4_h], edgebat_start(zero, h_offset));

        const int32_t i = gate_sigmoid(GATE_HI(sx.a, sx.b), GATE_HI(sh.a, sh.b), &layer->gate[0]);
        const int32_t g = gate_tanh(GATE_HI(sx.c, sx.d), GATE_HI(sh.c, sh.d), &layer->gate[2]);
        const int32_t added =
            EDGEBAT_SATURATE16(round_product(i, g, layer->added_round, (uint32_t)layer->added_shift));

        int16_t *const cell = (int16_t *)(void *)&state[8U * layer->columns4_h];
        const int32_t f = gate_sigmoid(GATE_LO(sx.b), GATE_LO(sh.b), &layer->gate[1]);
        const int32_t kept = round_product(f, cell[u], (1 << 14) + 1, 15); /* f < 2^15, so this fits int16 */
        const int32_t c = EDGEBAT_SATURATE16(kept + added);
        cell[u] = (int16_t)c;

        const int32_t o = gate_sigmoid(GATE_LO(sx.d), GATE_LO(sh.d), &layer->gate[3]);
        state[4U * layer->columns4_h + u] = new_hidden(layer, o, c);
    }
    for (uint32_t u = 0; u < layer->units; u++) {
        state[u] = state[4U * layer->columns4_h + u];
    }
}
