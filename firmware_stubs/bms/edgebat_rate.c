/*
 * edgebat_rate.c - the mean current of a charge inside the window, in 0.001 C: whether the model has learnt from
 * charges like it, and an input of models that read it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

#include <stddef.h>

void edgebat_bms_track_rate(edgebat_t *battery, int64_t part, uint32_t dt_ms) {
    if (battery->inside == 0U) {
        battery->window_charge = 0U;
        battery->window_ms = 0U;
    }
    if ((part > 0) && (battery->window_ms <= UINT32_MAX - dt_ms)) {
        battery->window_charge += (uint64_t)part;
        battery->window_ms += dt_ms;
    }
}

int32_t edgebat_bms_rate_mC(const edgebat_t *battery) {
    const uint64_t one_c = (uint64_t)battery->window_ms * battery->config->nominal_mAh;
    return (one_c == 0U) ? 0 : (int32_t)edgebat_bms_ratio(battery->window_charge * 500U, one_c);
}

uint8_t edgebat_bms_knows_rate(const edgebat_t *battery, int32_t rate_mC) {
    const edgebat_model_t *const model = battery->model;
    return ((model->knows_rate == NULL) || (model->knows_rate(rate_mC) != 0)) ? 1U : 0U;
}
