/*
 * edgebat_bms.h - what the files of this folder share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_BMS_H
#define EDGEBAT_BMS_H

#include "edgebat/edgebat.h"

/* Functions that are called now and then, not with every sample: made short instead of fast where the compiler
 * knows how, also in a firmware that is compiled with -O2. */
#if defined(__clang__)
#define EDGEBAT_SELDOM __attribute__((minsize))
#elif defined(__GNUC__)
#define EDGEBAT_SELDOM __attribute__((cold))
#else
#define EDGEBAT_SELDOM
#endif

/* The same for one that must not lie in its only caller: its stack is taken while it runs, not as long as that. */
#if defined(__GNUC__)
#define EDGEBAT_APART EDGEBAT_SELDOM __attribute__((noinline))
#else
#define EDGEBAT_APART EDGEBAT_SELDOM
#endif

/* Phases of a charge. */
#define EDGEBAT_PHASE_NONE 0U   /* rest or discharge */
#define EDGEBAT_PHASE_BELOW 1U  /* charging, the window lies ahead */
#define EDGEBAT_PHASE_INSIDE 2U /* charging through the window */
#define EDGEBAT_PHASE_OVER 3U   /* charging, nothing more to measure until it ends */

#define EDGEBAT_ANCHOR_NONE 0U
#define EDGEBAT_ANCHOR_FULL 1U
#define EDGEBAT_ANCHOR_EMPTY 2U

/* After two days an offset of the sensor has become capacity. */
#define EDGEBAT_ANCHOR_MS UINT32_C(172800000)

/* An offset of the sensor of a thousandth of the one-hour current: 0.1 % per hour. */
#define EDGEBAT_MS_PER_CPCT UINT32_C(360000)

/* Places in edgebat_t.evidence. */
#define EDGEBAT_BY_MODEL 0U
#define EDGEBAT_BY_COUNTING 1U
#define EDGEBAT_BY_WINDOW 2U
#define EDGEBAT_BY_INHERITED 3U
#define EDGEBAT_BY_REST 4U

#define EDGEBAT_WEIGH_AGE 1U /* the evidence is older: it never makes a cell healthier */
#define EDGEBAT_WEIGH_NEW 2U /* there is new evidence */

#define EDGEBAT_HUNDRED_PERCENT 10000U

/* A model that says anything else is not believed, 0.01 %. */
#define EDGEBAT_LEAST_SOH 1000
#define EDGEBAT_MOST_SOH 15000

/* mAh in the unit of the counters, twice mA * ms. */
#define EDGEBAT_PER_MAH UINT32_C(7200000)

/* Of nominal capacity: less is a pulse. */
#define EDGEBAT_PULSE_PART 100U

/* So much of it may be missing in the first level, and so much below it shows that none is. */
#define EDGEBAT_LACK_PART 1000U
#define EDGEBAT_LEAD_PART 40U

/* Below a fiftieth of the 1 h rate a cell rests. */
#define EDGEBAT_REST_PART 50

/* So long without current a cell is parked; where rest_ms stands when its voltage has come to a halt as well. */
#define EDGEBAT_PARKED_MS UINT32_C(60000)
#define EDGEBAT_CALM 60001U

/* Cycles; a row is never older. */
#define EDGEBAT_MOST_AGE UINT32_C(30000)

/* The time of evidence counts in these. */
#define EDGEBAT_S_PER_4H UINT32_C(14400)

/* Parts of the working memory. */
EDGEBAT_SELDOM int32_t *edgebat_bms_row(const edgebat_t *battery);
EDGEBAT_SELDOM void *edgebat_bms_output(const edgebat_t *battery);
EDGEBAT_SELDOM int8_t *edgebat_bms_window(const edgebat_t *battery);

/* Whether a configuration and a model's description make sense; EDGEBAT_OK or the error. */
EDGEBAT_SELDOM int edgebat_bms_model_is_sound(const edgebat_model_t *model);
EDGEBAT_SELDOM int edgebat_bms_check(const edgebat_model_t *model, const edgebat_config_t *config);

/* Whether a sample's temperature is one, and not a broken sensor's. */
EDGEBAT_SELDOM uint8_t edgebat_bms_has_temperature(const edgebat_sample_t *sample);

/* A charge from its first sample to the one after its last, which may end it inside the window for `inside`. */
EDGEBAT_SELDOM void edgebat_bms_begin_charge(edgebat_t *battery, int16_t cell_mV);
EDGEBAT_SELDOM void edgebat_bms_follow_charge(edgebat_t *battery, const edgebat_sample_t *sample,
                                              int32_t charging_mA, int64_t part, uint32_t dt_ms);
