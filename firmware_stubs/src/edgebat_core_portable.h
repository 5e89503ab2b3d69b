/*
 * edgebat_core_portable.h - sums and outputs in portable C99: 32-bit multiplications only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_CORE_PORTABLE_H
#define EDGEBAT_CORE_PORTABLE_H

#if EDGEBAT_THUMB1

/** What stored weights give too much for x: 128 * sum(x). */
static inline int32_t edgebat_offset(const int8_t *x, const int8_t *end) {
    int32_t sum = 0;
    do {
        sum += *x++;
    } while (x != end);
    return 128 * sum;
}

#else
#define edgebat_offset(x, end) 0
#endif

#if EDGEBAT_THUMB1 && defined(__thumb__) && defined(__OPTIMIZE__)
#include "edgebat_sum_thumb1.h"
#else

static inline edgebat_sums_t edgebat_sum4(const edgebat_weights_t **w, const int8_t *x, const int8_t *end,
                                          edgebat_sums_t s) {
    do {
        const edgebat_weight_t *const q = (*w)->w;
        for (uint32_t i = 0; i < 4U; i++) {
            const int32_t value = x[i];
            s.a += value * (int32_t)q[4U * i];
            s.b += value * (int32_t)q[4U * i + 1U];
            s.c += value * (int32_t)q[4U * i + 2U];
            s.d += value * (int32_t)q[4U * i + 3U];
        }
        (*w)++;
        x += 4;
    } while (x != end);
    return s;
}

#endif

/** Two rows and four columns. */
static inline void edgebat_sum2(const edgebat_weights2_t *w, const int8_t *x, int32_t *a, int32_t *b) {
    for (uint32_t i = 0; i < 4U; i++) {
        *a += (int32_t)x[i] * w->w[2U * i];
        *b += (int32_t)x[i] * w->w[2U * i + 1U];
    }
}

/** ((acc * k + 2^(n-1)) >> n) + zero point, see EDGEBAT_ROUNDING. */
static inline int32_t edgebat_requantize(int32_t acc, int32_t k, const edgebat_rounding_t *r) {
    const int32_t high =
        acc >> r->split; /* arithmetic shift: the host tests check that the compiler does so */
    const uint32_t low = (uint32_t)acc & ((UINT32_C(1) << r->split) - 1U);
    return (high * k + (int32_t)((low * (uint32_t)k) >> r->split) + r->half) >> r->shift;
}

/* Without branches: Cortex-M0 has no conditional execution, and the count must not depend on the data. */
static inline int32_t edgebat_saturate(int32_t y, uint32_t bits) {
    const int32_t half = (int32_t)(UINT32_C(1) << (bits - 1U));
    const int32_t span = 2 * half - 1;
    y += half;                   /* inside: 0 to span */
    y &= ~edgebat_sign(y);       /* below: 0 */
    y |= edgebat_sign(span - y); /* above: all ones */
    return (y & span) - half;
}

#define EDGEBAT_SATURATE8(x) edgebat_saturate((x), 8)
#define EDGEBAT_SATURATE16(x) edgebat_saturate((x), 16)
#define EDGEBAT_INT8(sum, k, r) edgebat_saturate(edgebat_requantize((sum), (k), (r)), 8)
#define EDGEBAT_INT8_HI(hi, lo, k, r) EDGEBAT_INT8((hi), (k), (r))
#define EDGEBAT_INT8_LO(lo, k, r) EDGEBAT_INT8((lo), (k), (r))
#define EDGEBAT_INT16_HI(hi, lo, k, r) edgebat_saturate(edgebat_requantize((hi), (k), (r)), 16)
#define EDGEBAT_INT16_LO(lo, k, r) edgebat_saturate(edgebat_requantize((lo), (k), (r)), 16)

#endif
