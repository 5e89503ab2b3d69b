/*
 * edgebat_begin.c - configuration, what a model is, and the start of a battery.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

#include <stddef.h>

/* With these limits no sum and no product below leaves its type. */
#define MOST_MAH UINT32_C(2000000)
#define MOST_MA 2000000
#define MOST_MV 10000
#define MOST_GAP_MS UINT32_C(120000)
#define MOST_PPM UINT32_C(1000000)
#define MOST_LENGTH 1024U

int edgebat_config_default(edgebat_config_t *config, uint32_t nominal_mAh) {
    if (config == NULL) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    config->nominal_mAh = nominal_mAh;
    config->reference_mAh = nominal_mAh;
    config->sign = (uint8_t)EDGEBAT_CHARGE_POSITIVE;
    config->max_current_mA = (nominal_mAh > (uint32_t)MOST_MA / 20U) ? MOST_MA : (int32_t)(nominal_mAh * 20U);
    config->min_mV = 1000;
    config->max_mV = 4500;
    config->full_mV = 0;
    config->cutoff_mA = (int32_t)(nominal_mAh / 20U);
    config->empty_mV = 0;
    config->max_drop_mV = 30;
    config->max_gap_ms = 60000U;
    config->stuck_ppm = 100000U;
    config->invalid_ms = 10000U;
    config->stale_cycles = 50U;
    config->slew_cpct_h = 20U;
    config->rated_cycles = 0U;
    config->counting_cpct = 300U;
    return EDGEBAT_OK;
}

static int config_is_sound(const edgebat_config_t *config) {
    return (config->nominal_mAh >= 10U) && (config->nominal_mAh <= MOST_MAH) &&
           (config->reference_mAh >= 10U) && (config->reference_mAh <= MOST_MAH) &&
           (config->sign <= (uint8_t)EDGEBAT_DISCHARGE_POSITIVE) && (config->max_current_mA > 0) &&
           (config->max_current_mA <= MOST_MA) && (config->min_mV >= 0) &&
           (config->min_mV < config->max_mV) && (config->max_mV <= MOST_MV) && (config->full_mV >= 0) &&
           (config->empty_mV >= 0) && ((config->full_mV == 0) || (config->full_mV > config->empty_mV)) &&
           (config->cutoff_mA >= 0) && (config->max_drop_mV > 0) && (config->max_gap_ms >= 1U) &&
           (config->max_gap_ms <= MOST_GAP_MS) && (config->stuck_ppm >= 1U) &&
           (config->stuck_ppm <= MOST_PPM) && (config->invalid_ms >= 1U);
}

static int model_is_sound(const edgebat_model_t *model) {
    int sound = (model->increments >= 1U) && (model->increments <= MOST_LENGTH) && (model->context >= 1U) &&
                (model->context <= MOST_LENGTH) && (model->slices >= 1U) && (model->slices < UINT16_MAX) &&
                (model->points <= EDGEBAT_POINTS_MAX) && (model->eol_cpct < EDGEBAT_HUNDRED_PERCENT) &&
                ((model->scratch_bytes % 4U) == 0U) && (model->quantize != NULL) &&
                (model->run_slice != NULL) && (model->read != NULL) && (model->level_uV != NULL) &&
                (model->low_ppm != NULL) && (model->high_ppm != NULL);
    if (sound != 0) {
        for (uint32_t i = 0U; i < model->increments; i++) {
            if (model->level_uV[i] >= model->level_uV[i + 1U]) {
                sound = 0;
            }
        }
    }
    return sound;
}

static uint32_t work_bytes(const edgebat_model_t *model) {
    return EDGEBAT_WORK_BYTES(model->scratch_bytes, (uint32_t)model->increments,
                              (uint32_t)model->output_bytes, (uint32_t)model->context);
}

int edgebat_model_info(const edgebat_model_t *model, edgebat_model_info_t *info) {
    if ((model == NULL) || (info == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    if (model_is_sound(model) == 0) {
        return EDGEBAT_ERR_MODEL;
    }
    info->name = model->name;
    info->fingerprint = model->fingerprint;
    info->data_fingerprint = model->data_fingerprint;
    info->multiply_accumulates = model->multiply_accumulates;
    info->work_bytes = work_bytes(model);
    info->saved_bytes = edgebat_state_bytes(model);
    info->slices = model->slices;
    info->charges = model->context;
    info->increments = model->increments;
    info->points = model->points;
    info->horizon = model->horizon;
    info->eol_cpct = model->eol_cpct;
    info->sigma_cpct = model->sigma_cpct;
    info->low_mV = (int16_t)((model->level_uV[0] + 500) / 1000);
    info->high_mV = (int16_t)((model->level_uV[model->increments] + 500) / 1000);
    info->min_ddegC = model->min_ddegC;
    info->max_ddegC = model->max_ddegC;
    return EDGEBAT_OK;
}

int edgebat_bms_check(const edgebat_model_t *model, const edgebat_config_t *config) {
    int code = EDGEBAT_OK;
    if ((model == NULL) || (config == NULL)) {
        code = EDGEBAT_ERR_NULL;
    } else if (config_is_sound(config) == 0) {
        code = EDGEBAT_ERR_CONFIG;
    } else if (model_is_sound(model) == 0) {
        code = EDGEBAT_ERR_MODEL;
    } else {
        /* both are usable */
    }
    return code;
}

static void begin(edgebat_t *battery, const edgebat_model_t *model, const edgebat_config_t *config,
                  void *work) {
    uint8_t *const bytes = (uint8_t *)battery;
    for (uint32_t i = 0U; i < sizeof(edgebat_t); i++) {
        bytes[i] = 0U;
    }
    battery->model = model;
    battery->config = config;
    battery->work = (uint8_t *)work;
    battery->cycle = 1U;
    battery->counted_cpct = EDGEBAT_UNKNOWN;
    battery->published_cpct = EDGEBAT_UNKNOWN;
    battery->said_cpct = EDGEBAT_UNKNOWN;
    battery->said_rul = EDGEBAT_UNKNOWN;
    battery->charge_ended = (uint8_t)EDGEBAT_CHARGE_NONE;
    /* What was never written is never read; zero all the same, so that states do not carry rubbish. */
    const uint32_t all = work_bytes(model);
    for (uint32_t i = 0U; i < all; i++) {
        battery->work[i] = 0U;
    }
}

int edgebat_init(edgebat_t *battery, const edgebat_model_t *model, const edgebat_config_t *config, void *work,
                 const void *saved, uint32_t saved_bytes) {
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
    begin(battery, model, config, work);
    if (saved != NULL) {
        code = edgebat_state_check(model, config, saved, saved_bytes);
        if (code == EDGEBAT_OK) {
            edgebat_bms_restore(battery, (const uint8_t *)saved);
        }
    }
    return code;
}
