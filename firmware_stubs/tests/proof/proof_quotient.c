/*
 * proof_quotient.c - a division of 64 bits, of any numbers, and by zero.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#define PROOF_OF_QUOTIENT
#include "proof.h"

int main(void) {
    const uint64_t value = ANY_UNSIGNED(0U, UINT64_MAX);
    const uint64_t over = ANY_UNSIGNED(0U, UINT64_MAX);
    (void)edgebat_bms_quotient(value, over);
    (void)edgebat_bms_ratio(value, over);
    proof_require(edgebat_bms_quotient(value, 0U) == 0U);
    return 0;
}
