/*
 * edgebat_core_dsp.h - sums and outputs with the Arm DSP extension, see EDGEBAT_PAIR_ for the layout of
 * weights.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_CORE_DSP_H
#define EDGEBAT_CORE_DSP_H

#include "edgebat_dsp.h"

/* Weights are stored as they are. */
#define edgebat_offset(x, end) 0

#if defined(EDGEBAT_DSP_THUMB2)
#include "edgebat_sum_thumb2.h"
#else

static inline edgebat_sums_t edgebat_sum4(const edgebat_weights_t **w, const int8_t *x, const int8_t *end,
                                          edgebat_sums_t s) {
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
static inline int32_t edgebat_hi256(int32_t hi, int32_t lo) {
    return (int32_t)((uint32_t)hi - (uint32_t)lo);
}

/** Two rows and four columns. */
static inline void edgebat_sum2(const edgebat_weights2_t *w, const int8_t *x, int32_t *a, int32_t *b) {
    const uint32_t x0123 = edgebat_load4(x);
    const uint32_t x02 = edgebat_sxtb16(x0123);
    const uint32_t x13 = edgebat_sxtb16_ror8(x0123);
    *a = edgebat_smlad(w->pair[1], x13, edgebat_smlad(w->pair[0], x02, *a));
    *b = edgebat_smlad(edgebat_sxtb16(w->pair[1]), x13, edgebat_smlad(edgebat_sxtb16(w->pair[0]), x02, *b));
}

#define EDGEBAT_SATURATE8(x) edgebat_ssat8(x)
#define EDGEBAT_SATURATE16(x) edgebat_ssat16(x)

/* From a sum to an output. int8 layers have multipliers below 0.5 and shift nothing; int16 ones may be
 * larger. */
#define EDGEBAT_INT8_HI(hi, lo, k, r)                                                                        \
    edgebat_ssat8(edgebat_smmlar(edgebat_hi256((hi), (lo)) >> 8, (k), (r)->zero_point))
#define EDGEBAT_INT8_LO(lo, k, r) edgebat_ssat8(edgebat_smmlar((lo), (k), (r)->zero_point))
#define EDGEBAT_INT8(sum, k, r)                                                                              \
    edgebat_ssat8(edgebat_smmlar((int32_t)((uint32_t)(sum) << (r)->up), (k), (r)->zero_point))
#define EDGEBAT_INT16_HI(hi, lo, k, r)                                                                       \
    edgebat_ssat16(edgebat_smmlar(edgebat_hi256((hi), (lo)) >> (r)->down, (k), (r)->zero_point))
#define EDGEBAT_INT16_LO(lo, k, r)                                                                           \
    edgebat_ssat16(edgebat_smmlar((int32_t)((uint32_t)(lo) << (r)->up), (k), (r)->zero_point))

#endif
