/*
 * test_soh_edgebat.c - the SOH estimator in foxBMS: database, FRAM, turns. Whatever model was exported, its
 * numbers are compared with those of an estimator of the test that gets the same samples.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/*========== Includes =======================================================*/
#include "unity.h"
#include "Mockdatabase.h"
#include "Mockfram.h"
#include "Mockos.h"

#include "soh_edgebat.h"
#include "state_estimation.h"
#include "test_assert_helper.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/*========== Unit Testing Framework Directives ==============================*/
TEST_SOURCE_FILE("soh_edgebat.c")

TEST_INCLUDE_PATH("../../src/app/application/algorithm/state_estimation")
TEST_INCLUDE_PATH("../../src/app/application/algorithm/state_estimation/soh/edgebat")
TEST_INCLUDE_PATH("../../src/app/application/algorithm/state_estimation/soh/edgebat/include")
TEST_INCLUDE_PATH("../../src/app/driver/fram")

/*========== Definitions and Implementations for Unit Test ==================*/
#define TEST_SLOTS (2u * BS_NR_OF_STRINGS * SOH_NR_OF_CELLS_PER_STRING)
#define TEST_TICK_ms (1000u)
#define TEST_CELLS (SOH_NR_OF_CELLS_PER_STRING)
/** half the one-hour current: every increment of charge takes many samples */
#define TEST_CURRENT_mA ((int32_t)(SOH_NOMINAL_mAh / 2u))
#define TEST_WEAK (0u)
/** two turns begin an estimator, and so many end an inference */
#define TEST_ALL_TURNS (TEST_CELLS * (4u + (uint32_t)SOH_MODEL.slices))

FRAM_SOH_s fram_soh = {0};

static DATA_BLOCK_SOH_s test_tableSoh = {.header.uniqueId = DATA_BLOCK_ID_SOH};

/** what the database answers */
static DATA_BLOCK_CELL_VOLTAGE_s test_cellVoltage;
static DATA_BLOCK_CELL_TEMPERATURE_s test_cellTemperature;
static DATA_BLOCK_PACK_VALUES_s test_packValues;

/** the FRAM */
static FRAM_SOH_s test_fram[TEST_SLOTS];
static FRAM_RETURN_TYPE_e test_framRead[TEST_SLOTS];
static FRAM_RETURN_TYPE_e test_framWrite;
static uint32_t test_writes;

static uint32_t test_tick_ms;

/** estimators beside the ones under test: of the weak cell block, and of the others */
static edgebat_config_t test_config;
static edgebat_t test_estimator[2];
static SOH_WORK_s test_work[2];
static double test_share[2];

static STD_RETURN_TYPE_e TEST_ReadDatabase(void *p0, void *p1, void *p2, int calls) {
    (void)calls;
    *(DATA_BLOCK_CELL_VOLTAGE_s *)p0 = test_cellVoltage;
    *(DATA_BLOCK_CELL_TEMPERATURE_s *)p1 = test_cellTemperature;
    *(DATA_BLOCK_PACK_VALUES_s *)p2 = test_packValues;
    return STD_OK;
}

static uint32_t TEST_GetTickCount(int calls) {
    (void)calls;
    return test_tick_ms;
}

static FRAM_RETURN_TYPE_e TEST_ReadFram(FRAM_BLOCK_ID_e blockId, int calls) {
    (void)calls;
    const uint32_t slot = (uint32_t)blockId - (uint32_t)FRAM_BLOCK_ID_SOH_FIRST;
    TEST_ASSERT_TRUE(slot < TEST_SLOTS);
    if ((test_framRead[slot] == FRAM_ACCESS_OK) || (test_framRead[slot] == FRAM_ACCESS_CRC_ERROR)) {
        fram_soh = test_fram[slot];
    }
    return test_framRead[slot];
}

static FRAM_RETURN_TYPE_e TEST_WriteFram(FRAM_BLOCK_ID_e blockId, int calls) {
    (void)calls;
    const uint32_t slot = (uint32_t)blockId - (uint32_t)FRAM_BLOCK_ID_SOH_FIRST;
    TEST_ASSERT_TRUE(slot < TEST_SLOTS);
    if (test_framWrite == FRAM_ACCESS_OK) {
        test_fram[slot] = fram_soh;
        test_framRead[slot] = FRAM_ACCESS_OK;
        test_writes++;
    }
    return test_framWrite;
}

/** one second: measurements, then the task */
static void TEST_Tick(void) {
    test_tick_ms += TEST_TICK_ms;
    test_cellVoltage.header.timestamp = test_tick_ms;
    SE_CalculateStateOfHealth(&test_tableSoh);
}

