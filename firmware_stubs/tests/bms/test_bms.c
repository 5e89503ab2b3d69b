/*
 * test_bms.c - what the estimator says, one battery at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "one_battery.h"

static void test_three_charges_make_an_estimate(void) {
    cycle();
    cycle();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_result(&battery, &result));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_WARMUP, result.status);
    TEST_ASSERT_EQUAL_INT(1, result.warmup);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.soh_cpct);
    cycle();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_result(&battery, &result));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_MODEL, result.source);
    TEST_ASSERT_EQUAL_INT(10000, result.model_cpct);
    TEST_ASSERT_EQUAL_INT(10000, result.soh_cpct);
    TEST_ASSERT_EQUAL_INT(240, result.sigma_cpct); /* twice, because nobody else has measured */
    TEST_ASSERT_EQUAL_INT(100, result.rul_cycles);
    TEST_ASSERT_EQUAL_INT(2, result.points);
    TEST_ASSERT_EQUAL_INT(9900, result.points_cpct[0]);
    TEST_ASSERT_EQUAL_INT(9800, result.points_cpct[1]);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.points_cpct[2]);
    TEST_ASSERT_EQUAL_INT(0, result.age_cycles);
}

static void test_an_inference_takes_one_slice_per_step(void) {
    cycle();
    cycle();
    discharge();
    for (int mV = 3560; mV <= 3720; mV++) {
        (void)push(mV, 1000, 4000U);
    }
    TEST_ASSERT_EQUAL_INT(EDGEBAT_BUSY, edgebat_step(&battery)); /* takes the charge over */
    TEST_ASSERT_EQUAL_INT(EDGEBAT_BUSY, edgebat_step(&battery));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_BUSY, edgebat_step(&battery));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_step(&battery));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
}

static void test_a_slice_that_fails_ends_the_inference(void) {
    cycle();
    cycle();
    fake_slice_code = EDGEBAT_ERR_SLICE;
    cycle();
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_WARMUP, result.status);
}

static void test_a_failed_selftest_silences_the_model(void) {
    cycle();
    cycle();
    cycle();
    fake_selftest_code = EDGEBAT_ERR_CRC;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CRC, edgebat_selftest(&battery));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_MODEL_CORRUPT, result.status);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_NONE, result.source);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.rul_cycles);
    fake_selftest_code = EDGEBAT_OK;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_selftest(&battery));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
}

static void test_a_selftest_in_the_middle_of_an_inference_begins_it_again(void) {
    cycle();
    cycle();
    discharge();
    for (int mV = 3560; mV <= 3720; mV++) {
        (void)push(mV, 1000, 4000U);
    }
    (void)edgebat_step(&battery);
    (void)edgebat_step(&battery);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_selftest(&battery));
    finish();
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(10000, result.model_cpct);
}

static void test_two_batteries_do_not_know_each_other(void) {
    static edgebat_t second;
    static uint32_t other[(FAKE_WORK_BYTES + 3U) / 4U];
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_init(&second, &fake_model, &config, other, NULL, 0U));
    cycle();
    cycle();
    cycle();
    (void)edgebat_result(&second, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_WARMUP, result.status);
    TEST_ASSERT_EQUAL_INT(3, result.warmup);
}

static void test_frames_carry_the_result(void) {
    uint8_t data[EDGEBAT_CAN_BYTES];
    cycle();
    cycle();
    cycle();
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_can_pack(&fake_model, &result, EDGEBAT_CAN_HEALTH, 17U, data));
    TEST_ASSERT_EQUAL_INT(10000, data[0] + 256 * data[1]);
    TEST_ASSERT_EQUAL_INT(100, data[4] + 256 * data[5]);
    TEST_ASSERT_EQUAL_INT(0x10, data[6]);
    TEST_ASSERT_EQUAL_INT(1, data[7]);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_can_pack(&fake_model, &result, EDGEBAT_CAN_FORECAST, 2U, data));
    TEST_ASSERT_EQUAL_INT(0xFF, data[6]); /* points 6, 7; there is no ninth */
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_can_pack(&fake_model, &result, EDGEBAT_CAN_FORECAST, 255U, data));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_can_pack(&fake_model, &result, EDGEBAT_CAN_MODEL, 0U, data));
    TEST_ASSERT_EQUAL_INT(0x78, data[0]);
    TEST_ASSERT_EQUAL_INT(0x12, data[3]);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_can_pack(&fake_model, &result, EDGEBAT_CAN_DETAILS, 0U, data));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_FORMAT,
                          edgebat_can_pack(&fake_model, &result, EDGEBAT_CAN_FRAMES, 0U, data));
}

static void test_pulses_of_charge_make_no_cycle(void) {
    cycle();
    for (int minute = 0; minute < 60;
         minute++) { /* a drive: 200 mAh out, 10 s of 500 mA back in each minute */
        (void)push(3900, -250, 50000U);
        (void)push(3950, 500, 10000U);
        (void)push(3890, -250, 1000U);
    }
    charge(3560, 3720);
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(3, result.cycle);
    TEST_ASSERT_EQUAL_INT(1, result.warmup);
}

