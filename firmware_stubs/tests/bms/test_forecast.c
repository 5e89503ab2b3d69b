/*
 * test_forecast.c - the forecaster's contract, one history at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_forecast.h"

#include "check.h"
#include "fake_trend.h"

#include <string.h>

#define SOURCE 77U

static edgebat_forecast_t forecast;
static uint32_t work[(TREND_WORK_BYTES + 3U) / 4U];
static edgebat_forecast_result_t result;
static uint8_t saved[TREND_SAVED_BYTES];

static int push(uint32_t cycle, uint16_t cpct, uint16_t age) {
    edgebat_result_t health = {0};
    health.cycle = cycle;
    health.model_cpct = cpct;
    health.age_cycles = age;
    return edgebat_forecast_push(&forecast, &health);
}

static void finish(void) {
    while (edgebat_forecast_step(&forecast) == EDGEBAT_BUSY) {
    }
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_forecast_result(&forecast, &result));
}

/* 0.2 % per cycle. */
static void live_from(uint16_t cpct, uint32_t cycles) {
    for (uint32_t cycle = 1U; cycle <= cycles; cycle++) {
        TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, push(cycle, (uint16_t)(cpct - 20U * cycle), 0U));
    }
    finish();
}

static void live(uint32_t cycles) {
    live_from(10000U, cycles);
}

void setUp(void) {
    trend_selftest_code = EDGEBAT_OK;
    trend_slice_code = EDGEBAT_OK;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_forecast_init(&forecast, &trend_model, SOURCE, work, NULL, 0U));
}

void tearDown(void) {
}

static void test_nothing_is_known_until_the_history_is_long_enough(void) {
    live(3U);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_WARMUP, result.status);
    TEST_ASSERT_EQUAL_INT(1, result.missing);
    TEST_ASSERT_EQUAL_INT(0, result.points);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.eol_cycles);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.points_cpct[0]);
}

static void test_a_history_goes_on_as_it_went(void) {
    live(6U);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
    TEST_ASSERT_EQUAL_INT(9880, result.soh_cpct);
    TEST_ASSERT_EQUAL_INT(9780,
                          result.points_cpct[0]); /* five cycles and 1 % from the oldest to the newest */
    TEST_ASSERT_EQUAL_INT(9680, result.points_cpct[1]);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.eol_cycles); /* beyond the horizon of ten cycles */
    TEST_ASSERT_EQUAL_INT(6, (int)result.cycle);
}

static void test_end_of_life_is_where_the_trajectory_falls_below_it(void) {
    live_from(8200U, 6U); /* 8080 now, 20 a cycle: 8000 after four cycles, below it after five */
    TEST_ASSERT_EQUAL_INT(7980, result.points_cpct[0]);
    TEST_ASSERT_EQUAL_INT(5, result.eol_cycles);
    (void)push(9U, 8080U, 3U);
    finish();
    TEST_ASSERT_EQUAL_INT(2, result.eol_cycles); /* three of the five have passed */
    setUp();
    live_from(8300U, 6U); /* 8180 now: 8000 after nine cycles, below it after ten, the last of the horizon */
    TEST_ASSERT_EQUAL_INT(10, result.eol_cycles);
    setUp();
    live_from(8320U, 6U);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.eol_cycles);
    setUp();
    live_from(8000U, 6U);
    TEST_ASSERT_EQUAL_INT(1, result.eol_cycles); /* below it already */
}

static void test_a_short_history_begins_flat(void) {
    live(4U);
    TEST_ASSERT_EQUAL_INT(9920 - 60, result.points_cpct[0]);
}

static void test_gaps_are_bridged_and_longer_ones_begin_anew(void) {
    (void)push(1U, 10000U, 0U);
    (void)push(4U, 9900U, 0U);
    finish();
    TEST_ASSERT_EQUAL_INT(4, result.covered);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
    (void)push(8U, 9900U, 0U);
    finish();
    TEST_ASSERT_EQUAL_INT(1, result.covered);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_WARMUP, result.status);
}

static void test_an_estimate_enters_once_and_into_its_own_cycle(void) {
    TEST_ASSERT_EQUAL_INT(EDGEBAT_IGNORED, push(3U, EDGEBAT_UNKNOWN, EDGEBAT_UNKNOWN));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, push(3U, 9900U, 2U));
    TEST_ASSERT_EQUAL_INT(1, (int)forecast.newest);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_IGNORED, push(3U, 9900U, 2U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_IGNORED, push(4U, 9900U, 4U));
}

static void test_what_is_old_or_odd_is_not_a_forecast(void) {
    live(6U);
    (void)push(9U, 9880U, 3U);
    finish();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
    (void)push(10U, 9880U, 4U);
    finish();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_STALE, result.status);
    TEST_ASSERT_EQUAL_INT(0, result.points);
    setUp();
    live(6U);
    (void)push(7U, 9000U, 0U);
    finish();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OUT_OF_DOMAIN, result.status);
    TEST_ASSERT_EQUAL_INT(9780, result.points_cpct[0]);
    (void)push(2U, 9960U, 0U);
    finish();
    TEST_ASSERT_EQUAL_INT(1, result.covered);
}

static void test_an_answer_that_is_no_soh_is_not_believed(void) {
    for (uint32_t cycle = 1U; cycle <= 6U; cycle++) {
        (void)push(cycle, (uint16_t)(1600U - 50U * cycle), 0U);
    }
    finish();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OUT_OF_DOMAIN, result.status);
}

