/*
 * proof_step.c - a step, a self-test, time without samples, in any state: a row joins the window, a slice runs, all evidence
 * is weighed, the published SOH moves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proof.h"

int main(void) {
    any_battery();
    (void)edgebat_step(&proof_battery);
    require_battery();
    any_battery();
    (void)edgebat_selftest(&proof_battery);
    require_battery();
    any_battery();
    (void)edgebat_idle(&proof_battery, (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX));
    require_battery();
    return 0;
}
