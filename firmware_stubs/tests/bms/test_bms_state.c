/*
 * test_bms_state.c - saved states, and what a battery goes on with after a start.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "one_battery.h"
#include "edgebat/edgebat_ocv.h"
#include "edgebat/edgebat_service.h"

#include "state_v1.h"
#include "state_v2.h"

#include <string.h>

static void test_a_state_survives_and_says_what_is_wrong_with_it(void) {
    static uint8_t saved[FAKE_SAVED_BYTES];
    static uint8_t again[FAKE_SAVED_BYTES];
    edgebat_config_t other = config;
    cycle();
    cycle();
    cycle();
    TEST_ASSERT_EQUAL_INT(FAKE_SAVED_BYTES, edgebat_state_bytes(&fake_model));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_LENGTH, edgebat_state_get(&battery, saved, FAKE_SAVED_BYTES - 1U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_state_get(&battery, saved, FAKE_SAVED_BYTES));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_init(&battery, &fake_model, &config, work, saved, FAKE_SAVED_BYTES));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(10000, result.soh_cpct);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_state_get(&battery, again, FAKE_SAVED_BYTES));
    TEST_ASSERT_EQUAL_INT(saved[12] + 1, again[12]); /* the sequence number and with it the checksum */
    TEST_ASSERT_EQUAL_INT(0, memcmp(&saved[16], &again[16], EDGEBAT_SAVED_HEADER - 20U));
    TEST_ASSERT_EQUAL_INT(0, memcmp(&saved[EDGEBAT_SAVED_HEADER], &again[EDGEBAT_SAVED_HEADER],
                                    FAKE_SAVED_BYTES - EDGEBAT_SAVED_HEADER - 4U));

    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_LENGTH, edgebat_state_check(&fake_model, &config, saved, 10U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_LENGTH,
                          edgebat_state_check(&fake_model, &config, saved, FAKE_SAVED_BYTES - 1U));
    other.nominal_mAh = 371U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_INHERITED,
                          edgebat_state_check(&fake_model, &other, saved, FAKE_SAVED_BYTES));
    for (uint32_t i = 0; i < FAKE_SAVED_BYTES; i++) {
        saved[i] ^= 4U;
        if (edgebat_state_check(&fake_model, &config, saved, FAKE_SAVED_BYTES) >= 0) {
            TEST_ASSERT_EQUAL_INT(-1, (int)i);
        }
        saved[i] ^= 4U;
    }
    memset(again, 0xFF, sizeof again);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_BLANK,
                          edgebat_init(&battery, &fake_model, &config, work, again, FAKE_SAVED_BYTES));
    cycle(); /* a refused state leaves a battery that works */
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(2, result.warmup);
}

static void test_of_two_places_the_newer_sound_one_counts(void) {
    static uint8_t a[FAKE_SAVED_BYTES];
    static uint8_t b[FAKE_SAVED_BYTES];
    battery.sequence = UINT32_MAX - 1U; /* the number wraps around between the two */
    (void)edgebat_state_get(&battery, a, FAKE_SAVED_BYTES);
    (void)edgebat_state_get(&battery, b, FAKE_SAVED_BYTES);
    TEST_ASSERT_EQUAL_INT(1, edgebat_state_newest(&fake_model, &config, a, b, FAKE_SAVED_BYTES) == b);
    TEST_ASSERT_EQUAL_INT(1, edgebat_state_newest(&fake_model, &config, b, a, FAKE_SAVED_BYTES) == b);
    b[30] ^= 1U;
    TEST_ASSERT_EQUAL_INT(1, edgebat_state_newest(&fake_model, &config, a, b, FAKE_SAVED_BYTES) == a);
    TEST_ASSERT_EQUAL_INT(1, edgebat_state_newest(&fake_model, &config, b, a, FAKE_SAVED_BYTES) == a);
    a[30] ^= 1U;
    TEST_ASSERT_EQUAL_INT(1, edgebat_state_newest(&fake_model, &config, a, b, FAKE_SAVED_BYTES) == NULL);
}

static void test_a_charge_after_every_start_makes_an_estimate(void) {
    static uint8_t saved[FAKE_SAVED_BYTES];
    uint32_t revision = 0U;
    for (int day = 0; day < 5; day++) {
        charge(3560, 3720); /* the discharge happened without power, or before it went */
        (void)edgebat_result(&battery, &result);
        TEST_ASSERT_EQUAL_INT(1, result.revision != revision);
        revision = 0U;
        TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_state_get(&battery, saved, FAKE_SAVED_BYTES));
        TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                              edgebat_init(&battery, &fake_model, &config, work, saved, FAKE_SAVED_BYTES));
    }
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_MODEL, result.source);
}

