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

/* Keeps compilers from turning a short loop into a call of memset or memcpy, which may cost more flash than it. */
#if defined(__GNUC__)
#define EDGEBAT_KEEP_LOOP() __asm__ volatile("")
#else
#define EDGEBAT_KEEP_LOOP() ((void)0)
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

/** s + W x for four rows and the columns from x to end, at least four; w moves on to the next rows. */
#if defined(EDGEBAT_DSP_THUMB2)

/* What compilers make of the C below needs 13 registers and more copies; this needs 11. */
static inline edgebat_sums_t edgebat_sum4(const edgebat_weights_t **w, const int8_t *x, const int8_t *end,
                                          edgebat_sums_t s)
{
    const edgebat_weights_t *p = *w;
    uint32_t w0, w1, x02, x13;
    __asm__("1:\n\t"
            "ldrd %[w0], %[w1], [%[p]], #8\n\t"
            "ldr %[x13], [%[x]], #4\n\t"
            "sxtb16 %[x02], %[x13]\n\t"
            "smlad %[a], %[w0], %[x02], %[a]\n\t"
            "smlad %[c], %[w1], %[x02], %[c]\n\t"
            "sxtb16 %[w0], %[w0]\n\t"
            "sxtb16 %[w1], %[w1]\n\t"
            "smlad %[b], %[w0], %[x02], %[b]\n\t"
            "smlad %[d], %[w1], %[x02], %[d]\n\t"
            "ldrd %[w0], %[w1], [%[p]], #8\n\t"
            "sxtb16 %[x13], %[x13], ror #8\n\t"
            "smlad %[a], %[w0], %[x13], %[a]\n\t"
            "smlad %[c], %[w1], %[x13], %[c]\n\t"
            "sxtb16 %[w0], %[w0]\n\t"
            "sxtb16 %[w1], %[w1]\n\t"
            "smlad %[b], %[w0], %[x13], %[b]\n\t"
            "cmp %[x], %[end]\n\t"
            "smlad %[d], %[w1], %[x13], %[d]\n\t"
            "bne 1b"
            : [a] "+r"(s.a), [b] "+r"(s.b), [c] "+r"(s.c), [d] "+r"(s.d), [p] "+r"(p), [x] "+r"(x),
              [w0] "=&r"(w0), [w1] "=&r"(w1), [x02] "=&r"(x02), [x13] "=&r"(x13)
            : [end] "r"(end)
            : "cc", "memory");
    *w = p;
    return s;
}

#else

static inline edgebat_sums_t edgebat_sum4(const edgebat_weights_t **w, const int8_t *x, const int8_t *end,
                                          edgebat_sums_t s)
{
    do {
        const edgebat_weights_t q = *(*w)++; /* a copy lets compilers use LDRD */
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

#endif

/** 256 * the sum of row a or c: `hi` as accumulated, `lo` the row it shares its words with. */
static inline int32_t edgebat_hi256(int32_t hi, int32_t lo)
{
    return (int32_t)((uint32_t)hi - (uint32_t)lo);
}

/** Two rows and four columns. */
static inline void edgebat_sum2(const edgebat_weights2_t *w, const int8_t *x, int32_t *a, int32_t *b)
{
    const uint32_t x0123 = edgebat_load4(x);
    const uint32_t x02 = edgebat_sxtb16(x0123);
    const uint32_t x13 = edgebat_sxtb16_ror8(x0123);
    *a = edgebat_smlad(w->pair[1], x13, edgebat_smlad(w->pair[0], x02, *a));
    *b = edgebat_smlad(edgebat_sxtb16(w->pair[1]), x13, edgebat_smlad(edgebat_sxtb16(w->pair[0]), x02, *b));
}

#define EDGEBAT_SATURATE8(x) edgebat_ssat8(x)
#define EDGEBAT_SATURATE16(x) edgebat_ssat16(x)

/* From a sum to an output. int8 layers have multipliers below 0.5 and shift nothing; int16 ones may be larger. */
#define EDGEBAT_INT8_HI(hi, lo, k, r) edgebat_ssat8(edgebat_smmlar(edgebat_hi256((hi), (lo)) >> 8, (k), (r)->zero_point))
#define EDGEBAT_INT8_LO(lo, k, r) edgebat_ssat8(edgebat_smmlar((lo), (k), (r)->zero_point))
#define EDGEBAT_INT8(sum, k, r)                                                                                        \
    edgebat_ssat8(edgebat_smmlar((int32_t)((uint32_t)(sum) << (r)->up), (k), (r)->zero_point))
#define EDGEBAT_INT16_HI(hi, lo, k, r)                                                                                 \
    edgebat_ssat16(edgebat_smmlar(edgebat_hi256((hi), (lo)) >> (r)->down, (k), (r)->zero_point))
#define EDGEBAT_INT16_LO(lo, k, r)                                                                                     \
    edgebat_ssat16(edgebat_smmlar((int32_t)((uint32_t)(lo) << (r)->up), (k), (r)->zero_point))

#else

static inline edgebat_sums_t edgebat_sum4(const edgebat_weights_t **w, const int8_t *x, const int8_t *end,
                                          edgebat_sums_t s)
{
    do {
        const int8_t *const q = (*w)->w;
        for (uint32_t i = 0; i < 4U; i++) {
            const int32_t value = x[i];
            s.a += value * q[4U * i];
            s.b += value * q[4U * i + 1U];
            s.c += value * q[4U * i + 2U];
            s.d += value * q[4U * i + 3U];
        }
        (*w)++;
        x += 4;
    } while (x != end);
    return s;
}

/** Two rows and four columns. */
static inline void edgebat_sum2(const edgebat_weights2_t *w, const int8_t *x, int32_t *a, int32_t *b)
{
    for (uint32_t i = 0; i < 4U; i++) {
        *a += (int32_t)x[i] * w->w[2U * i];
        *b += (int32_t)x[i] * w->w[2U * i + 1U];
    }
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

#define EDGEBAT_SATURATE8(x) edgebat_saturate((x), 8)
#define EDGEBAT_SATURATE16(x) edgebat_saturate((x), 16)
#define EDGEBAT_INT8(sum, k, r) edgebat_saturate(edgebat_requantize((sum), (k), (r)), 8)
#define EDGEBAT_INT8_HI(hi, lo, k, r) EDGEBAT_INT8((hi), (k), (r))
#define EDGEBAT_INT8_LO(lo, k, r) EDGEBAT_INT8((lo), (k), (r))
#define EDGEBAT_INT16_HI(hi, lo, k, r) edgebat_saturate(edgebat_requantize((hi), (k), (r)), 16)
#define EDGEBAT_INT16_LO(lo, k, r) edgebat_saturate(edgebat_requantize((lo), (k), (r)), 16)

#endif

#endif
