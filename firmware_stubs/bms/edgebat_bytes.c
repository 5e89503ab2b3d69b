/*
 * edgebat_bytes.c - which members of a battery are saved, and numbers in saved bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_state.h"

#include <stddef.h>

#define MEMBER(name) {(uint16_t)offsetof(edgebat_t, name), (uint16_t)sizeof(((const edgebat_t *)NULL)->name)}

const edgebat_member_t edgebat_state_members[EDGEBAT_MEMBERS] = {
    MEMBER(cycle),          MEMBER(throughput),   MEMBER(swing),          MEMBER(count),
    MEMBER(clock_s),        MEMBER(row_cycle),    MEMBER(estimate_cycle), MEMBER(estimate_s),
    MEMBER(anchor_ms),      MEMBER(cold_ms),      MEMBER(anchor_mA),      MEMBER(window_ppm),
    MEMBER(published_cpct), MEMBER(ceiling_cpct), MEMBER(estimate_rul),   MEMBER(rows),
    MEMBER(span),           MEMBER(last_mV),      MEMBER(row_efc),        MEMBER(rest_ms),
    MEMBER(last_ddegC),     MEMBER(settled),      MEMBER(armed),          MEMBER(anchor),
    MEMBER(odd_rows),       MEMBER(failed),       MEMBER(outside),
};

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
