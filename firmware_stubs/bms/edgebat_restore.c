/*
 * edgebat_restore.c - going on from a saved state, of this model or of another one, of this version or of an
 * older one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_state.h"

#include <stddef.h>

/* What another model or an edited capacity adds to the deviation of what was known, 0.01 %. */
#define INHERITED_SIGMA 100U

/* An estimate of version 1 does not say how sure it was. */
#define OLD_SIGMA 300U
#define MOST_SIGMA EDGEBAT_HUNDRED_PERCENT

static uint32_t not_above(uint32_t value, uint32_t most) {
    return (value > most) ? most : value;
}

/* Version 1 knows ages in cycles, of which each may have been a full one. */
static uint16_t efc_before(const edgebat_t *battery, uint32_t cycle) {
    const uint32_t ago = not_above(battery->cycle - cycle, UINT16_MAX / 4U) * 4U;
    return (uint16_t)(battery->efc - not_above(ago, battery->efc));
}

/* Of version 1, after its members: what the estimate and the count are worth nobody has written down. */
static void complete_old(edgebat_t *battery, uint32_t nominal_mAh) {
    const uint16_t sigma = battery->model->sigma_cpct;
    edgebat_evidence_t *const by_model = &battery->evidence[EDGEBAT_BY_MODEL];
    edgebat_evidence_t *const by_counting = &battery->evidence[EDGEBAT_BY_COUNTING];
    battery->row_efc = efc_before(battery, battery->row_cycle);
    by_model->cpct = (battery->armed != 0U) ? by_model->cpct : EDGEBAT_UNKNOWN;
    by_model->sigma_cpct = (uint16_t)((sigma == EDGEBAT_UNKNOWN) ? OLD_SIGMA : not_above(sigma, MOST_SIGMA));
    by_model->at_efc = efc_before(battery, battery->estimate_cycle);
    by_counting->sigma_cpct = (uint16_t)not_above(battery->config->counting_cpct, MOST_SIGMA);
    by_counting->at_efc = edgebat_bms_efc(nominal_mAh, (uint64_t)battery->count);
    battery->count = 0;
    battery->armed = 1U; /* what flowed without power nobody knows */
}

static void restore_window(edgebat_t *battery, const uint8_t *saved) {
    const edgebat_model_t *const model = battery->model;
    int8_t *const window = edgebat_bms_window(battery);
    const uint8_t *const points = &saved[edgebat_state_layout(saved)->header];
    const uint8_t *const rows = &points[2U * model->points];
    const uint8_t by_model = (battery->evidence[EDGEBAT_BY_MODEL].cpct != EDGEBAT_UNKNOWN) ? 1U : 0U;
    /* An inference that the power cut short begins again. */
    if ((edgebat_bms_missing_rows(battery) == 0U) &&
        ((by_model == 0U) || (battery->estimate_cycle != battery->row_cycle))) {
        battery->slice = 1U;
    }
    battery->cycle_used = ((battery->rows != 0U) && (battery->row_cycle == battery->cycle)) ? 1U : 0U;
    for (uint32_t i = 0U; i < model->points; i++) {
        battery->estimate_points[i] = edgebat_state_16(points, 2U * i);
    }
    for (uint32_t i = 0U; i < (uint32_t)model->columns * model->context; i++) {
        window[i] = (int8_t)((rows[i] < 128U) ? (int32_t)rows[i] : ((int32_t)rows[i] - 256));
    }
    edgebat_bms_restore_cycles(battery, &rows[(uint32_t)model->columns * model->context]);
}

uint16_t edgebat_bms_limited(int32_t value) {
    const int32_t most = (int32_t)EDGEBAT_UNKNOWN - 1;
    return (uint16_t)((value < 0) ? 0 : ((value > most) ? most : value));
}

uint16_t edgebat_bms_rescaled(const edgebat_t *battery, uint32_t cpct, uint32_t from_mAh) {
    const uint32_t to_mAh = battery->config->reference_mAh;
    uint32_t scaled = cpct;
    if ((cpct != EDGEBAT_UNKNOWN) && (from_mAh != to_mAh)) {
        scaled = not_above((uint32_t)edgebat_bms_ratio((uint64_t)cpct * from_mAh, to_mAh),
                           (uint32_t)EDGEBAT_MOST_SOH);
    }
    return (uint16_t)scaled;
}

