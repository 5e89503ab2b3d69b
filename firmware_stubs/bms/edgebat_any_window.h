/*
 * edgebat_any_window.h - where a model that reads charges through any window goes another way than one of one window.
 *
 * A charge is read through consecutive windows: the first begins at the lowest start above the voltage that it has come
 * to once a tenth of nominal has flowed, the next one where that one ends. Each gives a row or not, for itself, and every row that is taken over an input: with those
 * before it that are not too old. Without EDGEBAT_ANY_WINDOW nothing of it is compiled.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_ANY_WINDOW_H
#define EDGEBAT_ANY_WINDOW_H

#include "edgebat_bms.h"

#if EDGEBAT_ANY_WINDOW

static inline uint8_t edgebat_bms_reads_any(const edgebat_t *battery) {
    return (battery->model->starts != 0U) ? 1U : 0U;
}

/* A voltage level of the window that the charge is in, or comes to. */
static inline int32_t edgebat_bms_level_uV(const edgebat_t *battery, uint32_t level) {
    return battery->model->level_uV[level] + battery->start_uV;
}

/* A charge begins at this voltage: whether a window lies ahead. */
EDGEBAT_SELDOM uint8_t edgebat_bms_choose_window(edgebat_t *battery, int16_t cell_mV);

/* One has come: while little has flowed the window is chosen anew. */
void edgebat_bms_follow_lead(edgebat_t *battery, int16_t cell_mV);

/* A sample of a charge was followed: whether that has ended a window, and another one begins where it ends. */
uint8_t edgebat_bms_next_window(edgebat_t *battery);

/* Whether a finished row, which nobody has taken over yet, stands where the increment is to be written. */
static inline uint8_t edgebat_bms_row_waits(const edgebat_t *battery) {
    return ((battery->row_ready != 0U) && (battery->level != 0U)) ? 1U : 0U;
}

/* What stands behind the increments. */
EDGEBAT_SELDOM void edgebat_bms_label_row(edgebat_t *battery, int32_t rate_mC);

/* Whether a discharge lies between the newest row and this window. */
static inline uint8_t edgebat_bms_goes_back(const edgebat_t *battery) {
    return (battery->start_uV <= battery->row_uV) ? 1U : 0U;
}

/* The charge has said what became of it: a row, or why there is none. */
static inline uint8_t edgebat_bms_is_told(const edgebat_t *battery) {
    return (battery->reason != (uint8_t)EDGEBAT_CHARGE_NONE) ? 1U : 0U;
}

/* A charge that has given a row has not failed; nor has, of any window, one that ends before the first one does. */
static inline uint8_t edgebat_bms_told(const edgebat_t *battery, edgebat_charge_t reason) {
    return (battery->reason == (uint8_t)EDGEBAT_CHARGE_OK) ? (uint8_t)EDGEBAT_CHARGE_OK : (uint8_t)reason;
}

static inline uint8_t edgebat_bms_is_failure(const edgebat_t *battery, edgebat_charge_t reason) {
    return ((edgebat_bms_reads_any(battery) == 0U) ||
            ((edgebat_bms_is_told(battery) == 0U) && (reason != EDGEBAT_CHARGE_INTERRUPTED)))
               ? 1U
               : 0U;
}

/* Below this a charge under way has not yet begun; of any window its first one is chosen as long as that may be. */
static inline int32_t edgebat_bms_lower_uV(const edgebat_t *battery) {
    return (edgebat_bms_reads_any(battery) != 0U) ? INT32_MIN : battery->model->level_uV[0];
}

/* Bytes of memory, and of a state, for the cycles of the rows. */
static inline uint32_t edgebat_bms_cycle_bytes(const edgebat_model_t *model) {
    return (model->starts != 0U) ? (2U * (uint32_t)model->context) : 0U;
}

/* The newest row joins the window, as the last one; those that are too old leave. */
EDGEBAT_SELDOM void edgebat_bms_append_any_row(edgebat_t *battery);

/* Rows that are missing before the model can speak. */
static inline uint32_t edgebat_bms_missing_rows(const edgebat_t *battery) {
    const uint32_t needed = (edgebat_bms_reads_any(battery) != 0U) ? 1U : battery->model->context;
    return (battery->rows < needed) ? (needed - battery->rows) : 0U;
}

/* Whether a value of the window is saved: of any window with the zeros before its rows. */
static inline uint8_t edgebat_bms_is_kept(const edgebat_t *battery, uint32_t place) {
    const uint32_t kept = (edgebat_bms_reads_any(battery) == 0U)
                              ? battery->rows
                              : ((battery->rows != 0U) ? battery->model->context : 0U);
    return (place < ((uint32_t)battery->model->columns * kept)) ? 1U : 0U;
}

/* Charges through different windows have no proportion. */
static inline uint32_t edgebat_bms_window_ppm(const edgebat_t *battery) {
    return (edgebat_bms_reads_any(battery) != 0U) ? 0U : battery->row_ppm;
}

