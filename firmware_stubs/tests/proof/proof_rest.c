/*
 * proof_rest.c - any sample over any table of open-circuit voltages, in any state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_ocv.h"

#include "proof.h"

#define POINTS 4U

static int16_t proof_mV[POINTS];
static edgebat_ocv_t proof_table = EDGEBAT_OCV(proof_mV, POINTS, 1U, 0U, 0U, 0U, 0U);

int main(void) {
    any_battery();
    Frama_C_make_unknown((char *)proof_mV, sizeof proof_mV);
    proof_table.sigma_mV = (uint16_t)ANY_UNSIGNED(0U, UINT16_MAX);
    proof_table.sigma_cpct = (uint16_t)ANY_UNSIGNED(0U, UINT16_MAX);
    proof_table.unseen_percent = (uint16_t)ANY_UNSIGNED(0U, UINT16_MAX);
    proof_table.aged_percent = (uint16_t)ANY_UNSIGNED(0U, UINT16_MAX);
    proof_table.soh_cpct = (uint16_t)ANY_UNSIGNED(0U, UINT16_MAX);
    (void)edgebat_use_ocv(&proof_battery, &proof_table);
    require_battery();
    for (int16_t i = 0; i < (int16_t)POINTS; i++) {
        /* ascending, as edgebat_use_ocv asks */
        proof_mV[i] = (int16_t)ANY_SIGNED(INT16_MIN + (16384 * i), INT16_MIN + (16384 * i) + 16383);
    }
    proof_table.sigma_mV = (uint16_t)ANY_UNSIGNED(1U, 1000U);
    proof_table.sigma_cpct = (uint16_t)ANY_UNSIGNED(0U, EDGEBAT_HUNDRED_PERCENT);
    proof_table.unseen_percent = (uint16_t)ANY_UNSIGNED(0U, 100U);
    proof_table.aged_percent = (uint16_t)ANY_UNSIGNED(0U, 100U);
    proof_table.soh_cpct = (uint16_t)ANY_UNSIGNED(0U, EDGEBAT_MOST_SOH);
    proof_battery.ocv = &proof_table;
    edgebat_follow_rest(&proof_battery, (int16_t)ANY_SIGNED(INT16_MIN, INT16_MAX),
                        ANY_SIGNED(-PROOF_PART, PROOF_PART), (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX));
    require_battery();
    return 0;
}
