/* fuel_gauge.h - the properties that the adapter answers, and one that it does not, under the names that a version has, for
 * tests on a computer. Not Zephyr; the numbers differ. */
#ifndef STANDIN_ZEPHYR_FUEL_GAUGE_H
#define STANDIN_ZEPHYR_FUEL_GAUGE_H

#include <stdint.h>

#include <zephyr/device.h>
#include <zephyr/version.h>

#if KERNEL_VERSION_NUMBER >= 0x040500
#define STANDIN_UNIT(name, unit) name##unit
#else
#define STANDIN_UNIT(name, unit) name
#endif

enum fuel_gauge_prop_type {
    FUEL_GAUGE_FLAGS,
    STANDIN_UNIT(FUEL_GAUGE_CURRENT, _UA),
    STANDIN_UNIT(FUEL_GAUGE_VOLTAGE, _UV),
    STANDIN_UNIT(FUEL_GAUGE_TEMPERATURE, _DK),
    STANDIN_UNIT(FUEL_GAUGE_FULL_CHARGE_CAPACITY, _UAH),
    STANDIN_UNIT(FUEL_GAUGE_REMAINING_CAPACITY, _UAH),
    STANDIN_UNIT(FUEL_GAUGE_RELATIVE_STATE_OF_CHARGE, _PCT),
    STANDIN_UNIT(FUEL_GAUGE_ABSOLUTE_STATE_OF_CHARGE, _PCT),
    FUEL_GAUGE_CYCLE_COUNT,
    FUEL_GAUGE_DESIGN_CAPACITY,
    STANDIN_UNIT(FUEL_GAUGE_DESIGN_VOLTAGE, _MV),
#if KERNEL_VERSION_NUMBER >= 0x040400
    FUEL_GAUGE_STATE_OF_HEALTH,
#endif
};

typedef uint16_t fuel_gauge_prop_t;

union fuel_gauge_prop_val {
    int STANDIN_UNIT(current, _ua);
    int STANDIN_UNIT(voltage, _uv);
    uint16_t STANDIN_UNIT(temperature, _dk);
    uint32_t STANDIN_UNIT(full_charge_capacity, _uah);
    uint32_t STANDIN_UNIT(remaining_capacity, _uah);
    uint8_t STANDIN_UNIT(relative_state_of_charge, _pct);
    uint8_t STANDIN_UNIT(absolute_state_of_charge, _pct);
    uint32_t cycle_count;
    uint16_t design_cap;
    uint16_t STANDIN_UNIT(design_volt, _mv);
#if KERNEL_VERSION_NUMBER >= 0x040400
    uint8_t state_of_health;
#endif
};

struct fuel_gauge_driver_api {
    int (*get_property)(const struct device *dev, fuel_gauge_prop_t property,
                        union fuel_gauge_prop_val *value);
};

#endif
