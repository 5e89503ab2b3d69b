/*
 * edgebat_rows.c - the rows of inputs that a battery keeps: how they are forgotten, and those of a model of any window, the
 * newest with the cycles they are of.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_state.h"

void edgebat_bms_forget_window(edgebat_t *battery) {
    battery->rows = 0U;
    battery->span = 0U;
    battery->slice = 0U;
    battery->row_ready = 0U;
    battery->cycle_used = 0U;
    battery->odd_rows = 0U;
    battery->failed = 0U;
    battery->outside = 0U;
    battery->row_efc = 0U;
    battery->row_cycle = 0U;
    battery->window_ppm = 0U;
    battery->estimate_cycle = 0U;
    battery->estimate_s = 0U;
    battery->estimate_rul = EDGEBAT_UNKNOWN;
    battery->evidence[EDGEBAT_BY_MODEL].cpct = EDGEBAT_UNKNOWN;
    battery->evidence[EDGEBAT_BY_WINDOW].cpct = EDGEBAT_UNKNOWN;
    battery->weigh |= EDGEBAT_WEIGH_NEW;
}

void edgebat_bms_forget(edgebat_t *battery) {
    edgebat_bms_forget_window(battery);
    edgebat_bms_forget_counts(battery);
    battery->evidence[EDGEBAT_BY_INHERITED].cpct = EDGEBAT_UNKNOWN;
}

#if EDGEBAT_ANY_WINDOW

static uint16_t *row_cycles(const edgebat_t *battery) {
    return (uint16_t *)(void *)(edgebat_bms_window(battery) - edgebat_bms_cycle_bytes(battery->model));
}

/* The newest row stands last. Rows that are too old leave, all others are so many cycles older than it, and where there is
 * none, before them, stand zeros. This takes the memory of the row that was measured, and that behind the window. */
static EDGEBAT_SELDOM void renew_rows(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    const uint16_t *const cycles = row_cycles(battery);
    const uint16_t newest = cycles[model->context - 1U];
    const uint32_t width = model->columns;
    const uint32_t age_column = (uint32_t)model->increments + 1U;
    int8_t *const window = edgebat_bms_window(battery);
    int8_t *const spare = &window[width * model->context];
    int32_t *const row = edgebat_bms_row(battery);
    while ((battery->rows > 1U) &&
           ((uint16_t)(newest - cycles[(uint32_t)model->context - battery->rows]) > model->max_age)) {
        battery->rows--;
    }
    for (uint32_t i = 0U; i < width; i++) {
        row[i] = 0;
    }
    model->quantize(row, spare);
    for (uint32_t place = 0U; place < model->context; place++) {
        int8_t *const at = &window[place * width];
        const int32_t age = (uint16_t)(newest - cycles[place]);
        if ((place + battery->rows) < model->context) {
            for (uint32_t i = 0U; i < width; i++) {
                at[i] = spare[i];
            }
        } else {
            if (row[age_column] != age) {
                row[age_column] = age;
                model->quantize(row, spare);
            }
            at[age_column] = spare[age_column];
        }
    }
}

void edgebat_bms_append_any_row(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    const uint32_t width = model->columns;
    const uint32_t last = (uint32_t)model->context - 1U;
    int8_t *const window = edgebat_bms_window(battery);
    uint16_t *const cycles = row_cycles(battery);
    if ((battery->cycle - battery->row_cycle) > EDGEBAT_MOST_AGE) {
        battery->rows = 0U;
    }
    for (uint32_t i = 0U; i < (width * last); i++) {
        window[i] = window[i + width];
    }
    for (uint32_t i = 0U; i < last; i++) {
        cycles[i] = cycles[i + 1U];
    }
    cycles[last] = (uint16_t)battery->cycle;
    model->quantize(edgebat_bms_row(battery), &window[width * last]);
    battery->rows = (uint16_t)((battery->rows < model->context) ? (battery->rows + 1U) : battery->rows);
    battery->row_cycle = battery->cycle;
    battery->row_efc = battery->efc;
    battery->span = 0U; /* the model reads the ages */
    renew_rows(battery);
}

void edgebat_bms_save_cycles(const edgebat_t *battery, uint8_t *saved) {
    const uint16_t *const cycles = row_cycles(battery);
    for (uint32_t i = 0U; i < edgebat_bms_cycle_bytes(battery->model); i++) {
        const uint32_t cycle = (((i / 2U) + battery->rows) >= battery->model->context) ? cycles[i / 2U] : 0U;
        saved[i] = (uint8_t)(cycle >> (8U * (i % 2U)));
    }
}

void edgebat_bms_restore_cycles(edgebat_t *battery, const uint8_t *saved) {
    uint16_t *const cycles = row_cycles(battery);
    for (uint32_t i = 0U; i < edgebat_bms_cycle_bytes(battery->model); i += 2U) {
        cycles[i / 2U] = edgebat_state_16(saved, i);
    }
}

/* The newest is of the cycle of the newest row; none before it is newer, or too old. */
uint8_t edgebat_bms_cycles_are_possible(const edgebat_model_t *model, const uint8_t *saved, uint32_t bytes) {
    const uint32_t rows = edgebat_state_16(saved, edgebat_state_layout(saved)->rows);
    const uint32_t end = edgebat_state_32(saved, 4U) - EDGEBAT_STATE_CRC_BYTES;
    uint8_t possible = 1U;
    if ((model->starts != 0U) && (rows != 0U)) {
        possible = 0U;
        if ((rows <= model->context) && (end <= bytes) && (end >= edgebat_bms_cycle_bytes(model))) {
            const uint32_t newest = edgebat_state_16(saved, end - 2U);
            uint32_t before = 0U;
            possible = (newest == edgebat_state_16(saved, 56U)) ? 1U : 0U;
            for (uint32_t row = 1U; row < rows; row++) {
                const uint32_t cycle = edgebat_state_16(saved, end - (2U * row) - 2U);
                const uint32_t age = (newest - cycle) & UINT16_MAX;
                possible = ((age >= before) && (age <= model->max_age)) ? possible : 0U;
                before = age;
            }
        }
    }
    return possible;
}

#endif
