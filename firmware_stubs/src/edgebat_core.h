/*
 * edgebat_core.h - what every kernel shares: four rows of weights times one vector, and from a sum to an output.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_CORE_H
#define EDGEBAT_CORE_H

#include "edgebat_nn.h"

#if EDGEBAT_DSP
#include "edgebat_dsp.h"
#endif

/** Sums of four rows. With EDGEBAT_DSP, a and c hold 256 * own sum + sum of b or d until they are separated. */
typedef struct {
    int32_t a, b, c, d;
} edgebat_sums_t;

static inline edgebat_sums_t edgebat_start(const int32_t bias[4])
{
    const edgebat_sums_t s = {bias[0], bias[1], bias[2], bias[3]};
    return s;
}

#if EDGEBAT_DSP

/** s + W x for four rows and 4 * columns4 columns; columns4 >= 1. */
static inline edgebat_sums_t edgebat_sum4(const edgebat_weights_t *w, const int8_t *x, uint32_t columns4,
                                          edgebat_sums_t s)
{
    const int8_t *const end = &x[4U * columns4];
    do {
        const edgebat_weights_t q = *w++; /* a copy lets compilers use LDRD */
        const uint32_t x0123 = edgebat_load4(x);
        const uint32_t x02 = edgebat_sxtb16(x0123);
        const uint32_t x13 = edgebat_sxtb16_ror8(x0123);
        x += 4;
        s.a = edgebat_smlad(q.pair[0], x02, s.a);
        s.b = edgebat_smlad(edgebat_sxtb16(q.pair[0]), x02, s.b);
        s.c = edgebat_smlad(q.pair[1], x02, s.c);
        s.d = edgebat_smlad(edgebat_sxtb16(q.pair[1]), x02, s.d);
        s.a = edgebat_smlad(q.pair[2], x13, s.a);
        s.b = edgebat_smlad(edgebat_sxtb16(q.pair[2]), x13, s.b);
        s.c = edgebat_smlad(q.pair[3], x13, s.c);
        s.d = edgebat_smlad(edgebat_sxtb16(q.pair[3]), x13, s.d);
    } while (x != end);
    return s;
}

/** 256 * the sum of row a or c: `hi` as accumulated, `lo` the row it shares its words with. */
static inline int32_t edgebat_hi256(int32_t hi, int32_t lo)
{
    return (int32_t)((uint32_t)hi - (uint32_t)lo);
}

#define EDGEBAT_SATURATE(x, bits) edgebat_ssat##bits(x)
#define EDGEBAT_OUTPUT_HI(hi, lo, k, r, bits)                                                                          \
    EDGEBAT_SATURATE(edgebat_smmlar(edgebat_hi256((hi), (lo)) >> (r)->down, (k), (r)->zero_point), bits)
#define EDGEBAT_OUTPUT_LO(lo, k, r, bits)                                                                              \
    EDGEBAT_SATURATE(edgebat_smmlar((int32_t)((uint32_t)(lo) << (r)->up), (k), (r)->zero_point), bits)

#else

static inline edgebat_sums_t edgebat_sum4(const edgebat_weights_t *w, const int8_t *x, uint32_t columns4,
                                          edgebat_sums_t s)
{
    const int8_t *const end = &x[4U * columns4];
    do {
        for (uint32_t i = 0; i < 4U; i++) {
            const int32_t value = x[i];
            s.a += value * w->w[4U * i];
            s.b += value * w->w[4U * i + 1U];
            s.c += value * w->w[4U * i + 2U];
            s.d += value * w->w[4U * i + 3U];
        }
        w++;
        x += 4;
    } while (x != end);
    return s;
}

/** ((acc * k + 2^(n-1)) >> n) + zero point, see EDGEBAT_ROUNDING. */
static inline int32_t edgebat_requantize(int32_t acc, int32_t k, const edgebat_rounding_t *r)
{
    const int32_t high = acc >> r->split; /* arithmetic shift: the host tests check that the compiler does so */
    const uint32_t low = (uint32_t)acc & ((UINT32_C(1) << r->split) - 1U);
    return (high * k + (int32_t)((low * (uint32_t)k) >> r->split) + r->half) >> r->shift;
}

/* Without branches: Cortex-M0 has no conditional execution, and the count must not depend on the data. */
static inline int32_t edgebat_saturate(int32_t y, uint32_t bits)
{
    const int32_t half = (int32_t)(UINT32_C(1) << (bits - 1U));
    const int32_t span = 2 * half - 1;
    y += half;             /* inside: 0 to span */
    y &= ~(y >> 31);       /* below: 0 */
    y |= (span - y) >> 31; /* above: all ones */
    return (y & span) - half;
}

#define EDGEBAT_SATURATE(x, bits) edgebat_saturate((x), (bits))
#define EDGEBAT_OUTPUT_HI(hi, lo, k, r, bits) edgebat_saturate(edgebat_requantize((hi), (k), (r)), (bits))
#define EDGEBAT_OUTPUT_LO(lo, k, r, bits) edgebat_saturate(edgebat_requantize((lo), (k), (r)), (bits))

#endif

#endif
