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
 *  107 outside            108 evidence, five of 8: throughput, time, SOH, deviation
 *  148 serial             152 time since rest  156 of it odd       160 charge since rest
 *  168 charge at rest     170 its deviation    172 resistance
 *  176 that when new      180 spread           182 seen
 *  183 used               184 five steps       204 use at the last
 *  206 how many           208 CRC-32 of all before
 *  212 trajectory, window, of any window the cycle of each row, CRC-32 of all before
 *
 * That is version 4, with EDGEBAT_RESISTANCE. Version 3, without, has no resistance, and ends its first part with the
 * CRC-32 at 172; either reads both. The first part is read by firmware with another model as well. Version 2 is
 * version 3 with four evidences and nothing between them and the first CRC-32, at 140. Version 1:
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

#define EDGEBAT_STATE_VERSION (3U + EDGEBAT_RESISTANCE)
#define EDGEBAT_STATE_VERSIONS 4U
#define EDGEBAT_STATE_RESISTANCE 172U
#define EDGEBAT_STATE_EVIDENCE 108U
#define EDGEBAT_STATE_CRC_BYTES 4U
#define EDGEBAT_STATE_LEAST 72U /* the first part of version 1 */

/* A version: where its first part ends, where the number of rows stands, how many sources it knows, and where what this
 * firmware knows of it ends. */
typedef struct {
    uint8_t header;
    uint8_t rows;
    uint8_t evidence;
    uint8_t members;
} edgebat_layout_t;

EDGEBAT_SELDOM const edgebat_layout_t *edgebat_state_layout(const uint8_t *saved);

/* Copy the members that this version saves out of a battery into bytes, or back. */
EDGEBAT_SELDOM void edgebat_state_put(const edgebat_t *battery, uint8_t *saved);
EDGEBAT_SELDOM void edgebat_state_take(edgebat_t *battery, const uint8_t *saved);

/* An unsigned number at an offset. */
EDGEBAT_SELDOM uint64_t edgebat_state_number(const uint8_t *saved, uint32_t offset, uint32_t bytes);
EDGEBAT_SELDOM uint32_t edgebat_state_32(const uint8_t *saved, uint32_t offset);
EDGEBAT_SELDOM uint16_t edgebat_state_16(const uint8_t *saved, uint32_t offset);

/* Whether a state's contents are such as a writer writes, whatever the checksum says. */
EDGEBAT_SELDOM uint8_t edgebat_state_is_possible(const uint8_t *saved);

#if EDGEBAT_RESISTANCE
/* The same of what version 4 says of a resistance. */
EDGEBAT_SELDOM uint8_t edgebat_state_resistance_is_possible(const uint8_t *saved);
#endif

/* Whether a state is of this model, version aside, and of this capacity. */
EDGEBAT_SELDOM uint8_t edgebat_state_is_own(const edgebat_model_t *model, const edgebat_config_t *config,
                                            const uint8_t *saved);

#endif
