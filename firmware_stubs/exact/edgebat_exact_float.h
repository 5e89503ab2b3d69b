/*
 * edgebat_exact_float.h - float32 arithmetic in integers, rounded to nearest even: what an engine computes in
 * floating point, on cores and in files without.
 *
 * Numbers are the bits of a float32. No infinities, no NaN; what is smaller than 2^-126 becomes zero.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_EXACT_FLOAT_H
#define EDGEBAT_EXACT_FLOAT_H

#include <stdint.h>

#define EDGEBAT_FLOAT_GUARD 38
#define EDGEBAT_FLOAT_HALF UINT32_C(0x3F000000)

/** magnitude * 2^exponent. */
typedef struct {
    uint64_t magnitude;
    int32_t exponent;
} edgebat_float_t;

static inline edgebat_float_t edgebat_float_parts(uint32_t bits) {
    edgebat_float_t x = {0, (int32_t)((bits >> 23) & 255U) - 150};
    x.magnitude = (x.exponent > -150) ? ((bits & UINT32_C(0x7FFFFF)) | UINT32_C(0x800000)) : 0U;
    return x;
}

/** magnitude / 2^shift, halves to even. */
static inline uint64_t edgebat_float_to_even(uint64_t magnitude, uint32_t shift) {
    if (shift == 0U) {
        return magnitude;
    }
    if (shift > 63U) {
        return 0;
    }
    const uint64_t half = UINT64_C(1) << (shift - 1U);
    return (magnitude + half - 1U + ((magnitude >> shift) & 1U)) >> shift;
}

/** The nearest float32; magnitude < 2^63. */
static inline uint32_t edgebat_float_rounded(uint32_t sign, uint64_t magnitude, int32_t exponent) {
    if (magnitude == 0U) {
        return 0;
    }
    uint64_t m = magnitude;
    int32_t e = exponent;
    while (m < UINT64_C(0x800000)) {
        m <<= 1;
        e--;
    }
    uint32_t excess = 0;
    while ((m >> excess) > UINT64_C(0xFFFFFF)) {
        excess++;
    }
    m = edgebat_float_to_even(m, excess);
    e += (int32_t)excess + 150;
    if (m > UINT64_C(0xFFFFFF)) {
        m >>= 1;
        e++;
    }
    return (e <= 0) ? 0U : sign | ((uint32_t)e << 23) | ((uint32_t)m & UINT32_C(0x7FFFFF));
}

static inline uint32_t edgebat_float_add(uint32_t a, uint32_t b) {
    const uint32_t a_larger = ((a << 1) >= (b << 1)) ? 1U : 0U;
    const uint32_t large = (a_larger != 0U) ? a : b;
    const uint32_t small = (a_larger != 0U) ? b : a;
    const edgebat_float_t x = edgebat_float_parts(large);
    const edgebat_float_t y = edgebat_float_parts(small);
    const int32_t apart = x.exponent - y.exponent;
    const uint64_t wide = x.magnitude << EDGEBAT_FLOAT_GUARD;
    /* Beyond the guard bits the smaller number only says that the larger one is not exact. */
    const uint64_t near = (apart <= EDGEBAT_FLOAT_GUARD) ? (y.magnitude << EDGEBAT_FLOAT_GUARD) >> apart
                                                         : (uint64_t)(y.magnitude != 0U);
    const uint64_t sum = (((large ^ small) >> 31) != 0U) ? wide - near : wide + near;
    return edgebat_float_rounded(large & UINT32_C(0x80000000), sum, x.exponent - EDGEBAT_FLOAT_GUARD);
}

static inline uint32_t edgebat_float_multiply(uint32_t a, uint32_t b) {
    const edgebat_float_t x = edgebat_float_parts(a);
    const edgebat_float_t y = edgebat_float_parts(b);
    return edgebat_float_rounded((a ^ b) & UINT32_C(0x80000000), x.magnitude * y.magnitude,
                                 x.exponent + y.exponent);
}

/** a / b; b is not zero. */
static inline uint32_t edgebat_float_divide(uint32_t a, uint32_t b) {
    const edgebat_float_t x = edgebat_float_parts(a);
    const edgebat_float_t y = edgebat_float_parts(b);
    const uint32_t divisor = (uint32_t)y.magnitude;
    uint32_t rest = (uint32_t)x.magnitude;
    uint64_t quotient = 0;
    /* Bit by bit: a division of 64 bits would call a library that a bare board may lack. */
    for (uint32_t bit = 0; bit <= EDGEBAT_FLOAT_GUARD; bit++) {
        const uint32_t fits = (rest >= divisor) ? 1U : 0U;
        quotient = (quotient << 1) | fits;
        rest = (rest - (divisor * fits)) << 1;
    }
    const uint64_t inexact = (rest != 0U) ? 1U : 0U;
    return edgebat_float_rounded((a ^ b) & UINT32_C(0x80000000), quotient | inexact,
                                 x.exponent - y.exponent - EDGEBAT_FLOAT_GUARD);
}

/** The nearest integer within +-limit, halves to even; whole: without what is behind the point instead. */
static inline int32_t edgebat_float_integer(uint32_t bits, int32_t limit, uint32_t whole) {
    const edgebat_float_t x = edgebat_float_parts(bits);
    uint64_t m = (uint64_t)limit;
    if (x.exponent < 0) {
        const uint32_t shift = (uint32_t)-x.exponent;
        m = (whole == 0U)   ? edgebat_float_to_even(x.magnitude, shift)
            : (shift > 63U) ? 0U
                            : x.magnitude >> shift;
    } else if (x.exponent < 8) {
        m = x.magnitude << (uint32_t)x.exponent;
    }
    m = (m > (uint64_t)limit) ? (uint64_t)limit : m;
    return ((bits >> 31) != 0U) ? -(int32_t)m : (int32_t)m;
}

#endif
