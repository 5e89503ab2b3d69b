/*
 * proof.h - any battery, any configuration, any sample: what the proofs of this folder begin with and end with.
 *
 * A proof is one proof_*.c. Its main makes a battery whose members may have any value within the ranges below,
 * calls a function with any arguments, and asks for the same ranges afterwards: then they hold after any number of
 * calls in any order, and Frama-C's Eva, which looks at all values at once, has shown that nothing in between
 * overflows, divides by zero or leaves its memory. `python -m bench.proof` runs them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_TESTS_PROOF_H
#define EDGEBAT_TESTS_PROOF_H

#include "edgebat_state.h"

#include "__fc_builtin.h"

#include <stddef.h>

/*@ requires holds: condition != 0;
  @ assigns \nothing; */
void proof_require(int condition);

/* Where a window of any begins, or above the last of them. */
/*@ requires is_start: value_uV == 0 || value_uV == 50000 || value_uV == 100000 || value_uV == 150000;
  @ assigns \nothing; */
void proof_require_start(int32_t value_uV);

#if !defined(PROOF_OF_QUOTIENT)
/* proof_quotient.c is about its code; to all others it is a division, and they show that none is by zero. */
/*@ requires over != 0;
  @ assigns \result \from value, over;
  @ ensures \result == value / over; */
uint64_t edgebat_bms_quotient(uint64_t value, uint64_t over);
#endif

#define ANY_SIGNED(low, high) Frama_C_long_long_interval((low), (high))
#define ANY_UNSIGNED(low, high) Frama_C_unsigned_long_long_interval((low), (high))

/* The shape of the model is fixed, all it says is not. */
#if !defined(PROOF_INCREMENTS)
#define PROOF_INCREMENTS 4U
#define PROOF_CONTEXT 3U
#define PROOF_LEVELS {3600000, 3625000, 3650000, 3675000, 3700000}
#endif
#define PROOF_LABELS (2U * EDGEBAT_ANY_WINDOW)
#define PROOF_STARTS (3U * EDGEBAT_ANY_WINDOW)
#define PROOF_STEP_UV 50000
#define PROOF_COLUMNS (PROOF_INCREMENTS + PROOF_LABELS + 1U)
#define PROOF_POINTS 2U
#define PROOF_SLICES 3U
#define PROOF_SCRATCH 8U
#define PROOF_OUTPUT_BYTES 12U
#if EDGEBAT_ANY_WINDOW
#define PROOF_WORK_BYTES                                                                                     \
    EDGEBAT_ANY_WORK_BYTES(PROOF_SCRATCH, PROOF_COLUMNS, PROOF_OUTPUT_BYTES, PROOF_CONTEXT)
#else
#define PROOF_WORK_BYTES EDGEBAT_WORK_BYTES(PROOF_SCRATCH, PROOF_COLUMNS, PROOF_OUTPUT_BYTES, PROOF_CONTEXT)
#endif
#define PROOF_SAVED_BYTES EDGEBAT_SAVED_BYTES(PROOF_COLUMNS + PROOF_LABELS, PROOF_CONTEXT, PROOF_POINTS)
#define PROOF_FINGERPRINT UINT32_C(0x87654321)

static const int32_t proof_level_uV[PROOF_INCREMENTS + 1U] = PROOF_LEVELS;
static int32_t proof_low_ppm[PROOF_COLUMNS];
static int32_t proof_high_ppm[PROOF_COLUMNS];
static uint32_t proof_work[(PROOF_WORK_BYTES + 3U) / 4U];
static edgebat_model_t proof_model;
static edgebat_config_t proof_config;
static edgebat_t proof_battery;

/* A model reads and writes what it was given, and says anything. */
static void proof_quantize(const int32_t *ppm, int8_t *row) {
    for (uint32_t i = 0U; i < PROOF_COLUMNS; i++) {
        row[i] = (int8_t)((ppm[i] < 0) ? ANY_SIGNED(-128, -1) : ANY_SIGNED(0, 127));
    }
}

