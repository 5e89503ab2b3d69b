/*
 * edgebat_check.c - a configuration to begin with, and whether a configuration and a model make sense.
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

EDGEBAT_SELDOM int edgebat_config_default(edgebat_config_t *config, uint32_t nominal_mAh) {
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
#if EDGEBAT_RESISTANCE
    edgebat_bms_default_resistance(config);
#endif
    return EDGEBAT_OK;
}

static int config_is_sound(const edgebat_config_t *config) {
    return (config->nominal_mAh >= 10U) && (config->nominal_mAh <= MOST_MAH) &&
           (config->reference_mAh >= 10U) && (config->reference_mAh <= MOST_MAH) &&
           (config->sign <= (uint8_t)EDGEBAT_DISCHARGE_POSITIVE) && (config->max_current_mA > 0) &&
           (config->max_current_mA <= MOST_MA) && (config->min_mV >= 0) &&
           (config->min_mV < config->max_mV) && (config->max_mV <= MOST_MV) && (config->full_mV >= 0) &&
           (config->empty_mV >= 0) && ((config->full_mV == 0) || (config->full_mV > config->empty_mV)) &&
           (config->full_mV <= config->max_mV) &&
           ((config->empty_mV == 0) || (config->empty_mV >= config->min_mV)) && (config->cutoff_mA >= 0) &&
           (config->cutoff_mA <= MOST_MA) && (config->max_drop_mV > 0) && (config->max_gap_ms >= 1U) &&
           (config->max_gap_ms <= MOST_GAP_MS) && (config->stuck_ppm >= 1U) &&
           (config->stuck_ppm <= MOST_PPM) && (config->invalid_ms >= 1U);
}

int edgebat_bms_model_is_sound(const edgebat_model_t *model) {
    int sound = (model->increments >= 1U) && (model->columns <= MOST_LENGTH) && (model->context >= 1U) &&
                (model->context <= MOST_LENGTH) && (model->slices >= 1U) && (model->slices < UINT16_MAX) &&
                (model->points <= EDGEBAT_POINTS_MAX) && (model->eol_cpct < EDGEBAT_HUNDRED_PERCENT) &&
                ((model->scratch_bytes % 4U) == 0U) && (model->quantize != NULL) &&
                (model->run_slice != NULL) && (model->read != NULL) && (model->level_uV != NULL) &&
                (model->low_ppm != NULL) && (model->high_ppm != NULL);
    if (sound != 0) {
        sound = edgebat_bms_starts_are_sound(model);
        for (uint32_t i = 0U; i < model->increments; i++) {
            if (model->level_uV[i] >= model->level_uV[i + 1U]) {
                sound = 0;
            }
        }
    }
    return sound;
}

/* Whether the cell can be charged through the model's window: an LFP cell and a model of another chemistry
 * never meet. And no capacity that a model calls 100 % is far from nominal. */
static int model_fits(const edgebat_model_t *model, const edgebat_config_t *config) {
    const int32_t low_uV = model->level_uV[0];
    const int32_t high_uV = model->level_uV[model->increments];
    return (high_uV <= ((int32_t)config->max_mV * 1000)) && (low_uV >= ((int32_t)config->min_mV * 1000)) &&
           ((config->full_mV == 0) || (high_uV <= ((int32_t)config->full_mV * 1000))) &&
           ((config->empty_mV == 0) || (low_uV > ((int32_t)config->empty_mV * 1000))) &&
           (((uint64_t)config->reference_mAh * 4U) >= ((uint64_t)config->nominal_mAh * 3U)) &&
           (((uint64_t)config->reference_mAh * 3U) <= ((uint64_t)config->nominal_mAh * 4U));
}

int edgebat_bms_check(const edgebat_model_t *model, const edgebat_config_t *config) {
    int code = EDGEBAT_OK;
    if ((model == NULL) || (config == NULL)) {
        code = EDGEBAT_ERR_NULL;
    } else if (config_is_sound(config) == 0) {
        code = EDGEBAT_ERR_CONFIG;
#if EDGEBAT_RESISTANCE
    } else if (edgebat_bms_resistance_is_sound(config) == 0) {
        code = EDGEBAT_ERR_CONFIG;
#endif
    } else if (edgebat_bms_model_is_sound(model) == 0) {
        code = EDGEBAT_ERR_MODEL;
    } else if (model_fits(model, config) == 0) {
        code = EDGEBAT_ERR_CONFIG;
    } else {
        /* both are usable */
    }
    return code;
}
