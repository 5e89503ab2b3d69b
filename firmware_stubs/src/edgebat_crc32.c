/*
 * edgebat_crc32.c - CRC-32 (IEEE 802.3, reflected, as zlib) without a table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_nn.h"

uint32_t edgebat_crc32(uint32_t crc, const void *data, uint32_t length) {
    const uint8_t *p = (const uint8_t *)data;
    crc = ~crc;
    for (uint32_t i = 0; i < length; i++) {
        crc ^= p[i];
        for (uint32_t bit = 0; bit < 8U; bit++) {
            crc = (crc >> 1) ^ (UINT32_C(0xEDB88320) & (0U - (crc & 1U)));
        }
    }
    return ~crc;
}
