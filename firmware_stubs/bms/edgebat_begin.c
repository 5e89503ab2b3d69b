/*
 * edgebat_begin.c - what a model is, and the start of a battery.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

#include <stddef.h>

static uint32_t work_bytes(const edgebat_model_t *model) {
    const uint32_t cycles = edgebat_bms_cycle_bytes(model);
    const uint32_t rows = (uint32_t)model->context + ((cycles != 0U) ? 1U : 0U);
    return EDGEBAT_WORK_BYTES(model->scratch_bytes, (uint32_t)model->columns, (uint32_t)model->output_bytes,
                              rows) +
           cycles;
}

EDGEBAT_SELDOM int edgebat_model_info(const edgebat_model_t *model, edgebat_model_info_t *info) {
    if ((model == NULL) || (info == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    if (edgebat_bms_model_is_sound(model) == 0) {
        return EDGEBAT_ERR_MODEL;
    }
    info->name = model->name;
    info->fingerprint = model->fingerprint;
    info->data_fingerprint = model->data_fingerprint;
    info->multiply_accumulates = model->multiply_accumulates;
    info->work_bytes = work_bytes(model);
    info->saved_bytes = edgebat_state_bytes(model);
    info->slices = model->slices;
    info->charges = (edgebat_bms_cycle_bytes(model) != 0U) ? (uint16_t)1U : model->context;
    info->increments = model->increments;
    info->points = model->points;
    info->horizon = model->horizon;
    info->eol_cpct = model->eol_cpct;
    info->sigma_cpct = model->sigma_cpct;
    info->low_mV = (int16_t)((model->level_uV[0] + 500) / 1000);
    info->high_mV =
        (int16_t)(((model->level_uV[model->increments] + 500) / 1000) + edgebat_bms_range_mV(model));
    info->min_ddegC = model->min_ddegC;
    info->max_ddegC = model->max_ddegC;
    return EDGEBAT_OK;
}

static void begin_battery(edgebat_t *battery, const edgebat_model_t *model, const edgebat_config_t *config,
                          void *work) {
    uint8_t *const bytes = (uint8_t *)battery;
    for (uint32_t i = 0U; i < sizeof(edgebat_t); i++) {
        bytes[i] = 0U;
    }
    battery->model = model;
    battery->config = config;
    battery->work = (uint8_t *)work;
    battery->cycle = 1U;
    battery->last_ddegC = INT16_MIN;
    battery->published_cpct = EDGEBAT_UNKNOWN;
    edgebat_bms_forget(battery);
    battery->charge_ended = (uint8_t)EDGEBAT_CHARGE_NONE;
    /* What was never written is never read; zero all the same, so that states do not carry rubbish. */
    const uint32_t all = work_bytes(model);
    for (uint32_t i = 0U; i < all; i++) {
        battery->work[i] = 0U;
    }
}

EDGEBAT_SELDOM int edgebat_init(edgebat_t *battery, const edgebat_model_t *model,
                                const edgebat_config_t *config, void *work, const void *saved,
                                uint32_t saved_bytes) {
    if ((battery == NULL) || (work == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    battery->model = NULL; /* until all is checked, the other functions refuse this battery */
    if (((uintptr_t)work & 3U) != 0U) {
        return EDGEBAT_ERR_ALIGN;
    }
    int code = edgebat_bms_check(model, config);
    if (code != EDGEBAT_OK) {
        return code;
    }
    begin_battery(battery, model, config, work);
    if (saved != NULL) {
        code = edgebat_state_check(model, config, saved, saved_bytes);
        if (code >= EDGEBAT_OK) {
            edgebat_bms_restore(battery, (const uint8_t *)saved);
        }
    }
    edgebat_bms_weigh(battery);
    return code;
}