static void TEST_Ticks(uint32_t ticks) {
    for (uint32_t i = 0u; i < ticks; i++) {
        TEST_Tick();
    }
}

static void TEST_SetVoltage(uint8_t which, int16_t voltage_mV) {
    for (uint8_t s = 0u; s < BS_NR_OF_STRINGS; s++) {
        for (uint16_t c = 0u; c < BS_NR_OF_CELL_BLOCKS_PER_STRING; c++) {
            if ((c == TEST_WEAK) == (which == 0u)) {
                test_cellVoltage.cellVoltage_mV[s][c / BS_NR_OF_CELL_BLOCKS_PER_MODULE]
                                               [c % BS_NR_OF_CELL_BLOCKS_PER_MODULE] = voltage_mV;
            }
        }
    }
}

static void TEST_SetCharging(int32_t current_mA) {
    for (uint8_t s = 0u; s < BS_NR_OF_STRINGS; s++) {
        test_packValues.stringCurrent_mA[s] =
            (BS_POSITIVE_DISCHARGE_CURRENT == true) ? -current_mA : current_mA;
    }
}

/** the same second for the test's own estimators */
static void TEST_PushOwn(int32_t current_mA, const int16_t *pVoltage_mV) {
    for (uint8_t which = 0u; which < 2u; which++) {
        const edgebat_sample_t sample = {
            .current_mA = current_mA,
            .dt_ms = TEST_TICK_ms,
            .cell_mV = pVoltage_mV[which],
            .temperature_ddegC = 250,
            .valid = EDGEBAT_VALID_ALL,
        };
        (void)edgebat_push(&test_estimator[which], &sample);
        (void)edgebat_step(&test_estimator[which]);
    }
}

static void TEST_Second(int32_t current_mA, const int16_t *pVoltage_mV) {
    TEST_SetVoltage(0u, pVoltage_mV[0u]);
    TEST_SetVoltage(1u, pVoltage_mV[1u]);
    TEST_SetCharging(current_mA);
    TEST_PushOwn(current_mA, pVoltage_mV);
    TEST_Tick();
}

/** voltage after `seconds` inside the window: an increment lies at `share` of the range the model knows */
static int16_t TEST_VoltageAfter(double seconds, double share) {
    double left = seconds;
    for (uint32_t i = 0u; i < SOH_MODEL.increments; i++) {
        const double low_ppm = (double)SOH_MODEL.low_ppm[i];
        const double high_ppm = (double)SOH_MODEL.high_ppm[i];
        const double ppm = low_ppm + (share * (high_ppm - low_ppm));
        const double takes = ppm * 1e-6 * 3600.0 * (double)SOH_NOMINAL_mAh / (double)TEST_CURRENT_mA;
        if (left < takes) {
            const double level_uV = (double)SOH_MODEL.level_uV[i];
            const double step_uV = (double)SOH_MODEL.level_uV[i + 1u] - level_uV;
            return (int16_t)((level_uV + (step_uV * left / takes)) / 1000.0);
        }
        left -= takes;
    }
    return (int16_t)(SOH_WINDOW_END_mV + 5);
}

static void TEST_Cycle(void) {
    int16_t voltage_mV[2] = {SOH_WINDOW_BEGIN_mV - 20, SOH_WINDOW_BEGIN_mV - 20};
    for (uint8_t i = 0u; i < 5u; i++) {
        TEST_Second(TEST_CURRENT_mA, voltage_mV);
    }
    for (uint32_t second = 0u;
         (voltage_mV[0] < (SOH_WINDOW_END_mV + 5)) || (voltage_mV[1] < (SOH_WINDOW_END_mV + 5)); second++) {
        voltage_mV[0] = TEST_VoltageAfter((double)second, test_share[0]);
        voltage_mV[1] = TEST_VoltageAfter((double)second, test_share[1]);
        TEST_Second(TEST_CURRENT_mA, voltage_mV);
    }
    voltage_mV[0] = SOH_WINDOW_BEGIN_mV;
    voltage_mV[1] = SOH_WINDOW_BEGIN_mV;
    for (uint32_t second = 0u; second < 600u; second++) {
        TEST_Second(-TEST_CURRENT_mA, voltage_mV);
    }
}

/** enough charges for an estimate of every cell block */
static void TEST_Cycles(void) {
    for (uint32_t i = 0u; i < SOH_MODEL.context; i++) {
        TEST_Cycle();
    }
}

