/*
 * edgebat_publish.c - what is published: all evidence together, within the slew limit, and what it is worth.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

#include <stddef.h>

#define MS_PER_H UINT32_C(3600000)

/* An estimate of half a year ago is stale however little the battery was used. */
#define STALE_S UINT32_C(15552000)

/* So many charges into the window in a row that gave nothing make it stale as well. */
#define MOST_FAILED 10U

/* The published SOH moves by so much at once, unless less is left, and every move is worth saving: what was
 * published before a loss of power is published after it. 0.01 %. */
#define MOVE_CPCT 10U

/* A deviation of the published SOH with which it is known, 0.01 %: a quarter of what a cell loses until it is worn out. */
#define KNOWN_SIGMA 500U

/* Steps without a sample, beside so many times the most that there ever were between two. */
#define IDLE_STEPS 1000U
#define IDLE_TIMES 32U

static uint8_t has_estimate(const edgebat_t *battery) {
    return (battery->evidence[EDGEBAT_BY_MODEL].cpct != EDGEBAT_UNKNOWN) ? 1U : 0U;
}

static uint16_t age_cycles(const edgebat_t *battery) {
    const uint32_t age = battery->cycle - battery->estimate_cycle;
    return (uint16_t)((has_estimate(battery) == 0U)
                          ? EDGEBAT_UNKNOWN
                          : ((age >= EDGEBAT_UNKNOWN) ? (EDGEBAT_UNKNOWN - 1U) : age));
}

static uint32_t age_s(const edgebat_t *battery) {
    return battery->clock_s - battery->estimate_s;
}

static uint8_t is_stale(const edgebat_t *battery) {
    return ((has_estimate(battery) != 0U) && ((age_cycles(battery) > battery->config->stale_cycles) ||
                                              (age_s(battery) > STALE_S) || (battery->failed >= MOST_FAILED)))
               ? 1U
               : 0U;
}

uint32_t edgebat_bms_pass_time(edgebat_t *battery) {
    const uint32_t dt_ms = battery->elapsed_ms;
    const uint32_t ms = battery->second_ms + (dt_ms % 1000U);
    const uint32_t seconds = (dt_ms / 1000U) + (ms / 1000U);
    const uint32_t before = battery->clock_s;
    battery->elapsed_ms = 0U;
    battery->second_ms = (uint16_t)(ms % 1000U);
    battery->clock_s = (seconds > UINT32_MAX - before) ? UINT32_MAX : (before + seconds);
    if ((battery->clock_s / EDGEBAT_S_PER_4H) != (before / EDGEBAT_S_PER_4H)) {
        battery->weigh |= EDGEBAT_WEIGH_AGE;
    }
    return dt_ms;
}

/* A move towards the target, once the slew limit allows one. */
static EDGEBAT_SELDOM void approach(edgebat_t *battery, uint32_t dt_ms) {
    const uint64_t ready = battery->slew + ((uint64_t)dt_ms * battery->config->slew_cpct_h);
    const uint64_t steps = edgebat_bms_quotient(ready, MS_PER_H);
    const uint32_t here = battery->published_cpct;
    const uint32_t target = battery->target_cpct;
    const uint32_t left = (here < target) ? (target - here) : (here - target);
    const uint32_t least = (left < MOVE_CPCT) ? left : MOVE_CPCT;
    if (steps < least) {
        battery->slew = (uint32_t)ready;
    } else {
        const uint32_t step = (steps < left) ? (uint32_t)steps : left;
        battery->published_cpct = (uint16_t)((here < target) ? (here + step) : (here - step));
        battery->slew = (uint32_t)(ready - (steps * MS_PER_H));
        battery->revision++;
    }
}

void edgebat_bms_settle(edgebat_t *battery, uint32_t dt_ms) {
    const uint8_t known = (battery->source != (uint8_t)EDGEBAT_SOURCE_NONE) ? 1U : 0U;
    const uint8_t measured = edgebat_bms_is_measured(battery);
    if ((known == 0U) || (battery->published_cpct == battery->target_cpct)) {
        battery->slew = 0U;
    } else if ((battery->published_cpct == EDGEBAT_UNKNOWN) || (battery->config->slew_cpct_h == 0U) ||
               ((measured != 0U) && (battery->settled == 0U))) {
        /* The first measured value takes the place of a guess at once. */
        battery->published_cpct = battery->target_cpct;
        battery->slew = 0U;
        battery->revision++;
    } else {
        approach(battery, dt_ms);
    }
    if (measured != 0U) {
        battery->settled = 1U;
    }
}

/* The deviation of the target, and how far the published value still is from it. */
static uint16_t deviation(const edgebat_t *battery) {
    uint32_t cpct = battery->target_sigma;
    if ((battery->source == (uint8_t)EDGEBAT_SOURCE_NONE) ||
        ((battery->source == (uint8_t)EDGEBAT_SOURCE_MODEL) &&
         (battery->model->sigma_cpct == EDGEBAT_UNKNOWN))) {
        cpct = EDGEBAT_UNKNOWN;
    }
    if (cpct != EDGEBAT_UNKNOWN) {
        const uint32_t here = battery->published_cpct;
        const uint32_t target = battery->target_cpct;
        cpct += (here > target) ? (here - target) : (target - here);
    }
    return (uint16_t)((cpct > EDGEBAT_UNKNOWN) ? EDGEBAT_UNKNOWN : cpct);
}

