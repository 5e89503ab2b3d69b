/*
 * edgebat_service.c - what a workshop does: another module, another board.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_service.h"

#include "edgebat_bms.h"

#include <stddef.h>

/* So much use and so much time lie behind, and what is known was measured just now. */
static void set_use(edgebat_t *battery, uint32_t cycle, uint32_t throughput_mAh, uint32_t clock_s) {
    battery->cycle = cycle;
    battery->throughput = (uint64_t)throughput_mAh * EDGEBAT_PER_MAH;
    battery->efc = edgebat_bms_efc(battery->config->nominal_mAh, battery->throughput);
    battery->clock_s = clock_s;
    battery->swing = 0U;
    battery->armed = 0U;
    battery->row_efc = battery->efc;
    edgebat_bms_begin_use(battery);
    battery->row_cycle = (battery->rows != 0U) ? cycle : 0U;
    battery->estimate_cycle = (battery->evidence[EDGEBAT_BY_MODEL].cpct != EDGEBAT_UNKNOWN) ? cycle : 0U;
    battery->row_cycle = (battery->estimate_cycle > battery->row_cycle) ? cycle : battery->row_cycle;
    battery->estimate_s = (battery->estimate_cycle != 0U) ? clock_s : 0U;
    for (uint32_t by = 0U; by < EDGEBAT_EVIDENCE; by++) {
        edgebat_evidence_t *const evidence = &battery->evidence[by];
        edgebat_bms_learn(battery, by, evidence->cpct, evidence->sigma_cpct);
    }
}

EDGEBAT_SELDOM int edgebat_reset(edgebat_t *battery, uint32_t what) {
    if ((battery == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    if ((what == 0U) || (what > EDGEBAT_RESET_MODULE)) {
        return EDGEBAT_ERR_CONFIG;
    }
    if ((what & EDGEBAT_RESET_HEALTH) != 0U) {
        edgebat_bms_forget_all(battery);
    }
    if ((what & EDGEBAT_RESET_COUNTING) != 0U) {
        edgebat_bms_forget_counts(battery);
    }
    if ((what & EDGEBAT_RESET_WINDOW) != 0U) {
        edgebat_bms_forget_window(battery);
    }
    if ((what & EDGEBAT_RESET_USE) != 0U) {
        set_use(battery, 1U, 0U, 0U);
    }
#if EDGEBAT_RESISTANCE
    if ((what & EDGEBAT_RESET_RESISTANCE) != 0U) {
        edgebat_bms_begin_resistance(battery, 0U, EDGEBAT_OHM_USED);
    }
#endif
    edgebat_bms_weigh(battery);
    battery->revision++;
    return EDGEBAT_OK;
}

EDGEBAT_SELDOM int edgebat_use(const edgebat_t *battery, edgebat_use_t *use) {
    if ((battery == NULL) || (use == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const uint32_t here = battery->published_cpct;
    const uint32_t target = battery->target_cpct;
    const uint32_t sigma = battery->target_sigma + ((here > target) ? (here - target) : (target - here));
    use->serial = battery->serial;
    use->cycle = battery->cycle;
    use->throughput_mAh = edgebat_bms_throughput_mAh(battery);
    use->clock_s = battery->clock_s;
#if EDGEBAT_RESISTANCE
    use->new_uOhm = edgebat_bms_new_uOhm(battery);
#endif
    use->soh_cpct = EDGEBAT_UNKNOWN;
    use->sigma_cpct = EDGEBAT_UNKNOWN;
    if (edgebat_bms_is_measured(battery) != 0U) {
        use->soh_cpct = battery->published_cpct;
        use->sigma_cpct = (uint16_t)((sigma > EDGEBAT_HUNDRED_PERCENT) ? EDGEBAT_HUNDRED_PERCENT : sigma);
    }
    return EDGEBAT_OK;
}

EDGEBAT_SELDOM int edgebat_adopt(edgebat_t *battery, const edgebat_use_t *use) {
    if ((battery == NULL) || (use == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const uint8_t known = (use->soh_cpct != EDGEBAT_UNKNOWN) ? 1U : 0U;
#if EDGEBAT_RESISTANCE
    if (use->new_uOhm > EDGEBAT_MOST_UOHM) {
        return EDGEBAT_ERR_CONFIG;
    }
#endif
    if ((use->cycle == 0U) ||
        ((known != 0U) && (edgebat_bms_is_health(use->soh_cpct, use->sigma_cpct) == 0))) {
        return EDGEBAT_ERR_CONFIG;
    }
    edgebat_bms_forget_all(battery);
    set_use(battery, use->cycle, use->throughput_mAh, use->clock_s);
#if EDGEBAT_RESISTANCE
    edgebat_bms_begin_resistance(battery, use->new_uOhm, EDGEBAT_OHM_USED);
#endif
    if (known != 0U) {
        edgebat_bms_learn(battery, EDGEBAT_BY_INHERITED, use->soh_cpct, use->sigma_cpct);
    }
    battery->serial = use->serial;
    edgebat_bms_weigh(battery);
    battery->revision++;
    return EDGEBAT_OK;
}
