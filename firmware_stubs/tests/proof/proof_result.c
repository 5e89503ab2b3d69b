/*
 * proof_result.c - what is known, as a result, as CAN frames with and without protection, as a saved state.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_can.h"
#include "edgebat/edgebat_service.h"

#include "proof.h"

static void send(const edgebat_result_t *result) {
    uint8_t data[EDGEBAT_CAN_BYTES];
    uint8_t frame[EDGEBAT_CAN_PROTECTED_BYTES];
    uint8_t counter = (uint8_t)ANY_UNSIGNED(0U, 255U);
    uint8_t lost = 0U;
    (void)edgebat_can_pack(&proof_model, result, (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX),
                           (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX), data);
    Frama_C_make_unknown((char *)data, sizeof data);
    (void)edgebat_can_protect(data, (uint16_t)ANY_UNSIGNED(0U, UINT16_MAX), counter, frame);
    Frama_C_make_unknown((char *)frame, sizeof frame);
    (void)edgebat_can_check(frame, (uint16_t)ANY_UNSIGNED(0U, UINT16_MAX), &counter, &lost);
}

int main(void) {
    edgebat_result_t result;
    edgebat_use_t use;
    edgebat_model_info_t info;
    uint8_t saved[PROOF_SAVED_BYTES];
    any_battery();
    proof_require(edgebat_result(&proof_battery, &result) == EDGEBAT_OK);
    proof_require(result.points <= EDGEBAT_POINTS_MAX);
    proof_require(result.status <= (uint8_t)EDGEBAT_STATUS_CONFLICT);
    send(&result);
    Frama_C_make_unknown((char *)&result, sizeof result);
    send(&result);
    proof_require(edgebat_use(&proof_battery, &use) == EDGEBAT_OK);
    proof_require(edgebat_model_info(&proof_model, &info) == EDGEBAT_OK);
    proof_require(edgebat_state_get(&proof_battery, saved, PROOF_SAVED_BYTES - 1U) == EDGEBAT_ERR_LENGTH);
    proof_require(edgebat_state_get(&proof_battery, saved, PROOF_SAVED_BYTES) == EDGEBAT_OK);
    require_battery();
    return 0;
}
