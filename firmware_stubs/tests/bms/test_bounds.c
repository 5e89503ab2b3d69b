/*
 * test_bounds.c - inputs that are allowed and far from all use: nothing overflows, nothing is lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../../bms/edgebat_bms.h"
#include "one_battery.h"
#include "fake_trend.h"
#include "edgebat/edgebat_ocv.h"
#include "random.h"

#include <string.h>

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

/* Beside the compiler's own division, numbers of all lengths. */
static void test_a_quotient_is_the_compilers(void) {
    uint32_t seed = 7U;
    uint32_t wrong = 0U;
    for (uint32_t i = 0U; i < 200000U; i++) {
        uint64_t number[2] = {0U, 0U};
        for (uint32_t k = 0U; k < 8U; k++) {
            number[k / 4U] = (number[k / 4U] << 16U) | next_random(&seed);
        }
        const uint64_t value = number[0] >> (next_random(&seed) % 64U);
        const uint64_t over = number[1] >> (next_random(&seed) % 64U);
        const uint64_t expected = (over != 0U) ? (value / over) : 0U;
        wrong += (edgebat_bms_quotient(value, over) != expected) ? 1U : 0U;
    }
    TEST_ASSERT_EQUAL_INT(0, (int)wrong);
    TEST_ASSERT_EQUAL_INT(1, edgebat_bms_quotient(UINT64_MAX, 1U) == UINT64_MAX);
    TEST_ASSERT_EQUAL_INT(1, edgebat_bms_quotient(UINT64_MAX, UINT64_MAX) == 1U);
    TEST_ASSERT_EQUAL_INT(1, edgebat_bms_quotient(UINT64_MAX - 1U, UINT64_MAX) == 0U);
    TEST_ASSERT_EQUAL_INT(1, edgebat_bms_ratio(7U, 2U) == 4U);
    TEST_ASSERT_EQUAL_INT(1, edgebat_bms_ratio(5U, 4U) == 1U);
}

/* Five cycles, in samples that are so far apart. */
static edgebat_sample_t sample_at(uint32_t i, uint32_t per_s) {
    const uint32_t second = i / per_s;
    const uint32_t of_cycle = second % 800U;
    edgebat_sample_t sample = {0, 1000U / per_s, 0, 250, EDGEBAT_VALID_ALL};
    sample.current_mA = (of_cycle < 120U) ? -1000 : ((of_cycle < 780U) ? 1000 : 0);
    sample.cell_mV =
        (int16_t)((of_cycle < 120U) ? (3900U - (3U * of_cycle)) : (3555U + ((of_cycle - 120U) / 4U)));
    return sample;
}

static void live(edgebat_t *one, uint32_t i, uint32_t per_s) {
    const edgebat_sample_t sample = sample_at(i, per_s);
    (void)edgebat_push(one, &sample);
    (void)edgebat_step(one);
}

static void test_two_batteries_in_turn_say_what_each_says_alone(void) {
    static edgebat_t slow;
    static uint32_t slow_work[(FAKE_WORK_BYTES + 3U) / 4U];
    static uint8_t alone[2][FAKE_SAVED_BYTES];
    static uint8_t in_turn[2][FAKE_SAVED_BYTES];
    for (uint32_t together = 0U; together < 2U; together++) {
        uint8_t (*const saved)[FAKE_SAVED_BYTES] = (together != 0U) ? in_turn : alone;
        (void)edgebat_init(&battery, &fake_model, &config, work, NULL, 0U);
        (void)edgebat_init(&slow, &fake_model, &config, slow_work, NULL, 0U);
        for (uint32_t i = 0U; i < 40000U; i++) {
            live(&battery, i, 10U);
            if ((together != 0U) && ((i % 10U) == 3U)) {
                live(&slow, i / 10U, 1U);
            }
        }
        for (uint32_t i = 0U; (together == 0U) && (i < 4000U); i++) {
            live(&slow, i, 1U);
        }
        TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_state_get(&battery, saved[0], FAKE_SAVED_BYTES));
        TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_state_get(&slow, saved[1], FAKE_SAVED_BYTES));
    }
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_result(&slow, &result));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_SOURCE_MODEL, result.source);
    TEST_ASSERT_EQUAL_INT(0, memcmp(alone, in_turn, sizeof alone));
}

int main(void) {
    RUN_TEST(test_two_batteries_in_turn_say_what_each_says_alone);
    RUN_TEST(test_a_quotient_is_the_compilers);
    RUN_TEST(test_a_current_beyond_all_bounds_does_not_spoil_the_saved_state);
    RUN_TEST(test_a_charge_that_never_ends_stops_counting);
    RUN_TEST(test_the_longest_horizon_does_not_overflow);
    return UNITY_END();
}
