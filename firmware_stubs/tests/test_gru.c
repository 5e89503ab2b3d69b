/*
 * test_gru.c - four units of a GRU in both forms against the formulas written out with 64-bit products.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "../src/edgebat_sigmoid.h"
#include "edgebat_gru.h"
#include "random.h"
#include "check.h"

enum { GATES = 3, UNITS = 4, STEPS = 300, STATE = 4 + 8 + 4 };

/* Gates r, z, n; four inputs and four hidden values. */
static const int8_t wx[GATES][UNITS][4] = {
    {{50, -120, 7, 33}, {-9, 80, 127, -127}, {100, 3, -77, 64}, {1, 90, -45, -60}},
    {{-50, 12, 70, -33}, {90, -8, 12, 127}, {10, 39, 77, -64}, {111, 0, 45, 60}},
    {{5, -12, 127, 3}, {-9, 127, 1, -27}, {-100, 33, 7, 14}, {17, -90, 45, 127}}};
static const int8_t wh[GATES][UNITS][4] = {
    {{-100, 12, 90, -64}, {3, 127, -127, 5}, {60, -70, 80, -90}, {0, 0, 127, 1}},
    {{10, 120, -90, 64}, {-3, 27, 127, 50}, {6, 70, -8, 127}, {40, -127, 7, -1}},
    {{127, -12, 9, 64}, {33, -127, 27, 5}, {-60, 7, 127, 9}, {-40, 0, -127, 100}}};
static const int32_t bias[GATES][UNITS] = {{300, -2500, 40, 9000}, {0, 70, -800, 5}, {-90, 1000, 2, -3}};
static const int32_t own_bias[UNITS] = {700, -80, 9, 1500};
static const int32_t k[2][GATES] = {{33, 50, 63}, {40, 61, 37}};
static const int32_t shift[2][GATES] = {{5, 4, 6}, {6, 5, 4}};

static edgebat_weights_t block_of(const int8_t w[UNITS][4]) {
    const edgebat_weights_t block =
        EDGEBAT_WEIGHTS(w[0][0], w[0][1], w[0][2], w[0][3], w[1][0], w[1][1], w[1][2], w[1][3], w[2][0],
                        w[2][1], w[2][2], w[2][3], w[3][0], w[3][1], w[3][2], w[3][3]);
    return block;
}

static const edgebat_bias_t biases[GATES] = {EDGEBAT_UNIT(300, -2500, 40, 9000), EDGEBAT_UNIT(0, 70, -800, 5),
                                             EDGEBAT_UNIT(-90, 1000, 2, -3)};
static const edgebat_bias_t recurrent_bias[1] = {EDGEBAT_UNIT(700, -80, 9, 1500)};
static edgebat_weights_t weights[2 * GATES];
static const edgebat_gru_t layer = {
    .weights = weights,
    .bias = biases,
    .recurrent_bias = recurrent_bias,
    .gate = {{EDGEBAT_PRODUCT(33, 5), EDGEBAT_PRODUCT(40, 6)},
             {EDGEBAT_PRODUCT(50, 4), EDGEBAT_PRODUCT(61, 5)},
             {EDGEBAT_PRODUCT(63, 6), EDGEBAT_PRODUCT(37, 4)}},
    .columns4_x = 1,
    .columns4_h = 1,
};

void setUp(void) {
    for (int g = 0; g < GATES; g++) { /* four units: both forms have the same order */
        weights[2 * g] = block_of(wx[g]);
        weights[2 * g + 1] = block_of(wh[g]);
    }
}

void tearDown(void) {
}

static int64_t saturate(int64_t value, int64_t limit) {
    return (value > limit) ? limit : ((value < -limit - 1) ? (-limit - 1) : value);
}

/* gemmlowp: half of the value rounded up, then RoundingDivideByPOT. */
static int64_t halved(int64_t value, int32_t right) {
    const int64_t high = (value + 1) >> 1;
    const int64_t mask = (INT64_C(1) << right) - 1;
    return (high >> right) + (((high & mask) > ((mask >> 1) + ((high < 0) ? 1 : 0))) ? 1 : 0);
}

