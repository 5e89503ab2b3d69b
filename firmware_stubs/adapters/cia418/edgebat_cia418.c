/*
 * edgebat_cia418.c - objects of CiA 418 out of a result and readings.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_cia418.h"

#include <stddef.h>

#define LAST_SUB 6U
#define COLDEST (-320)
#define HOTTEST 680
#define PERCENT 100U
#define MOST_VOLTAGE_mV 2000000
#define HALF_A_VOLT_mV 500U
#define STEPS_PER_VOLT 1024U

/* 0.1 degC in steps of 0.125: times four fifths. */
static int32_t temperature_of(int16_t ddegC) {
    return edgebat_rounded((int32_t)ddegC * 4, 5);
}

static int is_temperature(const edgebat_readings_t *readings) {
    const int32_t steps = temperature_of(readings->temperature_ddegC);
    return ((readings->valid & EDGEBAT_VALID_TEMPERATURE) != 0U) && (steps >= COLDEST) && (steps <= HOTTEST);
}

static int put_if(int known, uint8_t *data, uint32_t value, int bytes) {
    edgebat_put32(data, value);
    return known ? bytes : 0;
}

static int of_record(const edgebat_result_t *result, uint8_t sub, uint8_t *data) {
    const uint32_t values[LAST_SUB + 1U] = {
        LAST_SUB,       result->soh_cpct, result->sigma_cpct,  result->rul_cycles,
        result->status, result->source,   result->efc_quarters};
    if (sub > LAST_SUB) {
        return EDGEBAT_ERR_FORMAT;
    }
    const int narrow =
        (sub == EDGEBAT_CIA418_SUBS) || (sub == EDGEBAT_CIA418_STATUS) || (sub == EDGEBAT_CIA418_SOURCE);
    const int may_be_unknown = (sub >= EDGEBAT_CIA418_SOH) && (sub <= EDGEBAT_CIA418_RUL);
    return put_if(!may_be_unknown || (values[sub] != EDGEBAT_UNKNOWN), data, values[sub], narrow ? 1 : 2);
}

static int of_profile(const edgebat_result_t *result, const edgebat_readings_t *readings, uint16_t index,
                      uint8_t *data) {
    const int has_voltage = ((readings->valid & EDGEBAT_VALID_VOLTAGE) != 0U) &&
                            (readings->voltage_mV >= 0) && (readings->voltage_mV <= MOST_VOLTAGE_mV);
    const uint32_t mV = has_voltage ? (uint32_t)readings->voltage_mV : 0U;
    switch (index) {
    case EDGEBAT_CIA418_TEMPERATURE:
        return put_if(is_temperature(readings), data, (uint32_t)temperature_of(readings->temperature_ddegC),
                      2);
    case EDGEBAT_CIA418_CHARGE:
        return put_if(1, data, result->throughput_mAh / 2000U, 4); /* half of what went in and out */
    case EDGEBAT_CIA418_VOLTAGE:
        return put_if(has_voltage, data, ((mV * STEPS_PER_VOLT) + HALF_A_VOLT_mV) / 1000U, 4);
    case EDGEBAT_CIA418_SOC:
        return put_if(readings->soc_cpct != EDGEBAT_UNKNOWN, data,
                      edgebat_share(readings->soc_cpct, PERCENT, PERCENT, 0U), 1);
    default:
        return EDGEBAT_ERR_FORMAT;
    }
}

int edgebat_cia418_object(const edgebat_result_t *result, const edgebat_readings_t *readings, uint16_t index,
                          uint8_t sub, uint8_t data[EDGEBAT_CIA418_OBJECT_BYTES]) {
    if ((result == NULL) || (readings == NULL) || (data == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    if (index == EDGEBAT_CIA418_RECORD) {
        return of_record(result, sub, data);
    }
    return (sub != 0U) ? EDGEBAT_ERR_FORMAT : of_profile(result, readings, index, data);
}

int edgebat_cia418_health(const edgebat_result_t *result, uint8_t data[EDGEBAT_CIA418_PDO_BYTES]) {
    if ((result == NULL) || (data == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    edgebat_put16(&data[0], result->soh_cpct);
    edgebat_put16(&data[2], result->sigma_cpct);
    edgebat_put16(&data[4], result->rul_cycles);
    data[6] = result->status;
    data[7] = result->source;
    return (int)EDGEBAT_CIA418_PDO_BYTES;
}

int edgebat_cia418_tpdo1(const edgebat_readings_t *readings, uint8_t battery_status,
                         uint8_t data[EDGEBAT_CIA418_PDO_BYTES]) {
    if ((readings == NULL) || (data == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    edgebat_put16(&data[0], (uint32_t)temperature_of(readings->temperature_ddegC));
    data[2] = battery_status;
    return is_temperature(readings) ? 3 : 0;
}
