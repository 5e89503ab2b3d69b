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

static uint32_t not_above(uint32_t value, uint32_t most) {
    return (value > most) ? most : value;
}

static void set_evidence(edgebat_t *battery, uint32_t by, uint16_t cpct, uint32_t sigma, uint16_t at_efc) {
    edgebat_evidence_t *const evidence = &battery->evidence[by];
    evidence->cpct = cpct;
    evidence->sigma_cpct = (uint16_t)not_above(sigma, EDGEBAT_HUNDRED_PERCENT);
    evidence->at_efc = at_efc;
    evidence->at_4h = 0U;
}

/* Version 1 knows ages in cycles, of which each may have been a full one. */
static uint16_t efc_before(const edgebat_t *battery, uint32_t cycle) {
    const uint32_t ago = not_above(battery->cycle - cycle, UINT16_MAX / 4U) * 4U;
    return (uint16_t)(battery->efc - not_above(ago, battery->efc));
}

static void restore_old(edgebat_t *battery, const uint8_t *saved, uint32_t nominal_mAh) {
    const uint16_t sigma = battery->model->sigma_cpct;
    battery->cycle = edgebat_state_32(saved, 24U);
    battery->throughput = edgebat_state_number(saved, 28U, 8U);
    battery->efc = edgebat_bms_efc(nominal_mAh, battery->throughput);
    battery->clock_s = edgebat_state_32(saved, 44U);
    battery->row_cycle = edgebat_state_32(saved, 48U);
    battery->estimate_cycle = edgebat_state_32(saved, 52U);
    battery->row_efc = efc_before(battery, battery->row_cycle);
    battery->published_cpct = edgebat_state_16(saved, 56U);
    battery->estimate_rul = edgebat_state_16(saved, 62U);
    battery->rows = edgebat_state_16(saved, 64U);
    battery->outside = saved[67];
    battery->settled = saved[68];
    battery->armed = 1U; /* what flowed without power nobody knows */
    if (saved[66] != 0U) {
        set_evidence(battery, EDGEBAT_BY_MODEL, edgebat_state_16(saved, 60U),
                     (sigma == EDGEBAT_UNKNOWN) ? OLD_SIGMA : sigma,
                     efc_before(battery, battery->estimate_cycle));
    }
    if (edgebat_state_16(saved, 58U) != EDGEBAT_UNKNOWN) {
        set_evidence(battery, EDGEBAT_BY_COUNTING, edgebat_state_16(saved, 58U),
                     battery->config->counting_cpct,
                     edgebat_bms_efc(nominal_mAh, edgebat_state_number(saved, 36U, 8U)));
    }
    battery->weigh = EDGEBAT_WEIGH_NEW;
}

static void set_member(edgebat_t *battery, const edgebat_member_t *member, uint64_t value) {
    void *const at = &((uint8_t *)battery)[member->offset];
    switch (member->bytes) {
    case 1U:
        *(uint8_t *)at = (uint8_t)value;
        break;
    case 2U:
        *(uint16_t *)at = (uint16_t)value;
        break;
    case 4U:
        *(uint32_t *)at = (uint32_t)value;
        break;
    default:
        *(uint64_t *)at = value;
        break;
    }
}

static void restore_new(edgebat_t *battery, const uint8_t *saved, uint32_t nominal_mAh) {
    const uint8_t *evidence = &saved[EDGEBAT_STATE_EVIDENCE];
    uint32_t offset = EDGEBAT_STATE_MEMBERS;
    for (uint32_t i = 0U; i < EDGEBAT_MEMBERS; i++) {
        const edgebat_member_t *const member = &edgebat_state_members[i];
        set_member(battery, member, edgebat_state_number(saved, offset, member->bytes));
        offset += member->bytes;
    }
    for (uint32_t by = 0U; by < EDGEBAT_EVIDENCE; by++) {
        set_evidence(battery, by, edgebat_state_16(evidence, 4U), edgebat_state_16(evidence, 6U),
                     edgebat_state_16(evidence, 0U));
        battery->evidence[by].at_4h = edgebat_state_16(evidence, 2U);
        evidence = &evidence[8];
    }
    battery->efc = edgebat_bms_efc(nominal_mAh, battery->throughput);
    battery->parked = ((battery->rest_ms != 0U) && (battery->anchor != EDGEBAT_ANCHOR_NONE)) ? 1U : 0U;
    battery->weigh = EDGEBAT_WEIGH_AGE;
}

