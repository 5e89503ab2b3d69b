/*
 * test_lstm.c - one unit of an LSTM against TFLite Micro's arithmetic written out with 64-bit products.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../src/edgebat_sigmoid.h"
#include "edgebat_nn.h"
#include "random.h"
#include "check.h"

enum { GATES = 4, STEPS = 300, CELL_SHIFT = 11, STATE = 4 + 4 + 4 };

/* Gates i, f, g, o; four inputs and one hidden value. */
static const int8_t wx[GATES][4] = {
    {50, -120, 7, 33}, {-9, 80, 127, -127}, {100, 3, -77, 64}, {1, 90, -45, -60}};
static const int8_t wh[GATES] = {-100, 120, 90, -64};
static const int32_t bias[GATES] = {300, -2500, 40, 9000};
static const int32_t k[2][GATES] = {{900, 513, 1023, 2047}, {700, 600, 999, 1001}};
static const int32_t shift[2][GATES] = {{0, 1, 0, 0}, {2, 1, 3, 1}};

static const edgebat_weights_t weights[2] = {
    EDGEBAT_WEIGHTS(50, -120, 7, 33, -9, 80, 127, -127, 100, 3, -77, 64, 1, 90, -45, -60),
    EDGEBAT_WEIGHTS(-100, 0, 0, 0, 120, 0, 0, 0, 90, 0, 0, 0, -64, 0, 0, 0),
};
static const edgebat_bias_t biases[1] = {EDGEBAT_UNIT(300, -2500, 40, 9000)};
static const edgebat_lstm_t layer = {
    .weights = weights,
    .bias = biases,
    .gate = {{EDGEBAT_GATE(900, 0), EDGEBAT_GATE(700, 2)},
             {EDGEBAT_GATE(513, 1), EDGEBAT_GATE(600, 1)},
             {EDGEBAT_GATE(1023, 0), EDGEBAT_GATE(999, 3)},
             {EDGEBAT_GATE(2047, 0), EDGEBAT_GATE(1001, 1)}},
    .added_round = (1 << (30 - CELL_SHIFT - 1)) + 1,
    .added_shift = 30 - CELL_SHIFT,
    .hidden_round = (1 << 22) + 1,
    .hidden_shift = 23,
    .tanh_factor = 3 << (12 - CELL_SHIFT),
    .tanh_half = 0,
    .tanh_right = 0,
    .columns4_x = 1,
    .columns4_h = 1,
    .units = 1,
};

void setUp(void) {
}

void tearDown(void) {
}

static int64_t saturate(int64_t value, int64_t limit) {
    return (value > limit) ? limit : ((value < -limit - 1) ? (-limit - 1) : value);
}

/* gemmlowp: SaturatingRoundingDoublingHighMul, then RoundingDivideByPOT. */
static int64_t requantize(int64_t value, int64_t q31, int32_t right) {
    const int64_t product = value * q31;
    const int64_t nudged = product + ((product >= 0) ? (INT64_C(1) << 30) : (1 - (INT64_C(1) << 30)));
    const int64_t high = nudged / (INT64_C(1) << 31);
    const int64_t mask = (INT64_C(1) << right) - 1;
    return (high >> right) + (((high & mask) > ((mask >> 1) + ((high < 0) ? 1 : 0))) ? 1 : 0);
}

static int64_t gate(int g, const int8_t *x, int8_t h) {
    int64_t sum = bias[g];
    for (int i = 0; i < 4; i++) {
        sum += (int32_t)wx[g][i] * x[i];
    }
    const int64_t from_x = saturate(requantize(sum, (int64_t)k[0][g] << 21, shift[0][g]), 32767);
    const int64_t from_h =
        saturate(requantize((int32_t)wh[g] * h, (int64_t)k[1][g] << 21, shift[1][g]), 32767);
    return saturate(from_x + from_h, 32767);
}

