/*
 * edgebat_estimate.c - from charges to what the model says of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

#include <stddef.h>

/* Every third charge in a row that is unlike the training data says what the cell is, to 10 %: the healthiest of the three. */
#define ODD_ROWS 3U
#define WINDOW_SIGMA 1000U

/* From one charge to the next, times what the training data had: in equivalent full cycles, because a cell
 * ages by what flows. A window that reaches back so far is worth less, see edgebat_bms_learn_model. */
#define GAPS 10U

int32_t *edgebat_bms_row(const edgebat_t *battery) {
    return (int32_t *)(void *)&battery->work[battery->model->scratch_bytes];
}

void *edgebat_bms_output(const edgebat_t *battery) {
    return &battery->work[battery->model->scratch_bytes + (4U * battery->model->columns)];
}

/* Of any window the cycles of the rows stand before it. */
int8_t *edgebat_bms_window(const edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    return (int8_t *)&battery->work[EDGEBAT_WORK_BYTES(model->scratch_bytes, (uint32_t)model->columns,
                                                       (uint32_t)model->output_bytes, 0U) +
                                    edgebat_bms_cycle_bytes(model)];
}

/* Whether all of the newest row, and its temperature, is like the training data. */
static uint8_t is_known(const edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    const int32_t *const row = edgebat_bms_row(battery);
    uint8_t known = (battery->row_cold == 0U) ? 1U : 0U;
    for (uint32_t i = 0U; i < model->columns; i++) {
        if ((row[i] < model->low_ppm[i]) || (row[i] > model->high_ppm[i])) {
            known = 0U;
        }
    }
    return known;
}

static uint32_t sum_of_row(const edgebat_t *battery) {
    const int32_t *const row = edgebat_bms_row(battery);
    uint32_t sum = 0U;
    for (uint32_t i = 0U; i < battery->model->increments; i++) {
        const uint32_t more = (uint32_t)row[i];
        sum = (more > UINT32_MAX - sum) ? UINT32_MAX : (sum + more);
    }
    return sum;
}

/* How far the window reaches back, about: each row that leaves takes an equal part of it along. A gap so long
 * that the rows before it are of another cell, in practice, begins it anew. */
static void follow_gap(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    const uint32_t gap = (uint32_t)battery->efc - battery->row_efc;
    if (gap > (4U * GAPS * (uint32_t)model->max_gap)) {
        battery->rows = 0U;
    }
    if (battery->rows == 0U) {
        battery->span = 0U;
    } else {
        const uint32_t left =
            (battery->rows == model->context) ? (battery->span / (uint32_t)model->context) : 0U;
        const uint32_t span = (battery->span - left) + gap;
        battery->span = (uint16_t)((span > UINT16_MAX) ? UINT16_MAX : span);
    }
}

/* The newest row joins the window, as the last one; an old one leaves. */
static void append_row(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    int8_t *const window = edgebat_bms_window(battery);
    const uint32_t width = model->columns;
    follow_gap(battery);
    if (battery->rows == model->context) {
        for (uint32_t i = width; i < width * model->context; i++) {
            window[i - width] = window[i];
        }
        battery->rows--;
    }
    model->quantize(edgebat_bms_row(battery), &window[battery->rows * width]);
    battery->rows++;
    battery->row_cycle = battery->cycle;
    battery->row_efc = battery->efc;
}

/* A window that takes less than at the last estimate belongs to a cell that holds less by as much; one that
 * takes more to none that is healthier. */
static void learn_odd(edgebat_t *battery) {
    const uint32_t before = battery->evidence[EDGEBAT_BY_MODEL].cpct;
    const uint32_t most = (battery->ceiling_cpct < before) ? battery->ceiling_cpct : before;
    battery->odd_rows =
        (uint8_t)((battery->odd_rows < UINT8_MAX) ? (battery->odd_rows + 1U) : ((UINT8_MAX - ODD_ROWS) + 1U));
    const uint32_t of_three = battery->odd_rows % ODD_ROWS;
    battery->weigh |= EDGEBAT_WEIGH_AGE;
    if ((before != EDGEBAT_UNKNOWN) && (battery->window_ppm != 0U)) {
        const uint64_t in_proportion =
            edgebat_bms_quotient((uint64_t)before * battery->row_ppm, battery->window_ppm);
        const uint16_t like = (uint16_t)((in_proportion < most) ? in_proportion : most);
        battery->odd_cpct = ((of_three == 1U) || (like > battery->odd_cpct)) ? like : battery->odd_cpct;
        if (of_three == 0U) {
            edgebat_bms_learn(battery, EDGEBAT_BY_WINDOW, battery->odd_cpct, WINDOW_SIGMA);
        }
    }
}

