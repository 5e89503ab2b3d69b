/*
 * edgebat_bms.h - what the files of this folder share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_BMS_H
#define EDGEBAT_BMS_H

#include "edgebat/edgebat.h"

/* Phases of a charge. */
#define EDGEBAT_PHASE_NONE 0U   /* rest or discharge */
#define EDGEBAT_PHASE_BELOW 1U  /* charging, the window lies ahead */
#define EDGEBAT_PHASE_INSIDE 2U /* charging through the window */
#define EDGEBAT_PHASE_OVER 3U   /* charging, nothing more to measure until it ends */

#define EDGEBAT_ANCHOR_NONE 0U
#define EDGEBAT_ANCHOR_FULL 1U
#define EDGEBAT_ANCHOR_EMPTY 2U

#define EDGEBAT_HUNDRED_PERCENT 10000U

/* A model that says anything else is not believed, 0.01 %. */
#define EDGEBAT_LEAST_SOH 1000
#define EDGEBAT_MOST_SOH 15000

/* mAh in the unit of the counters, twice mA * ms. */
#define EDGEBAT_PER_MAH UINT32_C(7200000)

/* Parts of the working memory. */
int32_t *edgebat_bms_row(const edgebat_t *battery);
void *edgebat_bms_output(const edgebat_t *battery);
int8_t *edgebat_bms_window(const edgebat_t *battery);

/* Whether a configuration and a model's description make sense; EDGEBAT_OK or the error. */
int edgebat_bms_model_is_sound(const edgebat_model_t *model);
int edgebat_bms_check(const edgebat_model_t *model, const edgebat_config_t *config);

/* Count what flowed since the sample before, twice mA * ms, charging positive. */
void edgebat_bms_count(edgebat_t *battery, int64_t part, uint32_t dt_ms);

/* Full and empty are where counting begins and ends. */
void edgebat_bms_find_anchor(edgebat_t *battery, int16_t cell_mV, int32_t charging_mA, uint32_t dt_ms);

/* Time has passed: the estimate is older, and the published SOH is closer to its target. */
void edgebat_bms_settle(edgebat_t *battery);

/* Take a checked state over into a battery that was just begun. */
void edgebat_bms_restore(edgebat_t *battery, const uint8_t *saved);

#endif