static void test_one_odd_charge_does_not_silence_the_model(void) {
    cycle();
    cycle();
    cycle();
    discharge();
    for (int mV = 3560; mV <= 3720; mV++) { /* a quarter of the charge per level */
        (void)push(mV, 1000, 1000U);
        finish();
    }
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OUT_OF_DOMAIN, result.status);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_MODEL, result.source);
    TEST_ASSERT_EQUAL_INT(10000, result.model_cpct);
    TEST_ASSERT_EQUAL_INT(1, result.age_cycles);
    cycle();
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
    TEST_ASSERT_EQUAL_INT(0, result.age_cycles);
}

static void without_temperature(void) {
    for (int i = 0; i < 3; i++) {
        for (int mV = 3560; mV <= 3720; mV++) {
            const edgebat_sample_t sample = {1000, 4000U, (int16_t)mV, 250,
                                             EDGEBAT_VALID_VOLTAGE | EDGEBAT_VALID_CURRENT};
            (void)edgebat_push(&battery, &sample);
            finish();
        }
        for (int k = 0; k < 10; k++) {
            const edgebat_sample_t sample = {-1000, 10000U, (int16_t)(3900 - 50 * k), 250,
                                             EDGEBAT_VALID_VOLTAGE | EDGEBAT_VALID_CURRENT};
            (void)edgebat_push(&battery, &sample);
        }
    }
    (void)edgebat_result(&battery, &result);
}

static void test_without_a_thermometer_the_error_is_larger(void) {
    without_temperature();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
    TEST_ASSERT_EQUAL_INT(646, result.sigma_cpct); /* twice 120 and 300 */
}

static void test_a_thermometer_that_falls_silent_in_the_cold_lets_nobody_speak(void) {
    const edgebat_sample_t cold = {0, 1000U, 3500, -100, EDGEBAT_VALID_ALL};
    (void)edgebat_push(&battery, &cold);
    without_temperature();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OUT_OF_DOMAIN, result.status);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_NONE, result.source);
}

static void test_a_measured_value_replaces_a_guess_at_once(void) {
    config.rated_cycles = 500U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_init(&battery, &fake_model, &config, work, NULL, 0U));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_NONE, result.source);
    finish();
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_DATASHEET, result.source);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.sigma_cpct);
    cycle();
    cycle();
    discharge();
    for (int mV = 3560; mV <= 3720; mV++) {
        (void)push(mV, 980, 4000U);
        finish();
    }
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_MODEL, result.source);
    TEST_ASSERT_EQUAL_INT(1, result.soh_cpct == result.model_cpct);
}

static void test_counting_speaks_when_the_model_may_not(void) {
    config.full_mV = 4100;
    config.empty_mV = 3000;
    config.rated_cycles = 500U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_init(&battery, &fake_model, &config, work, NULL, 0U));
    (void)push(3500, 0, 1000U);
    for (int i = 0; i < 12; i++) {
        (void)push(4100, 10, 1000U);
    }
    for (int i = 0; i < 32; i++) { /* about 317 mAh in all */
        (void)push(4000 - 30 * i, -370 - 230 * (i < 31), 60000U);
    }
    (void)push(2990, -300, 30000U);
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, battery.evidence[1].cpct); /* one sample may be a pulse */
    (void)push(2980, -300, 10000U);
    finish();
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_COUNTING, result.source);
    /* 3 %, 8 % at the one-hour current of 370 mA, and 0.1 % per hour */
    TEST_ASSERT_EQUAL_INT(300 + 648 + 5, result.sigma_cpct);
    TEST_ASSERT_EQUAL_INT(1, (result.counting_cpct > 8500) && (result.counting_cpct < 8650));
    TEST_ASSERT_EQUAL_INT(1, result.soh_cpct == result.counting_cpct);
}

int main(void) {
    RUN_TEST(test_three_charges_make_an_estimate);
    RUN_TEST(test_an_inference_takes_one_slice_per_step);
    RUN_TEST(test_a_slice_that_fails_ends_the_inference);
    RUN_TEST(test_a_failed_selftest_silences_the_model);
    RUN_TEST(test_a_selftest_in_the_middle_of_an_inference_begins_it_again);
    RUN_TEST(test_two_batteries_do_not_know_each_other);
    RUN_TEST(test_frames_carry_the_result);
    RUN_TEST(test_pulses_of_charge_make_no_cycle);
    RUN_TEST(test_one_odd_charge_does_not_silence_the_model);
    RUN_TEST(test_without_a_thermometer_the_error_is_larger);
    RUN_TEST(test_a_thermometer_that_falls_silent_in_the_cold_lets_nobody_speak);
    RUN_TEST(test_a_measured_value_replaces_a_guess_at_once);
    RUN_TEST(test_counting_speaks_when_the_model_may_not);
    return UNITY_END();
}