/* A finished charge: what the model does not know never reaches it. */
static void take_row(edgebat_t *battery) {
    battery->row_ready = 0U;
    battery->slice = 0U;
    battery->revision++;
    battery->row_ppm = sum_of_row(battery);
    battery->outside = (uint8_t)((is_known(battery) == 0U) ? 1U : 0U);
    if (battery->outside == 0U) {
        battery->failed = 0U;
        if (edgebat_bms_reads_any(battery) != 0U) {
            edgebat_bms_append_any_row(battery);
        } else {
            append_row(battery);
        }
        if ((edgebat_bms_missing_rows(battery) == 0U) && (battery->corrupt == 0U)) {
            battery->slice = 1U;
        }
    } else {
        battery->failed = (battery->failed < UINT8_MAX) ? (uint8_t)(battery->failed + 1U) : UINT8_MAX;
        if (battery->row_cold == 0U) {
            learn_odd(battery);
        }
    }
}

/* Besides SOH, cycles left and points there are the two bounds of a model that states an interval: then every
 * estimate has an error of its own, else that of the validation cells. */
static uint16_t sigma_of(const edgebat_model_t *model, const void *output) {
    const uint32_t outputs = (uint32_t)model->output_bytes / (uint32_t)sizeof(int16_t);
    uint16_t sigma = model->sigma_cpct;
    if (outputs == ((uint32_t)model->points + 4U)) {
        sigma = edgebat_bms_limited(model->read(output, EDGEBAT_READ_SIGMA));
    }
    return sigma;
}

static void take_over(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    const void *const output = edgebat_bms_output(battery);
    const int32_t soh = model->read(output, EDGEBAT_READ_SOH);
    const uint16_t cpct = edgebat_bms_on_scale(battery, soh);
    if ((cpct < EDGEBAT_LEAST_SOH) || (soh > EDGEBAT_MOST_SOH)) {
        battery->outside = 1U;
    } else {
        battery->estimate_rul = edgebat_bms_limited(model->read(output, EDGEBAT_READ_RUL));
        for (uint32_t i = 0U; i < model->points; i++) {
            battery->estimate_points[i] =
                edgebat_bms_on_scale(battery, model->read(output, EDGEBAT_READ_POINTS + i));
        }
        battery->estimate_cycle = battery->row_cycle;
        battery->estimate_s = battery->clock_s;
        edgebat_bms_learn_model(battery, cpct, sigma_of(model, output));
        battery->revision++;
    }
}

static int go_on(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    int code = EDGEBAT_OK;
    if (battery->row_ready != 0U) {
        /* A running inference is about an older window: it is given up. */
        take_row(battery);
    } else if (battery->slice != 0U) {
        code = model->run_slice((uint32_t)battery->slice - 1U, edgebat_bms_window(battery),
                                edgebat_bms_output(battery), battery->work);
        battery->slice = (code == EDGEBAT_OK) ? (uint16_t)(battery->slice + 1U) : 0U;
        if (code == EDGEBAT_IGNORED) {
            /* The model says after its last slice that it does not know windows like this one. */
            battery->outside = 1U;
            code = EDGEBAT_OK;
        } else if (battery->slice > model->slices) {
            battery->slice = 0U;
            take_over(battery);
        } else {
            /* the next step goes on */
        }
    } else {
        /* nothing to do */
    }
    return code;
}

EDGEBAT_SELDOM int edgebat_step(edgebat_t *battery) {
    if ((battery == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    battery->idle_steps = (battery->idle_steps < UINT32_MAX) ? (battery->idle_steps + 1U) : UINT32_MAX;
    const int code = go_on(battery);
    if (code != EDGEBAT_OK) {
        return code;
    }
    const uint32_t dt_ms = edgebat_bms_pass_time(battery);
    edgebat_bms_weigh(battery);
    edgebat_bms_settle(battery, dt_ms);
    return (battery->slice != 0U) ? EDGEBAT_BUSY : EDGEBAT_OK;
}

EDGEBAT_SELDOM int edgebat_selftest(edgebat_t *battery) {
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
        battery->weigh |= EDGEBAT_WEIGH_AGE;
        edgebat_bms_weigh(battery);
    }
    return code;
}
