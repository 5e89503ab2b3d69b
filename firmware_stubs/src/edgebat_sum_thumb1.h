/*
 * edgebat_sum_thumb1.h - the inner loop for Cortex-M0 and M0+, in assembly.
 *
 * The sums live in high registers, where Thumb-1 can still add; compilers do not do that and spill instead.
 * Weights are stored with 128 added, because only the unsigned byte load takes an immediate offset.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_SUM_THUMB1_H
#define EDGEBAT_SUM_THUMB1_H

static inline edgebat_sums_t edgebat_sum4(const edgebat_weights_t **w, const int8_t *x, const int8_t *end,
                                          edgebat_sums_t s) {
    const edgebat_weights_t *p = *w;
    const int8_t *const odd = &end[1];
    int32_t i = x - end; /* counts up to zero: index of the column and of the loop */
    int32_t v, t;
    __asm__(".syntax unified\n"
            "1:\n\t"
            "ldrsb %[v], [%[even], %[i]]\n\t"
            "ldrb %[t], [%[p], #0]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[a], %[t]\n\t"
            "ldrb %[t], [%[p], #1]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[b], %[t]\n\t"
            "ldrb %[t], [%[p], #2]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[c], %[t]\n\t"
            "ldrb %[t], [%[p], #3]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[d], %[t]\n\t"
            "ldrsb %[v], [%[odd], %[i]]\n\t"
            "ldrb %[t], [%[p], #4]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[a], %[t]\n\t"
            "ldrb %[t], [%[p], #5]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[b], %[t]\n\t"
            "ldrb %[t], [%[p], #6]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[c], %[t]\n\t"
            "ldrb %[t], [%[p], #7]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[d], %[t]\n\t"
            "adds %[i], #2\n\t"
            "ldrsb %[v], [%[even], %[i]]\n\t"
            "ldrb %[t], [%[p], #8]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[a], %[t]\n\t"
            "ldrb %[t], [%[p], #9]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[b], %[t]\n\t"
            "ldrb %[t], [%[p], #10]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[c], %[t]\n\t"
            "ldrb %[t], [%[p], #11]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[d], %[t]\n\t"
            "ldrsb %[v], [%[odd], %[i]]\n\t"
            "ldrb %[t], [%[p], #12]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[a], %[t]\n\t"
            "ldrb %[t], [%[p], #13]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[b], %[t]\n\t"
            "ldrb %[t], [%[p], #14]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[c], %[t]\n\t"
            "ldrb %[t], [%[p], #15]\n\t"
            "muls %[t], %[v]\n\t"
            "add %[d], %[t]\n\t"
            "adds %[p], #16\n\t"
            "adds %[i], #2\n\t"
            "bne 1b"
            : [a] "+h"(s.a), [b] "+h"(s.b), [c] "+h"(s.c), [d] "+h"(s.d), [p] "+l"(p), [i] "+l"(i),
              [v] "=&l"(v), [t] "=&l"(t)
            : [even] "l"(end), [odd] "l"(odd)
            : "cc", "memory");
#if defined(__clang__)
    /* Sums that stay in high registers until the next loop crash clang 22: hand them to low ones. */
    __asm__("" : "+l"(s.a), "+l"(s.b), "+l"(s.c), "+l"(s.d));
#endif
    *w = p;
    return s;
}

#endif
