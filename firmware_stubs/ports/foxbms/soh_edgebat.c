/*
 * soh_edgebat.c - learned state of health in foxBMS 2.
 *
 * Every cell block has an estimator of its own: in a series string the weakest one limits the capacity, and
 * which one it is nobody knows beforehand. The string's minimum, average and maximum SOH are those of its
 * cell blocks.
 *
 * All samples are taken in every call. Everything else - reading the saved state, the self-test, a slice of
 * the model, writing the state - is done for one cell block per string and call, in turn, so that no call
 * takes long. After a start it takes two calls per cell block until all of them are followed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */

/*========== Includes =======================================================*/
#include "soh_edgebat.h"

#include "database.h"
#include "fassert.h"
#include "fram.h"
#include "os.h"
#include "state_estimation.h"

#include <stdbool.h>
#include <stdint.h>

/*========== Macros and Definitions =========================================*/
/** a state is written over the older one of two slots */
#define SOH_NR_OF_SLOTS (2u)

#define SOH_MAXIMUM_cpct (10000u)
#define SOH_CPCT_PER_PERC (100.0f)

/** what comes next for a cell block */
typedef enum {
    SOH_PHASE_READ, /*!< look for a saved state */
    SOH_PHASE_TEST, /*!< test the model */
    SOH_PHASE_RUN,  /*!< estimate */
} SOH_PHASE_e;

/** one cell block */
typedef struct {
    edgebat_t estimator;
    SOH_WORK_s work;
    SOH_PHASE_e phase;
    uint16_t soh_cpct;      /*!< published, #EDGEBAT_UNKNOWN at first */
    uint8_t slot;           /*!< where the next state goes */
    uint32_t savedRevision; /*!< revision of the saved state */
} SOH_CELL_s;

/** one string */
typedef struct {
    SOH_CELL_s cell[SOH_NR_OF_CELLS_PER_STRING];
    uint16_t turn;              /*!< cell block whose turn it is */
    bool initialized;           /*!< SE_InitializeStateOfHealth was called */
    uint32_t previousTimestamp; /*!< of the cell voltages */
    uint32_t previousTick_ms;   /*!< of the samples */
} SOH_STRING_s;

FAS_STATIC_ASSERT(FRAM_SOH_STATE_LENGTH == SOH_STATE_LENGTH, "Run install.py again: the model has changed.");
FAS_STATIC_ASSERT((((uint32_t)FRAM_BLOCK_ID_SOH_LAST - (uint32_t)FRAM_BLOCK_ID_SOH_FIRST) + 1u) >=
                      (SOH_NR_OF_SLOTS * BS_NR_OF_STRINGS * SOH_NR_OF_CELLS_PER_STRING),
                  "Run install.py again: the number of cell blocks has changed.");
FAS_STATIC_ASSERT(SOH_NR_OF_CELLS_PER_STRING <= BS_NR_OF_CELL_BLOCKS_PER_STRING,
                  "A string has not so many cell blocks.");
FAS_STATIC_ASSERT(SOH_WINDOW_END_mV <= BC_VOLTAGE_MAX_MSL_mV,
                  "The model needs a charge through a window above the cell's maximum voltage: is "
                  "battery_cell_cfg.h that of the "
                  "cell the model was trained for?");

/*========== Static Constant and Variable Definitions =======================*/
static SOH_STRING_s soh_string[BS_NR_OF_STRINGS];
static edgebat_config_t soh_config;

/** local copies of database tables */
/**@{*/
static DATA_BLOCK_CELL_VOLTAGE_s soh_tableCellVoltage = {.header.uniqueId = DATA_BLOCK_ID_CELL_VOLTAGE};
static DATA_BLOCK_CELL_TEMPERATURE_s soh_tableCellTemperature = {.header.uniqueId =
                                                                     DATA_BLOCK_ID_CELL_TEMPERATURE};
static DATA_BLOCK_PACK_VALUES_s soh_tablePackValues = {.header.uniqueId = DATA_BLOCK_ID_PACK_VALUES};
/**@}*/

