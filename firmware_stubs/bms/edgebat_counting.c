/*
 * edgebat_counting.c - ampere-hours, and the capacity they tell between full and empty.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

static void take_capacity(edgebat_t *battery, uint64_t counted) {
    const uint64_t whole = (uint64_t)battery->config->reference_mAh * EDGEBAT_PER_MAH;
    const uint64_t cpct = (counted > whole * 2U) ? UINT16_MAX : ((counted * EDGEBAT_HUNDRED_PERCENT) / whole);
    /* What lies outside is a mistaken anchor, not a capacity. */
    if ((cpct >= 2000U) && (cpct <= 15000U)) {
        battery->counted_cpct = (uint16_t)cpct;
        battery->counted_at = battery->throughput;
    }
}

void edgebat_bms_find_anchor(edgebat_t *battery, int16_t cell_mV, int32_t charging_mA) {
    const edgebat_config_t *const config = battery->config;
    if ((config->full_mV != 0) && (cell_mV >= config->full_mV) && (charging_mA >= 0) &&
        (charging_mA <= config->cutoff_mA)) {
        if ((battery->anchor == EDGEBAT_ANCHOR_EMPTY) && (battery->count > 0)) {
            take_capacity(battery, (uint64_t)battery->count);
        }
        battery->anchor = EDGEBAT_ANCHOR_FULL;
        battery->count = 0;
    } else if ((config->empty_mV != 0) && (cell_mV <= config->empty_mV) && (charging_mA < 0)) {
        if ((battery->anchor == EDGEBAT_ANCHOR_FULL) && (battery->count < 0)) {
            take_capacity(battery, (uint64_t)-battery->count);
        }
        battery->anchor = EDGEBAT_ANCHOR_EMPTY;
        battery->count = 0;
    } else {
        /* in between */
    }
}

void edgebat_bms_count(edgebat_t *battery, int64_t part) {
    if (part >= 0) {
        battery->throughput += (uint64_t)part;
    } else {
        battery->throughput += (uint64_t)-part;
        battery->discharged += (uint64_t)-part;
    }
    if (battery->anchor != EDGEBAT_ANCHOR_NONE) {
        battery->count += part;
        /* Nothing holds twice its reference capacity: what was taken for an end was none, or a sensor drifts.
         */
        const int64_t limit = (int64_t)((uint64_t)battery->config->reference_mAh * (2U * EDGEBAT_PER_MAH));
        if ((battery->count > limit) || (battery->count < -limit)) {
            battery->anchor = EDGEBAT_ANCHOR_NONE;
        }
    }
}