static uint8_t is_silent(const edgebat_t *battery) {
    const uint64_t most = IDLE_STEPS + ((uint64_t)battery->most_steps * IDLE_TIMES);
    return ((battery->hole_ms >= battery->config->invalid_ms) || (battery->idle_steps > most)) ? 1U : 0U;
}

/* Whether somebody else than the model knows the SOH well: then nothing depends on what the model lacks. */
static uint8_t is_known_without(const edgebat_t *battery, const edgebat_result_t *result) {
    return ((result->source != (uint8_t)EDGEBAT_SOURCE_MODEL) && (battery->conflict == 0U) &&
            (result->sigma_cpct <= KNOWN_SIGMA))
               ? 1U
               : 0U;
}

/* After the deviation. */
static edgebat_status_t status_of(const edgebat_t *battery, const edgebat_result_t *result) {
    edgebat_status_t status = EDGEBAT_STATUS_OK;
    if (battery->corrupt != 0U) {
        status = EDGEBAT_STATUS_MODEL_CORRUPT;
    } else if (is_silent(battery) != 0U) {
        status = EDGEBAT_STATUS_INPUT_INVALID;
    } else if (is_known_without(battery, result) != 0U) {
        /* whatever the model lacks */
    } else if (battery->outside != 0U) {
        status = EDGEBAT_STATUS_OUT_OF_DOMAIN;
    } else if (has_estimate(battery) == 0U) {
        status = EDGEBAT_STATUS_WARMUP;
    } else if (battery->conflict != 0U) {
        status = EDGEBAT_STATUS_CONFLICT;
    } else if (is_stale(battery) != 0U) {
        status = EDGEBAT_STATUS_STALE;
    } else {
        /* all is well */
    }
    return status;
}

/* What only the model can say, as long as it may. */
static void forecast(const edgebat_t *battery, edgebat_result_t *result) {
    const edgebat_model_t *const model = battery->model;
    const uint8_t speaks =
        ((has_estimate(battery) != 0U) && (battery->corrupt == 0U) && (is_stale(battery) == 0U)) ? 1U : 0U;
    const uint32_t missing = edgebat_bms_missing_rows(battery);
    /* Cycles to come count from the estimate; those since have passed. */
    const uint32_t age = result->age_cycles;
    result->warmup = (uint8_t)((speaks != 0U) ? 0U : ((missing > 255U) ? 255U : missing));
    result->rul_cycles = (speaks == 0U)
                             ? EDGEBAT_UNKNOWN
                             : (uint16_t)((age < battery->estimate_rul) ? (battery->estimate_rul - age) : 0U);
    result->points = (uint8_t)((speaks == 0U) ? 0U : model->points);
    for (uint32_t i = 0U; i < EDGEBAT_POINTS_MAX; i++) {
        result->points_cpct[i] = (i < result->points) ? battery->estimate_points[i] : EDGEBAT_UNKNOWN;
    }
}

/* A battery that may not be used: nobody shall find in a result what stood there before. */
static void know_nothing(edgebat_result_t *result) {
    uint8_t *const bytes = (uint8_t *)result;
    for (uint32_t i = 0U; i < sizeof(edgebat_result_t); i++) {
        bytes[i] = 0xFFU;
    }
    result->cycle = 0U;
    result->revision = 0U;
    result->throughput_mAh = 0U;
    result->efc_quarters = 0U;
    result->window_ppm = 0U;
    result->points = 0U;
    result->status = (uint8_t)EDGEBAT_STATUS_INPUT_INVALID;
    result->source = (uint8_t)EDGEBAT_SOURCE_NONE;
    result->charge = (uint8_t)EDGEBAT_CHARGE_NONE;
}

EDGEBAT_SELDOM int edgebat_result(const edgebat_t *battery, edgebat_result_t *result) {
    if ((battery == NULL) || (result == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        if (result != NULL) {
            know_nothing(result);
        }
        return EDGEBAT_ERR_NULL;
    }
    const uint8_t known = (battery->published_cpct != EDGEBAT_UNKNOWN) ? 1U : 0U;
    result->source = (known != 0U) ? battery->source : (uint8_t)EDGEBAT_SOURCE_NONE;
    result->charge = battery->charge_ended;
    result->soh_cpct = battery->published_cpct;
    result->sigma_cpct = (known != 0U) ? deviation(battery) : EDGEBAT_UNKNOWN;
    result->status = (uint8_t)status_of(battery, result);
    result->model_cpct = battery->evidence[EDGEBAT_BY_MODEL].cpct;
    result->counting_cpct = edgebat_bms_counting(battery);
    result->age_cycles = age_cycles(battery);
    result->age_s = (has_estimate(battery) != 0U) ? age_s(battery) : UINT32_MAX;
    result->cycle = battery->cycle;
    result->revision = battery->revision;
    result->throughput_mAh = edgebat_bms_throughput_mAh(battery);
    result->efc_quarters = battery->efc;
    result->window_ppm = battery->row_ppm;
    forecast(battery, result);
#if EDGEBAT_RESISTANCE
    edgebat_bms_tell_resistance(battery, result);
#endif
    return EDGEBAT_OK;
}
