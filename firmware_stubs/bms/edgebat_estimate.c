/*
 * edgebat_estimate.c - from charges to what the model says of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

#include <stddef.h>

int32_t *edgebat_bms_row(const edgebat_t *battery) {
    return (int32_t *)(void *)&battery->work[battery->model->scratch_bytes];
}

void *edgebat_bms_output(const edgebat_t *battery) {
    return &battery->work[battery->model->scratch_bytes + (4U * battery->model->increments)];
}

int8_t *edgebat_bms_window(const edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    return (int8_t *)&battery->work[EDGEBAT_WORK_BYTES(model->scratch_bytes, (uint32_t)model->increments,
                                                       (uint32_t)model->output_bytes, 0U)];
}

static uint16_t limited(int32_t value, int32_t most) {
    return (uint16_t)((value < 0) ? 0 : ((value > most) ? most : value));
}

/* Whether all of the newest row, and its temperature, is like the training data. */
static uint8_t is_known(const edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    const int32_t *const row = edgebat_bms_row(battery);
    uint8_t known = (battery->row_cold == 0U) ? 1U : 0U;
    for (uint32_t i = 0U; i < model->increments; i++) {
        if ((row[i] < model->low_ppm[i]) || (row[i] > model->high_ppm[i])) {
            known = 0U;
        }
    }
    return known;
}

/* The newest row joins the window, as the last one; an old one leaves. */
static void append_row(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    int8_t *const window = edgebat_bms_window(battery);
    const uint32_t width = model->increments;
    if (battery->cycle - battery->row_cycle > model->max_gap) {
        battery->rows = 0U;
    }
    if (battery->rows == model->context) {
        for (uint32_t i = width; i < width * model->context; i++) {
            window[i - width] = window[i];
        }
        battery->rows--;
    }
    model->quantize(edgebat_bms_row(battery), &window[battery->rows * width]);
    battery->rows++;
    battery->row_cycle = battery->cycle;
}

/* A finished charge: what the model does not know never reaches it. */
static void take_row(edgebat_t *battery) {
    battery->row_ready = 0U;
    battery->slice = 0U;
    battery->revision++;
    battery->outside = (uint8_t)((is_known(battery) == 0U) ? 1U : 0U);
    if (battery->outside == 0U) {
        append_row(battery);
        if ((battery->rows == battery->model->context) && (battery->corrupt == 0U)) {
            battery->slice = 1U;
        }
    }
}

static void take_over(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    const void *const output = edgebat_bms_output(battery);
    const int32_t most = (int32_t)EDGEBAT_UNKNOWN - 1;
    const int32_t soh = model->read(output, EDGEBAT_READ_SOH);
    if ((soh < EDGEBAT_LEAST_SOH) || (soh > EDGEBAT_MOST_SOH)) {
        battery->outside = 1U;
    } else {
        battery->has_estimate = 1U;
        battery->estimate_cpct = limited(soh, most);
        battery->estimate_rul = limited(model->read(output, EDGEBAT_READ_RUL), most);
        for (uint32_t i = 0U; i < model->points; i++) {
            battery->estimate_points[i] = limited(model->read(output, EDGEBAT_READ_POINTS + i), most);
        }
        battery->estimate_cycle = battery->row_cycle;
        battery->age_s = 0U;
        battery->age_ms = 0U;
        battery->elapsed_ms = 0U;
        battery->revision++;
    }
}

int edgebat_step(edgebat_t *battery) {
    if ((battery == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const edgebat_model_t *const model = battery->model;
    if (battery->row_ready != 0U) {
        /* A running inference is about an older window: it is given up. */
        take_row(battery);
    } else if (battery->slice != 0U) {
        const int code = model->run_slice((uint32_t)battery->slice - 1U, edgebat_bms_window(battery),
                                          edgebat_bms_output(battery), battery->work);
        if (code == EDGEBAT_IGNORED) {
            /* The model says after its last slice that it does not know windows like this one. */
            battery->slice = 0U;
            battery->outside = 1U;
        } else if (code != EDGEBAT_OK) {
            battery->slice = 0U;
            return code;
        } else {
            battery->slice++;
            if (battery->slice > model->slices) {
                battery->slice = 0U;
                take_over(battery);
            }
        }
    } else {
        /* nothing to do */
    }
    edgebat_bms_settle(battery);
    return (battery->slice != 0U) ? EDGEBAT_BUSY : EDGEBAT_OK;
}

int edgebat_selftest(edgebat_t *battery) {
    if ((battery == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    int code = EDGEBAT_IGNORED;
    if (battery->model->selftest != NULL) {
        /* It overwrites the memory of a running inference, which begins again. */
        if (battery->slice != 0U) {
            battery->slice = 1U;
        }
        code = battery->model->selftest(edgebat_bms_output(battery), battery->work);
        battery->corrupt = (uint8_t)((code == EDGEBAT_OK) ? 0U : 1U);
        battery->slice = (code == EDGEBAT_OK) ? battery->slice : 0U;
    }
    return code;
}