/* The cycles behind the rows of a state, and whether they are such as a writer writes. */
EDGEBAT_SELDOM void edgebat_bms_save_cycles(const edgebat_t *battery, uint8_t *saved);
EDGEBAT_SELDOM void edgebat_bms_restore_cycles(edgebat_t *battery, const uint8_t *saved);
EDGEBAT_SELDOM uint8_t edgebat_bms_cycles_are_possible(const edgebat_model_t *model, const uint8_t *saved,
                                                       uint32_t bytes);

/* Cycles are counted from another number on: rows of any window, whose ages are cycles, are none any more. */
static inline void edgebat_bms_begin_use(edgebat_t *battery) {
    battery->rows = (edgebat_bms_reads_any(battery) != 0U) ? 0U : battery->rows;
}

/* Of a model: whether its description makes sense, and how far above the lowest its highest window lies. */
EDGEBAT_SELDOM int edgebat_bms_starts_are_sound(const edgebat_model_t *model);
static inline int32_t edgebat_bms_range_mV(const edgebat_model_t *model) {
    return (model->starts != 0U) ? ((int32_t)model->start_step_mV * ((int32_t)model->starts - 1)) : 0;
}

#else

static inline uint8_t edgebat_bms_reads_any(const edgebat_t *battery) {
    (void)battery;
    return 0U;
}

static inline int32_t edgebat_bms_level_uV(const edgebat_t *battery, uint32_t level) {
    return battery->model->level_uV[level];
}

static inline uint8_t edgebat_bms_choose_window(const edgebat_t *battery, int16_t cell_mV) {
    return ((int32_t)cell_mV * 1000 < battery->model->level_uV[0]) ? 1U : 0U;
}

static inline uint8_t edgebat_bms_next_window(const edgebat_t *battery) {
    (void)battery;
    return 0U;
}

static inline void edgebat_bms_follow_lead(const edgebat_t *battery, int16_t cell_mV) {
    (void)battery;
    (void)cell_mV;
}

static inline uint8_t edgebat_bms_row_waits(const edgebat_t *battery) {
    (void)battery;
    return 0U;
}

static inline void edgebat_bms_label_row(const edgebat_t *battery, int32_t rate_mC) {
    const edgebat_model_t *const model = battery->model;
    if (model->columns > model->increments) {
        edgebat_bms_row(battery)[model->increments] = rate_mC;
    }
}

static inline uint8_t edgebat_bms_goes_back(const edgebat_t *battery) {
    (void)battery;
    return 1U;
}

static inline uint8_t edgebat_bms_is_told(const edgebat_t *battery) {
    return (battery->phase == EDGEBAT_PHASE_OVER) ? 1U : 0U;
}

static inline uint8_t edgebat_bms_told(const edgebat_t *battery, edgebat_charge_t reason) {
    (void)battery;
    return (uint8_t)reason;
}

static inline uint8_t edgebat_bms_is_failure(const edgebat_t *battery, edgebat_charge_t reason) {
    (void)battery;
    (void)reason;
    return 1U;
}

static inline int32_t edgebat_bms_lower_uV(const edgebat_t *battery) {
    return battery->model->level_uV[0];
}

static inline uint32_t edgebat_bms_cycle_bytes(const edgebat_model_t *model) {
    (void)model;
    return 0U;
}

static inline void edgebat_bms_append_any_row(const edgebat_t *battery) {
    (void)battery;
}

static inline uint32_t edgebat_bms_missing_rows(const edgebat_t *battery) {
    return (uint32_t)battery->model->context - battery->rows;
}

static inline uint8_t edgebat_bms_is_kept(const edgebat_t *battery, uint32_t place) {
    return (place < ((uint32_t)battery->model->columns * battery->rows)) ? 1U : 0U;
}

static inline uint32_t edgebat_bms_window_ppm(const edgebat_t *battery) {
    return battery->row_ppm;
}

static inline void edgebat_bms_save_cycles(const edgebat_t *battery, const uint8_t *saved) {
    (void)battery;
    (void)saved;
}

static inline void edgebat_bms_restore_cycles(const edgebat_t *battery, const uint8_t *saved) {
    (void)battery;
    (void)saved;
}

static inline uint8_t edgebat_bms_cycles_are_possible(const edgebat_model_t *model, const uint8_t *saved,
                                                      uint32_t bytes) {
    (void)model;
    (void)saved;
    (void)bytes;
    return 1U;
}

static inline void edgebat_bms_begin_use(const edgebat_t *battery) {
    (void)battery;
}

static inline int edgebat_bms_starts_are_sound(const edgebat_model_t *model) {
    return (model->columns >= model->increments) && (model->columns <= model->increments + 1U);
}

static inline int32_t edgebat_bms_range_mV(const edgebat_model_t *model) {
    (void)model;
    return 0;
}

#endif

#endif
