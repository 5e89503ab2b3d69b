/*
 * proof_service.c - what a workshop does, with any arguments, in any state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_service.h"

#include "proof.h"

int main(void) {
    edgebat_use_t use;
    any_battery();
    (void)edgebat_reset(&proof_battery, (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX));
    require_battery();
    any_battery();
    (void)edgebat_seed(&proof_battery, (uint16_t)ANY_UNSIGNED(0U, UINT16_MAX),
                       (uint16_t)ANY_UNSIGNED(0U, UINT16_MAX));
    require_battery();
    any_battery();
    Frama_C_make_unknown((char *)&use, sizeof use);
    (void)edgebat_adopt(&proof_battery, &use);
    require_battery();
    return 0;
}
