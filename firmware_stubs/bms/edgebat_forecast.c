/*
 * edgebat_forecast.c - from a history of SOH to what a model says will come of it.
 *
 * edgebat/bms/forecaster.py is this and edgebat_forecast_history.c in Python, in the same integers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"
#include "edgebat_forecast_bms.h"

#include <stddef.h>

#define PPM_PER_CPCT 100

/*** Parts of the working memory: scratch, a row in ppm, outputs, history, window ***/

static int32_t *forecast_row(const edgebat_forecast_t *forecast) {
    return (int32_t *)(void *)&forecast->work[forecast->model->scratch_bytes];
}

static void *forecast_output(const edgebat_forecast_t *forecast) {
    return &forecast->work[forecast->model->scratch_bytes + (4U * forecast->model->columns)];
}

static int8_t *forecast_window(const edgebat_forecast_t *forecast) {
    return (int8_t *)(void *)&edgebat_forecast_history(forecast)[forecast->model->cycles];
}

/* SOH of the last cycle that was measured, ppm; without one the model is not asked. */
static int32_t newest_ppm(const edgebat_forecast_t *forecast) {
    const uint32_t covered = forecast->covered;
    return (covered == 0U) ? 0 : ((int32_t)edgebat_forecast_history(forecast)[covered - 1U] * PPM_PER_CPCT);
}

/* The history as the model's input; false when the model knows nothing like it. */
static uint8_t make_window(const edgebat_forecast_t *forecast) {
    const edgebat_forecast_model_t *const model = forecast->model;
    const uint16_t *const history = edgebat_forecast_history(forecast);
    const uint32_t lacking = (uint32_t)model->cycles - forecast->covered;
    const int32_t last = newest_ppm(forecast);
    int32_t *const row = forecast_row(forecast);
    int8_t *const window = forecast_window(forecast);
    uint8_t known = 1U;
    for (uint32_t start = 0U; start < model->cycles; start += model->columns) {
        for (uint32_t i = 0U; i < model->columns; i++) {
            /* Before its first value the history is flat. */
            const uint32_t at = ((start + i) < lacking) ? 0U : ((start + i) - lacking);
            row[i] = (int32_t)history[at] * PPM_PER_CPCT;
            if (((row[i] - last) < model->low_ppm[i]) || ((row[i] - last) > model->high_ppm[i])) {
                known = 0U;
            }
        }
        model->quantize(row, last, &window[start]);
    }
    return known;
}

/* Whole cycles ahead of the first value below the end of life, on straight lines from the level now through the
 * points; EDGEBAT_UNKNOWN when it lies beyond the horizon. */
static uint16_t cycles_to_eol(const edgebat_forecast_t *forecast, uint16_t level) {
    const edgebat_forecast_model_t *const model = forecast->model;
    const int32_t horizon = model->horizon;
    const int32_t points = model->points;
    int32_t from = (int32_t)level - (int32_t)model->eol_cpct;
    uint16_t found = EDGEBAT_UNKNOWN;
    int32_t ahead = 1;
    for (int32_t i = 0; (i < points) && (found == EDGEBAT_UNKNOWN); i++) {
        const int32_t to = (int32_t)forecast->points[i] - (int32_t)model->eol_cpct;
        const int32_t last = ((i + 1) * horizon) / points;
        while ((ahead <= last) && (found == EDGEBAT_UNKNOWN)) {
            /* Cycle `ahead` lies share / horizon of the way from one point to the next. */
            const int32_t share = (ahead * points) - (i * horizon);
            if ((((int64_t)from * horizon) + ((int64_t)(to - from) * share)) < 0) {
                found = (uint16_t)ahead;
            }
            ahead++;
        }
        from = to;
    }
    return found;
}

static void take_forecast(edgebat_forecast_t *forecast) {
    const edgebat_forecast_model_t *const model = forecast->model;
    const void *const output = forecast_output(forecast);
    const int32_t last = newest_ppm(forecast);
    const int32_t level = model->read(output, last, EDGEBAT_FORECAST_READ_LEVEL);
    uint8_t sound = edgebat_forecast_is_soh(level);
    for (uint32_t i = 0U; i < model->points; i++) {
        sound = (uint8_t)(sound & edgebat_forecast_is_soh(
                                      model->read(output, last, EDGEBAT_FORECAST_READ_POINTS + i)));
    }
    forecast->outside = (uint8_t)((sound == 0U) ? 1U : 0U);
    if (sound != 0U) {
        for (uint32_t i = 0U; i < model->points; i++) {
            forecast->points[i] = (uint16_t)model->read(output, last, EDGEBAT_FORECAST_READ_POINTS + i);
        }
        forecast->eol = cycles_to_eol(forecast, (uint16_t)level);
        forecast->begin = forecast->newest;
        forecast->known = 1U;
    }
}