static void test_a_failing_slice_or_self_test_ends_the_inference(void) {
    live(6U);
    trend_slice_code = EDGEBAT_ERR_SLICE;
    (void)push(7U, 9860U, 0U);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_BUSY, edgebat_forecast_step(&forecast));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_SLICE, edgebat_forecast_step(&forecast));
    trend_slice_code = EDGEBAT_OK;
    (void)push(8U, 9840U, 0U);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_BUSY, edgebat_forecast_step(&forecast));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_forecast_selftest(&forecast));
    finish();
    TEST_ASSERT_EQUAL_INT(8, (int)result.cycle);
    TEST_ASSERT_EQUAL_INT(9740, result.points_cpct[0]);
    trend_selftest_code = EDGEBAT_ERR_GOLDEN;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_GOLDEN, edgebat_forecast_selftest(&forecast));
    (void)push(9U, 9820U, 0U);
    finish();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_MODEL_CORRUPT, result.status);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.eol_cycles);
}

static void test_a_saved_history_goes_on(void) {
    live(6U);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_forecast_state_get(&forecast, saved, TREND_SAVED_BYTES));
    TEST_ASSERT_EQUAL_INT(
        EDGEBAT_OK, edgebat_forecast_init(&forecast, &trend_model, SOURCE, work, saved, TREND_SAVED_BYTES));
    finish();
    TEST_ASSERT_EQUAL_INT(9780, result.points_cpct[0]);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_OTHER, edgebat_forecast_init(&forecast, &trend_model, SOURCE + 1U, work,
                                                                   saved, TREND_SAVED_BYTES));
    finish();
    TEST_ASSERT_EQUAL_INT(0, result.covered);
}

#define REFUSED(member, value)                                                                               \
    do {                                                                                                     \
        edgebat_forecast_model_t model = trend_model;                                                        \
        model.member = (value);                                                                              \
        TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_MODEL,                                                             \
                              edgebat_forecast_init(&forecast, &model, SOURCE, work, NULL, 0U));             \
    } while (0)

static void test_a_description_that_contradicts_itself_is_refused(void) {
    REFUSED(columns, 0U);
    REFUSED(columns, 4U);
    REFUSED(cycles, 4098U);
    REFUSED(least_cycles, 0U);
    REFUSED(least_cycles, 7U);
    REFUSED(max_gap, 0U);
    REFUSED(max_gap, 1025U);
    REFUSED(slices, 0U);
    REFUSED(slices, UINT16_MAX);
    REFUSED(points, 9U);
    REFUSED(scratch_bytes, 7U);
    REFUSED(low_ppm, NULL);
    REFUSED(high_ppm, NULL);
    REFUSED(quantize, NULL);
    REFUSED(run_slice, NULL);
    REFUSED(read, NULL);
}

static void test_frames_say_what_the_result_says(void) {
    uint8_t data[8];
    live(6U);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_forecast_can_pack(&trend_model, &result, EDGEBAT_CAN_OUTLOOK, 0U, data));
    const uint8_t outlook[8] = {0xFFU, 0xFFU, 0U, 0U, 10U, 0U, 0U, EDGEBAT_STATUS_OK};
    TEST_ASSERT_EQUAL_INT8_ARRAY(outlook, data, 8);
    result.eol_cycles = 0x102U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_forecast_can_pack(&trend_model, &result, EDGEBAT_CAN_OUTLOOK, 0U, data));
    TEST_ASSERT_EQUAL_INT(2, data[0]);
    TEST_ASSERT_EQUAL_INT(1, data[1]);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_forecast_can_pack(&trend_model, &result, EDGEBAT_CAN_TRAJECTORY, 0U, data));
    const uint8_t points[8] = {0U, 2U, 0x34U, 0x26U, 0xD0U, 0x25U, 0xFFU, 0xFFU};
    TEST_ASSERT_EQUAL_INT8_ARRAY(points, data, 8);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_forecast_can_pack(&trend_model, &result, EDGEBAT_CAN_TRAJECTORY, 3U, data));
    TEST_ASSERT_EQUAL_INT(0xFF, data[2]);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_forecast_can_pack(&trend_model, &result, EDGEBAT_CAN_FORECASTER, 0U, data));
    const uint8_t about[8] = {0x21U, 0x43U, 0x65U, 0x87U, 6U, 0U, 0x98U, 0x26U};
    TEST_ASSERT_EQUAL_INT8_ARRAY(about, data, 8);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_FORMAT, edgebat_forecast_can_pack(&trend_model, &result, 3U, 0U, data));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_forecast_can_pack(NULL, &result, 4U, 0U, data));
}

int main(void) {
    UNITY_BEGIN();
    RUN_TEST(test_nothing_is_known_until_the_history_is_long_enough);
    RUN_TEST(test_a_history_goes_on_as_it_went);
    RUN_TEST(test_end_of_life_is_where_the_trajectory_falls_below_it);
    RUN_TEST(test_a_short_history_begins_flat);
    RUN_TEST(test_gaps_are_bridged_and_longer_ones_begin_anew);
    RUN_TEST(test_an_estimate_enters_once_and_into_its_own_cycle);
    RUN_TEST(test_what_is_old_or_odd_is_not_a_forecast);
    RUN_TEST(test_an_answer_that_is_no_soh_is_not_believed);
    RUN_TEST(test_a_failing_slice_or_self_test_ends_the_inference);
    RUN_TEST(test_a_saved_history_goes_on);
    RUN_TEST(test_a_description_that_contradicts_itself_is_refused);
    RUN_TEST(test_frames_say_what_the_result_says);
    return UNITY_END();
}
