/*
 * edgebat_push.c - one sample: what of it is believed, and who is interested in it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_ocv.h"

#include "edgebat_bms.h"

#include <stddef.h>

/* What no cell is, is a broken sensor. */
#define LEAST_DDEGC (-600)
#define MOST_DDEGC 1200

/* In a longer step nobody has seen when current began or ended. */
#define SEEN_MS 5000U

/* More than an offset makes in the time of the longest count, 0.01 %. */
#define MOST_UNSEEN (EDGEBAT_ANCHOR_MS / EDGEBAT_MS_PER_CPCT)

static int plausible(const edgebat_config_t *config, const edgebat_sample_t *sample) {
    return ((sample->valid & EDGEBAT_VALID_VOLTAGE) != 0U) &&
           ((sample->valid & EDGEBAT_VALID_CURRENT) != 0U) && (sample->cell_mV >= config->min_mV) &&
           (sample->cell_mV <= config->max_mV) && (sample->current_mA >= -config->max_current_mA) &&
           (sample->current_mA <= config->max_current_mA);
}

uint8_t edgebat_bms_has_temperature(const edgebat_sample_t *sample) {
    return (((sample->valid & EDGEBAT_VALID_TEMPERATURE) != 0U) &&
            (sample->temperature_ddegC >= LEAST_DDEGC) && (sample->temperature_ddegC <= MOST_DDEGC))
               ? 1U
               : 0U;
}

/* A hole in the samples ends what was measured; a count goes on over one in which the cell slept. */
static EDGEBAT_SELDOM void bridge(edgebat_t *battery, int16_t cell_mV, uint8_t resting) {
    const int32_t moved_mV = (int32_t)cell_mV - battery->last_mV;
    const int32_t most_mV = battery->config->max_drop_mV;
    edgebat_bms_end_charge(battery, EDGEBAT_CHARGE_GAP);
    battery->unseen = 1U;
    if ((battery->rest_ms == 0U) || (resting == 0U) || (moved_mV > most_mV) || (moved_mV < -most_mV)) {
        edgebat_bms_set_anchor(battery, EDGEBAT_ANCHOR_NONE);
        battery->ocv_cpct = EDGEBAT_UNKNOWN;
    }
}

/* The charge of a step is the mean of two currents, times its length; where one of them is none, it may be nothing
 * or twice as much. The time in which an offset of the sensor would make as much is added to that of a count. */
static EDGEBAT_SELDOM uint32_t unseen_ms(const edgebat_t *battery, int64_t part) {
    const uint32_t cpct = edgebat_bms_in_cpct(battery, part);
    return ((cpct < MOST_UNSEEN) ? cpct : MOST_UNSEEN) * EDGEBAT_MS_PER_CPCT;
}

static void take_sample(edgebat_t *battery, const edgebat_sample_t *sample) {
    const edgebat_config_t *const config = battery->config;
    const int32_t charging_mA =
        (config->sign == (uint8_t)EDGEBAT_DISCHARGE_POSITIVE) ? -sample->current_mA : sample->current_mA;
    const uint32_t magnitude_mA = (uint32_t)((charging_mA < 0) ? -charging_mA : charging_mA);
    const uint8_t resting = ((magnitude_mA * EDGEBAT_REST_PART) <= config->nominal_mAh) ? 1U : 0U;
    const uint32_t dt_ms = battery->hole_ms;
    uint32_t counted_ms = 0U;
    int64_t part = 0;
    battery->hole_ms = 0U;
    if (edgebat_bms_has_temperature(sample) != 0U) {
        battery->last_ddegC = sample->temperature_ddegC;
    }
    if ((battery->sampled == 0U) || (dt_ms > config->max_gap_ms)) {
        bridge(battery, sample->cell_mV, resting);
    } else {
        part = ((int64_t)battery->last_mA + charging_mA) * (int64_t)dt_ms;
        counted_ms = dt_ms;
        if ((dt_ms > SEEN_MS) && ((battery->rest_ms != 0U) != (resting != 0U))) {
            counted_ms += unseen_ms(battery, part);
        }
        edgebat_bms_count(battery, part, counted_ms);
#if EDGEBAT_RESISTANCE
        edgebat_bms_follow_resistance(battery, sample, charging_mA, dt_ms);
#endif
    }
    if ((charging_mA <= 0) || (resting != 0U)) {
        edgebat_bms_end_charge(battery, EDGEBAT_CHARGE_INTERRUPTED);
    } else if (battery->phase == EDGEBAT_PHASE_NONE) {
        edgebat_bms_begin_charge(battery, sample->cell_mV);
    } else {
        edgebat_bms_follow_charge(battery, sample, charging_mA, part, dt_ms);
    }
    edgebat_bms_find_anchor(battery, sample->cell_mV, charging_mA, dt_ms);
    battery->last_mA = charging_mA;
    if (battery->ocv != NULL) {
        battery->ocv->follow(battery, sample->cell_mV, part, counted_ms);
    }
    edgebat_bms_park(battery, resting, dt_ms);
    battery->last_mV = sample->cell_mV;
    battery->sampled = 1U;
}

/* Time goes on, with a sample or without. */
static EDGEBAT_SELDOM void pass(edgebat_t *battery, uint32_t dt_ms, uint32_t most_ms) {
    const uint32_t before_ms = battery->hole_ms;
    const uint32_t passed_ms = (dt_ms > most_ms) ? most_ms : dt_ms;
    battery->hole_ms = (dt_ms > UINT32_MAX - before_ms) ? UINT32_MAX : (before_ms + dt_ms);
    battery->elapsed_ms =
        (passed_ms > UINT32_MAX - battery->elapsed_ms) ? UINT32_MAX : (battery->elapsed_ms + passed_ms);
    battery->rested_ms =
        (passed_ms > UINT32_MAX - battery->rested_ms) ? UINT32_MAX : (battery->rested_ms + passed_ms);
}

EDGEBAT_SELDOM int edgebat_idle(edgebat_t *battery, uint32_t elapsed_ms) {
    if ((battery == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    pass(battery, elapsed_ms, UINT32_MAX);
    return EDGEBAT_OK;
}

EDGEBAT_SELDOM int edgebat_push(edgebat_t *battery, const edgebat_sample_t *sample) {
    if ((battery == NULL) || (sample == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    /* A huge step is a clock that jumped, not time that passed. */
    pass(battery, sample->dt_ms, battery->config->max_gap_ms);
    battery->most_steps =
        (battery->idle_steps > battery->most_steps) ? battery->idle_steps : battery->most_steps;
    battery->idle_steps = 0U;
    if (plausible(battery->config, sample) == 0) {
        return EDGEBAT_IGNORED;
    }
    take_sample(battery, sample);
    return EDGEBAT_OK;
}