static void test_an_inference_cut_short_by_the_power_is_done_after_it(void) {
    static uint8_t saved[FAKE_SAVED_BYTES];
    cycle();
    cycle();
    discharge();
    for (int mV = 3560; mV <= 3720; mV++) {
        (void)push(mV, 1000, 4000U);
    }
    TEST_ASSERT_EQUAL_INT(EDGEBAT_BUSY, edgebat_step(&battery));
    (void)edgebat_state_get(&battery, saved, FAKE_SAVED_BYTES);
    (void)edgebat_init(&battery, &fake_model, &config, work, saved, FAKE_SAVED_BYTES);
    finish();
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_MODEL, result.source);
}

static void test_a_state_of_version_1_goes_on(void) {
    static uint8_t saved[FAKE_SAVED_BYTES];
    memcpy(saved, state_v1, sizeof state_v1);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_init(&battery, &fake_model, &config, work, saved, FAKE_SAVED_BYTES));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
    TEST_ASSERT_EQUAL_INT(10000, result.soh_cpct);
    TEST_ASSERT_EQUAL_INT(10000, result.model_cpct);
    TEST_ASSERT_EQUAL_INT(4, result.cycle);
    TEST_ASSERT_EQUAL_INT(100, result.rul_cycles);
    TEST_ASSERT_EQUAL_INT(240, result.sigma_cpct);
    cycle(); /* the window is whole: one charge more makes an estimate */
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(0, result.age_cycles);
    TEST_ASSERT_EQUAL_INT(5, result.cycle);
}

static void test_a_state_of_version_2_goes_on(void) {
    static uint8_t saved[FAKE_SAVED_BYTES];
    edgebat_config_t other;
    memcpy(saved, state_v2, sizeof state_v2);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_init(&battery, &fake_model, &config, work, saved, FAKE_SAVED_BYTES));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_MODEL, result.source);
    TEST_ASSERT_EQUAL_INT(10000, result.soh_cpct);
    TEST_ASSERT_EQUAL_INT(240, result.sigma_cpct);
    TEST_ASSERT_EQUAL_INT(4, result.cycle);
    TEST_ASSERT_EQUAL_INT(100, result.rul_cycles);
    TEST_ASSERT_EQUAL_INT(3, result.efc_quarters);
    charge(3560, 3720); /* the discharge before the state was written is part of this cycle */
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(0, result.age_cycles);
    TEST_ASSERT_EQUAL_INT(5, result.cycle);
    /* Written again it is one of version 3, with all that there was. */
    (void)edgebat_state_get(&battery, saved, FAKE_SAVED_BYTES);
    TEST_ASSERT_EQUAL_INT(3, saved[3]);
    TEST_ASSERT_EQUAL_INT(0, memcmp(&saved[16], &state_v2[16], 8U));
    /* A firmware with another capacity goes on as well, from the first part alone. */
    memcpy(saved, state_v2, sizeof state_v2);
    (void)edgebat_config_default(&other, 400U);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_INHERITED,
                          edgebat_init(&battery, &fake_model, &other, work, saved, FAKE_SAVED_BYTES));
    saved[141] ^= 1U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_DAMAGED,
                          edgebat_init(&battery, &fake_model, &config, work, saved, FAKE_SAVED_BYTES));
}

static void test_another_model_inherits_what_is_known(void) {
    static uint8_t saved[FAKE_SAVED_BYTES];
    edgebat_model_t next = fake_model;
    next.fingerprint ^= 1U;
    config.rated_cycles = 1000U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_init(&battery, &fake_model, &config, work, NULL, 0U));
    cycle();
    cycle();
    discharge();
    for (int mV = 3560; mV <= 3720; mV++) { /* a little less healthy than new */
        (void)push(mV, 960, 4000U);
        finish();
    }
    (void)edgebat_result(&battery, &result);
    const uint16_t soh = result.soh_cpct;
    (void)edgebat_state_get(&battery, saved, FAKE_SAVED_BYTES);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_INHERITED,
                          edgebat_init(&battery, &next, &config, work, saved, FAKE_SAVED_BYTES));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(soh, result.soh_cpct);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_INHERITED, result.source);
    TEST_ASSERT_EQUAL_INT(340, result.sigma_cpct);
    TEST_ASSERT_EQUAL_INT(4, result.cycle);
    TEST_ASSERT_EQUAL_INT(3, result.warmup);
    /* Room for a shorter state is enough: the first part says all that another model may know. */
    TEST_ASSERT_EQUAL_INT(EDGEBAT_INHERITED,
                          edgebat_init(&battery, &next, &config, work, saved, FAKE_SAVED_BYTES - 8U));
    saved[60] ^= 1U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_LENGTH,
                          edgebat_init(&battery, &next, &config, work, saved, FAKE_SAVED_BYTES - 8U));
}

static void test_an_edited_capacity_rescales(void) {
    static uint8_t saved[FAKE_SAVED_BYTES];
    cycle();
    cycle();
    cycle();
    (void)edgebat_state_get(&battery, saved, FAKE_SAVED_BYTES);
    (void)edgebat_config_default(&config, 400U);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_INHERITED,
                          edgebat_init(&battery, &fake_model, &config, work, saved, FAKE_SAVED_BYTES));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(9250, result.soh_cpct); /* 370 of 400 mAh */
}

