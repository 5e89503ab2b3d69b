/*
 * test_bms.c - the estimator's contract, one battery at a time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat.h"
#include "edgebat/edgebat_can.h"

#include "check.h"
#include "fake_model.h"

#include <string.h>

static edgebat_t battery;
static edgebat_config_t config;
static uint32_t work[(FAKE_WORK_BYTES + 3U) / 4U];
static edgebat_result_t result;

static int push(int mV, int32_t mA, uint32_t dt_ms) {
    const edgebat_sample_t sample = {mA, dt_ms, (int16_t)mV, 250, EDGEBAT_VALID_ALL};
    return edgebat_push(&battery, &sample);
}

static void finish(void) {
    while (edgebat_step(&battery) == EDGEBAT_BUSY) {
    }
}

/* 0.25 mV per second at 1 A: 100 s and 27.8 mAh per level, 7.5 % of 370 mAh. */
static void charge(int from_mV, int to_mV) {
    for (int mV = from_mV; mV <= to_mV; mV++) {
        (void)push(mV, 1000, 4000U);
        finish();
    }
}

static void discharge(void) {
    for (int i = 0; i < 10; i++) {
        (void)push(3900 - 50 * i, -1000, 10000U);
        finish();
    }
}

static void cycle(void) {
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
    TEST_ASSERT_EQUAL_INT(120, result.sigma_cpct);
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
    TEST_ASSERT_EQUAL_INT(0, memcmp(&saved[16], &again[16], FAKE_SAVED_BYTES - 20U));

    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_LENGTH, edgebat_state_check(&fake_model, &config, saved, 10U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_LENGTH,
                          edgebat_state_check(&fake_model, &config, saved, FAKE_SAVED_BYTES - 1U));
    other.nominal_mAh = 371U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_OTHER,
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

static void test_without_a_temperature_nothing_is_known(void) {
    for (int i = 0; i < 3; i++) {
        discharge();
        for (int mV = 3560; mV <= 3720; mV++) {
            const edgebat_sample_t sample = {1000, 4000U, (int16_t)mV, 250,
                                             EDGEBAT_VALID_VOLTAGE | EDGEBAT_VALID_CURRENT};
            (void)edgebat_push(&battery, &sample);
            finish();
        }
    }
    (void)edgebat_result(&battery, &result);
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
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, battery.counted_cpct); /* one sample may be a pulse */
    (void)push(2980, -300, 10000U);
    finish();
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_COUNTING, result.source);
    TEST_ASSERT_EQUAL_INT(300, result.sigma_cpct);
    TEST_ASSERT_EQUAL_INT(1, (result.counting_cpct > 8500) && (result.counting_cpct < 8650));
    TEST_ASSERT_EQUAL_INT(1, result.soh_cpct == result.counting_cpct);
}

int main(void) {
    RUN_TEST(test_null_pointers_are_refused_everywhere);
    RUN_TEST(test_misaligned_memory_is_refused);
    RUN_TEST(test_every_value_of_the_configuration_has_a_range);
    RUN_TEST(test_a_model_that_contradicts_itself_is_refused);
    RUN_TEST(test_a_model_says_what_it_is);
    RUN_TEST(test_three_charges_make_an_estimate);
    RUN_TEST(test_an_inference_takes_one_slice_per_step);
    RUN_TEST(test_a_slice_that_fails_ends_the_inference);
    RUN_TEST(test_a_failed_selftest_silences_the_model);
    RUN_TEST(test_a_selftest_in_the_middle_of_an_inference_begins_it_again);
    RUN_TEST(test_two_batteries_do_not_know_each_other);
    RUN_TEST(test_a_state_survives_and_says_what_is_wrong_with_it);
    RUN_TEST(test_of_two_places_the_newer_sound_one_counts);
    RUN_TEST(test_frames_carry_the_result);
    RUN_TEST(test_pulses_of_charge_make_no_cycle);
    RUN_TEST(test_a_charge_after_every_start_makes_an_estimate);
    RUN_TEST(test_an_inference_cut_short_by_the_power_is_done_after_it);
    RUN_TEST(test_one_odd_charge_does_not_silence_the_model);
    RUN_TEST(test_without_a_temperature_nothing_is_known);
    RUN_TEST(test_a_measured_value_replaces_a_guess_at_once);
    RUN_TEST(test_counting_speaks_when_the_model_may_not);
    return UNITY_END();
}
