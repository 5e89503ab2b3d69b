/*
 * edgebat_publish.c - what is published: model or counting, within the slew limit, and what it is
 * worth.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

#include <stddef.h>

#define MS_PER_H UINT32_C(3600000)

static uint16_t age_cycles(const edgebat_t *battery) {
    const uint32_t age = battery->cycle - battery->estimate_cycle;
    return (uint16_t)((battery->has_estimate == 0U)
                          ? EDGEBAT_UNKNOWN
                          : ((age >= EDGEBAT_UNKNOWN) ? (EDGEBAT_UNKNOWN - 1U) : age));
}

static int stale(const edgebat_t *battery) {
    return (battery->has_estimate != 0U) && (age_cycles(battery) > battery->config->stale_cycles);
}

/* SOH lost by `throughput` after the data sheet: eol after rated_cycles, each of two nominal capacities. */
static uint32_t faded(const edgebat_t *battery, uint64_t throughput) {
    const uint64_t one =
        (uint64_t)battery->config->nominal_mAh * (2U * EDGEBAT_PER_MAH) * battery->config->rated_cycles;
    const uint32_t all = EDGEBAT_HUNDRED_PERCENT - battery->model->eol_cpct;
    const uint64_t parts = throughput / (one / EDGEBAT_HUNDRED_PERCENT);
    const uint64_t lost =
        (parts > UINT32_MAX) ? EDGEBAT_HUNDRED_PERCENT : ((parts * all) / EDGEBAT_HUNDRED_PERCENT);
    return (uint32_t)((lost > EDGEBAT_HUNDRED_PERCENT) ? EDGEBAT_HUNDRED_PERCENT : lost);
}

static uint16_t counting(const edgebat_t *battery) {
    const uint8_t rated = (uint8_t)((battery->config->rated_cycles != 0U) ? 1U : 0U);
    uint32_t cpct = battery->counted_cpct;
    if ((cpct == EDGEBAT_UNKNOWN) && (rated != 0U)) {
        cpct = EDGEBAT_HUNDRED_PERCENT; /* a new cell, until its capacity was measured */
    }
    if ((cpct != EDGEBAT_UNKNOWN) && (rated != 0U)) {
        const uint32_t lost = faded(battery, battery->throughput - battery->counted_at);
        cpct = (lost < cpct) ? (cpct - lost) : 0U;
    }
    return (uint16_t)cpct;
}

static edgebat_source_t find_target(const edgebat_t *battery, uint16_t *target_cpct) {
    edgebat_source_t source = EDGEBAT_SOURCE_NONE;
    if ((battery->has_estimate != 0U) && (battery->corrupt == 0U) && (stale(battery) == 0)) {
        *target_cpct = battery->estimate_cpct;
        source = EDGEBAT_SOURCE_MODEL;
    } else {
        *target_cpct = counting(battery);
        if (battery->counted_cpct != EDGEBAT_UNKNOWN) {
            source = EDGEBAT_SOURCE_COUNTING;
        } else if (*target_cpct != EDGEBAT_UNKNOWN) {
            source = EDGEBAT_SOURCE_DATASHEET;
        } else {
            /* nobody knows */
        }
    }
    return source;
}

void edgebat_bms_settle(edgebat_t *battery) {
    const uint32_t dt_ms = battery->elapsed_ms;
    const uint32_t rate = battery->config->slew_cpct_h;
    battery->elapsed_ms = 0U;
    const uint64_t age_ms = (uint64_t)battery->age_ms + dt_ms;
    const uint32_t seconds = (uint32_t)(age_ms / 1000U);
    battery->age_ms = (uint16_t)(age_ms % 1000U);
    battery->age_s = (seconds > UINT32_MAX - battery->age_s) ? UINT32_MAX : (battery->age_s + seconds);

    uint16_t target = EDGEBAT_UNKNOWN;
    const edgebat_source_t source = find_target(battery, &target);
    const uint8_t measured =
        (uint8_t)(((source == EDGEBAT_SOURCE_MODEL) || (source == EDGEBAT_SOURCE_COUNTING)) ? 1U : 0U);
    if (source == EDGEBAT_SOURCE_NONE) {
        battery->slew = 0U;
    } else if ((battery->published_cpct == EDGEBAT_UNKNOWN) || (rate == 0U) ||
               (battery->published_cpct == target) || ((measured != 0U) && (battery->settled == 0U))) {
        /* The first measured value takes the place of a guess at once. */
        battery->published_cpct = target;
        battery->slew = 0U;
    } else {
        const uint64_t ready = battery->slew + ((uint64_t)dt_ms * rate);
        const uint64_t steps = ready / MS_PER_H;
        const uint32_t step = (steps > UINT16_MAX) ? UINT16_MAX : (uint32_t)steps;
        const uint32_t here = battery->published_cpct;
        battery->slew = (uint32_t)(ready % MS_PER_H);
        if (here < target) {
            battery->published_cpct = (uint16_t)((step < target - here) ? (here + step) : target);
        } else {
            battery->published_cpct = (uint16_t)((step < here - target) ? (here - step) : target);
        }
    }
    if (measured != 0U) {
        battery->settled = 1U;
    }
}

