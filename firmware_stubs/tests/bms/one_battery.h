/*
 * one_battery.h - a battery with a made-up model, and the charges and discharges that tests put it through.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_TESTS_ONE_BATTERY_H
#define EDGEBAT_TESTS_ONE_BATTERY_H

#include "edgebat/edgebat.h"
#include "edgebat/edgebat_can.h"

#include "check.h"
#include "fake_model.h"

static edgebat_t battery;
static edgebat_config_t config;
static uint32_t work[(FAKE_WORK_BYTES + 3U) / 4U];
static edgebat_result_t result;

static inline int push(int mV, int32_t mA, uint32_t dt_ms) {
    const edgebat_sample_t sample = {mA, dt_ms, (int16_t)mV, 250, EDGEBAT_VALID_ALL};
    return edgebat_push(&battery, &sample);
}

static inline void finish(void) {
    while (edgebat_step(&battery) == EDGEBAT_BUSY) {
    }
}

/* 0.25 mV per second at 1 A: 100 s and 27.8 mAh per level, 7.5 % of 370 mAh. */
static inline void charge(int from_mV, int to_mV) {
    for (int mV = from_mV; mV <= to_mV; mV++) {
        (void)push(mV, 1000, 4000U);
        finish();
    }
}

static inline void discharge(void) {
    for (int i = 0; i < 10; i++) {
        (void)push(3900 - 50 * i, -1000, 10000U);
        finish();
    }
}

static inline void cycle(void) {
    discharge();
    charge(3560, 3720);
    (void)push(3700, 0, 1000U);
    finish();
}

void setUp(void) {
    fake_selftest_code = EDGEBAT_OK;
    fake_slice_code = EDGEBAT_OK;
    (void)edgebat_config_default(&config, 370U);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_init(&battery, &fake_model, &config, work, NULL, 0U));
}

void tearDown(void) {
}

#endif
