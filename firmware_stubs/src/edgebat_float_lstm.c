/*
 * edgebat_float_lstm.c - one time step of an LSTM layer in float32, for comparison.
 *
 * Without libm: exp is 2^n times a polynomial of degree 6, which leaves sigmoid and tanh within 3e-7.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#if defined(EDGEBAT_FLOAT)

#include "edgebat_float.h"
#include "edgebat_float_sum.h"

/** exp(x) for -87 to 87; beyond them, as at them. */
static inline float exponential(float x) {
    x = (x > 87.0f) ? 87.0f : x;
    x = (x < -87.0f) ? -87.0f : x;
    const int32_t n = (int32_t)(x * 1.44269504f + 127.5f) - 127; /* nearest: the sum is positive */
    const float r = x - (float)n * 0.693145752f - (float)n * 1.42860677e-6f;
    float p = 1.38888889e-3f;
    p = p * r + 8.33333333e-3f;
    p = p * r + 4.16666667e-2f;
    p = p * r + 1.66666667e-1f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const union {
        uint32_t bits;
        float value;
    } power = {(uint32_t)(n + 127) << 23};
    return p * power.value;
}

static float sigmoid(float x) {
    return 1.0f / (1.0f + exponential(-x));
}

static inline float hyperbolic_tangent(float x) {
    return 2.0f * sigmoid(2.0f * x) - 1.0f;
}

void edgebat_float_lstm_step(const edgebat_float_lstm_t *layer, const float *x, float *state) {
    const uint32_t units = layer->units;
    const float *w = layer->weights;
    const float *bias = layer->bias;
    float *const next = &state[units];
    float *const cell = &next[units];
    for (uint32_t u = 0; u < units; u++) {
        float s[4] = {bias[0], bias[1], bias[2], bias[3]};
        w = edgebat_float_sum4(w, x, &x[layer->inputs], s);
        w = edgebat_float_sum4(w, state, next, s);
        const float c = sigmoid(s[1]) * cell[u] + sigmoid(s[0]) * hyperbolic_tangent(s[2]);
        cell[u] = c;
        next[u] = sigmoid(s[3]) * hyperbolic_tangent(c);
        bias += 4;
    }
    for (uint32_t u = 0; u < units; u++) {
        state[u] = next[u];
    }
}

#else

typedef int edgebat_float_lstm_nothing_t; /* C wants a translation unit to declare something */

#endif
