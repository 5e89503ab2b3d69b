/*
 * test_resistance.c - the resistance that steps of the current tell, and what of it a saved state holds. Compiled with
 * EDGEBAT_RESISTANCE 1; the rest of its tests is tests/bms/test_resistance.py.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "one_battery.h"
#include "edgebat/edgebat_resistance.h"
#include "edgebat/edgebat_service.h"

#include <string.h>

/* So many steps of 1 A each, up and down, of a cell with so much resistance. */
static void steps(uint32_t count, int32_t uOhm) {
    for (uint32_t i = 0U; i < count; i++) {
        const int32_t mA = ((i & 1U) != 0U) ? 0 : -1000;
        (void)push(3700 + ((mA * uOhm) / 1000000), mA, 1000U);
        for (int k = 0; k < 30; k++) {
            (void)push(3700 + ((mA * uOhm) / 1000000), mA, 1000U);
        }
        finish();
    }
}

static void begin(uint8_t is_new) {
    config.resistance.is_new = is_new;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_init(&battery, &fake_model, &config, work, NULL, 0U));
}

static void test_steps_tell_the_resistance_and_its_growth(void) {
    begin(1U);
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(1, result.resistance_uOhm == UINT32_MAX);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.resistance_sigma_cpct);
    steps(400U, 50000);
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(50000, result.resistance_uOhm);
    TEST_ASSERT_EQUAL_INT(10000, result.resistance_cpct);
    steps(3200U, 60000);
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(1, (result.resistance_cpct > 11950) && (result.resistance_cpct <= 12000));
}

static void test_it_stands_in_the_state_and_in_its_frame(void) {
    uint8_t saved[FAKE_SAVED_BYTES];
    uint8_t data[EDGEBAT_CAN_BYTES];
    const uint8_t frame[EDGEBAT_CAN_BYTES] = {0x50U, 0xC3U, 0U, 0U, 0U, 0U, 0x10U, 0x27U};
    begin(1U);
    steps(400U, 50000);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_state_get(&battery, saved, sizeof saved));
    TEST_ASSERT_EQUAL_INT(4, saved[3]);
    begin(0U);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_init(&battery, &fake_model, &config, work, saved, sizeof saved));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(50000, result.resistance_uOhm);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK,
                          edgebat_can_pack(&fake_model, &result, EDGEBAT_CAN_RESISTANCE, 0U, data));
    data[4] = 0U; /* the deviation */
    data[5] = 0U;
    TEST_ASSERT_EQUAL_INT(0, memcmp(data, frame, sizeof frame));
}

static void refused(const uint8_t *sound, uint32_t offset, uint8_t value) {
    uint8_t saved[FAKE_SAVED_BYTES];
    const uint32_t header = EDGEBAT_SAVED_HEADER - 4U;
    const uint32_t last = FAKE_SAVED_BYTES - 4U;
    memcpy(saved, sound, sizeof saved);
    saved[offset] = value;
    uint32_t crc = edgebat_crc32(0U, saved, header);
    for (uint32_t i = 0U; i < 4U; i++) {
        saved[header + i] = (uint8_t)(crc >> (8U * i));
    }
    crc = edgebat_crc32(0U, saved, last);
    for (uint32_t i = 0U; i < 4U; i++) {
        saved[last + i] = (uint8_t)(crc >> (8U * i));
    }
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_DAMAGED,
                          edgebat_state_check(&fake_model, &config, saved, sizeof saved));
}

static void test_contents_that_no_writer_writes_are_refused(void) {
    uint8_t saved[FAKE_SAVED_BYTES];
    begin(1U);
    steps(400U, 50000);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_state_get(&battery, saved, sizeof saved));
    refused(saved, 175U, 0x80U); /* beyond 20 Ohm */
    refused(saved, 179U, 0x80U);
    refused(saved, 181U, 0x40U); /* a spread of more than all */
    refused(saved, 182U, 65U);   /* more medians than are counted */
    refused(saved, 182U, 0U);    /* a resistance of nothing */
    refused(saved, 183U, 3U);
    refused(saved, 187U, 0x7FU); /* a step beyond 20 Ohm */
    refused(saved, 206U, 5U);    /* more steps than make a median */
}

static void test_service_begins_anew(void) {
    edgebat_use_t use;
    begin(0U);
    steps(400U, 50000);
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_UNKNOWN, result.resistance_cpct);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_begin_resistance(&battery, 40000U));
    steps(400U, 50000);
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(12500, result.resistance_cpct);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_use(&battery, &use));
    TEST_ASSERT_EQUAL_INT(40000, use.new_uOhm);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_reset(&battery, EDGEBAT_RESET_RESISTANCE));
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(1, result.resistance_uOhm == UINT32_MAX);
    TEST_ASSERT_EQUAL_INT(EDGEBAT_OK, edgebat_adopt(&battery, &use));
    steps(400U, 50000);
    (void)edgebat_result(&battery, &result);
    TEST_ASSERT_EQUAL_INT(12500, result.resistance_cpct);
    use.new_uOhm = 20000001U;
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_adopt(&battery, &use));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_CONFIG, edgebat_begin_resistance(&battery, 20000001U));
    TEST_ASSERT_EQUAL_INT(EDGEBAT_ERR_NULL, edgebat_begin_resistance(NULL, 0U));
}

int main(void) {
    RUN_TEST(test_steps_tell_the_resistance_and_its_growth);
    RUN_TEST(test_it_stands_in_the_state_and_in_its_frame);
    RUN_TEST(test_contents_that_no_writer_writes_are_refused);
    RUN_TEST(test_service_begins_anew);
    return UNITY_END();
}
