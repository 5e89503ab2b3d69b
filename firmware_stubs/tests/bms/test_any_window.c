/*
 * test_any_window.c - charges that begin anywhere, with a model that reads any window: which windows are read, what the rows
 * of a battery hold, and what is refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../../bms/edgebat_state.h"

#include "one_battery.h"

#include "edgebat/edgebat_service.h"

#include <string.h>

static const int8_t *window(void) {
    return edgebat_bms_window(&battery);
}

/* In mV, of the row at a place from the oldest on; 3544: none. */
static int start_of(uint32_t row) {
    return 3800 + (2 * window()[(row * FAKE_COLUMNS) + FAKE_INCREMENTS]);
}

static int age_of(uint32_t row) {
    return window()[(row * FAKE_COLUMNS) + FAKE_INCREMENTS + 1U];
}

static void plug_in(int from_mV, int to_mV) {
    discharge();
    charge(from_mV, to_mV);
    (void)push(to_mV, 0, 1000U);
    finish();
}

static void test_a_charge_is_read_through_the_windows_above_its_first_voltage(void) {
    plug_in(3800, 4170);
    TEST_ASSERT_EQUAL_INT(3, battery.rows);
    TEST_ASSERT_EQUAL_INT(3850, start_of(0U));
    TEST_ASSERT_EQUAL_INT(3950, start_of(1U));
    TEST_ASSERT_EQUAL_INT(4050, start_of(2U));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_CHARGE_OK, result.charge);
    TEST_ASSERT_EQUAL_INT(0, result.warmup);
}

static void test_one_row_speaks_and_zeros_stand_before_it(void) {
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(1, result.warmup);
    plug_in(3800, 3960);
    TEST_ASSERT_EQUAL_INT(1, battery.rows);
    for (uint32_t row = 0U; row < 2U; row++) {
        TEST_ASSERT_EQUAL_INT(3544, start_of(row));
        TEST_ASSERT_EQUAL_INT(-75, window()[row * FAKE_COLUMNS]);
    }
    TEST_ASSERT_EQUAL_INT(3850, start_of(2U));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_STATUS_OK, result.status);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_CHARGE_OK, result.charge); /* not where it ended */
}

/* So many charges below all windows, then one through a window, which makes the second row. */
static void one_row_after(int cycles) {
    for (int i = 0; i < cycles; i++) {
        plug_in(3400, 3590);
    }
    plug_in(3700, 3860);
    TEST_ASSERT_EQUAL_INT(2, battery.rows);
}

static void test_rows_grow_older_and_leave(void) {
    plug_in(3800, 3960);
    one_row_after(4);
    TEST_ASSERT_EQUAL_INT(5, age_of(1U));
    TEST_ASSERT_EQUAL_INT(0, age_of(2U));
    one_row_after(17);
    TEST_ASSERT_EQUAL_INT(18, age_of(1U));
    TEST_ASSERT_EQUAL_INT(3544, start_of(0U));
}

static void test_a_row_that_waits_is_not_written_over(void) {
    discharge();
    for (int mV = 3700; mV <= 4170; mV++) {
        (void)push(mV, 1000, 4000U);
    }
    TEST_ASSERT_EQUAL_INT(1, battery.row_ready);
    finish();
    TEST_ASSERT_EQUAL_INT(1, battery.rows);
    TEST_ASSERT_EQUAL_INT(3750, start_of(2U));
}

static void test_a_pause_costs_the_windows_that_begin_soon_after(void) {
    discharge();
    charge(3800, 3880);
    (void)push(3810, 0, 1000U);
    for (int mV = 3811; mV < 3880; mV++) {
        (void)push(mV, 1000, 100U); /* back in seconds */
    }
    charge(3880, 4170);
    TEST_ASSERT_EQUAL_INT(2, battery.rows);
    TEST_ASSERT_EQUAL_INT(3950, start_of(1U));
}

static void test_a_tenth_of_nominal_flows_before_the_first_window(void) {
    charge(3846, 4170);
    TEST_ASSERT_EQUAL_INT(2, battery.rows); /* 33 mV later a window begins at 3.90 V next */
    TEST_ASSERT_EQUAL_INT(3900, start_of(1U));
}

static void test_braking_goes_over_into_a_charge(void) {
    discharge();
    (void)push(3990, 1000, 1000U);
    (void)push(3991, 1000, 1000U);
    charge(3700, 3860);
    TEST_ASSERT_EQUAL_INT(1, battery.rows);
    TEST_ASSERT_EQUAL_INT(3750, start_of(2U));
}