/*========== Extern Constant and Variable Definitions =======================*/

/*========== Static Function Prototypes =====================================*/
/**
 * @brief   average of the valid cell temperatures of a string
 * @param[in,out]   pSample         gets temperature and its valid flag
 * @param[in]       stringNumber    string addressed
 */
static void SOH_SetTemperature(edgebat_sample_t *pSample, uint8_t stringNumber);

/**
 * @brief   one sample of each cell block of a string
 * @param[in]   stringNumber    string addressed
 * @param[in]   tick_ms         now
 */
static void SOH_PushSamples(uint8_t stringNumber, uint32_t tick_ms);

/**
 * @brief   FRAM block of a saved state
 * @param[in]   stringNumber    string addressed
 * @param[in]   cell            cell block addressed
 * @param[in]   slot            0 or 1
 */
static FRAM_BLOCK_ID_e SOH_GetBlockId(uint8_t stringNumber, uint16_t cell, uint8_t slot);

/**
 * @brief   read one slot into #fram_soh
 * @return  #STD_OK if nothing prevented the reading
 * @param[out]  pPresent    whether a state of this cell block is in #fram_soh now
 */
static STD_RETURN_TYPE_e SOH_ReadSlot(uint8_t stringNumber, uint16_t cell, uint8_t slot, bool *pPresent);

/** @brief   begin with the newer one of the saved states, or as a new battery */
static void SOH_Read(uint8_t stringNumber, uint16_t cell);

/** @brief   slices of the model, and take over what is known then. Returns true if this cell block wants to
 * go on */
static bool SOH_Run(uint8_t stringNumber, uint16_t cell);

/** @brief   write the state if there is a new cycle or a new estimate */
static void SOH_Save(uint8_t stringNumber, uint16_t cell, const edgebat_result_t *kpResult);

/** @brief   what is to be done for the cell block whose turn it is */
static void SOH_TakeTurn(uint8_t stringNumber);

/** @brief   minimum, average and maximum of the cell blocks of a string */
static void SOH_Publish(DATA_BLOCK_SOH_s *pSohValues, uint8_t stringNumber);

/*========== Static Function Implementations ================================*/
static void SOH_SetTemperature(edgebat_sample_t *pSample, uint8_t stringNumber) {
    int32_t sum_ddegC = 0;
    int32_t valid = 0;
    for (uint8_t m = 0u; m < BS_NR_OF_MODULES_PER_STRING; m++) {
        for (uint8_t t = 0u; t < BS_NR_OF_TEMP_SENSORS_PER_MODULE; t++) {
            if (soh_tableCellTemperature.invalidCellTemperature[stringNumber][m][t] == false) {
                sum_ddegC += (int32_t)soh_tableCellTemperature.cellTemperature_ddegC[stringNumber][m][t];
                valid++;
            }
        }
    }
    if (valid > 0) {
        pSample->temperature_ddegC = (int16_t)(sum_ddegC / valid);
        pSample->valid |= (uint8_t)EDGEBAT_VALID_TEMPERATURE;
    }
}

static void SOH_PushSamples(uint8_t stringNumber, uint32_t tick_ms) {
    SOH_STRING_s *const pString = &soh_string[stringNumber];
    edgebat_sample_t sample = {0};

    sample.dt_ms = tick_ms - pString->previousTick_ms;
    pString->previousTick_ms = tick_ms;

    /* voltages that were not measured since the last call are no samples */
    const bool measured = (soh_tableCellVoltage.header.timestamp != pString->previousTimestamp);
    pString->previousTimestamp = soh_tableCellVoltage.header.timestamp;

    sample.current_mA = soh_tablePackValues.stringCurrent_mA[stringNumber];
    if (soh_tablePackValues.invalidStringCurrent[stringNumber] == 0u) {
        sample.valid |= (uint8_t)EDGEBAT_VALID_CURRENT;
    }
    SOH_SetTemperature(&sample, stringNumber);
    const uint8_t valid = sample.valid;

    for (uint16_t c = 0u; c < SOH_NR_OF_CELLS_PER_STRING; c++) {
        const uint16_t module = c / BS_NR_OF_CELL_BLOCKS_PER_MODULE;
        const uint16_t block = c % BS_NR_OF_CELL_BLOCKS_PER_MODULE;
        sample.cell_mV = soh_tableCellVoltage.cellVoltage_mV[stringNumber][module][block];
        sample.valid = valid;
        if (measured && (soh_tableCellVoltage.invalidCellVoltage[stringNumber][module][block] == false)) {
            sample.valid |= (uint8_t)EDGEBAT_VALID_VOLTAGE;
        }
        if (pString->cell[c].phase != SOH_PHASE_READ) {
            (void)edgebat_push(&pString->cell[c].estimator, &sample);
        }
    }
}

