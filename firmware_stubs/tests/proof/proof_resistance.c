/*
 * proof_resistance.c - any step of the current, in any state, with EDGEBAT_RESISTANCE.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_resistance.h"

#include "proof.h"

/* Medians that made the resistance, of which there is one as soon as there is a median. */
static void any_resistance(uint32_t least_seen, uint32_t most_seen) {
    any_battery();
    proof_config.resistance.new_uOhm = (uint32_t)ANY_UNSIGNED(0U, EDGEBAT_MOST_UOHM);
    proof_config.resistance.step_mA = (int32_t)ANY_SIGNED(1, INT32_MAX);
    proof_config.resistance.sigma_cpct = (uint16_t)ANY_UNSIGNED(0U, EDGEBAT_HUNDRED_PERCENT);
    proof_battery.ohm_seen = (uint8_t)ANY_UNSIGNED(least_seen, most_seen);
    proof_battery.ohm = (uint32_t)ANY_UNSIGNED((least_seen != 0U) ? 1U : 0U, 100U * EDGEBAT_MOST_UOHM);
    proof_battery.ohm_count = (uint16_t)ANY_UNSIGNED(0U, EDGEBAT_OHM_STEPS - 1U);
}

static void follow(uint32_t least_seen, uint32_t most_seen, uint32_t count) {
    edgebat_sample_t sample;
    edgebat_result_t result;
    any_resistance(least_seen, most_seen);
    proof_battery.ohm_count = (uint16_t)count;
    Frama_C_make_unknown((char *)&sample, sizeof sample);
    edgebat_bms_follow_resistance(&proof_battery, &sample, (int32_t)ANY_SIGNED(-2000000, 2000000),
                                  (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX));
    proof_require(proof_battery.ohm_count < EDGEBAT_OHM_STEPS);
    any_resistance(least_seen, most_seen);
    Frama_C_make_unknown((char *)&result, sizeof result);
    edgebat_bms_tell_resistance(&proof_battery, &result);
    (void)edgebat_begin_resistance(&proof_battery, (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX));
    proof_require(proof_battery.ohm_count < EDGEBAT_OHM_STEPS);
}

int main(void) {
    for (uint32_t count = 0U; count < EDGEBAT_OHM_STEPS; count++) {
        follow(0U, 0U, count);
        follow(1U, 255U, count);
    }
    return 0;
}
