/*
 * proof_push.c - any sample, in any state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proof.h"

static void push(uint32_t phase, uint32_t level, uint8_t sign, int64_t least_mA, int64_t most_mA) {
    edgebat_sample_t sample;
    any_battery();
    any_phase(phase, level);
    proof_config.sign = sign;
    Frama_C_make_unknown((char *)&sample, sizeof sample);
    sample.current_mA = (int32_t)ANY_SIGNED(least_mA, most_mA);
    //@ dynamic_split proof_battery.phase;
    //@ dynamic_split proof_battery.level;
    (void)edgebat_push(&proof_battery, &sample);
    require_battery();
    require_phase();
    //@ merge proof_battery.phase;
    //@ merge proof_battery.level;
}

static void push_any(uint32_t phase, uint32_t level) {
    for (uint8_t sign = 0U; sign < 2U; sign++) {
        push(phase, level, sign, INT32_MIN, -1);
        push(phase, level, sign, 0, 0);
        push(phase, level, sign, 1, INT32_MAX);
    }
}

int main(void) {
    push_any(EDGEBAT_PHASE_NONE, 0U);
    push_any(EDGEBAT_PHASE_OVER, 0U);
    push_any(EDGEBAT_PHASE_BELOW, 0U);
    for (uint32_t level = 0U; level < PROOF_INCREMENTS; level++) {
        push_any(EDGEBAT_PHASE_INSIDE, level);
    }
    return 0;
}
