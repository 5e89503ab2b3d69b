/*
 * edgebat_fuel_gauge.h - a result as a fuel gauge of Zephyr (zephyr/drivers/fuel_gauge.h, from Zephyr 3.5 on).
 *
 *     static int now(edgebat_result_t *result, edgebat_readings_t *readings) {
 *         readings->capacity_mAh = 3500U; ...                voltage, current, temperature; the rest is not known
 *         return edgebat_zephyr_result(result);              of the port zephyr, or your own
 *     }
 *     EDGEBAT_FUEL_GAUGE_DEFINE(battery, now);
 *
 *     fuel_gauge_get_prop(DEVICE_GET(battery), FUEL_GAUGE_STATE_OF_HEALTH, &value);
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_FUEL_GAUGE_H
#define EDGEBAT_FUEL_GAUGE_H

#include <zephyr/device.h>
#include <zephyr/drivers/fuel_gauge.h>

#include "edgebat/edgebat_readings.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * One property. 0; -ENODATA: the estimator does not know, or no valid reading was given; -ERANGE: the property's type does
 * not hold it; -ENOTSUP: not a property of this gauge; -EINVAL: a null pointer.
 */
int edgebat_fuel_gauge_get(const edgebat_result_t *result, const edgebat_readings_t *readings,
                           fuel_gauge_prop_t property, union fuel_gauge_prop_val *value);

/** Asks for what is known now: a code of edgebat.h, negative when nothing is. `readings` comes as not known. */
typedef int (*edgebat_fuel_gauge_now_t)(edgebat_result_t *result, edgebat_readings_t *readings);

struct edgebat_fuel_gauge {
    edgebat_fuel_gauge_now_t now;
};

extern const struct fuel_gauge_driver_api edgebat_fuel_gauge_api;

/** A device `name` for DEVICE_GET, without devicetree. */
#define EDGEBAT_FUEL_GAUGE_DEFINE(name, function)                                                            \
    static const struct edgebat_fuel_gauge name##_gauge = {.now = (function)};                               \
    DEVICE_DEFINE(name, #name, NULL, NULL, NULL, &name##_gauge, POST_KERNEL, 90, &edgebat_fuel_gauge_api)

#ifdef __cplusplus
}
#endif

#endif
