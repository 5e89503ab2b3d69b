/*
 * edgebat_possible.c - what a sound writer writes into a state, and what it never does, whatever the checksum says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_state.h"

#define MOST_SIGNED ((UINT64_C(1) << 63U) - 1U)
#define MOST_CAPACITY UINT32_C(2000000)

/* The number at `at` is not above the one at `most`; below OFFSETS, not above `most` itself. */
typedef struct {
    uint8_t at;
    uint8_t bytes;
    uint8_t most;
} rule_t;

#define OFFSETS 8U
#define OLD_RULES 9U
#define RULES 8U
#define NEWEST_RULES 9U

static const rule_t old_rules[OLD_RULES] = {
    {48U, 4U, 24U}, {52U, 4U, 48U}, {36U, 8U, 28U}, {66U, 1U, 1U}, {67U, 1U, 1U},
    {68U, 1U, 1U},  {69U, 1U, 0U},  {70U, 1U, 0U},  {71U, 1U, 0U},
};

/* The last one is that of version 3 alone. */
static const rule_t rules[NEWEST_RULES] = {
    {56U, 4U, 24U}, {60U, 4U, 56U}, {64U, 4U, 52U}, {72U, 4U, 68U},   {102U, 1U, 1U},
    {103U, 1U, 1U}, {104U, 1U, 2U}, {107U, 1U, 1U}, {156U, 4U, 152U},
};

static uint8_t obeys(const uint8_t *saved, const rule_t *rule, uint32_t count) {
    uint8_t sound = 1U;
    for (uint32_t i = 0U; i < count; i++) {
        const uint32_t bytes = rule[i].bytes;
        const uint64_t most =
            (rule[i].most < OFFSETS) ? rule[i].most : edgebat_state_number(saved, rule[i].most, bytes);
        if (edgebat_state_number(saved, rule[i].at, bytes) > most) {
            sound = 0U;
        }
    }
    return sound;
}

/* An SOH of at least so much, or none. */
static uint8_t is_soh_if_any(const uint8_t *saved, uint32_t offset, uint32_t least) {
    const uint32_t cpct = edgebat_state_16(saved, offset);
    return ((cpct == EDGEBAT_UNKNOWN) || ((cpct >= least) && (cpct <= (uint32_t)EDGEBAT_MOST_SOH))) ? 1U : 0U;
}

static uint8_t is_old_possible(const uint8_t *saved) {
    return ((obeys(saved, old_rules, OLD_RULES) != 0U) && (is_soh_if_any(saved, 56U, 0U) != 0U) &&
            (is_soh_if_any(saved, 58U, 2000U) != 0U) &&
            ((saved[66] == 0U) || (edgebat_bms_is_soh(edgebat_state_16(saved, 60U)) != 0U)))
               ? 1U
               : 0U;
}

/* A charge that a count, or one since a rest, may come to. */
static uint8_t is_count(const uint8_t *saved, uint32_t offset) {
    const uint64_t count = edgebat_state_number(saved, offset, 8U);
    const uint64_t magnitude = (count > MOST_SIGNED) ? (~count + 1U) : count;
    return (magnitude <= ((uint64_t)edgebat_state_32(saved, 20U) * (3U * EDGEBAT_PER_MAH))) ? 1U : 0U;
}

static uint8_t is_evidence(const uint8_t *saved, uint32_t by, uint32_t efc) {
    const uint32_t at = EDGEBAT_STATE_EVIDENCE + (8U * by);
    const uint32_t fours = edgebat_state_32(saved, 52U) / EDGEBAT_S_PER_4H;
    const uint32_t least = (by == EDGEBAT_BY_WINDOW) ? 0U : (uint32_t)EDGEBAT_LEAST_SOH;
    return ((edgebat_state_16(saved, at) <= efc) && (edgebat_state_16(saved, at + 2U) <= fours) &&
            (is_soh_if_any(saved, at + 4U, least) != 0U) &&
            (edgebat_state_16(saved, at + 6U) <= EDGEBAT_HUNDRED_PERCENT))
               ? 1U
               : 0U;
}

/* Charge and deviation at the last rest, version 3. */
static uint8_t is_rest(const uint8_t *saved) {
    const uint32_t cpct = edgebat_state_16(saved, 168U);
    return (((cpct <= EDGEBAT_HUNDRED_PERCENT) || (cpct == EDGEBAT_UNKNOWN)) &&
            (edgebat_state_16(saved, 170U) <= EDGEBAT_HUNDRED_PERCENT) && (is_count(saved, 160U) != 0U) &&
            (edgebat_state_32(saved, 152U) <= EDGEBAT_ANCHOR_MS))
               ? 1U
               : 0U;
}

static uint8_t is_new_possible(const uint8_t *saved) {
    const uint8_t newest = (saved[3] >= 3U) ? 1U : 0U;
    const uint32_t efc = edgebat_bms_efc(edgebat_state_32(saved, 16U), edgebat_state_number(saved, 28U, 8U));
    uint8_t sound = 0U;
    if ((obeys(saved, rules, (newest != 0U) ? NEWEST_RULES : RULES) != 0U) &&
        (edgebat_state_16(saved, 96U) <= efc) && (edgebat_state_number(saved, 36U, 8U) <= MOST_SIGNED) &&
        (is_count(saved, 44U) != 0U) && (edgebat_state_32(saved, 68U) <= EDGEBAT_ANCHOR_MS) &&
        (is_soh_if_any(saved, 84U, 0U) != 0U) &&
        (edgebat_state_16(saved, 86U) <= (uint32_t)EDGEBAT_MOST_SOH) &&
        ((newest == 0U) || (is_rest(saved) != 0U))) {
        sound = 1U;
        for (uint32_t by = 0U; by < edgebat_state_layout(saved)->evidence; by++) {
            sound &= is_evidence(saved, by, efc);
        }
    }
    return sound;
}

static uint8_t is_capacity(uint32_t capacity_mAh) {
    return ((capacity_mAh >= 10U) && (capacity_mAh <= MOST_CAPACITY)) ? 1U : 0U;
}

uint8_t edgebat_state_is_possible(const uint8_t *saved) {
    uint8_t sound = 0U;
    if ((is_capacity(edgebat_state_32(saved, 16U)) != 0U) &&
        (is_capacity(edgebat_state_32(saved, 20U)) != 0U) && (edgebat_state_32(saved, 24U) >= 1U) &&
        (edgebat_state_number(saved, 28U, 8U) <= (MOST_SIGNED + (MOST_SIGNED / 2U)))) {
        sound = (saved[3] == 1U) ? is_old_possible(saved) : is_new_possible(saved);
#if EDGEBAT_RESISTANCE
        if (saved[3] == EDGEBAT_STATE_VERSION) {
            sound &= edgebat_state_resistance_is_possible(saved);
        }
#endif
    }
    return sound;
}