static float_t TEST_OwnSoh(uint8_t which) {
    edgebat_result_t result;
    (void)edgebat_result(&test_estimator[which], &result);
    TEST_ASSERT_TRUE(result.soh_cpct != EDGEBAT_UNKNOWN);
    const uint16_t soh_cpct = (result.soh_cpct > 10000u) ? 10000u : result.soh_cpct;
    return (float_t)soh_cpct / 100.0f;
}

/** power on: what is in FRAM stays */
static void TEST_PowerOn(void) {
    for (uint8_t s = 0u; s < BS_NR_OF_STRINGS; s++) {
        SE_InitializeStateOfHealth(&test_tableSoh, s);
    }
}

/*========== Setup and Teardown =============================================*/
void setUp(void) {
    DATA_Read3DataBlocks_Stub(TEST_ReadDatabase);
    OS_GetTickCount_Stub(TEST_GetTickCount);
    FRAM_ReadData_Stub(TEST_ReadFram);
    FRAM_WriteData_Stub(TEST_WriteFram);

    (void)memset(&test_cellVoltage, 0, sizeof(test_cellVoltage));
    (void)memset(&test_cellTemperature, 0, sizeof(test_cellTemperature));
    (void)memset(&test_packValues, 0, sizeof(test_packValues));
    (void)memset(test_fram, 0xA5, sizeof(test_fram));
    for (uint8_t s = 0u; s < BS_NR_OF_STRINGS; s++) {
        for (uint8_t m = 0u; m < BS_NR_OF_MODULES_PER_STRING; m++) {
            for (uint8_t t = 0u; t < BS_NR_OF_TEMP_SENSORS_PER_MODULE; t++) {
                test_cellTemperature.cellTemperature_ddegC[s][m][t] = 250;
            }
        }
    }
    for (uint32_t i = 0u; i < TEST_SLOTS; i++) {
        test_framRead[i] = FRAM_ACCESS_CRC_ERROR; /* never written */
    }
    test_framWrite = FRAM_ACCESS_OK;
    test_writes = 0u;
    test_share[0] = 0.4;
    test_share[1] = 0.6;

    (void)edgebat_config_default(&test_config, SOH_NOMINAL_mAh);
    for (uint8_t which = 0u; which < 2u; which++) {
        (void)edgebat_init(&test_estimator[which], &SOH_MODEL, &test_config, &test_work[which], NULL_PTR, 0u);
    }
    TEST_PowerOn();
    TEST_SetVoltage(0u, SOH_WINDOW_BEGIN_mV);
    TEST_SetVoltage(1u, SOH_WINDOW_BEGIN_mV);
    TEST_Ticks(2u * TEST_CELLS); /* all estimators have begun */
}

void tearDown(void) {
}

/*========== Test Cases =====================================================*/
void testSE_InitializeStateOfHealth(void) {
    TEST_ASSERT_FAIL_ASSERT(SE_InitializeStateOfHealth(NULL_PTR, 0u));
    TEST_ASSERT_FAIL_ASSERT(SE_InitializeStateOfHealth(&test_tableSoh, BS_NR_OF_STRINGS));

    test_tableSoh.averageSoh_perc[0u] = 1.0f;
    test_tableSoh.minimumSoh_perc[0u] = 1.0f;
    test_tableSoh.maximumSoh_perc[0u] = 1.0f;
    SE_InitializeStateOfHealth(&test_tableSoh, 0u);
    TEST_ASSERT_EQUAL_FLOAT(SOH_UNKNOWN_perc, test_tableSoh.averageSoh_perc[0u]);
    TEST_ASSERT_EQUAL_FLOAT(SOH_UNKNOWN_perc, test_tableSoh.minimumSoh_perc[0u]);
    TEST_ASSERT_EQUAL_FLOAT(SOH_UNKNOWN_perc, test_tableSoh.maximumSoh_perc[0u]);
}