static void test_rows_survive_a_loss_of_power(void) {
    static uint8_t saved[FAKE_SAVED_BYTES];
    int8_t before[FAKE_COLUMNS * FAKE_CONTEXT];
    plug_in(3800, 3960);
    plug_in(3400, 3590);
    plug_in(3700, 3860);
    (void)memcpy(before, window(), sizeof before);
    TEST_ASSERT_EQUAL_INT(FAKE_SAVED_BYTES, edgebat_state_bytes(&fake_model));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_state_get(&battery, saved, FAKE_SAVED_BYTES));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_init(&battery, &fake_model, &config, work, saved, FAKE_SAVED_BYTES));
    TEST_ASSERT_EQUAL_INT(2, battery.rows);
    TEST_ASSERT_EQUAL_INT(0, memcmp(before, window(), sizeof before));
    plug_in(3400, 3590);
    plug_in(3700, 3860);
    TEST_ASSERT_EQUAL_INT(4, age_of(0U));
    TEST_ASSERT_EQUAL_INT(2, age_of(1U));
}

static void test_no_row_outlives_a_change_of_the_count_of_cycles(void) {
    plug_in(3800, 3960);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_reset(&battery, EDGEBAT_RESET_USE));
    TEST_ASSERT_EQUAL_INT(0, battery.rows);
}

/* A battery that has made no row for so long that 16 bits would begin anew. */
static void test_a_row_of_long_ago_leaves(void) {
    plug_in(3800, 3960);
    battery.cycle += 65536U;
    plug_in(3800, 3960);
    TEST_ASSERT_EQUAL_INT(1, battery.rows);
}

static void test_descriptions_that_contradict_themselves_are_refused(void) {
    edgebat_model_info_t info;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_model_info(&fake_model, &info));
    TEST_ASSERT_EQUAL_INT(3600, info.low_mV);
    TEST_ASSERT_EQUAL_INT(4150, info.high_mV);
    TEST_ASSERT_EQUAL_INT(1, info.charges);
    TEST_ASSERT_EQUAL_INT(FAKE_WORK_BYTES, info.work_bytes);
    for (int i = 0; i < 6; i++) {
        edgebat_model_t bad = fake_model;
        bad.columns = (uint16_t)((i == 0) ? FAKE_INCREMENTS + 1U : bad.columns);
        bad.columns = (uint16_t)((i == 1) ? FAKE_INCREMENTS + 4U : bad.columns);
        bad.starts = (uint16_t)((i == 2) ? 257U : bad.starts);
        bad.start_step_mV = (uint16_t)((i == 3) ? 0U : bad.start_step_mV);
        bad.next_start = (uint16_t)((i == 4) ? 3U : bad.next_start);
        bad.max_age = (uint16_t)((i == 5) ? 30001U : bad.max_age);
        TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_MODEL, edgebat_model_info(&bad, &info));
    }
}

/* A firmware that can do both runs a model of one window as one that cannot. */
static void test_a_model_of_one_window_is_what_it_was(void) {
    static edgebat_model_t one;
    one = fake_model;
    one.columns = FAKE_INCREMENTS;
    one.starts = 0U;
    one.start_step_mV = 0U;
    one.next_start = 0U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_init(&battery, &one, &config, work, NULL, 0U));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(3, result.warmup);
    charge(3720, 3760);
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_CHARGE_STARTS_ABOVE, result.charge);
    cycle();
    TEST_ASSERT_EQUAL_INT(1, battery.rows);
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(2, result.warmup);
    TEST_ASSERT_EQUAL_INT(1, battery.above != 0U);
}

int main(void) {
    RUN_TEST(test_a_charge_is_read_through_the_windows_above_its_first_voltage);
    RUN_TEST(test_one_row_speaks_and_zeros_stand_before_it);
    RUN_TEST(test_rows_grow_older_and_leave);
    RUN_TEST(test_a_row_that_waits_is_not_written_over);
    RUN_TEST(test_a_pause_costs_the_windows_that_begin_soon_after);
    RUN_TEST(test_a_tenth_of_nominal_flows_before_the_first_window);
    RUN_TEST(test_braking_goes_over_into_a_charge);
    RUN_TEST(test_rows_survive_a_loss_of_power);
    RUN_TEST(test_no_row_outlives_a_change_of_the_count_of_cycles);
    RUN_TEST(test_a_row_of_long_ago_leaves);
    RUN_TEST(test_descriptions_that_contradict_themselves_are_refused);
    RUN_TEST(test_a_model_of_one_window_is_what_it_was);
    return UNITY_END();
}
