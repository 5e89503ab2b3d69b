/*
 * edgebat_pack_state.c - the beginning of a pack, and what of it survives without power.
 *
 *    0 magic, version 1     4 sequence           8 count
 *   12 every cell: usual part, noise (2 bytes each), charges seen, away and swapped
 *   then CRC-32 of all before
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_pack.h"

#include "edgebat_bms.h"

#include <stddef.h>

#define MOST_CELLS 1000U
#define MOST_CAPACITY UINT32_C(2000000)
#define HEADER 12U
#define CELL_BYTES 6U
static const uint8_t pack_magic[4] = {0x45U, 0x42U, 0x50U, 1U};

static void put_number(uint8_t *at, uint32_t value, uint32_t bytes) {
    for (uint32_t i = 0U; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8U * i));
    }
}

static uint32_t get_number(const uint8_t *at, uint32_t bytes) {
    uint32_t value = 0U;
    for (uint32_t i = bytes; i != 0U; i--) {
        value = (value << 8U) | at[i - 1U];
    }
    return value;
}

static int check_pack(const edgebat_pack_t *pack, const uint8_t *saved, uint32_t bytes) {
    const uint32_t length = EDGEBAT_PACK_SAVED_BYTES((uint32_t)pack->count);
    int code = EDGEBAT_OK;
    if (bytes < length) {
        code = EDGEBAT_ERR_LENGTH;
    } else if (edgebat_crc32(0U, saved, length - 4U) != get_number(&saved[length - 4U], 4U)) {
        code = EDGEBAT_ERR_DAMAGED;
    } else {
        for (uint32_t i = 0U; i < sizeof pack_magic; i++) {
            code = (saved[i] == pack_magic[i]) ? code : EDGEBAT_ERR_FORMAT;
        }
        code = (get_number(&saved[8], 4U) == pack->count) ? code : EDGEBAT_ERR_FORMAT;
    }
    return code;
}

EDGEBAT_SELDOM int edgebat_pack_init(edgebat_pack_t *pack, edgebat_pack_cell_t *cells, uint16_t count,
                                     int16_t mean_mV, uint32_t reference_mAh, const void *saved,
                                     uint32_t saved_bytes) {
    if ((pack == NULL) || (cells == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const edgebat_pack_cell_t nothing = {0U,
                                         0U,
                                         0U,
                                         0U,
                                         EDGEBAT_UNKNOWN,
                                         EDGEBAT_UNKNOWN,
                                         0U,
                                         0U,
                                         0U,
                                         (uint8_t)EDGEBAT_STATUS_WARMUP,
#if EDGEBAT_RESISTANCE
                                         UINT32_MAX,
                                         EDGEBAT_UNKNOWN,
                                         EDGEBAT_UNKNOWN
#endif
    };
    const edgebat_pack_t begun = {cells, reference_mAh, 0U, count, mean_mV};
    const uint8_t *at = (const uint8_t *)saved;
    int code = EDGEBAT_OK;
    *pack = begun;
    if ((count == 0U) || (count > MOST_CELLS) || (mean_mV <= 0) || (reference_mAh == 0U) ||
        (reference_mAh > MOST_CAPACITY)) {
        pack->count = 0U; /* the other functions refuse this pack */
        return EDGEBAT_ERR_CONFIG;
    }
    if (saved != NULL) {
        code = check_pack(pack, at, saved_bytes);
    }
    const uint8_t goes_on = ((saved != NULL) && (code == EDGEBAT_OK)) ? 1U : 0U;
    for (uint32_t i = 0U; i < count; i++) {
        cells[i] = nothing;
        if (goes_on != 0U) {
            const uint8_t *const cell = &at[HEADER + (CELL_BYTES * i)];
            cells[i].part = (uint16_t)get_number(cell, 2U);
            cells[i].noise = (uint16_t)get_number(&cell[2], 2U);
            cells[i].seen = (cell[4] > EDGEBAT_PACK_USUAL) ? (uint8_t)EDGEBAT_PACK_USUAL : cell[4];
            cells[i].away = cell[5] & 3U;
            cells[i].swapped = (uint8_t)((cell[5] >> 2U) & 1U);
        }
    }
    pack->sequence = (goes_on != 0U) ? get_number(&at[4], 4U) : 0U;
    return code;
}

EDGEBAT_SELDOM int edgebat_pack_state_get(edgebat_pack_t *pack, void *buffer, uint32_t bytes) {
    if ((pack == NULL) || (buffer == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const uint32_t length = EDGEBAT_PACK_SAVED_BYTES((uint32_t)pack->count);
    uint8_t *const saved = (uint8_t *)buffer;
    if (bytes < length) {
        return EDGEBAT_ERR_LENGTH;
    }
    pack->sequence++;
    for (uint32_t i = 0U; i < sizeof pack_magic; i++) {
        saved[i] = pack_magic[i];
    }
    put_number(&saved[4], pack->sequence, 4U);
    put_number(&saved[8], pack->count, 4U);
    for (uint32_t i = 0U; i < pack->count; i++) {
        const edgebat_pack_cell_t *const cell = &pack->cells[i];
        uint8_t *const at = &saved[HEADER + (CELL_BYTES * i)];
        put_number(at, cell->part, 2U);
        put_number(&at[2], cell->noise, 2U);
        at[4] = cell->seen;
        at[5] = (uint8_t)(cell->away | ((uint32_t)cell->swapped << 2U));
    }
    put_number(&saved[length - 4U], edgebat_crc32(0U, saved, length - 4U), 4U);
    return EDGEBAT_OK;
}