void testSE_CalculateStateOfHealth(void) {
    TEST_ASSERT_FAIL_ASSERT(SE_CalculateStateOfHealth(NULL_PTR));

    /* nothing is known before the last charge of the first window */
    for (uint32_t i = 1u; i < SOH_MODEL.context; i++) {
        TEST_Cycle();
    }
    TEST_Ticks(TEST_ALL_TURNS);
    TEST_ASSERT_EQUAL_FLOAT(SOH_UNKNOWN_perc, test_tableSoh.minimumSoh_perc[0u]);

    TEST_Cycle();
    TEST_Ticks(TEST_ALL_TURNS);
    const float_t weak = TEST_OwnSoh(0u);
    const float_t other = TEST_OwnSoh(1u);
    TEST_ASSERT_TRUE(weak != other);
    for (uint8_t s = 0u; s < BS_NR_OF_STRINGS; s++) {
        TEST_ASSERT_EQUAL_FLOAT((weak < other) ? weak : other, test_tableSoh.minimumSoh_perc[s]);
        TEST_ASSERT_EQUAL_FLOAT((weak < other) ? other : weak, test_tableSoh.maximumSoh_perc[s]);
        TEST_ASSERT_FLOAT_WITHIN(0.01f, (weak + ((float_t)(TEST_CELLS - 1u) * other)) / (float_t)TEST_CELLS,
                                 test_tableSoh.averageSoh_perc[s]);
    }
}

void testSOH_GetResult(void) {
    edgebat_result_t result;
    TEST_ASSERT_FAIL_ASSERT(SOH_GetResult(BS_NR_OF_STRINGS, 0u, &result));
    TEST_ASSERT_FAIL_ASSERT(SOH_GetResult(0u, TEST_CELLS, &result));
    TEST_ASSERT_FAIL_ASSERT(SOH_GetResult(0u, 0u, NULL_PTR));

    TEST_ASSERT_EQUAL(STD_OK, SOH_GetResult(0u, 0u, &result));
    TEST_ASSERT_EQUAL(EDGEBAT_STATUS_WARMUP, result.status);
    SE_InitializeStateOfHealth(&test_tableSoh, 0u);
    TEST_ASSERT_EQUAL(STD_NOT_OK, SOH_GetResult(0u, 0u, &result));
}

/** every invalid flag, and voltages that are not measured any more, end in the status */
void testInvalidMeasurements(void) {
    edgebat_result_t result;
    test_cellVoltage.invalidCellVoltage[0u][0u][0u] = true;
    TEST_Ticks(12u);
    (void)SOH_GetResult(0u, 0u, &result);
    TEST_ASSERT_EQUAL(EDGEBAT_STATUS_INPUT_INVALID, result.status);
    (void)SOH_GetResult(0u, 1u, &result);
    TEST_ASSERT_EQUAL(EDGEBAT_STATUS_WARMUP, result.status);
    test_cellVoltage.invalidCellVoltage[0u][0u][0u] = false;
    TEST_Tick();
    (void)SOH_GetResult(0u, 0u, &result);
    TEST_ASSERT_EQUAL(EDGEBAT_STATUS_WARMUP, result.status);

    test_packValues.invalidStringCurrent[0u] = 1u;
    TEST_Ticks(12u);
    (void)SOH_GetResult(0u, 1u, &result);
    TEST_ASSERT_EQUAL(EDGEBAT_STATUS_INPUT_INVALID, result.status);
    test_packValues.invalidStringCurrent[0u] = 0u;
    TEST_Tick();

    for (uint8_t i = 0u; i < 12u; i++) {
        test_tick_ms += TEST_TICK_ms; /* the clock goes on, the measurement does not */
        SE_CalculateStateOfHealth(&test_tableSoh);
    }
    (void)SOH_GetResult(0u, 1u, &result);
    TEST_ASSERT_EQUAL(EDGEBAT_STATUS_INPUT_INVALID, result.status);
}

/** without a valid temperature an input is not one the model knows, if the model knows temperatures at all */
void testInvalidTemperatures(void) {
    for (uint8_t m = 0u; m < BS_NR_OF_MODULES_PER_STRING; m++) {
        test_cellTemperature.cellTemperature_ddegC[0u][m][0u] = 32767; /* not believed ... */
        test_cellTemperature.invalidCellTemperature[0u][m][0u] = true; /* ... because of this */
    }
    TEST_Cycles();
    TEST_Ticks(TEST_ALL_TURNS);
    TEST_ASSERT_EQUAL_FLOAT(TEST_OwnSoh(1u), (TEST_OwnSoh(0u) < TEST_OwnSoh(1u))
                                                 ? test_tableSoh.maximumSoh_perc[0u]
                                                 : test_tableSoh.minimumSoh_perc[0u]);
}

