/*
 * proof_push.c - any sample, in any state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proof.h"

static void push(uint8_t sign, int64_t least_mA, int64_t most_mA) {
    edgebat_sample_t sample;
    proof_config.sign = sign;
    Frama_C_make_unknown((char *)&sample, sizeof sample);
    sample.current_mA = (int32_t)ANY_SIGNED(least_mA, most_mA);
    (void)edgebat_push(&proof_battery, &sample);
    require_battery();
    require_phase();
}

static void charge(uint32_t phase, uint32_t least_level, uint32_t most_level) {
    /* one start after the other, so that a level is one number where it matters */
    const uint32_t starts =
        (phase >= EDGEBAT_PHASE_BELOW) && (phase <= EDGEBAT_PHASE_INSIDE) ? PROOF_STARTS : 0U;
    for (uint32_t start = 0U; start <= starts; start++) {
        any_battery();
        any_phase(phase);
        if (starts != 0U) {
            any_start(start);
        }
        proof_battery.level = (uint16_t)ANY_UNSIGNED(least_level, most_level);
        if (Frama_C_interval(0, 1) != 0) {
            push(EDGEBAT_CHARGE_POSITIVE, 1, INT32_MAX);
        } else {
            push(EDGEBAT_DISCHARGE_POSITIVE, INT32_MIN, -1);
        }
    }
}

static void discharge(uint32_t phase) {
    any_battery();
    any_phase(phase);
    if (Frama_C_interval(0, 1) != 0) {
        push(EDGEBAT_CHARGE_POSITIVE, INT32_MIN, 0);
    } else {
        push(EDGEBAT_DISCHARGE_POSITIVE, 0, INT32_MAX);
    }
}

#if defined(PROOF_SHORT)
int main(void) {
    charge(EDGEBAT_PHASE_NONE, 0U, PROOF_INCREMENTS);
    charge(EDGEBAT_PHASE_INSIDE, 1U, 1U);
    discharge(EDGEBAT_PHASE_INSIDE);
    return 0;
}
#else
int main(void) {
    charge(EDGEBAT_PHASE_NONE, 0U, PROOF_INCREMENTS);
    charge(EDGEBAT_PHASE_OVER, 0U, PROOF_INCREMENTS);
#if EDGEBAT_ANY_WINDOW
    charge(EDGEBAT_PHASE_BELOW, 0U, PROOF_INCREMENTS);
#endif
    for (uint32_t level = 0U; level <= PROOF_INCREMENTS; level++) {
#if !EDGEBAT_ANY_WINDOW
        charge(EDGEBAT_PHASE_BELOW, level, level);
#endif
        charge(EDGEBAT_PHASE_INSIDE, level, level);
    }
    for (uint32_t phase = EDGEBAT_PHASE_NONE; phase <= EDGEBAT_PHASE_OVER; phase++) {
        discharge(phase);
    }
    return 0;
}
#endif