static int proof_run_slice(uint32_t slice, const int8_t *window, void *output, void *scratch) {
    proof_require(slice < PROOF_SLICES);
    proof_require(window[(PROOF_COLUMNS * PROOF_CONTEXT) - 1U] <= 127);
    Frama_C_make_unknown((char *)output, PROOF_OUTPUT_BYTES);
    Frama_C_make_unknown((char *)scratch, PROOF_SCRATCH);
    return (int)ANY_SIGNED(EDGEBAT_ERR_DAMAGED, EDGEBAT_IGNORED);
}

static int32_t proof_read(const void *output, uint32_t what) {
    return (int32_t)(((what + ((const uint8_t *)output)[0]) == 0U) ? 0 : ANY_SIGNED(INT32_MIN, INT32_MAX));
}

static int proof_selftest(void *output, void *scratch) {
    Frama_C_make_unknown((char *)output, PROOF_OUTPUT_BYTES);
    Frama_C_make_unknown((char *)scratch, PROOF_SCRATCH);
    return (int)ANY_SIGNED(EDGEBAT_ERR_DAMAGED, EDGEBAT_OK);
}

static int proof_knows_rate(int32_t rate_mC) {
    return (rate_mC < 0) ? 0 : (int)ANY_SIGNED(0, 1);
}

static void any_model(void) {
    Frama_C_make_unknown((char *)proof_low_ppm, sizeof proof_low_ppm);
    Frama_C_make_unknown((char *)proof_high_ppm, sizeof proof_high_ppm);
    Frama_C_make_unknown((char *)&proof_model, sizeof proof_model);
    proof_model.name = "proof";
    proof_model.fingerprint = PROOF_FINGERPRINT;
    proof_model.level_uV = proof_level_uV;
    proof_model.low_ppm = proof_low_ppm;
    proof_model.high_ppm = proof_high_ppm;
    proof_model.increments = PROOF_INCREMENTS;
    proof_model.columns = PROOF_COLUMNS;
    proof_model.context = PROOF_CONTEXT;
    proof_model.slices = PROOF_SLICES;
    proof_model.points = PROOF_POINTS;
    proof_model.eol_cpct = (uint16_t)ANY_UNSIGNED(0U, EDGEBAT_HUNDRED_PERCENT - 1U);
    proof_model.output_bytes = PROOF_OUTPUT_BYTES;
    proof_model.scratch_bytes = PROOF_SCRATCH;
    proof_model.quantize = &proof_quantize;
    proof_model.run_slice = &proof_run_slice;
    proof_model.read = &proof_read;
    proof_model.selftest = &proof_selftest;
    proof_model.knows_rate = &proof_knows_rate;
#if EDGEBAT_ANY_WINDOW
    proof_model.starts = PROOF_STARTS;
    proof_model.start_step_mV = PROOF_STEP_UV / 1000;
    proof_model.next_start = 2U;
    proof_model.max_age = (uint16_t)ANY_UNSIGNED(0U, EDGEBAT_MOST_AGE);
#endif
}

/* Members of a configuration that edgebat_bms_check bounds; proof_config.c shows that it does. */
#define CONFIG_RANGES(X)                                                                                     \
    X(nominal_mAh, 10U, 2000000U)                                                                            \
    X(reference_mAh, 10U, 2000000U)                                                                          \
    X(max_current_mA, 1, 2000000)                                                                            \
    X(cutoff_mA, 0, 2000000)                                                                                 \
    X(max_gap_ms, 1U, 120000U)                                                                               \
    X(stuck_ppm, 1U, 1000000U)                                                                               \
    X(min_mV, 0, INT16_MAX)                                                                                  \
    X(max_mV, 1, 10000)                                                                                      \
    X(full_mV, 0, 10000)                                                                                     \
    X(empty_mV, 0, INT16_MAX)                                                                                \
    X(max_drop_mV, 1, INT16_MAX)                                                                             \
    X(sign, 0U, 1U)

#define CHOOSE_CONFIG(member, low, high) proof_config.member = ANY_SIGNED((low), (high));
#define REQUIRE_CONFIG(member, low, high)                                                                    \
    proof_require((proof_config.member >= (low)) && (proof_config.member <= (high)));

