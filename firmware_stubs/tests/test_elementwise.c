/*
 * test_elementwise.c - the small kernels, and what the library expects of a compiler.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_mul.h"
#include "edgebat_reverse.h"
#include "edgebat_take.h"
#include "check.h"

void setUp(void) {
}

void tearDown(void) {
}

/* C leaves both to the compiler; every kernel relies on them. */
static void test_compiler_shifts_and_narrows_as_all_do(void) {
    volatile int32_t minus_five = -5;
    volatile int32_t large = 200;
    volatile uint32_t top = UINT32_C(0x80000001);
    TEST_ASSERT_EQUAL_INT32(-3, minus_five >> 1);
    TEST_ASSERT_EQUAL_INT8(-56, (int8_t)large);
    TEST_ASSERT_EQUAL_INT32(-2147483647, (int32_t)top);
}

static void test_maximum(void) {
    int8_t y[4] = {-128, 127, 0, -5};
    const int8_t x[4] = {127, -128, 0, -4};
    edgebat_maximum(y, x, 4);
    const int8_t expected[4] = {127, 127, 0, -4};
    TEST_ASSERT_EQUAL_INT8_ARRAY(expected, y, 4);
}

static void test_clamp(void) {
    int8_t y[5] = {-128, -20, 0, 50, 127};
    edgebat_clamp(y, 5, -20, 49);
    const int8_t expected[5] = {-20, -20, 0, 49, 49};
    TEST_ASSERT_EQUAL_INT8_ARRAY(expected, y, 5);
    int16_t wide[3] = {-32768, 5, 32767};
    edgebat_clamp16(wide, 3, -1000, 2000);
    const int16_t expected16[3] = {-1000, 5, 2000};
    TEST_ASSERT_EQUAL_INT16_ARRAY(expected16, wide, 3);
}

static void test_lut_covers_both_ends(void) {
    int8_t table[256];
    for (int32_t i = 0; i < 256; i++) {
        table[i] = (int8_t)(127 - i);
    }
    const int8_t x[3] = {-128, 0, 127};
    int8_t y[3];
    edgebat_lut(table, x, y, 3);
    const int8_t expected[3] = {127, -1, -128};
    TEST_ASSERT_EQUAL_INT8_ARRAY(expected, y, 3);
}

static void test_copy_leaves_padding_alone(void) {
    const int8_t x[6] = {1, 2, 3, 4, 5, 6};
    int8_t y[8] = {9, 9, 9, 9, 9, 9, 9, 9};
    edgebat_copy(x, 3, y, 4, 2, 3);
    const int8_t expected[8] = {1, 2, 3, 9, 4, 5, 6, 9};
    TEST_ASSERT_EQUAL_INT8_ARRAY(expected, y, 8);
}

static void test_reverse(void) {
    const int8_t x[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    int8_t y[12] = {0};
    edgebat_reverse(x, 3, y, 4, 3, 3);
    const int8_t expected[12] = {7, 8, 9, 0, 4, 5, 6, 0, 1, 2, 3, 0};
    TEST_ASSERT_EQUAL_INT8_ARRAY(expected, y, 12);
}

static void test_a_gate_of_channels_and_one_of_time_steps(void) {
    const int8_t x[4] = {10, -128, 127, 4}, gate[2] = {6, -2};
    /* (x - 4) * (gate - 2) / 4, halves up, plus 1 */
    edgebat_mul_t layer = {4, 2, EDGEBAT_MULTIPLIER(2, 0, 1), EDGEBAT_ROUNDING(2, 0, 0, 1), 2, 2, 2, 0, 2, 1};
    int8_t y[4];
    edgebat_mul(&layer, x, gate, y);
    const int8_t by_channel[4] = {7, 127, 124, 1};
    TEST_ASSERT_EQUAL_INT8_ARRAY(by_channel, y, 4);
    layer.b_row = 1;
    layer.own = 0;
    edgebat_mul(&layer, x, gate, y);
    const int8_t by_step[4] = {7, -128, -122, 1};
    TEST_ASSERT_EQUAL_INT8_ARRAY(by_step, y, 4);
}

static void test_take_moves_values_to_padded_rows(void) {
    int8_t x[300];
    for (int32_t i = 0; i < 300; i++) {
        x[i] = (int8_t)(i % 100);
    }
    const int8_t places[8] = {43, 1, 0, 0, 5, 0, (int8_t)200, 0}; /* 299, 0, 5, 200 */
    int8_t y[6] = {9, 9, 9, 9, 9, 9};
    edgebat_take(places, x, y, 3, 2, 2);
    const int8_t expected[6] = {99, 0, 9, 5, 0, 9};
    TEST_ASSERT_EQUAL_INT8_ARRAY(expected, y, 6);
}

static void test_fill(void) {
    int8_t y[6] = {1, 1, 1, 1, 1, 1};
    edgebat_fill(y, 4, -7);
    const int8_t expected[6] = {-7, -7, -7, -7, 1, 1};
    TEST_ASSERT_EQUAL_INT8_ARRAY(expected, y, 6);
}

static void test_max_pool_with_overlapping_windows(void) {
    const int8_t x[16] = {1, -1, 7, 0, 5, -5, 7, 1, 2, -2, 8, 2, 3, -9, 6, 3};
    int8_t y[8];
    edgebat_max_pool(x, y, 4, 2, 3, 1);
    const int8_t expected[8] = {5, -1, 8, 2, 5, -2, 8, 3};
    TEST_ASSERT_EQUAL_INT8_ARRAY(expected, y, 8);
}

static void test_crc32_of_the_published_check_string(void) {
    TEST_ASSERT_EQUAL_HEX32(0xCBF43926U, edgebat_crc32(0, "123456789", 9));
    TEST_ASSERT_EQUAL_HEX32(0xCBF43926U, edgebat_crc32(edgebat_crc32(0, "12345", 5), "6789", 4));
}

int main(void) {
    UNITY_BEGIN();
    RUN_TEST(test_compiler_shifts_and_narrows_as_all_do);
    RUN_TEST(test_maximum);
    RUN_TEST(test_clamp);
    RUN_TEST(test_lut_covers_both_ends);
    RUN_TEST(test_copy_leaves_padding_alone);
    RUN_TEST(test_reverse);
    RUN_TEST(test_a_gate_of_channels_and_one_of_time_steps);
    RUN_TEST(test_take_moves_values_to_padded_rows);
    RUN_TEST(test_fill);
    RUN_TEST(test_max_pool_with_overlapping_windows);
    RUN_TEST(test_crc32_of_the_published_check_string);
    return UNITY_END();
}
