/*
 * test_dense.c - layers of weights against two nested loops and a 64-bit requantization.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_nn.h"
#include "random.h"
#include "check.h"

enum { ROWS = 4, COLUMNS = 8, N = 20, ZERO_POINT = -5 };

/* clang-format off */
#define ROW_A  12, -127,  45,    7,    3,  90,  -1,  64
#define ROW_B -99,  100,  13,   -8,  127, -60,   2, -33
#define ROW_C   0,    1,  -1, -127,   55,  20, -90,   5
#define ROW_D 127,  127, 127,  127, -128,  77,  66, -12
/* clang-format on */

static const int8_t plain[ROWS][COLUMNS] = {{ROW_A}, {ROW_B}, {ROW_C}, {ROW_D}};
static const int32_t bias[ROWS] = {1000, -2000, 0, 123456};
static const int32_t k[ROWS] = {5001, 4999, 6001, 3001};

static const edgebat_weights_t weights[2] = {
    EDGEBAT_WEIGHTS(12, -127, 45, 7, -99, 100, 13, -8, 0, 1, -1, -127, 127, 127, 127, 127),
    EDGEBAT_WEIGHTS(3, 90, -1, 64, 127, -60, 2, -33, 55, 20, -90, 5, -128, 77, 66, -12),
};
static const edgebat_channels_t channels[1] = {
    EDGEBAT_CHANNELS(20, 0, 1000, 5001, -2000, 4999, 0, 6001, 123456, 3001),
};
static const edgebat_dense_t layer = {
    .weights = weights,
    .channels = channels,
    .rounding = EDGEBAT_ROUNDING(20, 16, 0, ZERO_POINT),
    .columns4 = COLUMNS / 4,
    .blocks = 1,
};

static const edgebat_weights2_t pair_weights[4] = {
    EDGEBAT_WEIGHTS2(12, -127, 45, 7, -99, 100, 13, -8),
    EDGEBAT_WEIGHTS2(3, 90, -1, 64, 127, -60, 2, -33),
    EDGEBAT_WEIGHTS2(0, 1, -1, -127, 127, 127, 127, 127),
    EDGEBAT_WEIGHTS2(55, 20, -90, 5, -128, 77, 66, -12),
};
static const edgebat_channels2_t pair_channels[2] = {
    EDGEBAT_CHANNELS2(20, 0, 1000, 5001, -2000, 4999),
    EDGEBAT_CHANNELS2(20, 0, 0, 6001, 123456, 3001),
};

void setUp(void) {
}

void tearDown(void) {
}

static int32_t expected(const int8_t *x, int row, int32_t low, int32_t high) {
    int64_t sum = bias[row];
    for (int i = 0; i < COLUMNS; i++) {
        sum += (int32_t)plain[row][i] * x[i];
    }
    const int64_t y = ((sum * k[row] + (1 << (N - 1))) >> N) + ZERO_POINT;
    return (int32_t)((y < low) ? low : ((y > high) ? high : y));
}

static void fill(int8_t *x, uint32_t *seed) {
    for (int i = 0; i < COLUMNS; i++) {
        x[i] = next_int8(seed);
    }
}

static void test_dense_equals_two_loops(void) {
    uint32_t seed = 1;
    for (int n = 0; n < 2000; n++) {
        int8_t x[COLUMNS], y[ROWS];
        fill(x, &seed);
        edgebat_dense(&layer, x, y);
        for (int row = 0; row < ROWS; row++) {
            TEST_ASSERT_EQUAL_INT8(expected(x, row, -128, 127), y[row]);
        }
    }
}

static void test_dense_reads_from_any_address(void) {
    uint32_t seed = 2;
    int8_t x[COLUMNS + 3], y[ROWS];
    for (int shift = 0; shift < 4; shift++) {
        fill(&x[shift], &seed);
        edgebat_dense(&layer, &x[shift], y);
        TEST_ASSERT_EQUAL_INT8(expected(&x[shift], 0, -128, 127), y[0]);
    }
}

static void test_head_equals_two_loops(void) {
    uint32_t seed = 3;
    for (int n = 0; n < 2000; n++) {
        int8_t x[COLUMNS];
        int16_t y[ROWS];
        fill(x, &seed);
        TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_head(&layer, x, y));
        for (int row = 0; row < ROWS; row++) {
            TEST_ASSERT_EQUAL_INT16(expected(x, row, -32768, 32767), y[row]);
        }
    }
}

static void test_rest_of_a_head_writes_no_more_than_its_outputs(void) {
    uint32_t seed = 4;
    for (uint16_t outputs = 1; outputs <= 3; outputs++) {
        const edgebat_rest_t rest = {
            .weights = pair_weights,
            .channels = pair_channels,
            .rounding = EDGEBAT_ROUNDING(20, 16, 0, ZERO_POINT),
            .columns4 = COLUMNS / 4,
            .outputs = outputs,
        };
        int8_t x[COLUMNS];
        int16_t y[ROWS] = {77, 77, 77, 77};
        fill(x, &seed);
        TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_head_rest(&rest, x, y));
        for (int row = 0; row < ROWS; row++) {
            TEST_ASSERT_EQUAL_INT16((row < outputs) ? expected(x, row, -32768, 32767) : 77, y[row]);
        }
    }
}

static void test_convolution_pools_while_it_slides(void) {
    enum { STEP = 4, POSITIONS = 3, POOL = 2, MAP = COLUMNS + STEP * (POSITIONS * POOL - 1) };
    const edgebat_conv1d_t conv = {.dense = layer, .positions = POSITIONS, .step = STEP, .pool = POOL};
    uint32_t seed = 5;
    int8_t x[MAP], y[(POSITIONS + 1) * ROWS];
    for (int i = 0; i < MAP; i++) {
        x[i] = next_int8(&seed);
    }
    edgebat_conv1d(&conv, x, y);
    for (int t = 0; t < POSITIONS; t++) {
        for (int row = 0; row < ROWS; row++) {
            const int32_t first = expected(&x[STEP * (2 * t)], row, -128, 127);
            const int32_t second = expected(&x[STEP * (2 * t + 1)], row, -128, 127);
            TEST_ASSERT_EQUAL_INT8((first > second) ? first : second, y[t * ROWS + row]);
        }
    }
}

int main(void) {
    UNITY_BEGIN();
    RUN_TEST(test_dense_equals_two_loops);
    RUN_TEST(test_dense_reads_from_any_address);
    RUN_TEST(test_head_equals_two_loops);
    RUN_TEST(test_rest_of_a_head_writes_no_more_than_its_outputs);
    RUN_TEST(test_convolution_pools_while_it_slides);
    return UNITY_END();
}
