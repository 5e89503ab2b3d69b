/*
 * edgebat_dsp.h - the six instructions of the Arm DSP extension the kernels use, and their meaning in C.
 *
 * GNU compatible compilers get one instruction each; any other one, and the host, gets the C beside it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_DSP_H
#define EDGEBAT_DSP_H

#include <stdint.h>

#if defined(__GNUC__) && defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)

#include <arm_acle.h>

#if defined(__thumb2__) && defined(__ARM_FEATURE_UNALIGNED) && !defined(__ARM_BIG_ENDIAN)
#define EDGEBAT_DSP_THUMB2 /* instructions with two loaded registers and post-increment */
#endif

/** Four activations, x[0] in the lowest byte. These cores load words from any address. */
static inline uint32_t edgebat_load4(const int8_t *x) {
    uint32_t word;
    __builtin_memcpy(&word, x, 4);
#if defined(__ARM_BIG_ENDIAN)
    word = __builtin_bswap32(word); /* GCC has no __rev */
#endif
    return word;
}

static inline uint32_t edgebat_sxtb16(uint32_t v) {
    return (uint32_t)__sxtb16((int32_t)v);
}

/** y[i] = max(y[i], x[i]) for four values: SSUB8 compares, SEL chooses. */
static inline void edgebat_maximum4(int8_t *y, const int8_t *x) {
    int32_t a;
    int32_t b;
    __builtin_memcpy(&a, y, 4);
    __builtin_memcpy(&b, x, 4);
    (void)__ssub8(a, b);
    const uint32_t larger = __sel((uint32_t)a, (uint32_t)b);
    __builtin_memcpy(y, &larger, 4);
}

static inline int32_t edgebat_smlad(uint32_t a, uint32_t b, int32_t acc) {
    return __smlad((int32_t)a, (int32_t)b, acc);
}

/*
 * In assembly because compilers neither fold the rotation nor find SMMULR and SMMLAR in 64-bit C, and because
 * the saturating intrinsics do not pass -Wconversion.
 */
static inline int32_t edgebat_ssat8(int32_t value) {
    int32_t r;
    __asm__("ssat %0, #8, %1" : "=r"(r) : "r"(value));
    return r;
}

static inline int32_t edgebat_ssat16(int32_t value) {
    int32_t r;
    __asm__("ssat %0, #16, %1" : "=r"(r) : "r"(value));
    return r;
}

static inline uint32_t edgebat_sxtb16_ror8(uint32_t v) {
    uint32_t r;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(v));
    return r;
}

static inline int32_t edgebat_smmlar(int32_t a, int32_t b, int32_t acc) {
    int32_t r;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}

static inline int32_t edgebat_smmulr(int32_t a, int32_t b) {
    int32_t r;
    __asm__("smmulr %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

#else

static inline uint32_t edgebat_load4(const int8_t *x) {
    return (uint32_t)(uint8_t)x[0] | ((uint32_t)(uint8_t)x[1] << 8) | ((uint32_t)(uint8_t)x[2] << 16) |
           ((uint32_t)(uint8_t)x[3] << 24);
}

/** y[i] = max(y[i], x[i]) for four values. */
static inline void edgebat_maximum4(int8_t *y, const int8_t *x) {
    for (uint32_t i = 0; i < 4U; i++) {
        y[i] = (x[i] > y[i]) ? x[i] : y[i];
    }
}

/** Sign-extend bytes 0 and 2 to halfwords. */
static inline uint32_t edgebat_sxtb16(uint32_t v) {
    const uint32_t low = (uint32_t)(int32_t)(int8_t)(v & 0xFFU);
    const uint32_t high = (uint32_t)(int32_t)(int8_t)((v >> 16) & 0xFFU);
    return (low & 0xFFFFU) | (high << 16);
}

/** Sign-extend bytes 1 and 3 to halfwords. */
static inline uint32_t edgebat_sxtb16_ror8(uint32_t v) {
    return edgebat_sxtb16((v >> 8) | (v << 24));
}

/** acc + low halves' product + high halves' product, wrapping. */
static inline int32_t edgebat_smlad(uint32_t a, uint32_t b, int32_t acc) {
    const int32_t low = (int32_t)(int16_t)(a & 0xFFFFU) * (int16_t)(b & 0xFFFFU);
    const int32_t high = (int32_t)(int16_t)(a >> 16) * (int16_t)(b >> 16);
    return (int32_t)((uint32_t)acc + (uint32_t)low + (uint32_t)high);
}

/** acc + round(a * b / 2^32), half up. */
static inline int32_t edgebat_smmlar(int32_t a, int32_t b, int32_t acc) {
    return acc + (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
}

/** round(a * b / 2^32), half up. */
static inline int32_t edgebat_smmulr(int32_t a, int32_t b) {
    return edgebat_smmlar(a, b, 0);
}

/** Clip to int8. */
static inline int32_t edgebat_ssat8(int32_t value) {
    return (value > 127) ? 127 : ((value < -128) ? -128 : value);
}

/** Clip to int16. */
static inline int32_t edgebat_ssat16(int32_t value) {
    return (value > 32767) ? 32767 : ((value < -32768) ? -32768 : value);
}

#endif
#endif
