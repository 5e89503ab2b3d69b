/*
 * edgebat_core.h - what every kernel shares: four rows of weights times one vector, and from a sum to an
 * output.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_CORE_H
#define EDGEBAT_CORE_H

#include "edgebat_nn.h"

/* Keeps compilers from turning a short loop into a call of memset or memcpy, which may cost more flash than
 * it. */
#if defined(__GNUC__)
#define EDGEBAT_KEEP_LOOP() __asm__ volatile("")
#else
#define EDGEBAT_KEEP_LOOP() ((void)0)
#endif

/*
 * Makes compilers treat a value as unknown. Without it clang turns masks, which cost the same for all data,
 * back into comparisons and branches, which do not.
 */
#if defined(__GNUC__) && !EDGEBAT_DSP /* cores with the DSP extension select without branches */
#define EDGEBAT_OPAQUE(value) __asm__("" : "+r"(value))
#else
#define EDGEBAT_OPAQUE(value) ((void)0)
#endif

/** -1 where value is negative, 0 elsewhere. */
static inline int32_t edgebat_sign(int32_t value) {
    EDGEBAT_OPAQUE(value);
    /* cppcheck-suppress shiftTooManyBitsSigned - tests/test_elementwise.c asks the compiler */
    value >>= 31;
    EDGEBAT_OPAQUE(value);
    return value;
}

/* A helper that is called several times stays one function; or only where registers are few. */
#if defined(__GNUC__)
#define EDGEBAT_NOINLINE __attribute__((noinline))
#else
#define EDGEBAT_NOINLINE
#endif
#if EDGEBAT_DSP
#define EDGEBAT_OUTLINE inline
#else
#define EDGEBAT_OUTLINE EDGEBAT_NOINLINE
#endif

/** Sums of four rows. With EDGEBAT_DSP, a and c hold 256 * own sum + sum of b or d until they are separated.
 */
typedef struct {
    int32_t a;
    int32_t b;
    int32_t c;
    int32_t d;
} edgebat_sums_t;

/** Where four rows start; offset is that of edgebat_offset for the vector to come. */
static inline edgebat_sums_t edgebat_start(const int32_t bias[4], int32_t offset) {
    const edgebat_sums_t s = {bias[0] - offset, bias[1] - offset, bias[2] - offset, bias[3] - offset};
    return s;
}

/*
 * Either header below brings, for its layout of weights:
 *   edgebat_sum4      s + W x for four rows and the columns from x to end, at least four; w moves on to the
 * next rows edgebat_sum2      the same for two rows and four columns edgebat_offset    what edgebat_start
 * must take off for a vector EDGEBAT_INT8_..   from a sum to an output: scale, round, add the zero point,
 * saturate; HI for rows a and c, which EDGEBAT_INT16_..  need the sum of the row after them as well
 */
#if EDGEBAT_DSP
#include "edgebat_core_dsp.h"
#else
#include "edgebat_core_portable.h"
#endif

#endif
