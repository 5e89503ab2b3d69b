/*
 * edgebat_dronecan.h - a result as the payload of DroneCAN's uavcan.equipment.power.BatteryInfo (data type 1092).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_DRONECAN_H
#define EDGEBAT_DRONECAN_H

#include "edgebat/edgebat_readings.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EDGEBAT_DRONECAN_BATTERY_INFO 1092U
#define EDGEBAT_DRONECAN_SIGNATURE UINT64_C(0x249C26548A711966)
#define EDGEBAT_DRONECAN_NAME_BYTES 31U
#define EDGEBAT_DRONECAN_BYTES (23U + EDGEBAT_DRONECAN_NAME_BYTES)

/* status_flags that are set here; the others are the vehicle's. */
#define EDGEBAT_DRONECAN_BMS_ERROR 256U

/** What the estimator cannot know. */
typedef struct {
    const char *model_name; /* up to 31 characters, NULL: none */
    uint32_t instance_id;   /* 0: not applicable */
    uint16_t flags;         /* status_flags of the vehicle: in use, charging, ... */
    uint8_t battery_id;
} edgebat_dronecan_battery_t;

/**
 * Fill `data`; returns the bytes of the payload, or EDGEBAT_ERR_NULL. The name has no length in front of it, as in every
 * transfer over CAN 2.0.
 */
int edgebat_dronecan_battery_info(const edgebat_result_t *result, const edgebat_readings_t *readings,
                                  const edgebat_dronecan_battery_t *battery,
                                  uint8_t data[EDGEBAT_DRONECAN_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
