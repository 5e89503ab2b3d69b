/*
 * proof_check.c - any bytes instead of a saved state, of any length: whether they are one.
 *
 * And no state of this model with more rows than it reads is taken: proof_restore.c begins with the others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proof.h"

/* A state of the version with the longest first part, and some more. */
#define MOST_BYTES (PROOF_SAVED_BYTES + 40U)

/* Read all of it, say anything: proof_result.c has the real one. */
uint32_t edgebat_crc32(uint32_t crc, const void *data, uint32_t length) {
    const uint8_t *const bytes = (const uint8_t *)data;
    if (length != 0U) {
        crc ^= (uint32_t)bytes[0] ^ bytes[length - 1U];
    }
    return (uint32_t)((crc == 0U) ? 0U : ANY_UNSIGNED(0U, UINT32_MAX));
}

static uint8_t room[MOST_BYTES];

static int check(uint32_t bytes) {
    return edgebat_state_check(&proof_model, &proof_config, &room[MOST_BYTES - bytes], bytes);
}

static void check_any(uint32_t bytes, uint32_t least_version, uint32_t most_version) {
    Frama_C_make_unknown((char *)room, sizeof room);
    room[(MOST_BYTES - bytes) + 3U] = (uint8_t)ANY_UNSIGNED(least_version, most_version);
    (void)check(bytes);
}

static void check_length(uint32_t bytes) {
    for (uint32_t version = 1U; version <= EDGEBAT_STATE_VERSIONS; version++) {
        check_any(bytes, version, version);
    }
    check_any(bytes, 0U, 0U);
    check_any(bytes, EDGEBAT_STATE_VERSIONS + 1U, 255U);
}

/* A whole state of this model whose bytes from `offset` on are these. */
static void refuse(uint32_t version, uint32_t offset, const uint8_t *low, const uint8_t *high,
                   uint32_t bytes) {
    uint8_t *const saved = room;
    Frama_C_make_unknown((char *)room, sizeof room);
    saved[3] = (uint8_t)version;
    for (uint32_t i = 0U; i < 4U; i++) {
        saved[8U + i] = (uint8_t)(PROOF_FINGERPRINT >> (8U * i));
    }
    for (uint32_t i = 0U; i < bytes; i++) {
        saved[offset + i] = (uint8_t)ANY_UNSIGNED(low[i], high[i]);
    }
    proof_require(check(MOST_BYTES) < EDGEBAT_OK);
}

static void refuse_all(uint32_t version) {
    static const uint8_t row[2] = {PROOF_CONTEXT + 1U, 0U};
    static const uint8_t more_rows[2] = {0U, 1U};
    static const uint8_t any[2] = {255U, 255U};
    const uint32_t rows = (version == 1U) ? 64U : 90U;
    refuse(version, rows, row, any, 2U);
    refuse(version, rows, more_rows, any, 2U);
}

int main(void) {
    /* where the first parts of the versions end, and their shortest states */
    static const uint32_t lengths[] = {72U,  75U,  76U,  143U, 144U, 147U, 148U, 175U, 176U,
                                       179U, 180U, 211U, 212U, 215U, 216U, 238U, 239U};
    any_model();
    any_config();
    (void)edgebat_state_check(&proof_model, &proof_config, &room[MOST_BYTES],
                              (uint32_t)ANY_UNSIGNED(0U, EDGEBAT_STATE_LEAST - 1U));
    for (uint32_t i = 0U; i < (sizeof lengths / sizeof lengths[0]); i++) {
        check_length(lengths[i]);
    }
    check_length(PROOF_SAVED_BYTES - 1U);
    check_length(PROOF_SAVED_BYTES);
    for (uint32_t version = 1U; version <= EDGEBAT_STATE_VERSIONS; version++) {
        refuse_all(version);
    }
    return 0;
}
