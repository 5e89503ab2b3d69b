/*
 * edgebat_counting.c - the capacity that ampere-hours tell between full and empty.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

/* One sample may be a pulse: so long the cell must stay full or empty. */
#define HOLD_MS UINT32_C(10000)

/* A cold cell gives less than it holds, a hot one ages while it is measured. */
#define COUNTED_FROM_DDEGC 100
#define COUNTED_TO_DDEGC 500

/* A cell that is empty under load is not: so much more is the deviation at the one-hour current, 0.01 %. */
#define BY_RATE UINT32_C(800)

#define MOST_COUNT_SIGMA UINT32_C(3000)

/* A full cell's voltage may relax by so much once the charger has stopped. */
#define RELAXED_MV 50

/* A twentieth of nominal capacity, in steps of edgebat_bms_use: then what was used is worth saving. */
#define USE_PART 186U

static uint64_t magnitude(int64_t value) {
    return (value < 0) ? (0U - (uint64_t)value) : (uint64_t)value;
}

void edgebat_bms_set_anchor(edgebat_t *battery, uint8_t anchor) {
    battery->anchor = anchor;
    battery->count = 0;
    battery->anchor_ms = 0U;
    battery->cold_ms = 0U;
}

int64_t edgebat_bms_most_charge(const edgebat_t *battery) {
    return (int64_t)battery->config->reference_mAh * (int64_t)(2U * EDGEBAT_PER_MAH);
}

uint32_t edgebat_bms_in_cpct(const edgebat_t *battery, int64_t charge) {
    const uint64_t whole = (uint64_t)battery->config->reference_mAh * EDGEBAT_PER_MAH;
    const uint64_t part = magnitude(charge);
    return (part > (2U * whole)) ? UINT16_MAX
                                 : (uint32_t)edgebat_bms_quotient(part * EDGEBAT_HUNDRED_PERCENT, whole);
}

uint8_t edgebat_bms_is_soh(uint32_t cpct) {
    return ((cpct >= (uint32_t)EDGEBAT_LEAST_SOH) && (cpct <= (uint32_t)EDGEBAT_MOST_SOH)) ? 1U : 0U;
}

static EDGEBAT_SELDOM void take_capacity(edgebat_t *battery, int32_t empty_mA) {
    const edgebat_config_t *const config = battery->config;
    const uint32_t cpct = edgebat_bms_in_cpct(battery, battery->count);
    const uint8_t cold = (((uint64_t)battery->cold_ms * 8U) > battery->anchor_ms) ? 1U : 0U;
    /* What lies outside is a mistaken anchor, not a capacity. */
    if ((cold == 0U) && (edgebat_bms_is_soh(cpct) != 0U)) {
        const uint32_t by_rate =
            (uint32_t)edgebat_bms_quotient(magnitude(empty_mA) * BY_RATE, config->nominal_mAh);
        const uint32_t sigma = config->counting_cpct + by_rate + (battery->anchor_ms / EDGEBAT_MS_PER_CPCT);
        edgebat_bms_learn(battery, EDGEBAT_BY_COUNTING, (uint16_t)cpct,
                          (sigma > MOST_COUNT_SIGMA) ? MOST_COUNT_SIGMA : sigma);
        battery->revision++;
    }
}

/* Whether the charger has come down to twice the cutoff at full_mV, and nothing has changed since. */
static void follow_taper(edgebat_t *battery, int16_t cell_mV, int32_t charging_mA) {
    const edgebat_config_t *const config = battery->config;
    const int32_t twice_mA = 2 * config->cutoff_mA;
    if ((charging_mA > 0) && (charging_mA <= twice_mA) && (cell_mV >= config->full_mV)) {
        battery->taper = 1U;
    } else if ((charging_mA > twice_mA) || ((int32_t)cell_mV < (int32_t)config->full_mV - RELAXED_MV) ||
               (((int64_t)charging_mA * EDGEBAT_REST_PART) < -(int64_t)config->nominal_mAh)) {
        battery->taper = 0U;
    } else {
        /* the charger has stopped */
    }
}

