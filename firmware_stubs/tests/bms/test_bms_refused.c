/*
 * test_bms_refused.c - what the estimator refuses, and what a model says it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "one_battery.h"

#include <string.h>

static void test_null_pointers_are_refused_everywhere(void) {
    edgebat_sample_t sample = {0, 0, 0, 0, 0};
    uint8_t data[8];
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_config_default(NULL, 370U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_init(NULL, &fake_model, &config, work, NULL, 0U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_init(&battery, &fake_model, &config, NULL, NULL, 0U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_init(&battery, NULL, &config, work, NULL, 0U));
    /* A battery whose init failed is refused by the others. */
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_push(&battery, &sample));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_step(&battery));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_result(&battery, &result));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_selftest(&battery));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_state_get(&battery, data, 8U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_push(NULL, &sample));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_step(NULL));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_result(NULL, &result));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_selftest(NULL));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_state_get(NULL, data, 8U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_state_check(&fake_model, &config, NULL, 8U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_state_check(NULL, &config, data, 8U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_can_pack(&fake_model, NULL, 0U, 0U, data));
    TEST_ASSERT_EQUAL_INT(0, edgebat_state_bytes(NULL));
    setUp();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_push(&battery, NULL));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_result(&battery, NULL));
}

static void test_misaligned_memory_is_refused(void) {
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_ALIGN,
                          edgebat_init(&battery, &fake_model, &config, (uint8_t *)work + 1, NULL, 0U));
}

#define REFUSED(member, value)                                                                               \
    do {                                                                                                     \
        (void)edgebat_config_default(&config, 370U);                                                         \
        config.member = (value);                                                                             \
        TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG,                                                            \
                              edgebat_init(&battery, &fake_model, &config, work, NULL, 0U));                 \
    } while (0)

static void test_every_value_of_the_configuration_has_a_range(void) {
    REFUSED(nominal_mAh, 9U);
    REFUSED(nominal_mAh, 2000001U);
    REFUSED(reference_mAh, 0U);
    REFUSED(reference_mAh, 2000001U);
    REFUSED(sign, 2U);
    REFUSED(max_current_mA, 0);
    REFUSED(max_current_mA, 2000001);
    REFUSED(min_mV, -1);
    REFUSED(min_mV, 4500);
    REFUSED(max_mV, 10001);
    REFUSED(full_mV, -1);
    REFUSED(empty_mV, -1);
    REFUSED(cutoff_mA, -1);
    REFUSED(max_drop_mV, 0);
    REFUSED(max_gap_ms, 0U);
    REFUSED(max_gap_ms, 120001U);
    REFUSED(stuck_ppm, 0U);
    REFUSED(stuck_ppm, 1000001U);
    REFUSED(invalid_ms, 0U);
    REFUSED(cutoff_mA, 2000001);
    /* A cell that is never charged through the window: 3600 to 3700 mV. */
    REFUSED(max_mV, 3699);
    REFUSED(min_mV, 3601);
    REFUSED(full_mV, 3699);
    REFUSED(full_mV, 4501);
    REFUSED(empty_mV, 3600);
    REFUSED(empty_mV, 999);
    /* No model calls so little, or so much, 100 % of a cell of 370 mAh. */
    REFUSED(reference_mAh, 277U);
    REFUSED(reference_mAh, 494U);
    (void)edgebat_config_default(&config, 370U);
    config.full_mV = 3000;
    config.empty_mV = 3000;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_init(&battery, &fake_model, &config, work, NULL, 0U));
}

#define REFUSED_MODEL(member, value)                                                                         \
    do {                                                                                                     \
        edgebat_model_t model = fake_model;                                                                  \
        model.member = (value);                                                                              \
        TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_MODEL, edgebat_init(&battery, &model, &config, work, NULL, 0U));   \
    } while (0)

static void test_of_a_refused_battery_nothing_is_known(void) {
    (void)edgebat_config_default(&config, 370U);
    config.max_mV = 3650;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_init(&battery, &fake_model, &config, work, NULL, 0U));
    memset(&result, 0x11, sizeof result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_result(&battery, &result));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.soh_cpct);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_INPUT_INVALID, result.status);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_NONE, result.source);
    TEST_ASSERT_EQUAL_INT(0, result.points);
}

static void test_a_model_that_contradicts_itself_is_refused(void) {
    static const int32_t falling[5] = {3600000, 3625000, 3625000, 3675000, 3700000};
    REFUSED_MODEL(increments, 0U);
    REFUSED_MODEL(context, 0U);
    REFUSED_MODEL(slices, 0U);
    REFUSED_MODEL(points, EDGEBAT_POINTS_MAX + 1U);
    REFUSED_MODEL(eol_cpct, 10000U);
    REFUSED_MODEL(scratch_bytes, 6U);
    REFUSED_MODEL(level_uV, falling);
    REFUSED_MODEL(quantize, NULL);
    REFUSED_MODEL(run_slice, NULL);
    REFUSED_MODEL(read, NULL);
    REFUSED_MODEL(level_uV, NULL);
    REFUSED_MODEL(low_ppm, NULL);
    REFUSED_MODEL(high_ppm, NULL);
}

static void test_a_model_says_what_it_is(void) {
    edgebat_model_info_t info;
    edgebat_model_t broken = fake_model;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_model_info(&fake_model, &info));
    TEST_ASSERT_EQUAL_INT(0, strcmp(info.name, "fake"));
    TEST_ASSERT_EQUAL_INT(0x12345678, (int)info.fingerprint);
    TEST_ASSERT_EQUAL_INT(1, info.data_fingerprint == UINT32_C(0x9ABCDEF0));
    TEST_ASSERT_EQUAL_INT(12, (int)info.multiply_accumulates);
    TEST_ASSERT_EQUAL_INT((int)FAKE_WORK_BYTES, (int)info.work_bytes);
    TEST_ASSERT_EQUAL_INT((int)FAKE_SAVED_BYTES, (int)info.saved_bytes);
    TEST_ASSERT_EQUAL_INT(3, info.slices);
    TEST_ASSERT_EQUAL_INT(3, info.charges);
    TEST_ASSERT_EQUAL_INT(3600, info.low_mV);
    TEST_ASSERT_EQUAL_INT(3700, info.high_mV);
    TEST_ASSERT_EQUAL_INT(120, info.sigma_cpct);
    TEST_ASSERT_EQUAL_INT(450, info.max_ddegC);
    broken.slices = 0U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_MODEL, edgebat_model_info(&broken, &info));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_model_info(NULL, &info));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_model_info(&fake_model, NULL));
}

int main(void) {
    RUN_TEST(test_null_pointers_are_refused_everywhere);
    RUN_TEST(test_misaligned_memory_is_refused);
    RUN_TEST(test_every_value_of_the_configuration_has_a_range);
    RUN_TEST(test_of_a_refused_battery_nothing_is_known);
    RUN_TEST(test_a_model_that_contradicts_itself_is_refused);
    RUN_TEST(test_a_model_says_what_it_is);
    return UNITY_END();
}
