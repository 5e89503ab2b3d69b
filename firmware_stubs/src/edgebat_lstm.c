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

#define SATURATE16(x) EDGEBAT_SATURATE((x), 16)
#define SATURATE8(x) EDGEBAT_SATURATE((x), 8)

/** x / 2^shift, half away from zero; half = 2^(shift-1), shift >= 1. */
static inline int32_t rounding_shift(int32_t x, int32_t half, uint32_t shift)
{
    return (x + (x >> 31) + half) >> shift;
}

/** x / 2^(shift+1) rounded twice: first half up to x / 2, then half away from zero. Multiplication by 2^30 in Q31. */
static inline int32_t halve_and_shift(int32_t x, uint32_t shift)
{
    return rounding_shift((x + 1) >> 1, (int32_t)(UINT32_C(1) << (shift - 1U)), shift);
}

#if EDGEBAT_DSP

static inline int32_t gate_hi(int32_t hi, int32_t lo, const edgebat_gate_t *gate)
{
    return SATURATE16(rounding_shift(edgebat_smmulr(edgebat_hi256(hi, lo), gate->multiplier), gate->half, gate->shift));
}

static inline int32_t gate_lo(int32_t lo, const edgebat_gate_t *gate)
{
    return SATURATE16(
        rounding_shift(edgebat_smmulr((int32_t)((uint32_t)lo << 1), gate->multiplier), gate->half, gate->shift));
}

#else

static inline int32_t gate_lo(int32_t sum, const edgebat_gate_t *gate)
{
    const int32_t scaled = (sum * gate->multiplier + (1 << (EDGEBAT_GATE_BITS - 1))) >> EDGEBAT_GATE_BITS;
    return SATURATE16(rounding_shift(scaled, gate->half, gate->shift));
}

#define gate_hi(hi, lo, gate) gate_lo((hi), (gate))

#endif

void edgebat_lstm_step(const edgebat_lstm_t *layer, const int8_t *x, int8_t *h, int16_t *cell, int8_t *next)
{
    static const int32_t zero[4] = {0, 0, 0, 0};
    const edgebat_weights_t *w = layer->weights;
    const edgebat_gate_t *const in = layer->input;
    const edgebat_gate_t *const re = layer->recurrent;
    const uint32_t units = layer->units;
    for (uint32_t u = 0; u < units; u++) {
        const edgebat_sums_t sx = edgebat_sum4(w, x, layer->columns4_x, edgebat_start(layer->bias[u].sum));
        w += layer->columns4_x;
        const edgebat_sums_t sh = edgebat_sum4(w, h, layer->columns4_h, edgebat_start(zero));
        w += layer->columns4_h;

        const int32_t i = edgebat_sigmoid(SATURATE16(gate_hi(sx.a, sx.b, &in[0]) + gate_hi(sh.a, sh.b, &re[0])));
        const int32_t f = edgebat_sigmoid(SATURATE16(gate_lo(sx.b, &in[1]) + gate_lo(sh.b, &re[1])));
        const int32_t g = edgebat_tanh(3 * SATURATE16(gate_hi(sx.c, sx.d, &in[2]) + gate_hi(sh.c, sh.d, &re[2])));
        const int32_t o = edgebat_sigmoid(SATURATE16(gate_lo(sx.d, &in[3]) + gate_lo(sh.d, &re[3])));

        const int32_t kept = halve_and_shift(f * cell[u], 14); /* |f| < 2^15, so it fits int16 */
        const int32_t added = SATURATE16(halve_and_shift(i * g, layer->added_shift));
        const int32_t c = SATURATE16(kept + added);
        cell[u] = (int16_t)c;
        const int32_t scaled = (3 * c * (1 << layer->tanh_left) + ((1 << layer->tanh_right) >> 1)) >> layer->tanh_right;
        const int32_t squashed = edgebat_tanh(scaled);
        next[u] = (int8_t)SATURATE8(halve_and_shift(o * squashed, layer->hidden_shift));
    }
    for (uint32_t u = 0; u < units; u++) {
        h[u] = next[u];
    }
}