static void test_service_seeds_another_cell(void) {
    cycle();
    cycle();
    cycle();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_seed(&battery, 20000U, 100U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_seed(&battery, 8800U, 150U));
    finish();
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(8800, result.soh_cpct);
    TEST_ASSERT_EQUAL_INT(150, result.sigma_cpct);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_INHERITED, result.source);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status); /* service knows it, the model need not */
    TEST_ASSERT_EQUAL_INT(4, result.cycle);
}

static void test_a_workshop_resets_one_thing_and_takes_another_board(void) {
    static uint8_t saved[FAKE_SAVED_BYTES];
    edgebat_use_t use;
    edgebat_use_t again;
    cycle();
    cycle();
    cycle();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_use(&battery, NULL));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_use(&battery, &use));
    TEST_ASSERT_EQUAL_INT(4, use.cycle);
    TEST_ASSERT_EQUAL_INT(10000, use.soh_cpct);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_reset(&battery, 0U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_reset(&battery, 16U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_reset(&battery, EDGEBAT_RESET_MODULE));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.soh_cpct);
    TEST_ASSERT_EQUAL_INT(1, result.cycle);
    TEST_ASSERT_EQUAL_INT(0, result.throughput_mAh);
    use.serial = 4711U;
    use.cycle = 0U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_adopt(&battery, &use));
    use.cycle = 321U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_adopt(&battery, &use));
    finish();
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_state_get(&battery, saved, FAKE_SAVED_BYTES));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_init(&battery, &fake_model, &config, work, saved, FAKE_SAVED_BYTES));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_use(&battery, &again));
    TEST_ASSERT_EQUAL_INT(0, memcmp(&use, &again, sizeof use));
}

static void test_tables_that_are_none_are_refused(void) {
    static const int16_t mV[3] = {3000, 3600, 4200};
    static const int16_t flat[3] = {3000, 3600, 3600};
    const edgebat_ocv_t good = EDGEBAT_OCV(mV, 3U, 5U, 200U, 0U, EDGEBAT_OCV_AGED_PERCENT, 10000U);
    const edgebat_ocv_t level = EDGEBAT_OCV(flat, 3U, 5U, 200U, 0U, EDGEBAT_OCV_AGED_PERCENT, 10000U);
    const edgebat_ocv_t one = EDGEBAT_OCV(mV, 1U, 5U, 200U, 0U, EDGEBAT_OCV_AGED_PERCENT, 10000U);
    const edgebat_ocv_t sure = EDGEBAT_OCV(mV, 3U, 0U, 200U, 0U, EDGEBAT_OCV_AGED_PERCENT, 10000U);
    const edgebat_ocv_t vague = EDGEBAT_OCV(mV, 3U, 5U, 10001U, 0U, EDGEBAT_OCV_AGED_PERCENT, 10000U);
    const edgebat_ocv_t old = EDGEBAT_OCV(mV, 3U, 5U, 200U, 0U, 101U, 10000U);
    const edgebat_ocv_t blind = EDGEBAT_OCV(mV, 3U, 5U, 200U, 101U, 0U, 10000U);
    const edgebat_ocv_t huge = EDGEBAT_OCV(mV, 3U, 5U, 200U, 0U, 0U, 15001U);
    const edgebat_ocv_t none = EDGEBAT_OCV(NULL, 3U, 5U, 200U, 0U, EDGEBAT_OCV_AGED_PERCENT, 10000U);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_use_ocv(&battery, &level));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_use_ocv(&battery, &one));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_use_ocv(&battery, &sure));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_use_ocv(&battery, &vague));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_use_ocv(&battery, &old));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_use_ocv(&battery, &blind));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_use_ocv(&battery, &huge));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_use_ocv(&battery, &none));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_use_ocv(NULL, &good));
    TEST_ASSERT_EQUAL_INT(1, battery.ocv == NULL);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_use_ocv(&battery, &good));
}

int main(void) {
    RUN_TEST(test_a_workshop_resets_one_thing_and_takes_another_board);
    RUN_TEST(test_tables_that_are_none_are_refused);
    RUN_TEST(test_a_state_of_version_1_goes_on);
    RUN_TEST(test_a_state_of_version_2_goes_on);
    RUN_TEST(test_another_model_inherits_what_is_known);
    RUN_TEST(test_an_edited_capacity_rescales);
    RUN_TEST(test_service_seeds_another_cell);
    RUN_TEST(test_a_state_survives_and_says_what_is_wrong_with_it);
    RUN_TEST(test_of_two_places_the_newer_sound_one_counts);
    RUN_TEST(test_a_charge_after_every_start_makes_an_estimate);
    RUN_TEST(test_an_inference_cut_short_by_the_power_is_done_after_it);
    return UNITY_END();
}
