/*
 * edgebat_sigmoid.h - sigmoid and tanh by table and linear interpolation, equal to TFLite Micro, without
 * branches.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_SIGMOID_H
#define EDGEBAT_SIGMOID_H

#include "edgebat_core.h"

/** sigmoid(i / 24) - 0.5 in 0.16 fixed point, and its last entry once more. */
extern const int16_t edgebat_sigmoid_table[257];

/** Sigmoid of an int16 with scale 2^-12, result 0 to 32767. */
static inline int32_t edgebat_sigmoid(int32_t x) {
    const int32_t d = 3 * x;
    const int32_t sign = edgebat_sign(d);
    const uint32_t a = (uint32_t)((d ^ sign) - sign); /* at most 98304: the table's end is never reached */
    const int16_t *const t = &edgebat_sigmoid_table[a >> 9];
    const int32_t z = t[0] * 512 + (int32_t)(a & 511U) * (t[1] - t[0]);
    return ((z ^ sign) + 512 + (16384 << 10)) >> 10;
}

/** a, but at most 65535: beyond the table tanh is 1. */
static inline uint32_t edgebat_tanh_limit(uint32_t a) {
#if defined(__GNUC__) && defined(__thumb2__)
    __asm__("usat %0, #16, %0" : "+r"(a)); /* compilers may choose a branch */
    return a;
#else
    return (a | (uint32_t)edgebat_sign(65535 - (int32_t)a)) & 65535U;
#endif
}

/** Tanh of v, given d = 3 * 2^12 * v; result -32768 to 32767. */
static inline int32_t edgebat_tanh(int32_t d) {
    const int32_t sign = edgebat_sign(d);
    const uint32_t b = edgebat_tanh_limit((uint32_t)((d ^ sign) - sign));
    const int16_t *const t = &edgebat_sigmoid_table[b >> 8];
    const int32_t z = t[0] * 256 + (int32_t)(b & 255U) * (t[1] - t[0]);
    return ((z ^ sign) + 128) >> 8;
}

#endif
