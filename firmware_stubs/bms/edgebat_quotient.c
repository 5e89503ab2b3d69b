/*
 * edgebat_quotient.c - division of 64 bits, so that no compiler's library has to bring its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

uint64_t edgebat_bms_quotient(uint64_t value, uint64_t over) {
    uint64_t left = value;
    uint64_t part = over;
    uint64_t bit = (over != 0U) ? 1U : 0U;
    uint64_t quotient = 0U;
    while ((part < left) && (part < (UINT64_C(1) << 63U)) && (bit != 0U)) {
        part <<= 1U;
        bit <<= 1U;
    }
    while (bit != 0U) {
        if (left >= part) {
            left -= part;
            quotient |= bit;
        }
        part >>= 1U;
        bit >>= 1U;
    }
    return quotient;
}

uint64_t edgebat_bms_ratio(uint64_t value, uint64_t over) {
    return edgebat_bms_quotient(value + (over / 2U), over);
}
