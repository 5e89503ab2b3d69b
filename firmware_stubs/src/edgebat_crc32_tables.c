/*
 * edgebat_crc32_tables.c - checksums of the tables of a model, the same for either byte order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_nn.h"

uint32_t edgebat_crc32_words(uint32_t crc, const int32_t *words, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t word = (uint32_t)words[i];
        const uint8_t bytes[4] = {(uint8_t)word, (uint8_t)(word >> 8), (uint8_t)(word >> 16),
                                  (uint8_t)(word >> 24)};
        crc = edgebat_crc32(crc, bytes, 4);
    }
    return crc;
}

uint32_t edgebat_crc32_weights(uint32_t crc, const edgebat_weights_t *table, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
#if EDGEBAT_DSP
        for (uint32_t k = 0; k < 4U; k++) {
            const int32_t word = (int32_t)table[i].pair[k];
            crc = edgebat_crc32_words(crc, &word, 1);
        }
#else
        crc = edgebat_crc32(crc, table[i].w, 16);
#endif
    }
    return crc;
}

uint32_t edgebat_crc32_weights2(uint32_t crc, const edgebat_weights2_t *table, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
#if EDGEBAT_DSP
        for (uint32_t k = 0; k < 2U; k++) {
            const int32_t word = (int32_t)table[i].pair[k];
            crc = edgebat_crc32_words(crc, &word, 1);
        }
#else
        crc = edgebat_crc32(crc, table[i].w, 8);
#endif
    }
    return crc;
}

uint32_t edgebat_crc32_channels(uint32_t crc, const edgebat_channels_t *table, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        crc = edgebat_crc32_words(crc, table[i].bias, 4);
        crc = edgebat_crc32_words(crc, table[i].multiplier, 4);
    }
    return crc;
}

uint32_t edgebat_crc32_channels2(uint32_t crc, const edgebat_channels2_t *table, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        crc = edgebat_crc32_words(crc, table[i].bias, 2);
        crc = edgebat_crc32_words(crc, table[i].multiplier, 2);
    }
    return crc;
}

uint32_t edgebat_crc32_units(uint32_t crc, const edgebat_bias_t *table, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        crc = edgebat_crc32_words(crc, table[i].sum, 4);
    }
    return crc;
}

#if EDGEBAT_THUMB1
uint32_t edgebat_crc32_fast(uint32_t crc, const edgebat_fast_t *table, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        crc = edgebat_crc32_words(crc, table[i].pair, 8);
    }
    return crc;
}
#endif
