/*
 * edgebat_state.h - a battery's state as bytes, lowest byte first on every core.
 *
 *    0 magic, version       4 length             8 fingerprint      12 sequence
 *   16 nominal mAh         20 reference mAh     24 cycle            28 throughput
 *   36 swing               44 count             52 clock            56 cycle of row
 *   60 cycle of estimate   64 clock at estimate 68 time of anchor   72 of it cold
 *   76 current at anchor   80 sum of window     84 published        86 ceiling
 *   88 RUL                 90 rows              92 span             94 last voltage
 *   96 throughput of row   98 rest             100 last temperature 102 settled
 *  103 armed              104 anchor           105 odd rows        106 failed
 *  107 outside            108 evidence, four of 8: throughput, time, SOH, deviation
 *  140 CRC-32 of all before                    144 trajectory, window, CRC-32 of all before
 *
 * The first part is read by firmware with another model as well. Version 1:
 *
 *   28 throughput          36 counted at        44 age              48 cycle of row
 *   52 cycle of estimate   56 published         58 counted          60 estimate
 *   62 RUL                 64 rows              66 has estimate     67 outside
 *   68 settled             69 zero              72 trajectory, window, CRC-32
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_STATE_H
#define EDGEBAT_STATE_H

#include "edgebat_bms.h"

#define EDGEBAT_STATE_VERSION 2U
#define EDGEBAT_STATE_OLD_HEADER 72U
#define EDGEBAT_STATE_MEMBERS 24U /* first byte of the members below */
#define EDGEBAT_STATE_EVIDENCE 108U

/* A member of edgebat_t that is saved, an integer of so many bytes. */
typedef struct {
    uint16_t offset;
    uint16_t bytes;
} edgebat_member_t;

#define EDGEBAT_MEMBERS 27U
extern const edgebat_member_t edgebat_state_members[EDGEBAT_MEMBERS];

/* An unsigned number at an offset. */
uint64_t edgebat_state_number(const uint8_t *saved, uint32_t offset, uint32_t bytes);
uint32_t edgebat_state_32(const uint8_t *saved, uint32_t offset);
uint16_t edgebat_state_16(const uint8_t *saved, uint32_t offset);

/* Whether a state is of this model, version aside, and of this capacity. */
uint8_t edgebat_state_is_own(const edgebat_model_t *model, const edgebat_config_t *config,
                             const uint8_t *saved);

#endif
