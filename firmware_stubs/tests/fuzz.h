/*
 * fuzz.h - what the fuzzing programs share: bytes of the fuzzer become parameters, outputs become a checksum.
 *
 * A fuzzing program is one fuzz_*.c, compiled once per layout of weights together with the library, plus
 * fuzz_main.c, which calls all of them with the same bytes and compares what they return.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_TESTS_FUZZ_H
#define EDGEBAT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** What the fuzzer has given and not been asked for yet; after its end come zeros. */
typedef struct {
    const uint8_t *data;
    size_t left;
} fuzz_input_t;

/** Checksum of everything the library returned or wrote, and the number of its functions called. */
typedef struct {
    uint64_t hash;
    uint64_t calls;
} fuzz_result_t;

/** One layout of weights; the Makefile renames it. */
void fuzz_variant(const uint8_t *data, size_t size, fuzz_result_t *result);

static inline uint8_t fuzz_byte(fuzz_input_t *in) {
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->data++;
}

/** A number from low to high, both included. */
static inline int32_t fuzz_range(fuzz_input_t *in, int32_t low, int32_t high) {
    uint32_t value = fuzz_byte(in);
    if (high - low > 255) {
        value = value << 8 | fuzz_byte(in);
    }
    return low + (int32_t)(value % ((uint32_t)(high - low) + 1U));
}

static inline int32_t fuzz_word(fuzz_input_t *in) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        value = value << 8 | fuzz_byte(in);
    }
    return (int32_t)value;
}

/** Memory of exactly `size` bytes that begins `shift` bytes behind a multiple of eight, so that
 * AddressSanitizer sees the first byte too many. Free it with fuzz_free. */
static inline void *fuzz_memory(fuzz_input_t *in, size_t size, size_t shift) {
    uint8_t *const memory = malloc(shift + size + (shift + size == 0));
    if (memory == NULL) {
        abort();
    }
    for (size_t i = 0; i < shift; i++) {
        memory[i] = 0x5A;
    }
    for (size_t i = 0; i < size; i++) {
        memory[shift + i] = (in != NULL) ? fuzz_byte(in) : 0x5A;
    }
    return &memory[shift];
}

static inline void fuzz_free(void *memory, size_t shift) {
    free((uint8_t *)memory - shift);
}

/** The state of fuzz_random for a seed. */
static inline uint64_t fuzz_seed(uint64_t seed) {
    return seed * UINT64_C(0x9E3779B97F4A7C15) + 1U;
}

/** xorshift64, for programs that make their own inputs. */
static inline uint8_t fuzz_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint8_t)(*state >> 32);
}

/** FNV-1a. */
static inline void fuzz_record(fuzz_result_t *result, const void *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        result->hash = (result->hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001B3);
    }
}

static inline void fuzz_record_word(fuzz_result_t *result, int64_t word) {
    fuzz_record(result, &word, sizeof word);
}

/** Ends the program, which is how a fuzzer learns of a failure. */
static inline void fuzz_require(int condition, const char *what) {
    if (!condition) {
        (void)fprintf(stderr, "fuzz: not as documented: %s\n", what);
        abort();
    }
}

#endif
