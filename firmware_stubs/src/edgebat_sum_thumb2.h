/*
 * edgebat_sum_thumb2.h - the inner loop for Thumb-2 cores with the DSP extension, in assembly.
 *
 * The same as the C in edgebat_core_dsp.h in 19 instructions for 16 products. What compilers make of that C
 * needs 13 registers, which spills everything around it; this needs 11.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_SUM_THUMB2_H
#define EDGEBAT_SUM_THUMB2_H

static inline edgebat_sums_t edgebat_sum4(const edgebat_weights_t **w, const int8_t *x, const int8_t *end,
                                          edgebat_sums_t s) {
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

#endif
