/*
 * edgebat_mavlink.c - MAVLink sends the widest fields first; extensions follow in the order of their definition.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_mavlink.h"

#include <stddef.h>

#define CELLS 10U
#define NO_VOLTAGE UINT32_C(0xFFFF)
#define MOST_VOLTAGE UINT32_C(0xFFFE)
#define NO_INTEGER UINT32_C(0xFFFFFFFF) /* -1 */
#define NO_TEMPERATURE INT16_MAX
#define NO_HEALTH 255U
#define MOST_HEALTH 254U
#define PERCENT 100U
#define QUARTERS 4U
#define MILLI_PER_CENTI 10

static void clear(uint8_t *data, uint32_t bytes) {
    for (uint32_t i = 0U; i < bytes; i++) {
        data[i] = 0U;
    }
}

/* At most bytes - 1 characters; what follows is zero already. */
static void put_text(uint8_t *at, const char *text, uint32_t bytes) {
    for (uint32_t i = 0U; (text != NULL) && ((i + 1U) < bytes) && (text[i] != '\0'); i++) {
        at[i] = (uint8_t)text[i];
    }
}

static uint32_t cycles_of(const edgebat_result_t *result) {
    return (uint32_t)result->efc_quarters / QUARTERS;
}

/* What is more than one field holds goes into the next: the voltage of a pack, where those of cells are not given. */
static void put_voltages(uint8_t *at, const edgebat_readings_t *readings) {
    const int known = ((readings->valid & EDGEBAT_VALID_VOLTAGE) != 0U) && (readings->voltage_mV >= 0);
    uint32_t left = known ? (uint32_t)readings->voltage_mV : 0U;
    for (uint32_t i = 0U; i < CELLS; i++) {
        const uint32_t here = (left > MOST_VOLTAGE) ? MOST_VOLTAGE : left;
        edgebat_put16(&at[2U * i], (known && ((i == 0U) || (here != 0U))) ? here : NO_VOLTAGE);
        left -= here;
    }
}

/* 0.01 A, discharging positive. -1 says that nobody measures: 10 mA of charge are sent as none. */
static uint32_t current_of(const edgebat_readings_t *readings) {
    const int32_t cA =
        edgebat_between(-edgebat_rounded(readings->current_mA, MILLI_PER_CENTI), -INT16_MAX, INT16_MAX);
    if ((readings->valid & EDGEBAT_VALID_CURRENT) == 0U) {
        return NO_INTEGER;
    }
    return (cA == -1) ? 0U : (uint32_t)cA;
}

int edgebat_mavlink_status(const edgebat_readings_t *readings, const edgebat_mavlink_battery_t *battery,
                           uint8_t data[EDGEBAT_MAVLINK_STATUS_BYTES]) {
    if ((readings == NULL) || (battery == NULL) || (data == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const int has_temperature = (readings->valid & EDGEBAT_VALID_TEMPERATURE) != 0U;
    const int32_t cdegC =
        edgebat_between((int32_t)readings->temperature_ddegC * 10, INT16_MIN, NO_TEMPERATURE - 1);
    clear(data, EDGEBAT_MAVLINK_STATUS_BYTES);
    edgebat_put32(&data[0], NO_INTEGER); /* consumed since the start of the autopilot: not ours */
    edgebat_put32(&data[4], NO_INTEGER);
    edgebat_put16(&data[8], (uint32_t)(has_temperature ? cdegC : NO_TEMPERATURE));
    put_voltages(&data[10], readings);
    edgebat_put16(&data[30], current_of(readings));
    data[32] = battery->id;
    data[33] = battery->function;
    data[34] = battery->type;
    data[35] = (uint8_t)edgebat_share(readings->soc_cpct, PERCENT, PERCENT, NO_INTEGER);
    return (int)EDGEBAT_MAVLINK_STATUS_BYTES;
}

int edgebat_mavlink_info(const edgebat_result_t *result, const edgebat_readings_t *readings,
                         const edgebat_mavlink_battery_t *battery, uint8_t data[EDGEBAT_MAVLINK_INFO_BYTES]) {
    if ((result == NULL) || (readings == NULL) || (battery == NULL) || (data == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const uint32_t full_mAh = edgebat_full_mAh(result, readings);
    clear(data, EDGEBAT_MAVLINK_INFO_BYTES);
    edgebat_put32(&data[20], edgebat_float(readings->nominal_mV));
    edgebat_put32(&data[32], edgebat_float(readings->capacity_mAh));
    edgebat_put32(&data[36], (full_mAh == EDGEBAT_NOT_KNOWN) ? EDGEBAT_FLOAT_NAN : edgebat_float(full_mAh));
    edgebat_put16(&data[40], cycles_of(result));
    data[44] = battery->id;
    data[45] = battery->function;
    data[46] = battery->type;
    data[47] = (uint8_t)edgebat_share(edgebat_measured_soh(result), PERCENT, MOST_HEALTH, NO_HEALTH);
    data[48] = battery->cells_in_series;
    put_text(&data[58], battery->serial_number, 32U);
    put_text(&data[90], battery->name, 50U);
    return (int)EDGEBAT_MAVLINK_INFO_BYTES;
}

static uint32_t charge_or_none(uint32_t mAh) {
    return (mAh > (uint32_t)INT32_MAX) ? NO_INTEGER : mAh;
}

int edgebat_mavlink_smart(const edgebat_result_t *result, const edgebat_readings_t *readings,
                          const edgebat_mavlink_battery_t *battery,
                          uint8_t data[EDGEBAT_MAVLINK_SMART_BYTES]) {
    if ((result == NULL) || (readings == NULL) || (battery == NULL) || (data == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    clear(data, EDGEBAT_MAVLINK_SMART_BYTES);
    edgebat_put32(&data[0],
                  (readings->capacity_mAh == 0U) ? NO_INTEGER : charge_or_none(readings->capacity_mAh));
    edgebat_put32(&data[4], charge_or_none(edgebat_full_mAh(result, readings)));
    edgebat_put16(&data[8], cycles_of(result));
    edgebat_put16(&data[12], NO_VOLTAGE); /* weight, at 10, is 0; the three lowest voltages are not ours */
    edgebat_put16(&data[14], NO_VOLTAGE);
    edgebat_put16(&data[16], NO_VOLTAGE);
    data[18] = battery->id;
    data[19] = battery->function;
    data[20] = battery->type;
    put_text(&data[21], battery->serial_number, 16U);
    put_text(&data[37], battery->name, 50U);
    data[89] = battery->cells_in_series;
    return (int)EDGEBAT_MAVLINK_SMART_BYTES;
}