int edgebat_forecast_step(edgebat_forecast_t *forecast) {
    if ((forecast == NULL) || (forecast->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const edgebat_forecast_model_t *const model = forecast->model;
    if (forecast->slice == 1U) {
        forecast->outside = (uint8_t)((make_window(forecast) == 0U) ? 1U : 0U);
        forecast->slice = (uint16_t)((forecast->outside != 0U) ? 0U : 2U);
    } else if (forecast->slice != 0U) {
        const int code = model->run_slice((uint32_t)forecast->slice - 2U, forecast_window(forecast),
                                          forecast_output(forecast), forecast->work);
        if (code != EDGEBAT_OK) {
            forecast->slice = 0U;
            return code;
        }
        forecast->slice++;
        if (forecast->slice > model->slices + 1U) {
            forecast->slice = 0U;
            take_forecast(forecast);
        }
    } else {
        /* nothing to do */
    }
    return (forecast->slice != 0U) ? EDGEBAT_BUSY : EDGEBAT_OK;
}

int edgebat_forecast_selftest(edgebat_forecast_t *forecast) {
    if ((forecast == NULL) || (forecast->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    int code = EDGEBAT_IGNORED;
    if (forecast->model->selftest != NULL) {
        code = forecast->model->selftest(forecast_output(forecast), forecast->work);
        forecast->corrupt = (uint8_t)((code == EDGEBAT_OK) ? 0U : 1U);
        /* It overwrites the memory of a running inference, which begins again. */
        if ((forecast->slice != 0U) || (code != EDGEBAT_OK)) {
            edgebat_forecast_renew(forecast);
        }
    }
    return code;
}

/*** Result ***/

static uint32_t forecast_age(const edgebat_forecast_t *forecast) {
    const uint32_t age = forecast->now - forecast->begin;
    return (forecast->known == 0U) ? EDGEBAT_UNKNOWN
                                   : ((age >= EDGEBAT_UNKNOWN) ? (EDGEBAT_UNKNOWN - 1U) : age);
}

static edgebat_status_t forecast_status(const edgebat_forecast_t *forecast) {
    edgebat_status_t status = EDGEBAT_STATUS_OK;
    if (forecast->corrupt != 0U) {
        status = EDGEBAT_STATUS_MODEL_CORRUPT;
    } else if ((forecast->known != 0U) && (forecast_age(forecast) > forecast->model->max_gap)) {
        status = EDGEBAT_STATUS_STALE;
    } else if (forecast->outside != 0U) {
        status = EDGEBAT_STATUS_OUT_OF_DOMAIN;
    } else if (forecast->known == 0U) {
        status = EDGEBAT_STATUS_WARMUP;
    } else {
        /* all is well */
    }
    return status;
}

int edgebat_forecast_result(const edgebat_forecast_t *forecast, edgebat_forecast_result_t *result) {
    if ((forecast == NULL) || (result == NULL) || (forecast->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const edgebat_forecast_model_t *const model = forecast->model;
    const edgebat_status_t status = forecast_status(forecast);
    const uint32_t age = forecast_age(forecast);
    const uint8_t speaks = (uint8_t)(((forecast->known != 0U) && (status != EDGEBAT_STATUS_MODEL_CORRUPT) &&
                                      (status != EDGEBAT_STATUS_STALE))
                                         ? 1U
                                         : 0U);
    result->status = (uint8_t)status;
    result->points = (uint8_t)((speaks != 0U) ? model->points : 0U);
    for (uint32_t i = 0U; i < EDGEBAT_POINTS_MAX; i++) {
        result->points_cpct[i] = (i < result->points) ? forecast->points[i] : EDGEBAT_UNKNOWN;
    }
    /* Cycles to come count from the forecast's first one; those since have passed. */
    const uint32_t left = (age < forecast->eol) ? (forecast->eol - age) : 0U;
    result->eol_cycles =
        (uint16_t)(((speaks != 0U) && (forecast->eol != EDGEBAT_UNKNOWN)) ? left : EDGEBAT_UNKNOWN);
    result->horizon = model->horizon;
    result->age_cycles = (uint16_t)age;
    result->cycle = (forecast->known != 0U) ? forecast->begin : 0U;
    result->soh_cpct = (forecast->covered != 0U) ? edgebat_forecast_history(forecast)[forecast->covered - 1U]
                                                 : EDGEBAT_UNKNOWN;
    result->covered = forecast->covered;
    const uint32_t least = model->least_cycles;
    result->missing = (uint16_t)((forecast->covered < least) ? (least - forecast->covered) : 0U);
    result->revision = forecast->revision;
    return EDGEBAT_OK;
}
