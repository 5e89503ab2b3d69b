/*
 * edgebat_forecast_history.c - one SOH per cycle, out of what an estimator says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"
#include "edgebat_forecast_bms.h"

#include <stddef.h>

uint16_t *edgebat_forecast_history(const edgebat_forecast_t *forecast) {
    const edgebat_forecast_model_t *const model = forecast->model;
    return (uint16_t *)(void *)&forecast->work[EDGEBAT_FORECAST_WORK_BYTES(
        model->scratch_bytes, (uint32_t)model->columns, (uint32_t)model->output_bytes, 0U)];
}

uint8_t edgebat_forecast_is_soh(int32_t cpct) {
    return ((cpct >= EDGEBAT_LEAST_SOH) && (cpct <= EDGEBAT_MOST_SOH)) ? 1U : 0U;
}

/* One more cycle, as the newest one; the oldest one leaves. */
static void append(edgebat_forecast_t *forecast, uint16_t cpct) {
    uint16_t *const history = edgebat_forecast_history(forecast);
    if (forecast->covered == forecast->model->cycles) {
        for (uint32_t i = 1U; i < forecast->covered; i++) {
            history[i - 1U] = history[i];
        }
        forecast->covered--;
    }
    history[forecast->covered] = cpct;
    forecast->covered++;
}

static void forget(edgebat_forecast_t *forecast) {
    forecast->covered = 0U;
    forecast->newest = 0U;
    forecast->slice = 0U;
    forecast->known = 0U;
    forecast->outside = 0U;
}

void edgebat_forecast_renew(edgebat_forecast_t *forecast) {
    /* A running inference is about an older history: it is given up. */
    const int ready = (forecast->covered >= forecast->model->least_cycles) && (forecast->corrupt == 0U);
    forecast->slice = (uint16_t)((ready != 0) ? 1U : 0U);
}

/* The SOH of `cycle`, and of the cycles since the newest one on a straight line. */
static void extend(edgebat_forecast_t *forecast, uint32_t cycle, uint16_t cpct) {
    if ((forecast->covered != 0U) && (cycle - forecast->newest > forecast->model->max_gap)) {
        forget(forecast);
    }
    if (forecast->covered != 0U) {
        const uint32_t from = edgebat_forecast_history(forecast)[forecast->covered - 1U];
        const uint32_t gap = cycle - forecast->newest;
        for (uint32_t i = 1U; i < gap; i++) {
            append(forecast, (uint16_t)(((from * (gap - i)) + (cpct * i) + (gap / 2U)) / gap));
        }
    }
    append(forecast, cpct);
    forecast->newest = cycle;
    forecast->revision++;
    edgebat_forecast_renew(forecast);
}

int edgebat_forecast_push(edgebat_forecast_t *forecast, const edgebat_result_t *health) {
    if ((forecast == NULL) || (health == NULL) || (forecast->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    int code = EDGEBAT_IGNORED;
    if ((forecast->covered != 0U) && (health->cycle < forecast->newest)) {
        forget(forecast);
        forecast->revision++;
    }
    forecast->now = health->cycle;
    if ((edgebat_forecast_is_soh((int32_t)health->model_cpct) != 0U) &&
        (health->status != (uint8_t)EDGEBAT_STATUS_MODEL_CORRUPT) && (health->age_cycles < health->cycle)) {
        const uint32_t cycle = health->cycle - health->age_cycles;
        if ((forecast->covered == 0U) || (cycle > forecast->newest)) {
            extend(forecast, cycle, health->model_cpct);
            code = EDGEBAT_OK;
        }
    }
    return code;
}