static void any_config(void) {
    Frama_C_make_unknown((char *)&proof_config, sizeof proof_config);
    CONFIG_RANGES(CHOOSE_CONFIG)
}

/* Twice mA * ms of the longest step between two samples at the highest current, and what a charge may come to. */
#define PROOF_PART INT64_C(480000000000)
#define PROOF_CHARGE ((INT64_C(1) << 60U) + PROOF_PART)

#if EDGEBAT_ANY_WINDOW
#define ANY_WINDOW_RANGES(X) X(start_uV, 0, 3 * PROOF_STEP_UV)
#else
#define ANY_WINDOW_RANGES(X)
#endif

/* Members that more is known of than their type says, in every state that there is. */
#define BATTERY_RANGES(X)                                                                                    \
    ANY_WINDOW_RANGES(X)                                                                                     \
    X(charge, 0, PROOF_CHARGE)                                                                               \
    X(moved_charge, 0, PROOF_CHARGE)                                                                         \
    X(level_charge, -PROOF_CHARGE, PROOF_CHARGE * 4)                                                         \
    X(rows, 0, PROOF_CONTEXT)                                                                                \
    X(slice, 0, PROOF_SLICES)                                                                                \
    X(phase, EDGEBAT_PHASE_NONE, EDGEBAT_PHASE_OVER)                                                         \
    X(level, 0, PROOF_INCREMENTS)                                                                            \
    X(hold_ms, 0, 10000)                                                                                     \
    X(second_ms, 0, 999)                                                                                     \
    X(last_mA, -2000000, 2000000)                                                                            \
    X(smooth_mA, -32000000, 32000000)

/* The sum of at most 65,535 temperatures, each at most 120 degC: what the number of them makes of it is arithmetic
 * that Eva does not do, so it is taken for granted here and not asked for afterwards. */
#define PROOF_LEAST_DDEGC (-600 * 65535)
#define PROOF_MOST_DDEGC (1200 * 65535)

#define CHOOSE_MEMBER(member, low, high) proof_battery.member = ANY_SIGNED((low), (high));
#define REQUIRE_MEMBER(member, low, high)                                                                    \
    proof_require((proof_battery.member >= (low)) && (proof_battery.member <= (high)));

/* A charge is in the window that begins at one of the model's starts, or above the last of them. */
static void any_start(uint32_t start) {
#if EDGEBAT_ANY_WINDOW
    proof_battery.start_uV = (int32_t)start * PROOF_STEP_UV;
#else
    proof_require(start == 0U);
#endif
}

static void any_battery(void) {
    any_model();
    any_config();
    Frama_C_make_unknown((char *)proof_work, sizeof proof_work);
    Frama_C_make_unknown((char *)&proof_battery, sizeof proof_battery);
    proof_battery.model = &proof_model;
    proof_battery.config = &proof_config;
    proof_battery.work = (uint8_t *)proof_work;
    proof_battery.ocv = NULL;
    BATTERY_RANGES(CHOOSE_MEMBER)
    any_start((uint32_t)ANY_UNSIGNED(0U, PROOF_STARTS));
    proof_battery.sum_ddegC = (int32_t)ANY_SIGNED(PROOF_LEAST_DDEGC, PROOF_MOST_DDEGC - 1200);
}

/* What belongs together: current has flowed into a cell that is charged. */
static void any_phase(uint32_t phase) {
    proof_battery.phase = (uint8_t)phase;
    if (phase != EDGEBAT_PHASE_NONE) {
        proof_battery.last_mA = (int32_t)ANY_SIGNED(1, 2000000);
    }
}

static void require_phase(void) {
    proof_require((proof_battery.phase == EDGEBAT_PHASE_NONE) || (proof_battery.last_mA > 0));
}

static void require_battery(void) {
#if EDGEBAT_ANY_WINDOW
    proof_require_start(proof_battery.start_uV);
#endif
    proof_require(proof_battery.model == &proof_model);
    proof_require(proof_battery.config == &proof_config);
    proof_require(proof_battery.work == (uint8_t *)proof_work);
    BATTERY_RANGES(REQUIRE_MEMBER)
}

#endif
