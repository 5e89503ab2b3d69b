/*
 * edgebat_counting.c - ampere-hours, and the capacity they tell between full and empty.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

/* One sample may be a pulse: so long the cell must stay full or empty. */
#define HOLD_MS UINT32_C(10000)

/* After two days an offset of the sensor has become capacity. */
#define MOST_ANCHOR_MS UINT32_C(172800000)

static void take_capacity(edgebat_t *battery, uint64_t counted) {
    const uint64_t whole = (uint64_t)battery->config->reference_mAh * EDGEBAT_PER_MAH;
    const uint64_t cpct = (counted > whole * 2U) ? UINT16_MAX : ((counted * EDGEBAT_HUNDRED_PERCENT) / whole);
    /* What lies outside is a mistaken anchor, not a capacity. */
    if ((cpct >= 2000U) && (cpct <= 15000U)) {
        battery->counted_cpct = (uint16_t)cpct;
        battery->counted_at = battery->throughput;
        battery->revision++;
    }
}

static uint8_t end_reached(const edgebat_config_t *config, int16_t cell_mV, int32_t charging_mA) {
    uint8_t end = EDGEBAT_ANCHOR_NONE;
    if ((config->full_mV != 0) && (cell_mV >= config->full_mV) && (charging_mA > 0) &&
        (charging_mA <= config->cutoff_mA)) {
        end = EDGEBAT_ANCHOR_FULL;
    } else if ((config->empty_mV != 0) && (cell_mV <= config->empty_mV) && (charging_mA < 0) &&
               (-(int64_t)charging_mA <= (int64_t)config->nominal_mAh)) {
        end = EDGEBAT_ANCHOR_EMPTY;
    } else {
        /* in between */
    }
    return end;
}

void edgebat_bms_find_anchor(edgebat_t *battery, int16_t cell_mV, int32_t charging_mA, uint32_t dt_ms) {
    const uint8_t end = end_reached(battery->config, cell_mV, charging_mA);
    if ((end == EDGEBAT_ANCHOR_NONE) || (end != battery->candidate)) {
        battery->candidate = end;
        battery->hold_ms = 0U;
    } else if (dt_ms <= battery->config->max_gap_ms) {
        battery->hold_ms = (battery->hold_ms >= HOLD_MS) ? HOLD_MS : (battery->hold_ms + dt_ms);
    } else {
        battery->hold_ms = 0U;
    }
    if (battery->hold_ms >= HOLD_MS) {
        if ((end == EDGEBAT_ANCHOR_FULL) && (battery->anchor == EDGEBAT_ANCHOR_EMPTY) &&
            (battery->count > 0)) {
            take_capacity(battery, (uint64_t)battery->count);
        }
        if ((end == EDGEBAT_ANCHOR_EMPTY) && (battery->anchor == EDGEBAT_ANCHOR_FULL) &&
            (battery->count < 0)) {
            take_capacity(battery, (uint64_t)-battery->count);
        }
        battery->anchor = end;
        battery->count = 0;
        battery->anchor_ms = 0U;
    }
}

void edgebat_bms_count(edgebat_t *battery, int64_t part, uint32_t dt_ms) {
    if (part >= 0) {
        battery->throughput += (uint64_t)part;
        battery->discharged -= ((uint64_t)part < battery->discharged) ? (uint64_t)part : battery->discharged;
    } else {
        battery->throughput += (uint64_t)-part;
        battery->discharged += (uint64_t)-part;
    }
    if (battery->anchor != EDGEBAT_ANCHOR_NONE) {
        battery->count += part;
        battery->anchor_ms += dt_ms;
        /* Nothing holds twice its reference capacity: what was taken for an end was none, or a sensor drifts.
         */
        const int64_t limit = (int64_t)((uint64_t)battery->config->reference_mAh * (2U * EDGEBAT_PER_MAH));
        if ((battery->count > limit) || (battery->count < -limit) || (battery->anchor_ms > MOST_ANCHOR_MS)) {
            battery->anchor = EDGEBAT_ANCHOR_NONE;
        }
    }
}