/* The deviation of the source, and how far the published value still is from what the source says. */
static uint16_t deviation(const edgebat_t *battery, edgebat_source_t source, uint16_t target) {
    uint32_t cpct = EDGEBAT_UNKNOWN;
    if (source == EDGEBAT_SOURCE_COUNTING) {
        cpct = battery->config->counting_cpct;
    } else if ((source == EDGEBAT_SOURCE_MODEL) && (battery->model->sigma_cpct != EDGEBAT_UNKNOWN)) {
        /* An old estimate is worse by what the cell may have lost since. */
        const uint32_t rated = battery->config->rated_cycles;
        const uint32_t lost = EDGEBAT_HUNDRED_PERCENT - battery->model->eol_cpct;
        cpct = battery->model->sigma_cpct + ((rated != 0U) ? ((age_cycles(battery) * lost) / rated) : 0U);
    } else {
        /* not known */
    }
    if (cpct != EDGEBAT_UNKNOWN) {
        const uint32_t here = battery->published_cpct;
        cpct += (here > target) ? (here - target) : (target - here);
    }
    return (uint16_t)((cpct > EDGEBAT_UNKNOWN) ? EDGEBAT_UNKNOWN : cpct);
}

static edgebat_status_t status_of(const edgebat_t *battery) {
    edgebat_status_t status = EDGEBAT_STATUS_OK;
    if (battery->corrupt != 0U) {
        status = EDGEBAT_STATUS_MODEL_CORRUPT;
    } else if (battery->hole_ms >= battery->config->invalid_ms) {
        status = EDGEBAT_STATUS_INPUT_INVALID;
    } else if (battery->outside != 0U) {
        status = EDGEBAT_STATUS_OUT_OF_DOMAIN;
    } else if (battery->has_estimate == 0U) {
        status = EDGEBAT_STATUS_WARMUP;
    } else if (stale(battery) != 0) {
        status = EDGEBAT_STATUS_STALE;
    } else {
        /* all is well */
    }
    return status;
}

int edgebat_result(const edgebat_t *battery, edgebat_result_t *result) {
    if ((battery == NULL) || (result == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const edgebat_model_t *const model = battery->model;
    uint16_t target = EDGEBAT_UNKNOWN;
    const edgebat_source_t source =
        (battery->published_cpct == EDGEBAT_UNKNOWN) ? EDGEBAT_SOURCE_NONE : find_target(battery, &target);
    const uint8_t speaks = (uint8_t)((source == EDGEBAT_SOURCE_MODEL) ? 1U : 0U);
    const int32_t missing = (int32_t)model->context - (int32_t)battery->rows;
    result->source = (uint8_t)source;
    result->status = (uint8_t)status_of(battery);
    result->charge = battery->charge_ended;
    result->soh_cpct = battery->published_cpct;
    result->sigma_cpct = deviation(battery, source, target);
    result->model_cpct = (battery->has_estimate != 0U) ? battery->estimate_cpct : EDGEBAT_UNKNOWN;
    result->counting_cpct = counting(battery);
    result->age_cycles = age_cycles(battery);
    result->age_s = (battery->has_estimate != 0U) ? battery->age_s : UINT32_MAX;
    result->cycle = battery->cycle;
    result->revision = battery->revision;
    result->warmup = (uint8_t)((speaks != 0U) ? 0 : ((missing > 255) ? 255 : missing));
    /* Cycles to come count from the estimate; those since have passed. */
    const uint32_t age = result->age_cycles;
    result->rul_cycles = (speaks == 0U)
                             ? EDGEBAT_UNKNOWN
                             : (uint16_t)((age < battery->estimate_rul) ? (battery->estimate_rul - age) : 0U);
    result->points = (uint8_t)((speaks == 0U) ? 0U : model->points);
    for (uint32_t i = 0U; i < EDGEBAT_POINTS_MAX; i++) {
        result->points_cpct[i] = (i < result->points) ? battery->estimate_points[i] : EDGEBAT_UNKNOWN;
    }
    return EDGEBAT_OK;
}