static void restore_window(edgebat_t *battery, const uint8_t *saved) {
    const edgebat_model_t *const model = battery->model;
    int8_t *const window = edgebat_bms_window(battery);
    const uint8_t *const points =
        &saved[(saved[3] == EDGEBAT_STATE_VERSION) ? EDGEBAT_SAVED_HEADER : EDGEBAT_STATE_OLD_HEADER];
    const uint8_t *const rows = &points[2U * model->points];
    const uint8_t by_model = (battery->evidence[EDGEBAT_BY_MODEL].cpct != EDGEBAT_UNKNOWN) ? 1U : 0U;
    /* An inference that the power cut short begins again. */
    if ((battery->rows == model->context) &&
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
}

static uint16_t rescaled(uint16_t cpct, uint32_t from_mAh, uint32_t to_mAh) {
    uint32_t scaled = cpct;
    if (cpct != EDGEBAT_UNKNOWN) {
        scaled = not_above((uint32_t)((((uint64_t)cpct * from_mAh) + (to_mAh / 2U)) / to_mAh),
                           (uint32_t)EDGEBAT_MOST_SOH);
    }
    return (uint16_t)scaled;
}

/* Another model's window and estimates mean nothing to this one; what they all said of the cell does, of the
 * capacity that is 100 % now. */
static void inherit(edgebat_t *battery, const uint8_t *saved) {
    const uint32_t from_mAh = edgebat_state_32(saved, 20U);
    const uint32_t to_mAh = battery->config->reference_mAh;
    edgebat_bms_weigh(battery);
    const uint8_t measured = ((battery->source != (uint8_t)EDGEBAT_SOURCE_NONE) &&
                              (battery->source != (uint8_t)EDGEBAT_SOURCE_DATASHEET))
                                 ? 1U
                                 : 0U;
    const uint16_t cpct = rescaled(battery->target_cpct, from_mAh, to_mAh);
    for (uint32_t by = 0U; by < EDGEBAT_EVIDENCE; by++) {
        battery->evidence[by].cpct = EDGEBAT_UNKNOWN;
    }
    battery->rows = 0U;
    battery->span = 0U;
    battery->odd_rows = 0U;
    battery->failed = 0U;
    battery->outside = 0U;
    battery->window_ppm = 0U;
    battery->estimate_cycle = 0U;
    battery->row_cycle = 0U;
    battery->cycle_used = 0U;
    battery->row_efc = 0U;
    edgebat_bms_set_anchor(battery, EDGEBAT_ANCHOR_NONE);
    battery->parked = 0U;
    battery->estimate_rul = EDGEBAT_UNKNOWN;
    battery->published_cpct = rescaled(battery->published_cpct, from_mAh, to_mAh);
    battery->efc = edgebat_bms_efc(battery->config->nominal_mAh, battery->throughput);
    if (measured != 0U) {
        edgebat_bms_learn(battery, EDGEBAT_BY_INHERITED,
                          (cpct < (uint32_t)EDGEBAT_LEAST_SOH) ? (uint16_t)EDGEBAT_LEAST_SOH : cpct,
                          (uint32_t)battery->target_sigma + INHERITED_SIGMA);
    }
}

void edgebat_bms_restore(edgebat_t *battery, const uint8_t *saved) {
    const uint32_t nominal_mAh = edgebat_state_32(saved, 16U); /* its ages are in full cycles of this */
    if (saved[3] == EDGEBAT_STATE_VERSION) {
        restore_new(battery, saved, nominal_mAh);
    } else {
        restore_old(battery, saved, nominal_mAh);
    }
    battery->sequence = edgebat_state_32(saved, 12U);
    if (edgebat_state_is_own(battery->model, battery->config, saved) != 0U) {
        restore_window(battery, saved);
    } else {
        inherit(battery, saved);
    }
    battery->kept_efc = battery->efc;
    battery->kept_cpct = battery->published_cpct;
}

const void *edgebat_state_newest(const edgebat_model_t *model, const edgebat_config_t *config, const void *a,
                                 const void *b, uint32_t bytes) {
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
