/*
 * edgebat_rows.c - the rows of inputs that a battery keeps: of the charges in a row through one window, or of the newest
 * through any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_state.h"

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

#if EDGEBAT_ANY_WINDOW

static uint16_t *cycles_of(const edgebat_t *battery) {
    return (uint16_t *)(void *)(edgebat_bms_window(battery) - edgebat_bms_cycle_bytes(battery->model));
}

/* The newest row stands last. Rows that are too old leave, all others are so many cycles older than it, and where there is
 * none, before them, stand zeros. This takes the memory of the row that was measured, and that behind the window. */
static EDGEBAT_SELDOM void renew_rows(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    const uint16_t *const cycles = cycles_of(battery);
    const uint32_t width = model->columns;
    const uint32_t age_column = (uint32_t)model->increments + 1U;
    int8_t *const window = edgebat_bms_window(battery);
    int8_t *const spare = &window[width * model->context];
    int32_t *const row = edgebat_bms_row(battery);
    for (uint32_t i = 0U; i < width; i++) {
        row[i] = 0;
    }
    model->quantize(row, spare);
    for (uint32_t place = 0U; place < model->context; place++) {
        int8_t *const at = &window[place * width];
        const uint16_t age = (uint16_t)(cycles[model->context - 1U] - cycles[place]);
        uint8_t there = ((place + battery->rows) >= model->context) ? 1U : 0U;
        if ((there != 0U) && (age > model->max_age)) {
            battery->rows--;
            there = 0U;
        }
        if (there == 0U) {
            for (uint32_t i = 0U; i < width; i++) {
                at[i] = spare[i];
            }
        } else {
            if (row[age_column] != (int32_t)age) {
                row[age_column] = (int32_t)age;
                model->quantize(row, spare);
            }
            at[age_column] = spare[age_column];
        }
    }
}

static EDGEBAT_SELDOM void append_any_row(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    const uint32_t width = model->columns;
    const uint32_t last = (uint32_t)model->context - 1U;
    int8_t *const window = edgebat_bms_window(battery);
    uint16_t *const cycles = cycles_of(battery);
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
    battery->span = 0U; /* the model reads the ages */
    renew_rows(battery);
}

void edgebat_bms_save_cycles(const edgebat_t *battery, uint8_t *saved) {
    const uint16_t *const cycles = cycles_of(battery);
    for (uint32_t i = 0U; i < edgebat_bms_cycle_bytes(battery->model); i++) {
        const uint32_t cycle = (((i / 2U) + battery->rows) >= battery->model->context) ? cycles[i / 2U] : 0U;
        saved[i] = (uint8_t)(cycle >> (8U * (i % 2U)));
    }
}

void edgebat_bms_restore_cycles(edgebat_t *battery, const uint8_t *saved) {
    uint16_t *const cycles = cycles_of(battery);
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
}

void edgebat_bms_append_row(edgebat_t *battery) {
#if EDGEBAT_ANY_WINDOW
    if (edgebat_bms_reads_any(battery) != 0U) {
        append_any_row(battery);
    } else {
        append_row(battery);
    }
#else
    append_row(battery);
#endif
    battery->row_cycle = battery->cycle;
    battery->row_efc = battery->efc;
}