void testStateSurvivesPowerCut(void) {
    TEST_Cycles();
    TEST_Ticks(TEST_ALL_TURNS);
    const float_t minimum = test_tableSoh.minimumSoh_perc[0u];
    const float_t maximum = test_tableSoh.maximumSoh_perc[0u];
    TEST_ASSERT_TRUE(test_writes >= (SOH_MODEL.context * TEST_CELLS * BS_NR_OF_STRINGS));

    TEST_PowerOn();
    TEST_ASSERT_EQUAL_FLOAT(SOH_UNKNOWN_perc, test_tableSoh.minimumSoh_perc[0u]);
    test_writes = 0u;
    TEST_Ticks(TEST_CELLS);
    TEST_ASSERT_EQUAL_FLOAT(minimum, test_tableSoh.minimumSoh_perc[0u]);
    TEST_ASSERT_EQUAL_FLOAT(maximum, test_tableSoh.maximumSoh_perc[0u]);
    TEST_Ticks(TEST_ALL_TURNS);
    TEST_ASSERT_EQUAL_UINT32(0u, test_writes); /* nothing new */
}

/** a write that was cut off costs one state; with both slots gone a new battery begins */
void testDamagedStates(void) {
    edgebat_result_t result;
    TEST_Cycles();
    TEST_Ticks(TEST_ALL_TURNS);
    (void)SOH_GetResult(0u, 0u, &result);
    const uint32_t cycle = result.cycle;

    test_framRead[0u] = FRAM_ACCESS_CRC_ERROR;
    TEST_PowerOn();
    TEST_Ticks(TEST_CELLS);
    (void)SOH_GetResult(0u, 0u, &result);
    TEST_ASSERT_TRUE((result.cycle == cycle) || (result.cycle == (cycle - 1u)));

    test_framRead[0u] = FRAM_ACCESS_OK;
    test_framRead[1u] = FRAM_ACCESS_CRC_ERROR;
    TEST_PowerOn();
    TEST_Ticks(TEST_CELLS);
    (void)SOH_GetResult(0u, 0u, &result);
    TEST_ASSERT_TRUE((result.cycle == cycle) || (result.cycle == (cycle - 1u)));

    test_framRead[0u] = FRAM_ACCESS_CRC_ERROR;
    TEST_PowerOn();
    TEST_Ticks(TEST_CELLS);
    (void)SOH_GetResult(0u, 0u, &result);
    TEST_ASSERT_EQUAL_UINT32(1u, result.cycle);
    TEST_ASSERT_EQUAL(EDGEBAT_UNKNOWN, result.soh_cpct);
}

/** FRAM_ReinitializeAllEntries writes one buffer into all slots */
void testStateOfAnotherCell(void) {
    TEST_Cycles();
    TEST_Ticks(TEST_ALL_TURNS);
    for (uint32_t i = 0u; i < TEST_SLOTS; i++) {
        test_fram[i] = test_fram[0u];
    }
    TEST_PowerOn();
    TEST_Ticks(TEST_CELLS);
    edgebat_result_t result;
    (void)SOH_GetResult(0u, 0u, &result);
    TEST_ASSERT_TRUE(result.cycle > 1u);
    for (uint16_t c = 1u; c < TEST_CELLS; c++) {
        (void)SOH_GetResult(0u, c, &result);
        TEST_ASSERT_EQUAL_UINT32(1u, result.cycle);
    }
}

/** what is busy gets its chance at the next turn, and nothing is lost */
void testBusyFram(void) {
    edgebat_result_t result;
    test_framWrite = FRAM_ACCESS_SPI_BUSY;
    TEST_Cycles();
    TEST_Ticks(TEST_ALL_TURNS);
    test_framWrite = FRAM_ACCESS_OK;
    TEST_Ticks(TEST_ALL_TURNS);
    TEST_ASSERT_EQUAL_UINT32(TEST_CELLS * BS_NR_OF_STRINGS, test_writes);

    const float_t minimum = test_tableSoh.minimumSoh_perc[0u];
    test_framRead[0u] = FRAM_ACCESS_SPI_BUSY;
    test_framRead[1u] = FRAM_ACCESS_CRC_BUSY;
    TEST_PowerOn();
    TEST_Ticks(3u * TEST_CELLS);
    TEST_ASSERT_EQUAL(STD_NOT_OK, SOH_GetResult(0u, 0u, &result));
    test_framRead[0u] = FRAM_ACCESS_OK;
    TEST_Ticks(3u * TEST_CELLS);
    TEST_ASSERT_EQUAL(STD_NOT_OK, SOH_GetResult(0u, 0u, &result));
    test_framRead[1u] = FRAM_ACCESS_CRC_ERROR;
    TEST_Ticks(3u * TEST_CELLS);
    TEST_ASSERT_EQUAL(STD_OK, SOH_GetResult(0u, 0u, &result));
    TEST_ASSERT_EQUAL_FLOAT(minimum, test_tableSoh.minimumSoh_perc[0u]);
}
