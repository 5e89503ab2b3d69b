/*
 * edgebat_can.h - a result as the data of CAN frames. The database file <name>.dbc, written by
 * `edgebat export --port`, describes the same frames to the rest of the vehicle.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_CAN_H
#define EDGEBAT_CAN_H

#include "edgebat/edgebat.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EDGEBAT_CAN_BYTES 8U

/** Frames of one battery, in the order of their identifiers: first identifier + EDGEBAT_CAN_... */
#define EDGEBAT_CAN_HEALTH 0U   /* SOH, deviation, RUL, status, source, counter: every 1000 ms */
#define EDGEBAT_CAN_DETAILS 1U  /* what the model and what counting says, ages */
#define EDGEBAT_CAN_FORECAST 2U /* three points of the trajectory, multiplexed */
#define EDGEBAT_CAN_MODEL 3U    /* fingerprint, cycle, how the last charge ended, charges missing */
#define EDGEBAT_CAN_FRAMES 4U

/**
 * Pack one frame. counter: 0 to 15, counts on with every health frame; for the forecast it is the
 * multiplexer, 0 for points 0 to 2, 1 for points 3 to 5, 2 for the rest. Returns EDGEBAT_OK,
 * EDGEBAT_ERR_NULL, or EDGEBAT_ERR_FORMAT for an unknown frame.
 */
int edgebat_can_pack(const edgebat_model_t *model, const edgebat_result_t *result, uint32_t frame,
                     uint32_t counter, uint8_t data[EDGEBAT_CAN_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