static int64_t row(const int8_t w[4], const int8_t *v, int64_t start, int part, int g) {
    int64_t sum = start;
    for (int i = 0; i < 4; i++) {
        sum += (int32_t)w[i] * v[i];
    }
    return saturate((sum * k[part][g] + (INT64_C(1) << (shift[part][g] - 1))) >> shift[part][g], 32767);
}

static int8_t byte_of(int64_t state) {
    return (int8_t)saturate(halved(state, 7), 127);
}

/* One step of h, int16 [4]. */
static void step(int64_t *h, const int8_t *x, int after) {
    int8_t before[UNITS], kept[UNITS];
    int64_t gate[2][UNITS];
    for (int u = 0; u < UNITS; u++) {
        before[u] = byte_of(h[u]);
    }
    for (int u = 0; u < UNITS; u++) {
        for (int g = 0; g < 2; g++) {
            const int64_t sum = row(wx[g][u], x, bias[g][u], 0, g) + row(wh[g][u], before, 0, 1, g);
            gate[g][u] = edgebat_sigmoid((int32_t)saturate(sum, 32767));
        }
        kept[u] = byte_of(halved(gate[0][u] * h[u], 14));
    }
    for (int u = 0; u < UNITS; u++) {
        const int64_t part = (after != 0) ? halved(gate[0][u] * row(wh[2][u], before, own_bias[u], 1, 2), 14)
                                          : row(wh[2][u], kept, 0, 1, 2);
        const int64_t sum = saturate(row(wx[2][u], x, bias[2][u], 0, 2) + part, 32767);
        const int64_t candidate = edgebat_tanh(3 * (int32_t)sum);
        const int64_t left = candidate - halved(gate[1][u] * candidate, 14);
        h[u] = saturate(left + halved(gate[1][u] * h[u], 14), 32767);
    }
}

static void compare(int after) {
    uint32_t seed = 7;
    int32_t words[STATE / 4] = {0};
    int8_t *const state = (int8_t *)words;
    int64_t h[UNITS] = {0};
    for (int t = 0; t < STEPS; t++) {
        int8_t x[4];
        for (int i = 0; i < 4; i++) {
            x[i] = (t < STEPS / 2) ? next_int8(&seed) : (int8_t)((t % 50 < 25) ? 127 : -128);
        }
        step(h, x, after);
        if (after != 0) {
            edgebat_gru_step(&layer, x, state);
        } else {
            edgebat_gru_before_step(&layer, x, state);
        }
        for (int u = 0; u < UNITS; u++) {
            TEST_ASSERT_EQUAL_INT16(h[u], ((const int16_t *)(const void *)&state[4])[u]);
            TEST_ASSERT_EQUAL_INT8(byte_of(h[u]), state[u]);
        }
    }
}

static void test_reset_after_equals_the_written_out_formulas(void) {
    compare(1);
}

static void test_reset_before_equals_the_written_out_formulas(void) {
    compare(0);
}

static void test_a_state_at_its_ends_stays_inside(void) {
    int32_t words[STATE / 4] = {0};
    int8_t *const state = (int8_t *)words;
    const int8_t x[4] = {127, -128, 127, -128};
    for (int u = 0; u < UNITS; u++) {
        ((int16_t *)(void *)&state[4])[u] = (int16_t)((u % 2 != 0) ? 32767 : -32768);
        state[u] = (int8_t)((u % 2 != 0) ? 127 : -128);
    }
    int64_t h[UNITS] = {-32768, 32767, -32768, 32767};
    step(h, x, 1);
    edgebat_gru_step(&layer, x, state);
    for (int u = 0; u < UNITS; u++) {
        TEST_ASSERT_EQUAL_INT16(h[u], ((const int16_t *)(const void *)&state[4])[u]);
    }
}

int main(void) {
    UNITY_BEGIN();
    RUN_TEST(test_reset_after_equals_the_written_out_formulas);
    RUN_TEST(test_reset_before_equals_the_written_out_formulas);
    RUN_TEST(test_a_state_at_its_ends_stays_inside);
    return UNITY_END();
}