static FRAM_BLOCK_ID_e SOH_GetBlockId(uint8_t stringNumber, uint16_t cell, uint8_t slot) {
    const uint32_t number = ((uint32_t)stringNumber * SOH_NR_OF_CELLS_PER_STRING) + (uint32_t)cell;
    return (FRAM_BLOCK_ID_e)((uint32_t)FRAM_BLOCK_ID_SOH_FIRST + (SOH_NR_OF_SLOTS * number) + (uint32_t)slot);
}

static STD_RETURN_TYPE_e SOH_ReadSlot(uint8_t stringNumber, uint16_t cell, uint8_t slot, bool *pPresent) {
    STD_RETURN_TYPE_e retVal = STD_OK;
    *pPresent = false;
    switch (FRAM_ReadData(SOH_GetBlockId(stringNumber, cell, slot))) {
    case FRAM_ACCESS_OK:
        /* FRAM_ReinitializeAllEntries writes one cell block's state into the slots of all */
        *pPresent = ((fram_soh.stringNumber == stringNumber) && (fram_soh.cell == cell));
        break;
    case FRAM_ACCESS_CRC_ERROR:
        /* never written, or cut off while it was */
        break;
    case FRAM_ACCESS_SPI_BUSY:
    case FRAM_ACCESS_CRC_BUSY:
        retVal = STD_NOT_OK;
        break;
    default:
        FAS_ASSERT(FAS_TRAP);
        break;
    }
    return retVal;
}

static void SOH_Read(uint8_t stringNumber, uint16_t cell) {
    static uint8_t soh_firstSlot[SOH_STATE_LENGTH];
    SOH_CELL_s *const pCell = &soh_string[stringNumber].cell[cell];
    bool firstPresent = false;
    bool secondPresent = false;

    STD_RETURN_TYPE_e retVal = SOH_ReadSlot(stringNumber, cell, 0u, &firstPresent);
    for (uint32_t i = 0u; i < SOH_STATE_LENGTH; i++) {
        soh_firstSlot[i] = fram_soh.state[i];
    }
    if (retVal == STD_OK) {
        retVal = SOH_ReadSlot(stringNumber, cell, 1u, &secondPresent);
    }
    if (retVal == STD_OK) {
        const void *const kpFirst = firstPresent ? (const void *)soh_firstSlot : NULL_PTR;
        const void *const kpSecond = secondPresent ? (const void *)fram_soh.state : NULL_PTR;
        const void *const kpNewest =
            edgebat_state_newest(&SOH_MODEL, &soh_config, kpFirst, kpSecond, (uint32_t)SOH_STATE_LENGTH);
        const int code = edgebat_init(&pCell->estimator, &SOH_MODEL, &soh_config, &pCell->work, kpNewest,
                                      (uint32_t)SOH_STATE_LENGTH);
        FAS_ASSERT(code >= EDGEBAT_OK); /* else the configuration is out of its range */
        pCell->slot = ((kpNewest != NULL_PTR) && (kpNewest == kpFirst)) ? 1u : 0u;
        pCell->phase = SOH_PHASE_TEST;
        /* what was just read need not be written */
        edgebat_result_t result;
        (void)edgebat_result(&pCell->estimator, &result);
        pCell->soh_cpct = result.soh_cpct;
        pCell->savedRevision = result.revision;
    }
}

