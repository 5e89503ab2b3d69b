/*
 * edgebat_possible.c - what a sound writer writes into a state, and what it never does, whatever the checksum says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_state.h"

#define MOST_SIGNED ((UINT64_C(1) << 63U) - 1U)
#define MOST_CAPACITY UINT32_C(2000000)

/* The number at `at`, of so many bytes, is from a thousand times `least` to what `most` stands for: below LIMITS itself;
 * below OFFSETS one of the limits; else the number at that offset, which is as long. With ANY it may be unknown. */
typedef struct {
    uint8_t at;
    uint8_t bytes;
    uint8_t most;
    uint8_t least;
} rule_t;

#define ANY 16U
#define THOUSAND 1000U
#define LIMITS 8U
#define TO_SIGNED 8U
#define TO_EFC 9U
#define TO_4H 10U
#define TO_ANCHOR 11U
#define TO_SOH 12U
#define TO_WHOLE 13U
#define OFFSETS 14U

#define OLD_RULES 11U
#define RULES 13U
#define NEWEST_RULES 17U
#define EVIDENCE_RULES 5U

static const rule_t old_rules[OLD_RULES] = {
    {48U, 4U, 24U, 0U}, {52U, 4U, 48U, 0U},          {36U, 8U, 28U, 0U},          {66U, 1U, 1U, 0U},
    {67U, 1U, 1U, 0U},  {68U, 1U, 1U, 0U},           {69U, 1U, 0U, 0U},           {70U, 1U, 0U, 0U},
    {71U, 1U, 0U, 0U},  {56U, 2U + ANY, TO_SOH, 0U}, {58U, 2U + ANY, TO_SOH, 2U},
};

/* The last four are those of version 3 alone: the last rest. */
static const rule_t rules[NEWEST_RULES] = {
    {56U, 4U, 24U, 0U},        {60U, 4U, 56U, 0U},
    {64U, 4U, 52U, 0U},        {72U, 4U, 68U, 0U},
    {102U, 1U, 1U, 0U},        {103U, 1U, 1U, 0U},
    {104U, 1U, 2U, 0U},        {107U, 1U, 1U, 0U},
    {96U, 2U, TO_EFC, 0U},     {43U, 1U, TO_SIGNED, 0U},
    {68U, 4U, TO_ANCHOR, 0U},  {84U, 2U + ANY, TO_SOH, 0U},
    {86U, 2U, TO_SOH, 0U},     {156U, 4U, 152U, 0U},
    {152U, 4U, TO_ANCHOR, 0U}, {168U, 2U + ANY, TO_WHOLE, 0U},
    {170U, 2U, TO_WHOLE, 0U},
};

/* Of the first evidence; the last one is not that of charges unlike the training data. */
static const rule_t evidence_rules[EVIDENCE_RULES] = {
    {EDGEBAT_STATE_EVIDENCE, 2U, TO_EFC, 0U},
    {EDGEBAT_STATE_EVIDENCE + 2U, 2U, TO_4H, 0U},
    {EDGEBAT_STATE_EVIDENCE + 6U, 2U, TO_WHOLE, 0U},
    {EDGEBAT_STATE_EVIDENCE + 4U, 2U + ANY, TO_SOH, 0U},
    {EDGEBAT_STATE_EVIDENCE + 4U, 2U + ANY, TO_SOH, 1U},
};

static uint8_t obeys(const uint8_t *saved, const rule_t *rule, uint32_t count, const uint32_t *limits) {
    uint8_t sound = 1U;
    for (uint32_t i = 0U; i < count; i++) {
        const uint32_t bytes = rule[i].bytes % ANY;
        const uint64_t value = edgebat_state_number(saved, rule[i].at, bytes);
        const uint64_t least = rule[i].least * THOUSAND;
        uint64_t most = rule[i].most;
        if (most >= OFFSETS) {
            most = edgebat_state_number(saved, rule[i].most, bytes);
        } else if (most >= LIMITS) {
            most = limits[rule[i].most - LIMITS];
        } else {
            /* it is the limit */
        }
        if (((value < least) || (value > most)) && ((rule[i].bytes < ANY) || (value != EDGEBAT_UNKNOWN))) {
            sound = 0U;
        }
    }
    return sound;
}

/* A charge that a count, or one since a rest, may come to. */
static uint8_t is_count(const uint8_t *saved, uint32_t offset) {
    const uint64_t count = edgebat_state_number(saved, offset, 8U);
    const uint64_t magnitude = (count > MOST_SIGNED) ? (~count + 1U) : count;
    return (magnitude <= ((uint64_t)edgebat_state_32(saved, 20U) * (3U * EDGEBAT_PER_MAH))) ? 1U : 0U;
}

static uint8_t is_old_possible(const uint8_t *saved, const uint32_t *limits) {
    return ((obeys(saved, old_rules, OLD_RULES, limits) != 0U) &&
            ((saved[66] == 0U) || (edgebat_bms_is_soh(edgebat_state_16(saved, 60U)) != 0U)))
               ? 1U
               : 0U;
}

static uint8_t is_new_possible(const uint8_t *saved, const uint32_t *limits) {
    const uint8_t newest = (saved[3] >= 3U) ? 1U : 0U;
    uint8_t sound = is_count(saved, 44U) & obeys(saved, rules, (newest != 0U) ? NEWEST_RULES : RULES, limits);
    if (newest != 0U) {
        sound &= is_count(saved, 160U);
    }
    for (uint32_t by = 0U; by < edgebat_state_layout(saved)->evidence; by++) {
        sound &= obeys(&saved[8U * by], evidence_rules,
                       EVIDENCE_RULES - ((by == EDGEBAT_BY_WINDOW) ? 1U : 0U), limits);
    }
    return sound;
}

static uint8_t is_capacity(uint32_t capacity_mAh) {
    return ((capacity_mAh >= 10U) && (capacity_mAh <= MOST_CAPACITY)) ? 1U : 0U;
}

uint8_t edgebat_state_is_possible(const uint8_t *saved) {
    const uint32_t nominal_mAh = edgebat_state_32(saved, 16U);
    const uint64_t throughput = edgebat_state_number(saved, 28U, 8U);
    uint8_t sound = 0U;
    if ((is_capacity(nominal_mAh) != 0U) && (is_capacity(edgebat_state_32(saved, 20U)) != 0U) &&
        (edgebat_state_32(saved, 24U) >= 1U) && (throughput <= (MOST_SIGNED + (MOST_SIGNED / 2U)))) {
        const uint32_t limits[OFFSETS - LIMITS] = {INT8_MAX,
                                                   edgebat_bms_efc(nominal_mAh, throughput),
                                                   edgebat_state_32(saved, 52U) / EDGEBAT_S_PER_4H,
                                                   EDGEBAT_ANCHOR_MS,
                                                   (uint32_t)EDGEBAT_MOST_SOH,
                                                   EDGEBAT_HUNDRED_PERCENT};
        sound = (saved[3] == 1U) ? is_old_possible(saved, limits) : is_new_possible(saved, limits);
#if EDGEBAT_RESISTANCE
        if (saved[3] == EDGEBAT_STATE_VERSION) {
            sound &= edgebat_state_resistance_is_possible(saved);
        }
#endif
    }
    return sound;
}
