/*
 * edgebat_j1939.c - all bits set: not available. Of 16 bits the values from 0xFB00 on have other meanings, and of 8 bits
 * those from 251 on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_j1939.h"

#include <stddef.h>

#define NOT_AVAILABLE UINT32_C(0xFFFF)
#define NOT_AVAILABLE_8 255U
#define OUT_OF_RANGE UINT32_C(0xFEFF) /* an error indicator: 0xFE, whatever the low byte */
#define MOST 0xFAFF
#define MOST_8 250U
#define VOLTAGE_mV 50
#define CURRENT_mA 50
#define CURRENT_OFFSET 32000 /* 1,600 A */
#define SOH_CPCT 40U
#define MOST_BYTES 1785U

static uint32_t in_range(int known, int32_t value) {
    if (!known) {
        return NOT_AVAILABLE;
    }
    return ((value < 0) || (value > MOST)) ? OUT_OF_RANGE : (uint32_t)value;
}

int edgebat_j1939_hvessd1(const edgebat_readings_t *readings, int32_t network_mA,
                          uint8_t data[EDGEBAT_J1939_HVESSD1_BYTES]) {
    if ((readings == NULL) || (data == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const int has_voltage = (readings->valid & EDGEBAT_VALID_VOLTAGE) != 0U;
    const int has_current = (readings->valid & EDGEBAT_VALID_CURRENT) != 0U;
    edgebat_put16(&data[0], NOT_AVAILABLE);
    edgebat_put16(&data[2], NOT_AVAILABLE);
    edgebat_put16(&data[4], in_range(has_voltage, edgebat_rounded(readings->voltage_mV, VOLTAGE_mV)));
    edgebat_put16(&data[6], in_range(has_current, edgebat_rounded(network_mA, CURRENT_mA) + CURRENT_OFFSET));
    return (int)EDGEBAT_J1939_HVESSD1_BYTES;
}

int edgebat_j1939_hvesshist(const edgebat_result_t *result, uint8_t *data, uint32_t bytes) {
    if ((result == NULL) || (data == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    if ((bytes == 0U) || (bytes > MOST_BYTES)) {
        return EDGEBAT_ERR_LENGTH;
    }
    data[0] = (uint8_t)edgebat_share(edgebat_measured_soh(result), SOH_CPCT, MOST_8, NOT_AVAILABLE_8);
    for (uint32_t i = 1U; i < bytes; i++) {
        data[i] = NOT_AVAILABLE_8;
    }
    return (int)bytes;
}
