/*
 * edgebat_readings.h - what every adapter is given beside a result: what was measured, and the capacity that SOH is a
 * part of. An adapter is a pure function: a result and readings in, bytes or a structure of a public protocol out. What is
 * not known has the protocol's own word for it, never a number.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_READINGS_H
#define EDGEBAT_READINGS_H

#include "edgebat/edgebat.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Of whatever the message speaks of: a cell, a module, a pack. The estimator has no state of charge; yours goes here. */
typedef struct {
    int32_t voltage_mV;
    int32_t current_mA; /* charging positive, whatever edgebat_config_t says */
    uint32_t
        capacity_mAh; /* 100 % SOH: reference_mAh times cells in parallel, up to 2,000,000,000; 0: not known */
    uint32_t nominal_mV; /* for energies; 0: not known */
    int16_t temperature_ddegC;
    uint16_t soc_cpct;       /* 0.01 % of what the cell holds now; EDGEBAT_UNKNOWN */
    uint16_t soc_sigma_cpct; /* its standard deviation; EDGEBAT_UNKNOWN */
    uint8_t valid;           /* EDGEBAT_VALID_... of voltage, current and temperature */
} edgebat_readings_t;

/* A charge or an energy that is not known, or that 32 bits do not hold. */
#define EDGEBAT_NOT_KNOWN UINT32_MAX

/** The SOH that somebody has measured, 0.01 %. EDGEBAT_UNKNOWN while nobody has: what the data sheet says of a new cell is
 * a guess, and most protocols have no place to say so. */
uint16_t edgebat_measured_soh(const edgebat_result_t *result);

/** A share in steps of `step` hundredths of a percent, rounded down, so that nothing looks healthier or fuller than it is;
 * at most `most`, and `unknown` for EDGEBAT_UNKNOWN. */
uint32_t edgebat_share(uint16_t cpct, uint32_t step, uint32_t most, uint32_t unknown);

/** What `cpct` of `whole` is, rounded down; EDGEBAT_NOT_KNOWN when one of both is not known. */
uint32_t edgebat_part_of(uint32_t whole, uint16_t cpct);

/** Charge that a full cell holds now, mAh, rounded down; EDGEBAT_NOT_KNOWN. */
uint32_t edgebat_full_mAh(const edgebat_result_t *result, const edgebat_readings_t *readings);

/** Energy of a charge at the nominal voltage, mWh, rounded down; EDGEBAT_NOT_KNOWN. */
uint32_t edgebat_energy_mWh(uint32_t charge_mAh, uint32_t nominal_mV);

/** Quotient rounded to the nearest integer, halves away from zero. divisor: above 0. */
int32_t edgebat_rounded(int32_t value, int32_t divisor);

/** `value` within both. */
int32_t edgebat_between(int32_t value, int32_t least, int32_t most);

/** Lowest byte first. */
void edgebat_put16(uint8_t *at, uint32_t value);
void edgebat_put32(uint8_t *at, uint32_t value);

/* Bits of a floating-point number of 1,000 times its value, ties to even, without floating point. */
#define EDGEBAT_HALF_NAN UINT32_C(0x7E00)
#define EDGEBAT_FLOAT_NAN UINT32_C(0x7FC00000)

/** binary16; beyond its range the largest finite one. */
uint32_t edgebat_half(int32_t thousandths);
/** binary32. */
uint32_t edgebat_float(uint32_t thousandths);

#ifdef __cplusplus
}
#endif

#endif
