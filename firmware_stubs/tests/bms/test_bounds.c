/*
 * test_bounds.c - inputs that are allowed and far from all use: nothing overflows, nothing is lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "one_battery.h"
#include "fake_trend.h"
#include "edgebat/edgebat_ocv.h"

static void test_a_current_beyond_all_bounds_does_not_spoil_the_saved_state(void) {
    static const int16_t mV[3] = {3000, 3600, 4200};
    static const edgebat_ocv_t table =
        EDGEBAT_OCV(mV, 3U, 5U, 200U, EDGEBAT_OCV_UNSEEN_PERCENT, EDGEBAT_OCV_AGED_PERCENT, 10000U);
    static uint8_t saved[FAKE_SAVED_BYTES];
    config.max_current_mA = 2000000;
    config.max_gap_ms = 120000U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_init(&battery, &fake_model, &config, work, NULL, 0U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_use_ocv(&battery, &table));
    for (int i = 0; i < 20; i++) {
        (void)push(3600, 0, 120000U);
    }
    TEST_ASSERT_EQUAL_INT(5000, battery.ocv_cpct); /* a rest: from here on charge is counted */
    (void)push(3600, 2000000, 120000U);            /* 33 Ah into a cell of 370 mAh */
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_state_get(&battery, saved, FAKE_SAVED_BYTES));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_state_check(&fake_model, &config, saved, FAKE_SAVED_BYTES));
}

/* 73 years of 2000 A, all of them one charge. */
static void test_a_charge_that_never_ends_stops_counting(void) {
    battery.phase = 1U;
    battery.last_mA = 1000;
    battery.sampled = 1U;
    battery.charge = INT64_MAX - 1;
    battery.count = INT64_MAX - 1;
    battery.anchor = 1U;
    (void)push(3500, 1000, 1000U);
    TEST_ASSERT_EQUAL_INT(1, battery.charge == INT64_MAX - 1);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_result(&battery, &result));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_NONE, result.source);
    TEST_ASSERT_EQUAL_INT(1, battery.count == 0); /* no cell holds so much: it was no anchor */
}

static void test_the_longest_horizon_does_not_overflow(void) {
    static uint32_t room[(TREND_WORK_BYTES + 3U) / 4U];
    static edgebat_forecast_t forecast;
    edgebat_forecast_result_t outlook;
    edgebat_forecast_model_t far = trend_model;
    far.horizon = UINT16_MAX;
    far.eol_cpct = UINT16_MAX;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_forecast_init(&forecast, &far, 1U, room, NULL, 0U));
    for (uint32_t cycle = 1U; cycle <= 6U; cycle++) {
        edgebat_result_t health = {0};
        health.cycle = cycle;
        health.model_cpct = (uint16_t)(10000U - (20U * cycle));
        TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_forecast_push(&forecast, &health));
    }
    while (edgebat_forecast_step(&forecast) == EDGEBAT_BUSY) {
    }
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_forecast_result(&forecast, &outlook));
    TEST_ASSERT_EQUAL_INT(1, outlook.eol_cycles); /* below the end of life from the first cycle on */
}

int main(void) {
    UNITY_BEGIN();
    RUN_TEST(test_a_current_beyond_all_bounds_does_not_spoil_the_saved_state);
    RUN_TEST(test_a_charge_that_never_ends_stops_counting);
    RUN_TEST(test_the_longest_horizon_does_not_overflow);
    return UNITY_END();
}