EDGEBAT_SELDOM void edgebat_bms_end_charge(edgebat_t *battery, edgebat_charge_t inside);

/* Its voltage has reached the window. And it gives nothing, for this reason. */
EDGEBAT_APART void edgebat_bms_enter_window(edgebat_t *battery);
EDGEBAT_SELDOM void edgebat_bms_give_up(edgebat_t *battery, edgebat_charge_t reason);

/* Charge and time between the samples inside the window, and to the first of them from the one before. */
EDGEBAT_SELDOM void edgebat_bms_track_rate(edgebat_t *battery, int64_t part, uint32_t dt_ms);

/* Their mean current, 0.001 C, and whether the model knows such a rate, or states none. */
EDGEBAT_SELDOM int32_t edgebat_bms_rate_mC(const edgebat_t *battery);
EDGEBAT_SELDOM uint8_t edgebat_bms_knows_rate(const edgebat_t *battery, int32_t rate_mC);

/* A quotient in 64 bits, bit by bit: the compiler's library takes more flash and twice the stack. Over 0 it is 0. And one
 * that is rounded half up. */
EDGEBAT_SELDOM uint64_t edgebat_bms_quotient(uint64_t value, uint64_t over);
EDGEBAT_SELDOM uint64_t edgebat_bms_ratio(uint64_t value, uint64_t over);

/* The part of nominal capacity, `over` of it, in the unit of the counters. */
EDGEBAT_SELDOM uint64_t edgebat_bms_part(const edgebat_t *battery, uint32_t over);

/* Count what flowed since the sample before, twice mA * ms, charging positive; the time with what is not sure of it. */
EDGEBAT_SELDOM void edgebat_bms_count(edgebat_t *battery, int64_t part, uint32_t dt_ms);

/* The same between full and empty. */
EDGEBAT_SELDOM void edgebat_bms_count_anchor(edgebat_t *battery, int64_t part, uint32_t dt_ms);

/* Whether the last temperature is too cold or too hot to count by; a battery without a sensor is not asked. */
EDGEBAT_SELDOM uint8_t edgebat_bms_is_cold(const edgebat_t *battery);

/* One charge more; a sum that is out of all bounds stays as it is. */
EDGEBAT_SELDOM int64_t edgebat_bms_sum(int64_t charge, int64_t part);

/* Nothing holds twice its reference capacity, in the unit of the counters. */
EDGEBAT_SELDOM int64_t edgebat_bms_most_charge(const edgebat_t *battery);

/* Charge as a part of the reference capacity, 0.01 %; beyond twice as much UINT16_MAX. */
EDGEBAT_SELDOM uint32_t edgebat_bms_in_cpct(const edgebat_t *battery, int64_t charge);

/* Whether this can be an SOH that somebody has measured, 0.01 %. */
EDGEBAT_SELDOM uint8_t edgebat_bms_is_soh(uint32_t cpct);

/* A new cycle begins. */
EDGEBAT_SELDOM void edgebat_bms_count_cycle(edgebat_t *battery);

/* Throughput in quarters of an equivalent full cycle. */
EDGEBAT_SELDOM uint16_t edgebat_bms_efc(uint32_t nominal_mAh, uint64_t throughput);

/* Throughput in steps of 2^26, 9.3 mAh; it wraps around. */
EDGEBAT_SELDOM uint16_t edgebat_bms_use(const edgebat_t *battery);

/* Throughput in mAh; beyond its range the most. */
EDGEBAT_SELDOM uint32_t edgebat_bms_throughput_mAh(const edgebat_t *battery);

/* Counting begins anew, or not at all. */
EDGEBAT_SELDOM void edgebat_bms_set_anchor(edgebat_t *battery, uint8_t anchor);

/* Full and empty are where counting begins and ends. */
EDGEBAT_SELDOM void edgebat_bms_find_anchor(edgebat_t *battery, int16_t cell_mV, int32_t charging_mA,
                                            uint32_t dt_ms);

/* The cell has rested so long, or current flows again: whether a count survives a loss of power. */
EDGEBAT_SELDOM void edgebat_bms_park(edgebat_t *battery, uint8_t resting, uint32_t dt_ms);

/* Whether a state that is saved now is one at rest, from which a count may go on. */
EDGEBAT_SELDOM uint8_t edgebat_bms_is_parked(const edgebat_t *battery);

