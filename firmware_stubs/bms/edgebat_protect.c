/*
 * edgebat_protect.c - CAN frames that show when they were damaged, mixed up, repeated or lost: AUTOSAR's end-to-end
 * profile 5.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_can.h"

#include "edgebat_bms.h"

#include <stddef.h>

static uint16_t crc16(uint16_t crc, uint8_t byte) {
    uint32_t value = crc ^ ((uint32_t)byte << 8U);
    for (uint32_t bit = 0U; bit < 8U; bit++) {
        value = ((value & 0x8000U) != 0U) ? ((value << 1U) ^ 0x1021U) : (value << 1U);
    }
    return (uint16_t)value;
}

static uint16_t sum(const uint8_t *frame, uint16_t data_id) {
    uint16_t crc = 0xFFFFU;
    for (uint32_t i = 2U; i < EDGEBAT_CAN_PROTECTED_BYTES; i++) {
        crc = crc16(crc, frame[i]);
    }
    crc = crc16(crc, (uint8_t)data_id);
    return crc16(crc, (uint8_t)(data_id >> 8U));
}

EDGEBAT_SELDOM int edgebat_can_protect(const uint8_t data[EDGEBAT_CAN_BYTES], uint16_t data_id,
                                       uint8_t counter, uint8_t out[EDGEBAT_CAN_PROTECTED_BYTES]) {
    if ((data == NULL) || (out == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    out[2] = counter;
    for (uint32_t i = 0U; i < EDGEBAT_CAN_BYTES; i++) {
        out[3U + i] = data[i];
    }
    out[11] = 0U;
    const uint16_t crc = sum(out, data_id);
    out[0] = (uint8_t)crc;
    out[1] = (uint8_t)(crc >> 8U);
    return EDGEBAT_OK;
}

EDGEBAT_SELDOM int edgebat_can_check(const uint8_t frame[EDGEBAT_CAN_PROTECTED_BYTES], uint16_t data_id,
                                     uint8_t *counter, uint8_t *lost) {
    if ((frame == NULL) || (counter == NULL) || (lost == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const uint16_t crc = sum(frame, data_id);
    const uint8_t moved = (uint8_t)(frame[2] - *counter);
    int code = EDGEBAT_CAN_NEW;
    if ((frame[0] != (uint8_t)crc) || (frame[1] != (uint8_t)(crc >> 8U))) {
        code = EDGEBAT_CAN_WRONG;
    } else if (moved == 0U) {
        code = EDGEBAT_CAN_REPEATED;
    } else {
        *counter = frame[2];
        *lost = (uint8_t)(moved - 1U);
    }
    return code;
}
