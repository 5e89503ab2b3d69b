/*
 * edgebat_fast_dense.c - fully connected layer for Cortex-M0 and M0+, two products per multiplication.
 *
 * See EDGEBAT_FAST for the layout. Other cores have something better and compile nothing here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_core.h"

#if EDGEBAT_THUMB1

/** Activations in pairs (0, 2) and (1, 3) as EDGEBAT_FAST wants them. */
static void widen(const int8_t *x, int32_t *pairs, uint32_t columns4) {
    for (; columns4 != 0U; columns4--) {
        pairs[0] = x[0] + x[2] * 65536;
        pairs[1] = x[1] + x[3] * 65536;
        pairs += 2;
        x += 4;
    }
}

#if defined(__thumb__) && defined(__GNUC__)

/*
 * The whole layer in assembly, because compilers keep at most half of these values in registers.
 *   r0 weights, r1 pairs or channels, r2 pair, r3 weight, r4 to r7 sums
 *   r8 pairs, r9 their end, r10 channels, r11 y, r12 half, lr shift
 */
#define EDGEBAT_PRODUCT_(sum)                                                                                \
    "ldmia r0!, {r3}\n\t"                                                                                    \
    "muls r3, r2\n\t"                                                                                        \
    "asrs r3, r3, #16\n\t" /* carry is the bit below: the rounding */                                        \
    "adcs " sum ", r3\n\t"
#define EDGEBAT_PAIR_OF_COLUMNS_                                                                             \
    "ldmia r1!, {r2}\n\t" EDGEBAT_PRODUCT_("r4") EDGEBAT_PRODUCT_("r5") EDGEBAT_PRODUCT_("r6")               \
        EDGEBAT_PRODUCT_("r7")
#define EDGEBAT_REQUANTIZE_(sum)                                                                             \
    "ldmia r1!, {r2}\n\t"                                                                                    \
    "uxth r3, " sum "\n\t"                                                                                   \
    "asrs " sum ", " sum ", #16\n\t"                                                                         \
    "muls " sum ", r2\n\t"                                                                                   \
    "muls r3, r2\n\t"                                                                                        \
    "lsrs r3, r3, #16\n\t"                                                                                   \
    "adds " sum ", " sum ", r3\n\t"                                                                          \
    "add " sum ", r12\n\t"                                                                                   \
    "mov r3, lr\n\t"                                                                                         \
    "asrs " sum ", r3\n\t"                                                                                   \
    "asrs r3, " sum ", #31\n\t" /* below 0: 0 */                                                             \
    "bics " sum ", r3\n\t"                                                                                   \
    "movs r3, #255\n\t" /* above 255: all ones */                                                            \
    "subs r3, r3, " sum "\n\t"                                                                               \
    "asrs r3, r3, #31\n\t"                                                                                   \
    "orrs " sum ", r3\n\t"                                                                                   \
    "subs " sum ", #128\n\t"

#define EDGEBAT_IN_(register) __attribute__((unused)) /* arguments of a function without a C body */

__attribute__((naked, noinline)) static void multiply(EDGEBAT_IN_(r0) const edgebat_fast_dense_t *layer,
                                                      EDGEBAT_IN_(r1) const int32_t *pairs,
                                                      EDGEBAT_IN_(r2) int8_t *y,
                                                      EDGEBAT_IN_(r3) const int32_t *end) {
    __asm__(".syntax unified\n\t"
            "push {r4-r7, lr}\n\t"
            "mov r4, r8\n\t"
            "mov r5, r9\n\t"
            "mov r6, r10\n\t"
            "mov r7, r11\n\t"
            "push {r4-r7}\n\t"
            "mov r8, r1\n\t"
            "mov r9, r3\n\t"
            "mov r11, r2\n\t"
            "ldrh r4, [r0, #18]\n\t" /* blocks */
            "lsls r4, r4, #2\n\t"
            "adds r4, r4, r2\n\t"
            "push {r4}\n\t" /* end of y */
            "ldmia r0!, {r1, r2, r3, r4}\n\t"
            "mov r0, r1\n\t"
            "mov r10, r2\n\t"
            "mov r12, r3\n\t"
            "mov lr, r4\n"
            "1:\n\t"
            "mov r1, r10\n\t"
            "ldmia r1!, {r4, r5, r6, r7}\n\t"
            "mov r10, r1\n\t"
            "mov r1, r8\n"
            "2:\n\t" EDGEBAT_PAIR_OF_COLUMNS_ EDGEBAT_PAIR_OF_COLUMNS_ "cmp r1, r9\n\t"
            "bne 2b\n\t"
            "mov r1, r10\n\t" EDGEBAT_REQUANTIZE_("r4") EDGEBAT_REQUANTIZE_("r5") EDGEBAT_REQUANTIZE_("r6")
                EDGEBAT_REQUANTIZE_("r7") "mov r10, r1\n\t"
                                          "mov r3, r11\n\t"
                                          "strb r4, [r3]\n\t"
                                          "strb r5, [r3, #1]\n\t"
                                          "strb r6, [r3, #2]\n\t"
                                          "strb r7, [r3, #3]\n\t"
                                          "adds r3, r3, #4\n\t"
                                          "mov r11, r3\n\t"
                                          "ldr r2, [sp]\n\t"
                                          "cmp r3, r2\n\t"
                                          "bne 1b\n\t"
                                          "add sp, #4\n\t"
                                          "pop {r4-r7}\n\t"
                                          "mov r8, r4\n\t"
                                          "mov r9, r5\n\t"
                                          "mov r10, r6\n\t"
                                          "mov r11, r7\n\t"
                                          "pop {r4-r7, pc}");
}

#else

static void multiply(const edgebat_fast_dense_t *layer, const int32_t *pairs, int8_t *y, const int32_t *end) {
    const edgebat_fast_t *w = layer->weights;
    for (uint32_t block = 0; block < layer->blocks; block++) {
        const edgebat_channels_t *const c = &layer->channels[block];
        int32_t sum[4] = {c->bias[0], c->bias[1], c->bias[2], c->bias[3]};
        for (const int32_t *pair = pairs; pair != end; pair += 2) {
            for (uint32_t i = 0; i < 8U; i++) {
                const int32_t product = (int32_t)((uint32_t)pair[i / 4U] * (uint32_t)w->pair[i]);
                sum[i % 4U] += (int32_t)((uint32_t)product + 0x8000U) >> 16;
            }
            w++;
        }
        for (uint32_t i = 0; i < 4U; i++) {
            const int32_t high = (sum[i] >> 16) * c->multiplier[i];
            const uint32_t low = ((uint32_t)sum[i] & 0xFFFFU) * (uint32_t)c->multiplier[i];
            const int32_t value =
                (high + (int32_t)(low >> 16) + layer->rounding.half) >> layer->rounding.shift;
            *y++ = (int8_t)EDGEBAT_SATURATE8(value - 128);
        }
    }
}

#endif

void edgebat_fast_dense(const edgebat_fast_dense_t *layer, const int8_t *x, int8_t *y, int8_t *work) {
    int32_t *const pairs = (int32_t *)(void *)work;
    widen(x, pairs, layer->columns4);
    multiply(layer, pairs, y, &pairs[2U * layer->columns4]);
}

#else

typedef int edgebat_nothing_t; /* C wants a translation unit to declare something */

#endif
