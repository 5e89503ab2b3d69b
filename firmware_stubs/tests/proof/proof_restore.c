/*
 * proof_restore.c - the start from any saved state that is not refused: of any version, of this model or of another one, whatever
 * else its bytes say. proof_check.c shows what is refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proof.h"

/* The checksum may be right. */
uint32_t edgebat_crc32(uint32_t crc, const void *data, uint32_t length) {
    const uint8_t *const bytes = (const uint8_t *)data;
    if (length != 0U) {
        crc ^= (uint32_t)bytes[0] ^ bytes[length - 1U];
    }
    return (uint32_t)((crc == 0U) ? 0U : ANY_UNSIGNED(0U, UINT32_MAX));
}

#define MOST_BYTES (PROOF_SAVED_BYTES + 40U)

static uint8_t proof_saved[MOST_BYTES];

static void any_saved(uint32_t version) {
    Frama_C_make_unknown((char *)proof_saved, sizeof proof_saved);
    proof_saved[3] = (uint8_t)version;
}

/* A battery that is refused stays what it was: nothing, so that it cannot be mistaken for one that begins. */
static void begin(void) {
    static const edgebat_t nothing;
    any_battery();
    proof_battery = nothing;
    proof_battery.config = &proof_config;
    proof_battery.work = (uint8_t *)proof_work;
    (void)edgebat_init(&proof_battery, &proof_model, &proof_config, proof_work, proof_saved, MOST_BYTES);
    if (proof_battery.model != NULL) {
        require_battery();
        require_phase();
    }
}

static void begin_own(uint32_t version) {
    const uint32_t rows = (version == 1U) ? 64U : 90U;
    any_saved(version);
    proof_saved[rows] = (uint8_t)ANY_UNSIGNED(0U, PROOF_CONTEXT);
    proof_saved[rows + 1U] = 0U;
    begin();
}

/* Another model's: the highest byte in which its fingerprint differs is the one at `at`, from low to high. */
static void begin_other(uint32_t version, uint32_t at, uint32_t low, uint32_t high) {
    any_saved(version);
    for (uint32_t i = at + 1U; i < 4U; i++) {
        proof_saved[8U + i] = (uint8_t)(PROOF_FINGERPRINT >> (8U * i));
    }
    proof_saved[8U + at] = (uint8_t)ANY_UNSIGNED(low, high);
    begin();
}

static void begin_others(uint32_t version) {
    for (uint32_t at = 0U; at < 4U; at++) {
        const uint32_t own = (PROOF_FINGERPRINT >> (8U * at)) & 255U;
        begin_other(version, at, 0U, own - 1U);
        begin_other(version, at, own + 1U, 255U);
    }
}

int main(void) {
    any_battery();
    (void)edgebat_init(&proof_battery, &proof_model, &proof_config, proof_work, NULL, 0U);
    for (uint32_t version = 1U; version <= EDGEBAT_STATE_VERSIONS; version++) {
        begin_own(version);
        begin_others(version);
    }
    return 0;
}
