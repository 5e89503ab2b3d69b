/*
 * random.h - the same numbers on every computer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_TESTS_RANDOM_H
#define EDGEBAT_TESTS_RANDOM_H

#include <stdint.h>

/** Next number of a linear congruential generator (Numerical Recipes), 0 to 65535. */
static inline uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 16;
}

static inline int8_t next_int8(uint32_t *seed) {
    return (int8_t)((int32_t)(next_random(seed) & 255U) - 128);
}

#endif
