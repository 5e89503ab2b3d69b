/*
 * test_bms_rate.c - the current of a charge: refused where the model has not learnt from its like, an input of a model that
 * reads it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "one_battery.h"

/* Charges of these tests are at 1 A of 370 mAh: 2.703 C. */
#define RATE_MC 2703

static int32_t known_mC;
static int32_t asked_mC;
static int32_t read_mC;

static int knows_rate(int32_t rate_mC) {
    asked_mC = rate_mC;
    return (rate_mC == known_mC) ? 1 : 0;
}

static void begin(int32_t rate_mC) {
    static edgebat_model_t gated;
    gated = fake_model;
    gated.knows_rate = &knows_rate;
    known_mC = rate_mC;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_init(&battery, &gated, &config, work, NULL, 0U));
}

static void test_a_charge_at_an_unknown_rate_gives_no_input(void) {
    begin(500);
    cycle();
    cycle();
    cycle();
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(RATE_MC, asked_mC);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_CHARGE_RATE, result.charge);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_WARMUP, result.status);
    TEST_ASSERT_EQUAL_INT(3, result.warmup);
}

static void test_charges_at_a_known_rate_make_an_estimate(void) {
    begin(RATE_MC);
    cycle();
    cycle();
    cycle();
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_CHARGE_OK, result.charge);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
}

static void quantize_rated(const int32_t *ppm, int8_t *row) {
    fake_quantize(ppm, row);
    read_mC = ppm[FAKE_INCREMENTS];
    row[FAKE_INCREMENTS] = (int8_t)(read_mC / 100);
}

static void test_a_model_that_reads_the_rate_is_given_it_and_saves_it(void) {
    static const int32_t low_ppm[FAKE_INCREMENTS + 1U] = {50000, 50000, 50000, 50000, 0};
    static const int32_t high_ppm[FAKE_INCREMENTS + 1U] = {100000, 100000, 100000, 100000, INT32_MAX};
    static uint32_t more_work[FAKE_WORK_BYTES];
    uint8_t saved[FAKE_SAVED_BYTES + FAKE_CONTEXT];
    edgebat_model_t rated = fake_model;
    rated.columns = FAKE_INCREMENTS + 1U;
    rated.low_ppm = low_ppm;
    rated.high_ppm = high_ppm;
    rated.quantize = &quantize_rated;
    TEST_ASSERT_EQUAL_INT((int)sizeof saved, (int)edgebat_state_bytes(&rated));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_init(&battery, &rated, &config, more_work, NULL, 0U));
    cycle();
    TEST_ASSERT_EQUAL_INT(RATE_MC, read_mC);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_state_get(&battery, saved, sizeof saved));
    TEST_ASSERT_EQUAL_INT(RATE_MC / 100, saved[EDGEBAT_SAVED_HEADER + (2U * FAKE_POINTS) + FAKE_INCREMENTS]);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_init(&battery, &rated, &config, more_work, saved, sizeof saved));
    cycle();
    cycle();
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(0, result.warmup);
}

static void test_more_columns_than_increments_and_a_rate_are_refused(void) {
    edgebat_model_t wide = fake_model;
    wide.columns = FAKE_INCREMENTS + 2U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_MODEL, edgebat_init(&battery, &wide, &config, work, NULL, 0U));
    wide.columns = FAKE_INCREMENTS - 1U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_MODEL, edgebat_init(&battery, &wide, &config, work, NULL, 0U));
}

int main(void) {
    RUN_TEST(test_a_charge_at_an_unknown_rate_gives_no_input);
    RUN_TEST(test_charges_at_a_known_rate_make_an_estimate);
    RUN_TEST(test_a_model_that_reads_the_rate_is_given_it_and_saves_it);
    RUN_TEST(test_more_columns_than_increments_and_a_rate_are_refused);
    return UNITY_END();
}