static bool SOH_Run(uint8_t stringNumber, uint16_t cell) {
    SOH_CELL_s *const pCell = &soh_string[stringNumber].cell[cell];
    edgebat_result_t result;
    int code = EDGEBAT_BUSY;
    for (uint8_t i = 0u; (i < SOH_NR_OF_STEPS) && (code == EDGEBAT_BUSY); i++) {
        code = edgebat_step(&pCell->estimator);
    }
    if (code != EDGEBAT_BUSY) {
        (void)edgebat_result(&pCell->estimator, &result);
        pCell->soh_cpct = result.soh_cpct;
        SOH_Save(stringNumber, cell, &result);
    }
    return (code == EDGEBAT_BUSY);
}

static void SOH_Save(uint8_t stringNumber, uint16_t cell, const edgebat_result_t *kpResult) {
    SOH_CELL_s *const pCell = &soh_string[stringNumber].cell[cell];
    if (kpResult->revision != pCell->savedRevision) {
        fram_soh.stringNumber = stringNumber;
        fram_soh.cell = cell;
        const int code = edgebat_state_get(&pCell->estimator, fram_soh.state, (uint32_t)SOH_STATE_LENGTH);
        /* a busy FRAM gets the state when this cell block has its next turn */
        if ((code == EDGEBAT_OK) &&
            (FRAM_WriteData(SOH_GetBlockId(stringNumber, cell, pCell->slot)) == FRAM_ACCESS_OK)) {
            pCell->slot = (pCell->slot == 0u) ? 1u : 0u;
            pCell->savedRevision = kpResult->revision;
        }
    }
}

static void SOH_TakeTurn(uint8_t stringNumber) {
    SOH_STRING_s *const pString = &soh_string[stringNumber];
    SOH_CELL_s *const pCell = &pString->cell[pString->turn];
    bool goOn = false;
    switch (pCell->phase) {
    case SOH_PHASE_READ:
        SOH_Read(stringNumber, pString->turn);
        break;
    case SOH_PHASE_TEST:
        /* a damaged model is not asked: the estimator remembers */
        (void)edgebat_selftest(&pCell->estimator);
        pCell->phase = SOH_PHASE_RUN;
        break;
    case SOH_PHASE_RUN:
        goOn = SOH_Run(stringNumber, pString->turn);
        break;
    default:
        FAS_ASSERT(FAS_TRAP);
        break;
    }
    if (goOn == false) {
        pString->turn++;
        if (pString->turn >= SOH_NR_OF_CELLS_PER_STRING) {
            pString->turn = 0u;
        }
    }
}

static void SOH_Publish(DATA_BLOCK_SOH_s *pSohValues, uint8_t stringNumber) {
    uint32_t minimum_cpct = SOH_MAXIMUM_cpct;
    uint32_t maximum_cpct = 0u;
    uint32_t sum_cpct = 0u;
    uint32_t known = 0u;
    bool read = true;
    for (uint16_t c = 0u; c < SOH_NR_OF_CELLS_PER_STRING; c++) {
        uint32_t soh_cpct = soh_string[stringNumber].cell[c].soh_cpct;
        read = read && (soh_string[stringNumber].cell[c].phase != SOH_PHASE_READ);
        if (soh_cpct != EDGEBAT_UNKNOWN) {
            /* a cell block may have more than its nominal capacity; the database has no entry for that */
            soh_cpct = (soh_cpct > SOH_MAXIMUM_cpct) ? SOH_MAXIMUM_cpct : soh_cpct;
            minimum_cpct = (soh_cpct < minimum_cpct) ? soh_cpct : minimum_cpct;
            maximum_cpct = (soh_cpct > maximum_cpct) ? soh_cpct : maximum_cpct;
            sum_cpct += soh_cpct;
            known++;
        }
    }
    /* the weakest one may be among those whose saved state was not read yet */
    if ((known > 0u) && read) {
        pSohValues->minimumSoh_perc[stringNumber] = (float_t)minimum_cpct / SOH_CPCT_PER_PERC;
        pSohValues->maximumSoh_perc[stringNumber] = (float_t)maximum_cpct / SOH_CPCT_PER_PERC;
        pSohValues->averageSoh_perc[stringNumber] = (float_t)(sum_cpct / known) / SOH_CPCT_PER_PERC;
    } else {
        pSohValues->minimumSoh_perc[stringNumber] = SOH_UNKNOWN_perc;
        pSohValues->maximumSoh_perc[stringNumber] = SOH_UNKNOWN_perc;
        pSohValues->averageSoh_perc[stringNumber] = SOH_UNKNOWN_perc;
    }
}

