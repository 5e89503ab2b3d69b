/*
 * proof_config.c - any configuration and any model: what is accepted lies within the ranges that the other proofs begin with.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proof.h"

static void require_config(int code) {
    if (code == EDGEBAT_OK) {
        CONFIG_RANGES(REQUIRE_CONFIG)
    }
}

int main(void) {
    any_model();
    Frama_C_make_unknown((char *)&proof_config, sizeof proof_config);
    require_config(edgebat_bms_check(&proof_model, &proof_config));
    Frama_C_make_unknown((char *)&proof_config, sizeof proof_config);
    (void)edgebat_config_default(&proof_config, (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX));
    require_config(edgebat_bms_check(&proof_model, &proof_config));
    return 0;
}
