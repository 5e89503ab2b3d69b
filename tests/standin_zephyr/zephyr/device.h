/* device.h - the members of a device that a driver reads, for tests on a computer. Not Zephyr. */
#ifndef STANDIN_ZEPHYR_DEVICE_H
#define STANDIN_ZEPHYR_DEVICE_H

struct device {
    const char *name;
    const void *config;
    const void *api;
};

#define DEVICE_GET(id) (&standin_device_##id)
#define DEVICE_DEFINE(id, label, init, power, data, settings, level, priority, driver_api)                   \
    const struct device standin_device_##id = {label, settings, driver_api}

#endif
