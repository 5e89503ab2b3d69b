/*
 * edgebat_fuel_gauge.c - properties in the units of Zephyr: uV, uA, uAh, 0.1 K, percent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_fuel_gauge.h"

#include <errno.h>
#include <stddef.h>
#if __has_include(<zephyr/version.h>)
#include <zephyr/version.h>
#else
#include <version.h>
#endif

/* Zephyr 4.5 gave properties and members their units, and counts whole cycles instead of hundredths. */
#if KERNEL_VERSION_NUMBER >= 0x040500
#define UNIT(name, unit) name##unit
#define CYCLES(quarters) ((quarters) / 4U)
#else
#define UNIT(name, unit) name
#define CYCLES(quarters) ((quarters) * 25U)
#endif

/* The property is younger than the interface; set it to 1 or 0 when your version's header says otherwise. */
#if !defined(EDGEBAT_FUEL_GAUGE_HEALTH)
#define EDGEBAT_FUEL_GAUGE_HEALTH (KERNEL_VERSION_NUMBER >= 0x040400)
#endif

#define PERCENT 100U
#define MICRO_PER_MILLI 1000
#define ABSOLUTE_ZERO_dK 2732 /* 2731.5, rounded */

static int micro(int valid, int32_t milli, int *out) {
    const int fits = (milli <= (INT32_MAX / MICRO_PER_MILLI)) && (milli >= -(INT32_MAX / MICRO_PER_MILLI));
    if (!valid) {
        return -ENODATA;
    }
    *out = fits ? (int)(milli * MICRO_PER_MILLI) : 0;
    return fits ? 0 : -ERANGE;
}

static int micro_charge(uint32_t mAh, uint32_t *out) {
    if (mAh == EDGEBAT_NOT_KNOWN) {
        return -ENODATA;
    }
    *out = mAh * (uint32_t)MICRO_PER_MILLI;
    return (mAh <= (UINT32_MAX / (uint32_t)MICRO_PER_MILLI)) ? 0 : -ERANGE;
}

static int narrow(uint32_t number, uint16_t *out) {
    *out = (uint16_t)number;
    if (number == 0U) {
        return -ENODATA;
    }
    return (number <= UINT16_MAX) ? 0 : -ERANGE;
}

static int share_of(uint32_t cpct, uint8_t *out) {
    *out = (uint8_t)edgebat_share((uint16_t)cpct, PERCENT, UINT8_MAX, 0U);
    return (cpct == EDGEBAT_UNKNOWN) ? -ENODATA : 0;
}

/* Of what a new cell held: the smaller of 100 % and both multiplied. */
static int absolute(uint16_t soc_cpct, uint16_t soh_cpct, uint8_t *out) {
    const uint32_t of_new =
        edgebat_part_of((soc_cpct == EDGEBAT_UNKNOWN) ? EDGEBAT_NOT_KNOWN : soc_cpct, soh_cpct);
    return share_of((of_new > 10000U) ? ((of_new == EDGEBAT_NOT_KNOWN) ? EDGEBAT_UNKNOWN : 10000U) : of_new,
                    out);
}

static int kelvin(const edgebat_readings_t *readings, uint16_t *out) {
    const int32_t dK = (int32_t)readings->temperature_ddegC + ABSOLUTE_ZERO_dK;
    const int known = ((readings->valid & EDGEBAT_VALID_TEMPERATURE) != 0U) && (dK >= 0);
    *out = known ? (uint16_t)dK : 0U;
    return known ? 0 : -ENODATA;
}

int edgebat_fuel_gauge_get(const edgebat_result_t *result, const edgebat_readings_t *readings,
                           fuel_gauge_prop_t property, union fuel_gauge_prop_val *value) {
    if ((result == NULL) || (readings == NULL) || (value == NULL)) {
        EDGEBAT_ASSERT(0);
        return -EINVAL;
    }
    const uint32_t full_mAh = edgebat_full_mAh(result, readings);
    const uint16_t soh_cpct = edgebat_measured_soh(result);
    switch (property) {
    case UNIT(FUEL_GAUGE_CURRENT, _UA):
        return micro((readings->valid & EDGEBAT_VALID_CURRENT) != 0U, readings->current_mA,
                     &value->UNIT(current, _ua));
    case UNIT(FUEL_GAUGE_VOLTAGE, _UV):
        return micro((readings->valid & EDGEBAT_VALID_VOLTAGE) != 0U, readings->voltage_mV,
                     &value->UNIT(voltage, _uv));
    case UNIT(FUEL_GAUGE_TEMPERATURE, _DK):
        return kelvin(readings, &value->UNIT(temperature, _dk));
    case UNIT(FUEL_GAUGE_FULL_CHARGE_CAPACITY, _UAH):
        return micro_charge(full_mAh, &value->UNIT(full_charge_capacity, _uah));
    case UNIT(FUEL_GAUGE_REMAINING_CAPACITY, _UAH):
        return micro_charge(edgebat_part_of(full_mAh, readings->soc_cpct),
                            &value->UNIT(remaining_capacity, _uah));
    case UNIT(FUEL_GAUGE_RELATIVE_STATE_OF_CHARGE, _PCT):
        return share_of(readings->soc_cpct, &value->UNIT(relative_state_of_charge, _pct));
    case UNIT(FUEL_GAUGE_ABSOLUTE_STATE_OF_CHARGE, _PCT):
        return absolute(readings->soc_cpct, soh_cpct, &value->UNIT(absolute_state_of_charge, _pct));
    case FUEL_GAUGE_CYCLE_COUNT:
        value->cycle_count = CYCLES((uint32_t)result->efc_quarters);
        return 0;
    case FUEL_GAUGE_DESIGN_CAPACITY:
        return narrow(readings->capacity_mAh, &value->design_cap);
    case UNIT(FUEL_GAUGE_DESIGN_VOLTAGE, _MV):
        return narrow(readings->nominal_mV, &value->UNIT(design_volt, _mv));
#if EDGEBAT_FUEL_GAUGE_HEALTH
    case FUEL_GAUGE_STATE_OF_HEALTH:
        return share_of(soh_cpct, &value->state_of_health);
#endif
    default:
        return -ENOTSUP;
    }
}

static int get_property(const struct device *dev, fuel_gauge_prop_t property,
                        union fuel_gauge_prop_val *value) {
    const struct edgebat_fuel_gauge *const gauge = dev->config;
    edgebat_result_t result;
    edgebat_readings_t readings = {.soc_cpct = EDGEBAT_UNKNOWN, .soc_sigma_cpct = EDGEBAT_UNKNOWN};
    if (gauge->now(&result, &readings) < 0) {
        return -ENODATA;
    }
    return edgebat_fuel_gauge_get(&result, &readings, property, value);
}

const struct fuel_gauge_driver_api edgebat_fuel_gauge_api = {.get_property = get_property};
