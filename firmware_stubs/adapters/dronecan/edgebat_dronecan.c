/*
 * edgebat_dronecan.c - seven numbers of 16 bits, then 11, 7, 7 and 7 bits in a row, then bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_dronecan.h"

#include <stddef.h>

#define MOST_PERCENT 126U
#define PERCENT_UNKNOWN 127U
#define PERCENT 100U
#define KELVIN_dK_PER_10 27315
#define HALVES 7U

static int32_t kelvin_thousandths(int16_t ddegC) {
    return (((int32_t)ddegC * 10) + KELVIN_dK_PER_10) * 10;
}

static uint32_t half_or_nan(int known, int32_t thousandths) {
    return known ? edgebat_half(thousandths) : EDGEBAT_HALF_NAN;
}

static uint32_t energy_half(uint32_t charge_mAh, uint32_t nominal_mV) {
    const uint32_t mWh = edgebat_energy_mWh(charge_mAh, nominal_mV);
    const int32_t within = (mWh > (uint32_t)INT32_MAX) ? INT32_MAX : (int32_t)mWh;
    return half_or_nan(mWh != EDGEBAT_NOT_KNOWN, within);
}

/* Negated without leaving the range. */
static int32_t discharging_mA(int32_t charging_mA) {
    return (charging_mA < -INT32_MAX) ? INT32_MAX : -charging_mA;
}

/* A deviation is rounded up. */
static uint32_t percent_up(uint16_t cpct) {
    const uint16_t up = (cpct > (UINT16_MAX - PERCENT)) ? cpct : (uint16_t)(cpct + PERCENT - 1U);
    return edgebat_share(up, PERCENT, MOST_PERCENT, PERCENT_UNKNOWN);
}

static uint32_t flags_of(const edgebat_result_t *result, uint16_t flags) {
    const int failed = (result->status == (uint8_t)EDGEBAT_STATUS_MODEL_CORRUPT) ||
                       (result->status == (uint8_t)EDGEBAT_STATUS_INPUT_INVALID);
    return (flags & 0x1FFU) | (failed ? EDGEBAT_DRONECAN_BMS_ERROR : 0U);
}

/* Bits are filled from the highest of a byte on; a number goes in lowest byte first, an incomplete byte last. */
static void put_bits(uint8_t *data, uint32_t *bit, uint32_t value, uint32_t bits) {
    uint32_t left = bits;
    uint32_t rest = value;
    while (left != 0U) {
        const uint32_t part = (left > 8U) ? 8U : left;
        for (uint32_t i = part; i != 0U; i--) {
            const uint32_t one = (rest >> (i - 1U)) & 1U;
            data[*bit >> 3U] = (uint8_t)(data[*bit >> 3U] | (one << (7U - (*bit & 7U))));
            *bit += 1U;
        }
        rest >>= part;
        left -= part;
    }
}

int edgebat_dronecan_battery_info(const edgebat_result_t *result, const edgebat_readings_t *readings,
                                  const edgebat_dronecan_battery_t *battery,
                                  uint8_t data[EDGEBAT_DRONECAN_BYTES]) {
    if ((result == NULL) || (readings == NULL) || (battery == NULL) || (data == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const uint32_t full_mAh = edgebat_full_mAh(result, readings);
    const int has_current = (readings->valid & EDGEBAT_VALID_CURRENT) != 0U;
    const int has_voltage = (readings->valid & EDGEBAT_VALID_VOLTAGE) != 0U;
    const int has_temperature = (readings->valid & EDGEBAT_VALID_TEMPERATURE) != 0U;
    const uint32_t halves[HALVES] = {
        half_or_nan(has_temperature, kelvin_thousandths(readings->temperature_ddegC)),
        half_or_nan(has_voltage, readings->voltage_mV),
        half_or_nan(has_current, discharging_mA(readings->current_mA)),
        EDGEBAT_HALF_NAN, /* average power of ten seconds */
        energy_half(edgebat_part_of(full_mAh, readings->soc_cpct), readings->nominal_mV),
        energy_half(full_mAh, readings->nominal_mV),
        (has_current && (readings->current_mA <= 0)) ? 0U
                                                     : EDGEBAT_HALF_NAN, /* hours to full: 0, not charging */
    };
    uint32_t bytes = 0U;
    for (; bytes < (2U * HALVES); bytes += 2U) {
        edgebat_put16(&data[bytes], halves[bytes / 2U]);
    }
    edgebat_put32(&data[bytes], 0U);
    uint32_t bit = 8U * bytes;
    put_bits(data, &bit, flags_of(result, battery->flags), 11U);
    put_bits(data, &bit, edgebat_share(edgebat_measured_soh(result), PERCENT, MOST_PERCENT, PERCENT_UNKNOWN),
             7U);
    put_bits(data, &bit, edgebat_share(readings->soc_cpct, PERCENT, PERCENT, PERCENT_UNKNOWN), 7U);
    put_bits(data, &bit, percent_up(readings->soc_sigma_cpct), 7U);
    bytes += 4U;
    data[bytes] = battery->battery_id;
    edgebat_put32(&data[bytes + 1U], battery->instance_id);
    bytes += 5U;
    for (uint32_t i = 0U; (battery->model_name != NULL) && (i < EDGEBAT_DRONECAN_NAME_BYTES); i++) {
        if (battery->model_name[i] == '\0') {
            break;
        }
        data[bytes] = (uint8_t)battery->model_name[i];
        bytes++;
    }
    return (int)bytes;
}
