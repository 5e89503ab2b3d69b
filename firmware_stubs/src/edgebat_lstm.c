/*
 * edgebat_lstm.c - one time step of an LSTM layer, int8 activations and int16 cell.
 *
 * Everything between the sums and the new hidden value of a unit stays in registers. The two roundings of each product
 * and the interpolation are those of TFLite Micro; docs/quantization-spec.md has the formulas.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"
#include "edgebat_sigmoid.h"

/**
 * a * b / 2^shift as TFLite Micro rounds it: half up to one half of it, then half away from zero. In one step that is
 * (p + round - 2 * (p < 0)) >> shift with round = 2^(shift-1) + 1. a >= 0, so b tells the sign; where a is 0 and b
 * negative the result is 0 either way.
 */
static inline int32_t round_product(int32_t a, int32_t b, int32_t round, uint32_t shift)
{
    return (a * b + round + (b >> 31) + (b >> 31)) >> shift;
}

/* One product of a gate as int16: scaled, then shifted half away from zero. The sign of the sum serves for both. */
#if EDGEBAT_DSP
static inline int32_t gate_product(int32_t sum256, const edgebat_gate_t *gate)
{
    const edgebat_gate_t g = *gate; /* a copy lets compilers use LDRD */
    return EDGEBAT_SATURATE16((edgebat_smmlar(sum256, g.multiplier, g.half) - ((sum256 >> 31) & g.negative)) >> g.shift);
}
#define GATE_HI(hi, lo, gate) gate_product(edgebat_hi256((hi), (lo)), (gate))
#define GATE_LO(lo, gate) gate_product((int32_t)((uint32_t)(lo) << 8), (gate))
#else
static inline int32_t gate_product(int32_t sum, const edgebat_gate_t *gate)
{
    const int32_t scaled = (sum * gate->multiplier + (1 << (EDGEBAT_GATE_BITS - 1))) >> EDGEBAT_GATE_BITS;
    return EDGEBAT_SATURATE16((scaled + gate->half - ((sum >> 31) & gate->negative)) >> gate->shift);
}
#define GATE_HI(hi, lo, gate) gate_product((hi), (gate))
#define GATE_LO(lo, gate) gate_product((lo), (gate))
#endif

void edgebat_lstm_step(const edgebat_lstm_t *layer, const int8_t *x, int8_t *state)
{
    static const int32_t zero[4] = {0, 0, 0, 0};
    const edgebat_weights_t *w = layer->weights;
    for (uint32_t u = 0; u < layer->units; u++) {
        const edgebat_sums_t sx = edgebat_sum4(&w, x, &x[4U * layer->columns4_x], edgebat_start(layer->bias[u].sum));
        const edgebat_sums_t sh = edgebat_sum4(&w, state, &state[4U * layer->columns4_h], edgebat_start(zero));

        const edgebat_gate_t *const in = layer->input;
        const edgebat_gate_t *const re = layer->recurrent;
        const int32_t i = edgebat_sigmoid(EDGEBAT_SATURATE16(GATE_HI(sx.a, sx.b, &in[0]) + GATE_HI(sh.a, sh.b, &re[0])));
        const int32_t g =
            edgebat_tanh(3 * EDGEBAT_SATURATE16(GATE_HI(sx.c, sx.d, &in[2]) + GATE_HI(sh.c, sh.d, &re[2])));
        const int32_t added = EDGEBAT_SATURATE16(round_product(i, g, layer->added_round, (uint32_t)layer->added_shift));

        int16_t *const cell = (int16_t *)(void *)&state[8U * layer->columns4_h];
        const int32_t f = edgebat_sigmoid(EDGEBAT_SATURATE16(GATE_LO(sx.b, &in[1]) + GATE_LO(sh.b, &re[1])));
        const int32_t kept = round_product(f, cell[u], (1 << 14) + 1, 15); /* f < 2^15, so this fits int16 */
        const int32_t c = EDGEBAT_SATURATE16(kept + added);
        cell[u] = (int16_t)c;

        const int32_t o = edgebat_sigmoid(EDGEBAT_SATURATE16(GATE_LO(sx.d, &in[3]) + GATE_LO(sh.d, &re[3])));
        const int32_t squashed = edgebat_tanh((c * layer->tanh_factor + layer->tanh_half) >> layer->tanh_right);
        const int32_t hidden = round_product(o, squashed, layer->hidden_round, (uint32_t)layer->hidden_shift);
        state[4U * layer->columns4_h + u] = (int8_t)EDGEBAT_SATURATE8(hidden);
    }
    for (uint32_t u = 0; u < layer->units; u++) {
        state[u] = state[4U * layer->columns4_h + u];
    }
}
