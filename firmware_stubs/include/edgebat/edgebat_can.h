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
#if EDGEBAT_RESISTANCE
#define EDGEBAT_CAN_RESISTANCE                                                                               \
    7U /* after those of a forecaster: resistance, deviation, part of that when new */
#endif

/**
 * Pack one frame. counter: 0 to 15, counts on with every health frame; for the forecast it is the
 * multiplexer, 0 for points 0 to 2, 1 for points 3 to 5, 2 for the rest. Returns EDGEBAT_OK,
 * EDGEBAT_ERR_NULL, or EDGEBAT_ERR_FORMAT for an unknown frame.
 */
int edgebat_can_pack(const edgebat_model_t *model, const edgebat_result_t *result, uint32_t frame,
                     uint32_t counter, uint8_t data[EDGEBAT_CAN_BYTES]);

/*** End-to-end protection, for CAN FD: a frame of 8 bytes becomes one of 12 ***/

#define EDGEBAT_CAN_PROTECTED_BYTES 12U
#define EDGEBAT_CAN_NEW 0      /* check: the next frame; those between two may be lost, see `lost` */
#define EDGEBAT_CAN_REPEATED 1 /* check: the counter has not moved */
#define EDGEBAT_CAN_WRONG 2    /* check: a wrong checksum, or another frame's */

/**
 * AUTOSAR's profile 5: CRC-16 (polynomial 0x1021, start 0xFFFF) of all that follows it and of `data_id`, a counter of 8
 * bits, then the data and a byte of zero. data_id: the same number on both sides, another one for every frame.
 */
int edgebat_can_protect(const uint8_t data[EDGEBAT_CAN_BYTES], uint16_t data_id, uint8_t counter,
                        uint8_t out[EDGEBAT_CAN_PROTECTED_BYTES]);

/**
 * The receiver's side: EDGEBAT_CAN_NEW, EDGEBAT_CAN_REPEATED, EDGEBAT_CAN_WRONG or EDGEBAT_ERR_NULL. `counter` is that of
 * the frame before and becomes this one's; `lost` is how many never came.
 */
int edgebat_can_check(const uint8_t frame[EDGEBAT_CAN_PROTECTED_BYTES], uint16_t data_id, uint8_t *counter,
                      uint8_t *lost);

#ifdef __cplusplus
}
#endif

#endif