static uint8_t end_reached(const edgebat_t *battery, int16_t cell_mV, int32_t charging_mA) {
    const edgebat_config_t *const config = battery->config;
    uint8_t end = EDGEBAT_ANCHOR_NONE;
    if ((config->full_mV != 0) && (battery->taper != 0U) && (charging_mA <= config->cutoff_mA)) {
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
    follow_taper(battery, cell_mV, charging_mA);
    const uint8_t end = end_reached(battery, cell_mV, charging_mA);
    if ((end == EDGEBAT_ANCHOR_NONE) || (end != battery->candidate)) {
        battery->candidate = end;
        battery->hold_ms = 0U;
    } else if (dt_ms <= battery->config->max_gap_ms) {
        const uint32_t hold_ms = battery->hold_ms + dt_ms;
        battery->hold_ms = (uint16_t)((hold_ms > HOLD_MS) ? HOLD_MS : hold_ms);
    } else {
        battery->hold_ms = 0U;
    }
    if (battery->hold_ms >= HOLD_MS) {
        if ((end == EDGEBAT_ANCHOR_FULL) && (battery->anchor == EDGEBAT_ANCHOR_EMPTY) &&
            (battery->count > 0)) {
            take_capacity(battery, battery->anchor_mA);
        }
        if ((end == EDGEBAT_ANCHOR_EMPTY) && (battery->anchor == EDGEBAT_ANCHOR_FULL) &&
            (battery->count < 0)) {
            take_capacity(battery, charging_mA);
        }
        edgebat_bms_set_anchor(battery, end);
        battery->anchor_mA = charging_mA;
    }
}

uint8_t edgebat_bms_is_cold(const edgebat_t *battery) {
    return ((battery->last_ddegC != INT16_MIN) &&
            ((battery->last_ddegC < COUNTED_FROM_DDEGC) || (battery->last_ddegC > COUNTED_TO_DDEGC)))
               ? 1U
               : 0U;
}

void edgebat_bms_count_anchor(edgebat_t *battery, int64_t part, uint32_t dt_ms) {
    if (battery->anchor != EDGEBAT_ANCHOR_NONE) {
        const int64_t most = edgebat_bms_most_charge(battery);
        battery->count = edgebat_bms_sum(battery->count, part);
        battery->anchor_ms += dt_ms;
        battery->cold_ms += (edgebat_bms_is_cold(battery) != 0U) ? dt_ms : 0U;
        /* What was taken for an end was none, or a sensor drifts. */
        if ((battery->count > most) || (battery->count < -most) || (battery->anchor_ms > EDGEBAT_ANCHOR_MS)) {
            edgebat_bms_set_anchor(battery, EDGEBAT_ANCHOR_NONE);
        }
    }
}

uint8_t edgebat_bms_is_parked(const edgebat_t *battery) {
    const uint8_t counts =
        ((battery->anchor != EDGEBAT_ANCHOR_NONE) || (battery->ocv_cpct != EDGEBAT_UNKNOWN)) ? 1U : 0U;
    return (battery->rest_ms != 0U) ? counts : 0U;
}

void edgebat_bms_forget_counts(edgebat_t *battery) {
    edgebat_bms_set_anchor(battery, EDGEBAT_ANCHOR_NONE);
    battery->ocv_cpct = EDGEBAT_UNKNOWN;
    battery->evidence[EDGEBAT_BY_COUNTING].cpct = EDGEBAT_UNKNOWN;
    battery->evidence[EDGEBAT_BY_REST].cpct = EDGEBAT_UNKNOWN;
    battery->weigh |= EDGEBAT_WEIGH_NEW;
}

void edgebat_bms_park(edgebat_t *battery, uint8_t resting, uint32_t dt_ms) {
    const uint32_t before_ms = battery->rest_ms;
    if (resting == 0U) {
        if ((battery->parked != 0U) || (before_ms > EDGEBAT_PARKED_MS)) {
            /* A state that was saved at rest must not outlive the drive that begins. */
            battery->parked = 0U;
            battery->revision++;
        }
        battery->rest_ms = 0U;
    } else {
        if (before_ms < EDGEBAT_PARKED_MS) {
            const uint32_t rest_ms =
                (dt_ms >= EDGEBAT_PARKED_MS - before_ms) ? EDGEBAT_PARKED_MS : (before_ms + dt_ms);
            battery->rest_ms = (uint16_t)((rest_ms == 0U) ? 1U : rest_ms);
        }
        const uint16_t use = edgebat_bms_use(battery);
        const uint16_t used = (uint16_t)(use - battery->kept_use);
        if ((battery->rest_ms >= EDGEBAT_PARKED_MS) && (battery->parked == 0U) &&
            (used > (battery->config->nominal_mAh / USE_PART))) {
            battery->kept_use = use;
            battery->parked = edgebat_bms_is_parked(battery);
            battery->revision++;
        }
    }
}