uint16_t edgebat_bms_on_scale(const edgebat_t *battery, int32_t value) {
    const edgebat_config_t *const config = battery->config;
    return edgebat_bms_rescaled(battery, edgebat_bms_limited(value),
                                (battery->model->of_nominal != 0U) ? config->nominal_mAh
                                                                   : config->reference_mAh);
}

/* Another model's window and estimates mean nothing to this one; what they all said of the cell does, of the
 * capacity that is 100 % now. */
static void inherit(edgebat_t *battery, const uint8_t *saved) {
    const uint32_t from_mAh = edgebat_state_32(saved, 20U);
    edgebat_bms_weigh(battery);
    const uint8_t measured = edgebat_bms_is_measured(battery);
    const uint16_t cpct = edgebat_bms_rescaled(battery, battery->target_cpct, from_mAh);
    edgebat_bms_forget(battery);
    battery->published_cpct = edgebat_bms_rescaled(battery, battery->published_cpct, from_mAh);
    battery->efc = edgebat_bms_efc(battery->config->nominal_mAh, battery->throughput);
    if (measured != 0U) {
        edgebat_bms_learn(battery, EDGEBAT_BY_INHERITED,
                          (cpct < (uint32_t)EDGEBAT_LEAST_SOH) ? (uint16_t)EDGEBAT_LEAST_SOH : cpct,
                          (uint32_t)battery->target_sigma + INHERITED_SIGMA);
    }
}

void edgebat_bms_restore(edgebat_t *battery, const uint8_t *saved) {
    const uint32_t nominal_mAh = edgebat_state_32(saved, 16U); /* its ages are in full cycles of this */
    edgebat_state_take(battery, saved);
    battery->efc = edgebat_bms_efc(nominal_mAh, battery->throughput);
    battery->weigh = EDGEBAT_WEIGH_AGE;
    if (saved[3] == 1U) {
        complete_old(battery, nominal_mAh);
        battery->weigh = EDGEBAT_WEIGH_NEW;
    }
    battery->sequence = edgebat_state_32(saved, 12U);
    battery->rested_mV = battery->last_mV;
    if (edgebat_state_is_own(battery->model, battery->config, saved) != 0U) {
        restore_window(battery, saved);
    } else {
        inherit(battery, saved);
    }
    battery->parked = edgebat_bms_is_parked(battery);
    battery->kept_use = edgebat_bms_use(battery);
}

int edgebat_bms_is_health(uint16_t soh_cpct, uint16_t sigma_cpct) {
    return (edgebat_bms_is_soh(soh_cpct) != 0U) && (sigma_cpct != 0U) &&
           (sigma_cpct <= EDGEBAT_HUNDRED_PERCENT);
}

/* Another cell's SOH is no place to move from. */
void edgebat_bms_forget_all(edgebat_t *battery) {
    edgebat_bms_forget(battery);
    battery->settled = 0U;
    battery->published_cpct = EDGEBAT_UNKNOWN;
}

EDGEBAT_SELDOM int edgebat_seed(edgebat_t *battery, uint16_t soh_cpct, uint16_t sigma_cpct) {
    if ((battery == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    if (edgebat_bms_is_health(soh_cpct, sigma_cpct) == 0) {
        return EDGEBAT_ERR_CONFIG;
    }
    edgebat_bms_forget_all(battery);
    edgebat_bms_learn(battery, EDGEBAT_BY_INHERITED, soh_cpct, sigma_cpct);
    battery->revision++;
    return EDGEBAT_OK;
}

EDGEBAT_SELDOM const void *edgebat_state_newest(const edgebat_model_t *model, const edgebat_config_t *config,
                                                const void *a, const void *b, uint32_t bytes) {
    const uint8_t sound_a = (edgebat_state_check(model, config, a, bytes) >= EDGEBAT_OK) ? 1U : 0U;
    const uint8_t sound_b = (edgebat_state_check(model, config, b, bytes) >= EDGEBAT_OK) ? 1U : 0U;
    const void *newest = NULL;
    if ((sound_a != 0U) && (sound_b != 0U)) {
        /* Sequence numbers may wrap around. */
        const uint32_t ahead =
            edgebat_state_32((const uint8_t *)a, 12U) - edgebat_state_32((const uint8_t *)b, 12U);
        newest = (ahead < UINT32_C(0x80000000)) ? a : b;
    } else if (sound_a != 0U) {
        newest = a;
    } else if (sound_b != 0U) {
        newest = b;
    } else {
        /* neither: a new battery */
    }
    return newest;
}