/* A source has measured. From this moment on its error grows. */
EDGEBAT_SELDOM void edgebat_bms_learn(edgebat_t *battery, uint32_t by, uint16_t cpct, uint32_t sigma_cpct);

/* All that was measured of the cell, but not how much it was used: by the model; by counts and rests; by anybody. */
EDGEBAT_SELDOM void edgebat_bms_forget_window(edgebat_t *battery);
EDGEBAT_SELDOM void edgebat_bms_forget_counts(edgebat_t *battery);
EDGEBAT_SELDOM void edgebat_bms_forget(edgebat_t *battery);

/* The same of another cell: its SOH is no place to move from. */
EDGEBAT_SELDOM void edgebat_bms_forget_all(edgebat_t *battery);

/* A number of the model as it is published: none is below 0, or unknown. */
EDGEBAT_SELDOM uint16_t edgebat_bms_limited(int32_t value);

/* An SOH of one capacity, of the one that is 100 % now. */
EDGEBAT_SELDOM uint16_t edgebat_bms_rescaled(const edgebat_t *battery, uint32_t cpct, uint32_t from_mAh);

/* What the model says of its own 100 %, of the reference capacity: all sources have one scale. */
EDGEBAT_SELDOM uint16_t edgebat_bms_on_scale(const edgebat_t *battery, int32_t value);

/* Whether somebody can have measured this SOH with this deviation. */
EDGEBAT_SELDOM int edgebat_bms_is_health(uint16_t soh_cpct, uint16_t sigma_cpct);

/* The largest integer whose square is not above `value`. */
EDGEBAT_SELDOM uint32_t edgebat_bms_square_root(uint32_t value);

/* Whether somebody who has measured is heard. */
EDGEBAT_SELDOM uint8_t edgebat_bms_is_measured(const edgebat_t *battery);

/* The model has, of the newest row and those before it; sigma_cpct: its error, EDGEBAT_UNKNOWN: not known. */
EDGEBAT_SELDOM void edgebat_bms_learn_model(edgebat_t *battery, uint16_t cpct, uint16_t sigma_cpct);

/* All evidence together, if anything about it has changed: target_cpct, target_sigma, source. */
EDGEBAT_SELDOM void edgebat_bms_weigh(edgebat_t *battery);

/* SOH lost in so many quarters of an equivalent full cycle, 0.01 %, by the data sheet or a usual cell. */
EDGEBAT_SELDOM uint32_t edgebat_bms_faded(const edgebat_t *battery, uint32_t efc);

/* What counting, else the data sheet, says now. */
EDGEBAT_SELDOM uint16_t edgebat_bms_counting(const edgebat_t *battery);

/* Time has passed, so many ms: the evidence is older, and the published SOH is closer to its target. */
EDGEBAT_SELDOM uint32_t edgebat_bms_pass_time(edgebat_t *battery);
EDGEBAT_SELDOM void edgebat_bms_settle(edgebat_t *battery, uint32_t dt_ms);

#if EDGEBAT_RESISTANCE

/* A sample that follows one before without a hole: whether the step between them tells a resistance. */
void edgebat_bms_follow_resistance(edgebat_t *battery, const edgebat_sample_t *sample, int32_t charging_mA,
                                   uint32_t dt_ms);

/* What is known of it now; its configuration to begin with, and whether one makes sense. */
EDGEBAT_SELDOM void edgebat_bms_tell_resistance(const edgebat_t *battery, edgebat_result_t *result);
EDGEBAT_SELDOM void edgebat_bms_default_resistance(edgebat_config_t *config);
EDGEBAT_SELDOM int edgebat_bms_resistance_is_sound(const edgebat_config_t *config);

/* Whether the resistance that a cell has now is that of a new one. */
#define EDGEBAT_OHM_BY_CONFIG 0U
#define EDGEBAT_OHM_USED 1U
#define EDGEBAT_OHM_NEW 2U

#define EDGEBAT_MOST_UOHM UINT32_C(20000000)

/* Another cell; its resistance when new, 0: not known. And that of this one, as far as it was measured or given. */
EDGEBAT_SELDOM void edgebat_bms_begin_resistance(edgebat_t *battery, uint32_t new_uOhm, uint8_t used);
EDGEBAT_SELDOM uint32_t edgebat_bms_new_uOhm(const edgebat_t *battery);

#endif

/* Take a checked state over into a battery that was just begun. */
EDGEBAT_SELDOM void edgebat_bms_restore(edgebat_t *battery, const uint8_t *saved);

#include "edgebat_any_window.h"

#endif
