/*
 * edgebat_mavlink.h - a result as the payloads of MAVLink's BATTERY_STATUS, BATTERY_INFO and SMART_BATTERY_INFO: bytes in the
 * order of the wire, which _mav_finalize_message_chan_send or your own framing sends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_MAVLINK_H
#define EDGEBAT_MAVLINK_H

#include "edgebat/edgebat_readings.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Number, bytes and CRC_EXTRA of each message. BATTERY_STATUS is 36 bytes without its extensions. */
#define EDGEBAT_MAVLINK_STATUS 147U
#define EDGEBAT_MAVLINK_STATUS_BYTES 54U
#define EDGEBAT_MAVLINK_STATUS_CRC_EXTRA 154U
#define EDGEBAT_MAVLINK_INFO 372U
#define EDGEBAT_MAVLINK_INFO_BYTES 140U
#define EDGEBAT_MAVLINK_INFO_CRC_EXTRA 26U
#define EDGEBAT_MAVLINK_SMART 370U
#define EDGEBAT_MAVLINK_SMART_BYTES 109U
#define EDGEBAT_MAVLINK_SMART_CRC_EXTRA 75U

/** What the estimator cannot know. */
typedef struct {
    const char *serial_number; /* up to 31 characters, of SMART_BATTERY_INFO 15; NULL: not provided */
    const char *name;          /* manufacturer_product, up to 49 characters; NULL: not provided */
    uint8_t id;
    uint8_t function;        /* MAV_BATTERY_FUNCTION */
    uint8_t type;            /* MAV_BATTERY_TYPE */
    uint8_t cells_in_series; /* 0: not provided */
} edgebat_mavlink_battery_t;

/** Voltage, current, temperature and the state of charge that readings hold. Returns the bytes or EDGEBAT_ERR_NULL. */
int edgebat_mavlink_status(const edgebat_readings_t *readings, const edgebat_mavlink_battery_t *battery,
                           uint8_t data[EDGEBAT_MAVLINK_STATUS_BYTES]);

/** State of health, capacities, cycles. */
int edgebat_mavlink_info(const edgebat_result_t *result, const edgebat_readings_t *readings,
                         const edgebat_mavlink_battery_t *battery, uint8_t data[EDGEBAT_MAVLINK_INFO_BYTES]);

/** The older message of the same kind, without a state of health but with the capacity that is left. */
int edgebat_mavlink_smart(const edgebat_result_t *result, const edgebat_readings_t *readings,
                          const edgebat_mavlink_battery_t *battery,
                          uint8_t data[EDGEBAT_MAVLINK_SMART_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