static void test_steps_equal_the_written_out_formulas(void) {
    uint32_t seed = 7;
    int32_t words[STATE / 4] = {0};
    int8_t *const state = (int8_t *)words;
    int8_t h = 0;
    int64_t cell = 0;
    for (int t = 0; t < STEPS; t++) {
        int8_t x[4];
        for (int i = 0; i < 4; i++) {
            x[i] = (t < STEPS / 2) ? next_int8(&seed) : (int8_t)((t % 50 < 25) ? 127 : -128);
        }
        const int64_t i = edgebat_sigmoid((int32_t)gate(0, x, h));
        const int64_t f = edgebat_sigmoid((int32_t)gate(1, x, h));
        const int64_t g = edgebat_tanh(3 * (int32_t)gate(2, x, h));
        const int64_t o = edgebat_sigmoid((int32_t)gate(3, x, h));
        const int64_t kept = saturate(requantize(f * cell, INT64_C(1) << 30, 14), 32767);
        const int64_t added = saturate(requantize(i * g, INT64_C(1) << 30, 29 - CELL_SHIFT), 32767);
        cell = saturate(kept + added, 32767);
        const int64_t squashed = edgebat_tanh(3 * (int32_t)cell * (1 << (12 - CELL_SHIFT)));
        h = (int8_t)saturate(requantize(o * squashed, INT64_C(1) << 30, 22), 127);

        edgebat_lstm_step(&layer, x, state);
        TEST_ASSERT_EQUAL_INT8(h, state[0]);
        TEST_ASSERT_EQUAL_INT16(cell, *(const int16_t *)(const void *)&state[8]);
    }
}

static void test_sigmoid_and_tanh_at_their_ends(void) {
    TEST_ASSERT_EQUAL_INT32(16384, edgebat_sigmoid(0));
    TEST_ASSERT_EQUAL_INT32(32757, edgebat_sigmoid(32767));
    TEST_ASSERT_EQUAL_INT32(11, edgebat_sigmoid(-32768));
    TEST_ASSERT_EQUAL_INT32(0, edgebat_tanh(0));
    TEST_ASSERT_EQUAL_INT32(32766, edgebat_tanh(65024 + 127));
    TEST_ASSERT_EQUAL_INT32(32767, edgebat_tanh(65024 + 128));
    TEST_ASSERT_EQUAL_INT32(32767, edgebat_tanh(65535));
    TEST_ASSERT_EQUAL_INT32(-32767, edgebat_tanh(-3 * 32768 * 16));
}

static void test_any_scales_give_the_same_where_both_apply(void) {
    static const edgebat_bias_t none[1] = {EDGEBAT_UNIT(0, 0, 0, 0)};
    edgebat_lstm_any_t any = {
        .weights = weights,
        .bias = biases,
        .recurrent_bias = none,
        .kept = {1 << 30, -14},
        .added = {1 << 30, CELL_SHIFT - 29},
        .hidden = {1 << 30, -22},
        .hidden_zero_point = 0,
        .tanh_factor = 3 << (12 - CELL_SHIFT),
        .columns4_x = 1,
        .columns4_h = 1,
        .units = 1,
    };
    for (int g = 0; g < GATES; g++) {
        /* 2047 has eleven bits: as Q31, half the multiplier and one more to the left. */
        const int32_t left = (k[0][g] > 1023) ? 1 : 0;
        any.gate[g].input.multiplier = (int32_t)(((int64_t)k[0][g] << 21) >> left);
        any.gate[g].input.exponent = left - shift[0][g];
        any.gate[g].recurrent.multiplier = k[1][g] << 21;
        any.gate[g].recurrent.exponent = -shift[1][g];
    }
    any.gate[3].input.multiplier = 2047 << 20;
    uint32_t seed = 8;
    int32_t one[STATE / 4] = {0};
    int32_t two[STATE / 4] = {0};
    for (int t = 0; t < STEPS; t++) {
        int8_t x[4];
        for (int i = 0; i < 4; i++) {
            x[i] = next_int8(&seed);
        }
        edgebat_lstm_step(&layer, x, (int8_t *)one);
        edgebat_lstm_any_step(&any, x, (int8_t *)two);
        TEST_ASSERT_EQUAL_INT32_ARRAY(one, two, STATE / 4);
    }
}

int main(void) {
    UNITY_BEGIN();
    RUN_TEST(test_steps_equal_the_written_out_formulas);
    RUN_TEST(test_sigmoid_and_tanh_at_their_ends);
    RUN_TEST(test_any_scales_give_the_same_where_both_apply);
    return UNITY_END();
}
