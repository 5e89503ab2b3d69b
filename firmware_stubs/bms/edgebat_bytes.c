/*
 * edgebat_bytes.c - which members of a battery are saved, by version, and numbers in saved bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_state.h"

#include <stddef.h>

#define FIRST_MEMBER 24U

/* Members that follow one another in a battery and in its state: the first, how many, bytes of each. */
typedef struct {
    uint16_t offset;
    uint8_t count;
    uint8_t bytes;
} run_t;

#define RUN(first, count)                                                                                    \
    {(uint16_t)offsetof(edgebat_t, first), (count), sizeof(((const edgebat_t *)NULL)->first)}
#define FOLLOWS(last, first, count)                                                                          \
    EDGEBAT_STATIC_ASSERT(offsetof(edgebat_t, last) - offsetof(edgebat_t, first) ==                          \
                              ((count) - 1U) * sizeof(((const edgebat_t *)NULL)->first),                     \
                          last##_follows)

FOLLOWS(count, throughput, 3U);
FOLLOWS(window_ppm, clock_s, 8U);
FOLLOWS(last_ddegC, published_cpct, 9U);
FOLLOWS(outside, settled, 6U);
FOLLOWS(ocv_odd_ms, serial, 3U);
FOLLOWS(ocv_sigma, ocv_cpct, 2U);
#if EDGEBAT_RESISTANCE
FOLLOWS(ohm_new, ohm, 2U);
FOLLOWS(ohm_used, ohm_seen, 2U);
FOLLOWS(ohm_count, ohm_use, 2U);
#endif

static const run_t members[] = {
    RUN(cycle, 1U),
    RUN(throughput, 3U),
    RUN(clock_s, 8U),
    RUN(published_cpct, 9U),
    RUN(settled, 6U),
    RUN(evidence[0].at_efc, 4U * EDGEBAT_EVIDENCE), /* version 2: four; what follows is then not read */
    RUN(serial, 3U),
    RUN(ocv_charge, 1U),
    RUN(ocv_cpct, 2U),
#if EDGEBAT_RESISTANCE
    RUN(ohm, 2U),
    RUN(ohm_spread, 1U),
    RUN(ohm_seen, 2U),
    RUN(ohm_steps[0], EDGEBAT_OHM_STEPS),
    RUN(ohm_use, 2U),
#endif
};

/* Version 1: the throughput of the count comes to lie in `count`, and whether there is an estimate in `armed`. */
static const run_t old_members[] = {
    RUN(cycle, 1U),
    RUN(throughput, 1U),
    RUN(count, 1U),
    RUN(clock_s, 3U),
    RUN(published_cpct, 1U),
    RUN(evidence[EDGEBAT_BY_COUNTING].cpct, 1U),
    RUN(evidence[EDGEBAT_BY_MODEL].cpct, 1U),
    RUN(estimate_rul, 2U),
    RUN(armed, 1U),
    RUN(outside, 1U),
    RUN(settled, 1U),
};

const edgebat_layout_t *edgebat_state_layout(const uint8_t *saved) {
    /* three zeros end the first part of version 1, and a checksum that of the others */
    static const edgebat_layout_t layouts[EDGEBAT_STATE_VERSIONS] = {
        {72U, 64U, 0U, 69U},
        {144U, 90U, 4U, 140U},
        {176U, 90U, EDGEBAT_EVIDENCE, 172U},
        {212U, 90U, EDGEBAT_EVIDENCE, EDGEBAT_SAVED_HEADER - EDGEBAT_STATE_CRC_BYTES}};
    return &layouts[saved[3] - 1U];
}

/* Byte by byte between a battery and its state, in either direction, up to `end` bytes of state. */
static void move(const run_t *runs, const uint8_t *from, uint8_t *to, uint8_t saving, uint32_t end) {
    const uint16_t one = 1U;
    const uint32_t high_first = (*(const uint8_t *)(const void *)&one == 0U) ? 1U : 0U;
    uint32_t at = FIRST_MEMBER;
    for (const run_t *run = runs; at < end; run++) {
        const uint32_t bytes = run->bytes;
        const uint32_t all = bytes * run->count;
        for (uint32_t i = 0U; (i < all) && (at < end); i++) {
            const uint32_t in_member =
                (high_first != 0U) ? ((i - (i % bytes)) + (bytes - 1U) - (i % bytes)) : i;
            const uint32_t member = run->offset + in_member;
            to[(saving != 0U) ? at : member] = from[(saving != 0U) ? member : at];
            at++;
        }
    }
}

void edgebat_state_put(const edgebat_t *battery, uint8_t *saved) {
    move(members, (const uint8_t *)battery, saved, 1U, EDGEBAT_SAVED_HEADER - EDGEBAT_STATE_CRC_BYTES);
}

void edgebat_state_take(edgebat_t *battery, const uint8_t *saved) {
    move((saved[3] == 1U) ? old_members : members, saved, (uint8_t *)battery, 0U,
         edgebat_state_layout(saved)->members);
}

uint64_t edgebat_state_number(const uint8_t *saved, uint32_t offset, uint32_t bytes) {
    uint64_t value = 0U;
    for (uint32_t i = bytes; i != 0U; i--) {
        value = (value << 8U) | saved[offset + i - 1U];
    }
    return value;
}

uint32_t edgebat_state_32(const uint8_t *saved, uint32_t offset) {
    return (uint32_t)edgebat_state_number(saved, offset, 4U);
}

uint16_t edgebat_state_16(const uint8_t *saved, uint32_t offset) {
    return (uint16_t)edgebat_state_number(saved, offset, 2U);
}