/*========== Extern Function Implementations ================================*/
extern void SE_InitializeStateOfHealth(DATA_BLOCK_SOH_s *pSohValues, uint8_t stringNumber) {
    FAS_ASSERT(pSohValues != NULL_PTR);
    FAS_ASSERT(stringNumber < BS_NR_OF_STRINGS);

    SOH_STRING_s *const pString = &soh_string[stringNumber];
    (void)edgebat_config_default(&soh_config, SOH_NOMINAL_mAh);
    soh_config.reference_mAh = SOH_REFERENCE_mAh;
    soh_config.sign = (uint8_t)((BS_POSITIVE_DISCHARGE_CURRENT == true) ? EDGEBAT_DISCHARGE_POSITIVE
                                                                        : EDGEBAT_CHARGE_POSITIVE);
    soh_config.full_mV = SOH_FULL_mV;
    soh_config.cutoff_mA = SOH_CUTOFF_mA;
    soh_config.empty_mV = SOH_EMPTY_mV;
    soh_config.rated_cycles = SOH_RATED_CYCLES;

    /* SYS calls this in the 10 ms task, again and again while current sensors are missing: nothing long here
     */
    for (uint16_t c = 0u; c < SOH_NR_OF_CELLS_PER_STRING; c++) {
        pString->cell[c].phase = SOH_PHASE_READ;
        pString->cell[c].soh_cpct = EDGEBAT_UNKNOWN;
    }
    pString->turn = 0u;
    pString->previousTick_ms = OS_GetTickCount();
    pString->initialized = true;
    SOH_Publish(pSohValues, stringNumber);
}

extern void SE_CalculateStateOfHealth(DATA_BLOCK_SOH_s *pSohValues) {
    FAS_ASSERT(pSohValues != NULL_PTR);

    DATA_READ_DATA(&soh_tableCellVoltage, &soh_tableCellTemperature, &soh_tablePackValues);
    const uint32_t tick_ms = OS_GetTickCount();
    for (uint8_t s = 0u; s < BS_NR_OF_STRINGS; s++) {
        if (soh_string[s].initialized == true) {
            SOH_PushSamples(s, tick_ms);
            SOH_TakeTurn(s);
            SOH_Publish(pSohValues, s);
        }
    }
}

extern STD_RETURN_TYPE_e SOH_GetResult(uint8_t stringNumber, uint16_t cell, edgebat_result_t *pResult) {
    FAS_ASSERT(stringNumber < BS_NR_OF_STRINGS);
    FAS_ASSERT(cell < SOH_NR_OF_CELLS_PER_STRING);
    FAS_ASSERT(pResult != NULL_PTR);
    STD_RETURN_TYPE_e retVal = STD_NOT_OK;
    const SOH_CELL_s *const kpCell = &soh_string[stringNumber].cell[cell];
    if ((soh_string[stringNumber].initialized == true) && (kpCell->phase != SOH_PHASE_READ) &&
        (edgebat_result(&kpCell->estimator, pResult) == EDGEBAT_OK)) {
        retVal = STD_OK;
    }
    return retVal;
}

/*========== Externalized Static Function Implementations (Unit Test) =======*/
#ifdef UNITY_UNIT_TEST
#endif
